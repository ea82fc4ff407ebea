"""Which new face goes to which place of which picture, for any of the ways in which pictures, crops and frames may come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from .frame import FaceFrame


@dataclass(frozen=True)
class Placement:
    """One result: a copy of picture `picture`, into which crop c is pasted at frame f for each pair (c, f), in this order."""

    picture: int
    pairs: tuple[tuple[int, int], ...]


def placements(pictures: int, crops: int, frames: Sequence[FaceFrame]) -> tuple[Placement, ...]:
    """What to paste where, for so many pictures and crops.

    - Each crop goes to its frame, and each frame to the picture that it names. Several faces of one picture end up together in
      it, the largest last, as the one nearest to the camera. A picture that no frame names stays as it is.
    - A single crop is repeated where no picture has two faces.
    - Frames that came from a single picture fit any number of pictures. If there is one frame, several crops for one picture
      give as many results.
    Raises ValueError naming what is too many or too few.
    """
    if not frames:
        raise ValueError("face: it holds no face; connect Face Crop's output")
    source, alone = frames[0].pictures, len({frame.picture for frame in frames}) == len(frames)
    if source == 1 and len(frames) == 1:
        return _one_place(pictures, crops)
    if source not in (1, pictures):
        raise ValueError(
            f"images: found {pictures}, but the faces come from {source} pictures; connect the ones that went into Face Crop"
        )
    if crops != len(frames) and not (crops == 1 and alone):
        raise ValueError(
            f"faces: found {crops} new faces for {len(frames)} that were cropped; expected one each"
            + (", or one for all" if alone else "")
        )
    order = sorted(range(len(frames)), key=lambda number: -_scale(frames[number]))
    return tuple(
        Placement(
            picture,
            tuple((min(number, crops - 1), number) for number in order if source == 1 or frames[number].picture == picture),
        )
        for picture in range(pictures)
    )


def _one_place(pictures: int, crops: int) -> tuple[Placement, ...]:
    """One frame: its place is used in every picture, for every crop."""
    count = max(pictures, crops)
    for name, found, other in (("images", pictures, f"{crops} faces"), ("faces", crops, f"{pictures} pictures")):
        if found not in (1, count):
            raise ValueError(f"{name}: found {found} for {other}; expected equal numbers, or one of either")
    return tuple(Placement(min(number, pictures - 1), ((min(number, crops - 1), 0),)) for number in range(count))


def _scale(frame: FaceFrame) -> float:
    """Crop pixels to a picture pixel: less for larger faces."""
    return torch.linalg.det(frame.transform[:, :2]).abs().sqrt().item() / frame.crop_size
