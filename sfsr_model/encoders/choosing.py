"""The faces of a picture that are meant: found, or given by somebody else; judged, numbered, chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .cascade import points_in
from .detection import Detection, accepted, judged, no_face, order_faces, overruled, pick_face, share_within, surest
from .faces import look
from .identity import IDEncoder
from .norm_floor import norm_floor

# How far beyond a given box is looked, as a share of its longer side: detectors want to see some surroundings.
_AROUND = 0.5
# The share of a found face's box that must lie within the given one.
_WITHIN = 0.5
_UNSEEN = "nothing but the given box says that there is a face"


@dataclass(frozen=True, eq=False)
class Choice:
    """faces: all faces, in the order of choice. chosen: numbers of those that are meant. refused: what is no face, and why.
    carried: found by the carried detector, whose scores are of another scale than those of an encoder's own."""

    faces: tuple[Detection, ...]
    chosen: tuple[int, ...]
    refused: tuple[Detection, ...]
    carried: bool = False


class NothingChosenError(ValueError):
    """The picture has no face of those that are meant; `refused` are its finds that are none, `faces` those that are."""

    def __init__(self, message: str, faces: Sequence[Detection], refused: Sequence[Detection]) -> None:
        super().__init__(message)
        self.faces, self.refused = tuple(faces), tuple(refused)


def choose(
    image: Tensor,
    encoder: IDEncoder | None,
    order: str,
    index: int | None,
    image_index: int,
    given: Sequence[Detection] | None = None,
    overrule: bool = False,
) -> Choice:
    """Choose face number `index` of a picture [H, W, 3] in this order, or all of them for None.

    given: finds of somebody else, refused ones included; without them the encoder's own detector looks, or the carried one.
    A recogniser that can tell faces from patterns by the length of their embeddings is asked about the chosen ones; one it
    takes for no face is refused, and the next takes its number. overrule: take finds that were refused (`overruled`: every
    given one), and ask the recogniser about none that was given. Raises NothingChosenError naming the picture.
    """
    carried, every = False, given is not None
    if given is None:
        given, carried = look(image, encoder)
    if overrule and every:
        given = overruled(given, every)
    refused = [one for one in given if one.refused is not None]
    faces = order_faces(accepted(given), order)
    floor = None if encoder is None or not faces or (overrule and every) else norm_floor(encoder)
    if floor is not None and encoder is not None:
        prepared = encoder.prepare(image)
        place = 0
        while place < len(faces) if index is None else place <= index < len(faces):
            length = encoder.embed_aligned([encoder.align(prepared, faces[place].points)])[0].norm().item()
            problem = floor.refusal(length)
            if problem is None:
                place += 1
            else:
                refused.append(replace(faces.pop(place), refused=problem))
    if overrule and not faces:
        given = overruled(refused, every=False)
        faces, refused = accepted(given), [one for one in given if one.refused is not None]
    size = (image.shape[0], image.shape[1])
    if not faces:
        raise NothingChosenError(str(no_face(refused, image_index, size, carried)), (), refused)
    if index is None:
        return Choice(tuple(faces), tuple(range(len(faces))), tuple(refused), carried)
    try:
        pick_face(faces, order, index)
    except ValueError as error:
        raise NothingChosenError(f"picture {image_index}: {error}", faces, refused) from error
    return Choice(tuple(faces), (index,), tuple(refused), carried)


def look_in(image: Tensor, encoder: IDEncoder | None, boxes: Sequence[tuple[Tensor, float]]) -> list[Detection]:
    """The face in each of the boxes [4] (left, top, right, bottom; picture pixels) with their scores in a picture [H, W, 3].

    A box is looked at alone, so that small faces are found; of several faces in it the one that fills it best counts. Where
    none is found, the encoder looks again at where a face that fills the box would have its points, each way up. A box without
    a face comes back refused.
    """
    return [_look_in(image, encoder, box, score) for box, score in boxes]


def _look_in(image: Tensor, encoder: IDEncoder | None, box: Tensor, score: float) -> Detection:
    height, width = image.shape[:2]
    reach = _AROUND * (box[2:] - box[:2]).max().item()
    left, top = (max(0, round(edge.item() - reach)) for edge in box[:2])
    right, bottom = (min(side, round(edge.item() + reach) + 1) for edge, side in zip(box[2:], (width, height), strict=True))
    nothing = Detection(box, torch.full((5, 2), float("nan"), dtype=torch.float64), score, 0.0)
    if right - left < 1 or bottom - top < 1 or share_within(box, torch.tensor([-0.5, -0.5, width - 0.5, height - 0.5])) == 0:
        return replace(nothing, refused="the given box lies outside the picture")
    part, shift = image[top:bottom, left:right], torch.tensor([left, top], dtype=torch.float64)
    candidates, _ = look(part, encoder)
    found = [replace(one, box=one.box + shift.repeat(2), points=one.points + shift) for one in candidates]
    inside = [one for one in found if share_within(one.box, box) >= _WITHIN]
    faces = [one for one in inside if one.refused is None]
    if faces:
        return judged(max(faces, key=lambda one: share_within(box, one.box)), (height, width))
    assumed = _assumed(part, encoder, box - shift.repeat(2), score)
    assumed = [judged(replace(one, box=box, points=one.points + shift), (height, width)) for one in assumed]
    if accepted(assumed):
        return accepted(assumed)[0]
    best = surest(inside)
    why = "no face was found in the given box" + ("" if best is None else f" ({best.refused})")
    return replace(best or assumed[0], box=box, refused=why)


def _assumed(image: Tensor, encoder: IDEncoder | None, box: Tensor, score: float) -> list[Detection]:
    """A face that fills a box of a picture, upright, on either side and upside down, as the encoder sees each of them.

    Refused where it sees none, and all four where it looks but once.
    """
    middle = (box[2:] + box[:2]) / 2
    x, y = (points_in(box) - middle).unbind(-1)
    ways = [middle + torch.stack(way, -1) for way in ((x, y), (-y, x), (y, -x), (-x, -y))]
    finds = [Detection(box, points, score, 0.0) for points in ways]
    seen = finds if encoder is None else encoder.look_again(image, finds)
    # What comes back as it was has not been looked at.
    unsure = {id(one) for one in finds}
    return [replace(one, refused=_UNSEEN) if id(one) in unsure else one for one in seen]
