"""From a batch of pictures to the frames of the faces that are meant, with a report and a preview for people."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..face import FaceFrame, face_frame
from .choosing import Choice, NothingChosenError, choose
from .detection import Detection
from .identity import IDEncoder
from .preview import number_faces

ERROR, KEEP, HOLD = NO_FACE_POLICIES = ("error", "keep the picture", "hold the last face")
HOLD_PICTURES = 15
# The share of them, at the end, over which a held face fades out.
_FADING = 1 / 3
# The longer side of a preview, at least; it is reduced by whole numbers.
PREVIEW_SIDE = 768
# Of the finds that are no face, as many are told of.
_REFUSED_SHOWN = 3


@dataclass(frozen=True)
class FramingSettings:
    """Crop side in pixels; the order of a picture's faces; the number of the one meant, or None for all; NO_FACE_POLICIES; for
    how many pictures in a row a face is held, 0 without end; whether finds that were refused are taken."""

    size: int
    order: str
    index: int | None
    no_face: str
    hold: int = HOLD_PICTURES
    overrule: bool = False

    def opacity(self, held: int) -> float:
        """How much is seen of a face that has been held for so many pictures, the present one included; 0 from the limit on."""
        fading = math.ceil(self.hold * _FADING)
        return 1.0 if self.hold == 0 else min(1.0, max(0.0, (self.hold + 1 - held) / (fading + 1)))


@dataclass(frozen=True, eq=False)
class Framing:
    """frames: in the order of pictures. choices: what was found in each picture. problems: what each lacks and
    what became of it, naming the picture, or ""."""

    frames: tuple[FaceFrame, ...]
    choices: tuple[Choice, ...]
    problems: tuple[str, ...]

    def report(self) -> str:
        """For people: what was found in each picture, what became of it, and what was taken for no face."""
        lines = [f"{_count(len(self.frames), 'crop')} of {_count(len(self.choices), 'picture')}"]
        for number, (choice, problem) in enumerate(zip(self.choices, self.problems, strict=True)):
            scale = " by the carried detector" if choice.carried else ""
            used = [f"face {place} (score {choice.faces[place].score:.3g}{scale})" for place in choice.chosen]
            lines.append(problem or f"picture {number}: {', '.join(used)} of {_count(len(choice.faces), 'face')}")
            lines += [f"  {told}" for place in choice.chosen if (told := _overruled(choice, place))]
            shown = told_of(choice.refused)
            for one in shown:
                left, top, right, bottom = (round(edge) for edge in one.box.tolist())
                lines.append(f"  refused at ({left}, {top}), {right - left} x {bottom - top}: {one.refused}")
            if len(choice.refused) > len(shown):
                lines.append(f"  and {len(choice.refused) - len(shown)} fainter finds")
        return "\n".join(lines)

    def preview(self, picture: Tensor, number: int) -> Tensor:
        """Picture `number` [H, W, 3], reduced, with its faces numbered, those meant in green and refused finds in red."""
        choice, problem = self.choices[number], self.problems[number]
        step = max(1, max(picture.shape[:2]) // PREVIEW_SIDE)
        faces, refused = ([_reduced(one, step) for one in some] for some in (choice.faces, told_of(choice.refused)))
        note = "no face meant here" if problem else ""
        return number_faces(picture[step // 2 :: step, step // 2 :: step], faces, choice.chosen, note, refused)


def frame_faces(
    pictures: Iterable[Tensor],
    encoder: IDEncoder | None,
    settings: FramingSettings,
    given: Sequence[Sequence[Detection]] | None = None,
) -> Framing:
    """Find the faces that are meant in pictures [H, W, 3], float RGB in 0..1, and frame them.

    given: each picture's finds by somebody else (`choosing.choose`). A picture without a face that is meant raises
    NothingChosenError; or is kept, with a frame in its middle that masks nothing, where one face of each is meant, and none
    where all are; or its frames are those of the last picture with a face, which fade out, until the picture is kept. At least
    one frame comes back, and a score of 0 marks those that were made up. Raises ValueError for an unknown policy.
    """
    if settings.no_face not in NO_FACE_POLICIES:
        raise ValueError(f"no face: {settings.no_face!r} is unknown; expected one of {', '.join(NO_FACE_POLICIES)}")
    frames: list[FaceFrame] = []
    choices: list[Choice] = []
    problems: list[str] = []
    last: list[FaceFrame] = []
    held = 0
    size, shape = settings.size, (0, 0)
    for number, picture in enumerate(pictures):
        shape = (picture.shape[0], picture.shape[1])
        own = None if given is None else given[number]
        try:
            choice = choose(picture, encoder, settings.order, settings.index, number, own, settings.overrule)
        except NothingChosenError as error:
            held += 1
            made_up, became = _without_face(settings, last, held, shape, number, error)
            frames += made_up
            choices.append(Choice(error.faces, (), error.refused))
            problems.append(_followed(error, became))
        else:
            held = 0
            last = [_framed(choice, place, settings, shape, number) for place in choice.chosen]
            frames += last
            choices.append(choice)
            problems.append("")
    if not frames and choices:
        frames.append(_nowhere(shape, size, 0))
    told = (replace(frame, pictures=len(choices)) for frame in frames)
    return Framing(tuple(told), tuple(choices), tuple(problems))


def _framed(choice: Choice, place: int, settings: FramingSettings, shape: tuple[int, int], number: int) -> FaceFrame:
    """The frame of face `place` of picture `number`, with what should be known of its choice."""
    face, count = choice.faces[place], len(choice.faces)
    frame = face_frame(face.points, shape, settings.size, face.score, place, number)
    alone = f"face {place} of {count} is meant; face_index takes another, 'all' in faces every one" if count > 1 else ""
    told = ("" if settings.index is None else alone, _overruled(choice, place))
    return replace(frame, warnings=tuple(filter(None, told)))


def _overruled(choice: Choice, place: int) -> str:
    reason = choice.faces[place].overruled
    return f"face {place} was taken although it had been refused: {reason}" if reason else ""


def _without_face(
    settings: FramingSettings,
    last: list[FaceFrame],
    held: int,
    shape: tuple[int, int],
    number: int,
    error: NothingChosenError,
) -> tuple[list[FaceFrame], str]:
    """The frames that stand in for a picture's faces, and a sentence on it; raises where the policy has nothing to offer.

    last: those of the last picture with a face. held: for how many pictures there has been none, this one included.
    """
    if settings.no_face == ERROR:
        raise error
    if settings.no_face == HOLD and not last:
        told = _followed(error, "There is no face before it whose place could be held")
        raise NothingChosenError(told, error.faces, error.refused) from error
    opacity = settings.opacity(held) if settings.no_face == HOLD else 0.0
    if opacity > 0:
        became = "The face is taken to be where it was before" + (f" and fades, {opacity:.0%} of it" if opacity < 1 else "")
        return [replace(frame, score=0.0, picture=number, opacity=opacity) for frame in last], became
    became = "The picture is kept as it is"
    if settings.no_face == HOLD:
        became += f": there has been no face for more than {settings.hold}"
    return ([] if settings.index is None else [_nowhere(shape, settings.size, number)]), became


def _followed(error: Exception, sentence: str) -> str:
    """An error's message, which may end with a stop, and a sentence after it."""
    return f"{str(error).removesuffix('.')}. {sentence}."


def _nowhere(shape: tuple[int, int], size: int, number: int) -> FaceFrame:
    """A frame of nobody: five points of a face in the middle of the picture, a crop to look at, nothing of it masked."""
    height, width = shape
    unit = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [0.0, 0.0], [-0.7, 1.0], [0.7, 1.0]])
    points = unit * min(height, width) / 8 + torch.tensor([width / 2, height / 2])
    frame = face_frame(points, shape, size, score=0.0, picture=number)
    return replace(frame, mask=torch.zeros_like(frame.mask))


def told_of(refused: Sequence[Detection]) -> list[Detection]:
    """The finds that are no face worth telling of: the surest few."""
    return sorted(refused, key=lambda one: -one.score)[:_REFUSED_SHOWN]


def _reduced(face: Detection, step: int) -> Detection:
    return replace(face, box=face.box / step, points=face.points / step)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
