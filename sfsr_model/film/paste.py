"""New faces back into the frames of a film, with one match of colours over time; and a whole film, a few frames at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from ..face import FaceFrame, crop_face, paste_into, seam_colours
from .steady import COLOUR_REACH, smooth
from .target import FollowedFace

Paint = Callable[[Tensor, tuple[FaceFrame, ...]], Tensor]
"""Crops [N, S, S, 3] and their places to new faces [N, S', S', 3], S' a whole multiple of S, which may hold fewer frames than
the film: each one's number is its `picture`."""


@dataclass(frozen=True)
class PasteSettings:
    """feather: width of the soft edge as a share of the crop's side; colour_match: 0..1, as `paste_into` takes them."""

    feather: float = 0.06
    colour_match: float = 1.0


class SeamColours:
    """Colours at the seam over the T frames of a film: measured frame by frame, matched as the frames about each say."""

    def __init__(self, shots: Tensor) -> None:
        self._shots = shots
        self._measured = torch.zeros(len(shots), 4, 3, dtype=torch.float64)
        self._known = torch.zeros(len(shots), dtype=torch.float64)

    def measure(self, picture: Tensor, crop: Tensor, frame: FaceFrame) -> None:
        """Of frame `frame.picture`, [H, W, 3]."""
        colours = seam_colours(picture, crop, frame)
        if colours is not None:
            self._measured[frame.picture] = colours[0].to("cpu", torch.float64)
            self._known[frame.picture] = 1.0

    def of(self, number: int) -> Tensor | None:
        """What `paste_into` should match in that frame, [1, 4, 3]; None where nothing was measured in it.

        Depends on the frames up to COLOUR_REACH before and after it, which must have been measured.
        """
        if not self._known[number]:
            return None
        start, end = max(0, number - COLOUR_REACH), number + COLOUR_REACH + 1
        part = slice(start, end)
        own = self._shots[part] == self._shots[number]
        steady = smooth(self._measured[part], COLOUR_REACH, degree=1, weights=self._known[part] * own)
        return steady[number - start][None]


def swapped(
    pictures: Iterable[Tensor], face: FollowedFace, paint: Paint, chunk: int, settings: PasteSettings
) -> Iterator[Tensor]:
    """The frames of a film with new faces, float [H, W, 3], in their order; `chunk` of them are painted at a time.

    pictures: the frames that the face was followed in, [H, W, 3], float in 0..1 or bytes. Frames without the face are neither
    painted nor changed. At most `chunk` + COLOUR_REACH frames are held. Raises ValueError for fewer or more frames than the
    face was followed in.
    """
    colours = SeamColours(torch.tensor(face.shots))
    waiting: deque[tuple[int, Tensor, Tensor | None, FaceFrame]] = deque()
    frames = iter(pictures)
    done = 0
    while part := list(islice(frames, chunk)):
        if done + len(part) > len(face):
            raise ValueError(f"film: it has more frames now than the {len(face)} in which the face was followed")
        places = [face.frame(number) for number in range(done, done + len(part))]
        meant = [number for number, place in enumerate(places) if place.opacity > 0]
        crops: dict[int, Tensor] = {}
        if meant:
            cut = torch.stack([crop_face(as_float(part[number]), places[number]) for number in meant])
            crops = dict(zip(meant, paint(cut, tuple(places[number] for number in meant)), strict=True))
        for number, (picture, place) in enumerate(zip(part, places, strict=True)):
            crop = crops.get(number)
            if crop is not None:
                places[number] = place.resized(len(crop)) if len(crop) != place.crop_size else place
                if settings.colour_match > 0:
                    colours.measure(as_float(picture), crop, places[number])
            waiting.append((done + number, picture, crop, places[number]))
        done += len(part)
        while waiting and waiting[0][0] + COLOUR_REACH < done:
            yield _pasted(*waiting.popleft(), colours, settings)
    if done < len(face):
        raise ValueError(f"film: it has {done} frames now, the face was followed in {len(face)}")
    while waiting:
        yield _pasted(*waiting.popleft(), colours, settings)


def as_float(picture: Tensor) -> Tensor:
    """A picture of bytes or floats as float32 in 0..1."""
    return picture.float() / 255 if picture.dtype == torch.uint8 else picture


def _pasted(
    number: int, picture: Tensor, crop: Tensor | None, place: FaceFrame, colours: SeamColours, settings: PasteSettings
) -> Tensor:
    result = as_float(picture)
    if crop is None:
        return result
    if result is picture:
        result = picture.clone()
    return paste_into(result, crop, place, settings.feather, settings.colour_match, colours.of(number))
