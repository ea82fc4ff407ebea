"""New faces back into the frames of a film, with one match of colours over time; and a whole film, a few frames at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from ..face import FaceFrame, crop_face, paste_into, seam_colours
from .steady import CALM_REACH, COLOUR_REACH, calm, smooth
from .target import FollowedFace

Paint = Callable[[Tensor, tuple[FaceFrame, ...]], Tensor]
"""Crops [N, S, S, 3] and their places to new faces [N, S', S', 3], S' a whole multiple of S, which may hold fewer frames than
the film: each one's number is its `picture`."""


Item = tuple[int, Tensor, "Tensor | None", FaceFrame]
"""A frame's number, its picture, the new face for it, if any, and where that goes."""


@dataclass(frozen=True)
class PasteSettings:
    """feather: width of the soft edge as a share of the crop's side; colour_match: 0..1, as `paste_into` takes them; calm: the
    frames on either side with which new faces are calmed."""

    feather: float = 0.06
    colour_match: float = 1.0
    calm: int = CALM_REACH


class SeamColours:
    """Colours at the seam over the T frames of a film: each frame's own means, so that the new face is as bright as the skin
    about it, and deviations that change slowly, so that its contrast does not pump."""

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
        weights = self._known[part] * (self._shots[part] == self._shots[number])
        colours = self._measured[number].clone()
        colours[1::2] = smooth(self._measured[part, 1::2], COLOUR_REACH, degree=1, weights=weights)[number - start]
        return colours[None]


def swapped(
    pictures: Iterable[Tensor], face: FollowedFace, paint: Paint, chunk: int, settings: PasteSettings
) -> Iterator[Tensor]:
    """The frames of a film with new faces, float [H, W, 3], in their order; `chunk` of them are painted at a time.

    pictures: the frames that the face was followed in, [H, W, 3], float in 0..1 or bytes. Frames without the face are neither
    painted nor changed. At most `chunk`, `settings.calm` and COLOUR_REACH frames are held. Raises ValueError for fewer or more
    frames than the face was followed in.
    """
    painted = _painted(pictures, face, paint, chunk)
    calmed = _calmed(painted, settings.calm) if settings.calm else painted
    return _pasted(calmed, torch.tensor(face.shots), settings)


def calm_faces(faces: Tensor, frames: Sequence[FaceFrame], reach: int) -> Tensor:
    """New faces [N, S, S, 3] of a film's frames, calmed within each shot (`calm`); those that are not shown stay out of it."""
    items = (
        (number, face, face if at.opacity else None, at) for number, (face, at) in enumerate(zip(faces, frames, strict=True))
    )
    calmed = [crop if crop is not None else face for _, face, crop, _ in _calmed(items, reach)]
    return torch.stack(calmed)


def as_float(picture: Tensor) -> Tensor:
    """A picture of bytes or floats as float32 in 0..1."""
    return picture.float() / 255 if picture.dtype == torch.uint8 else picture


def _painted(pictures: Iterable[Tensor], face: FollowedFace, paint: Paint, chunk: int) -> Iterator[Item]:
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
            fitting = place if crop is None or len(crop) == place.crop_size else place.resized(len(crop))
            yield done + number, picture, crop, fitting
        done += len(part)
    if done < len(face):
        raise ValueError(f"film: it has {done} frames now, the face was followed in {len(face)}")


def _calmed(items: Iterable[Item], reach: int) -> Iterator[Item]:
    near: deque[Item] = deque()
    waiting = 0  # so many at the end of `near` have not been yielded
    for item in items:
        near.append(item)
        waiting += 1
        if waiting > reach:
            yield _calm_one(near, len(near) - waiting, reach)
            waiting -= 1
        if len(near) > 2 * reach:
            near.popleft()
    while waiting:
        yield _calm_one(near, len(near) - waiting, reach)
        waiting -= 1


def _calm_one(near: Sequence[Item], place: int, reach: int) -> Item:
    number, picture, crop, frame = near[place]
    if crop is None:
        return near[place]
    about = [(one - number, other) for one, _, other, at in near if other is not None and at.shot == frame.shot]
    about = [(offset, other) for offset, other in about if 0 < abs(offset) <= reach]
    return number, picture, calm(crop, about, reach), frame


def _pasted(items: Iterable[Item], shots: Tensor, settings: PasteSettings) -> Iterator[Tensor]:
    colours = SeamColours(shots)
    waiting: deque[Item] = deque()
    for number, picture, crop, place in items:
        if crop is not None and settings.colour_match > 0:
            colours.measure(as_float(picture), crop, place)
        waiting.append((number, picture, crop, place))
        if len(waiting) > COLOUR_REACH:
            yield _paste(waiting.popleft(), colours, settings)
    while waiting:
        yield _paste(waiting.popleft(), colours, settings)


def _paste(item: Item, colours: SeamColours, settings: PasteSettings) -> Tensor:
    number, picture, crop, place = item
    result = as_float(picture)
    if crop is None:
        return result
    if result is picture:
        result = picture.clone()
    return paste_into(result, crop, place, settings.feather, settings.colour_match, colours.of(number))
