"""Faces in pictures: what a detector returns, which face is meant, and what happens when there is none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..face.landmarks import plausible

BACKENDS = ("carried",)
ORDERS = ("largest first", "left to right", "top to bottom")


REFUSED_POLICIES = LEAVE, TAKE = ("leave them out", "take them")
"""What to do with finds that are no face as far as anything here can tell."""
OTHER_PICTURE, MORE_OF_IT = "use another picture", "use a picture that shows more of the face"
LARGER = "use a picture in which the face is larger and sharper"
# Fewer of the five points than this inside the picture: the face is cut off too far to be told from a pattern at its edge.
MIN_POINTS_INSIDE = 3


@dataclass(frozen=True, eq=False)
class Detection:
    """One face: box [4] (left, top, right, bottom) and canonical points [5, 2] in picture pixels, float64, and a score.

    The score's scale is the detector's; for "carried" it is the number of cascade windows that agree, from 40 upwards.
    confidence: the score brought to 0..1, where 0.5 is the least that is accepted, so that detectors can be compared.
    refused: why this find is no face, None for a face. advice: what to do if it is none indeed. overruled: why it had been
    refused, where somebody took it all the same. sure: whether a closer look, if there was one, left no doubt of it.
    """

    box: Tensor
    points: Tensor
    score: float
    confidence: float = 1.0
    refused: str | None = None
    advice: str = OTHER_PICTURE
    overruled: str | None = None
    sure: bool = True


class NoFaceError(ValueError):
    """No usable face in a picture.

    image_index: the picture's number in its batch; size: (height, width); best_score: of the best refused candidate, 0 when
    there was none.
    """

    def __init__(self, image_index: int, size: tuple[int, int], best: Detection | None = None, carried: bool = True) -> None:
        self.image_index, self.size, self.best_score = image_index, size, best.score if best else 0.0
        if best is None or best.score <= 0:
            advice = (
                "Use a picture in which the face is larger, sharper and seen from the front, or say where it is: its box to "
                "bboxes, or its points to face_landmarks"
            )
        else:
            advice = f"If it is a face, set refused_faces to '{TAKE}'; if not, {best.advice}"
        better = "; an insightface pack's detector sees more" if carried else ""
        super().__init__(
            f"picture {image_index} ({size[1]} x {size[0]} pixels): no face found; {doubt(best)}. {advice}{better}."
        )


def doubt(best: Detection | None) -> str:
    """For people: how near the best candidate of a picture without a face came to one; None where there was none."""
    if best is None or best.score <= 0:
        return "not even a doubtful one"
    reason = f" ({best.refused})" if best.refused else ""
    return f"best candidate scored {best.score:.3g}{reason}"


def detect_faces(image: Tensor, backend: str = "carried") -> list[Detection]:
    """Return the faces of one picture, largest first; an empty list when there is none.

    image: RGB [H, W, 3], uint8 or float 0..1. The "carried" backend finds faces seen from within about 30 degrees of the
    front, rolled by up to about 25, wider than a sixteenth of the picture's longer side (`cascade.py`).
    Raises ValueError for another shape, type, backend or for NaN, ImportError when the backend's package is missing.
    """
    return accepted(find_candidates(image, backend))


def require_faces(image: Tensor, image_index: int = 0, backend: str = "carried") -> list[Detection]:
    """Return the faces of one picture as `detect_faces` does, at least one; raises NoFaceError otherwise."""
    candidates = find_candidates(image, backend)
    faces = accepted(candidates)
    if not faces:
        raise no_face(candidates, image_index, (image.shape[0], image.shape[1]))
    return faces


def accepted(candidates: Sequence[Detection]) -> list[Detection]:
    """The faces among the candidates, largest first."""
    return order_faces([one for one in candidates if one.refused is None])


def no_face(candidates: Sequence[Detection], image_index: int, size: tuple[int, int], carried: bool = True) -> NoFaceError:
    """The error for a picture (size: height, width) whose candidates were all refused. carried: by the carried detector."""
    return NoFaceError(image_index, size, surest(candidates), carried)


def surest(candidates: Sequence[Detection]) -> Detection | None:
    """The candidate that was most nearly taken for a face; None for none."""
    return max(candidates, key=lambda one: (one.confidence, one.score), default=None)


def overruled(candidates: Sequence[Detection], every: bool) -> list[Detection]:
    """The candidates with those that were refused taken for faces: each whose points are known, or where `every` does not say
    so the surest one, and that where no other is a face."""
    known = [one for one in candidates if one.refused is not None and bool(one.points.isfinite().all())]
    if not every:
        best = None if accepted(candidates) else surest(known)
        known = [] if best is None else [best]
    return [
        replace(one, refused=None, overruled=one.refused) if any(one is other for other in known) else one for one in candidates
    ]


def judged(found: Detection, size: tuple[int, int]) -> Detection:
    """The find, refused where its points cannot be a face or lie outside the picture (size: height, width)."""
    if found.refused is not None:
        return found
    x, y = found.points.unbind(-1)
    inside = int(((x >= -0.5) & (y >= -0.5) & (x <= size[1] - 0.5) & (y <= size[0] - 0.5)).sum())
    reason, advice = plausible(found.points), OTHER_PICTURE
    if reason is None and inside < MIN_POINTS_INSIDE:
        reason, advice = f"cut off: only {inside} of its 5 points lie in the picture", MORE_OF_IT
    return found if reason is None else replace(found, refused=reason, advice=advice)


def order_faces(detections: Sequence[Detection], order: str = "largest first") -> list[Detection]:
    """Sort faces by their boxes: area downwards, centre from left to right, or centre from top to bottom.

    Ties go to the face further left, then further up, so that the order never depends on the detector's.
    Raises ValueError for an unknown order.
    """
    if order not in ORDERS:
        raise ValueError(f"face order: {order!r} is unknown; expected one of {', '.join(ORDERS)}")

    def key(face: Detection) -> tuple[float, float, float]:
        left, top, right, bottom = face.box.tolist()
        x, y = (left + right) / 2, (top + bottom) / 2
        area = (right - left) * (bottom - top)
        return {"largest first": (-area, x, y), "left to right": (x, y, 0.0), "top to bottom": (y, x, 0.0)}[order]

    return sorted(detections, key=key)


def choose_face(detections: Sequence[Detection], order: str = "largest first", index: int = 0) -> Detection:
    """Return face number `index`, counted from 0 in the given order; raises ValueError when there are not that many."""
    return pick_face(order_faces(detections, order), order, index)


def pick_face(faces: Sequence[Detection], order: str, index: int) -> Detection:
    """Return face number `index` of faces that are in this order already; raises as `choose_face` does."""
    if not 0 <= index < len(faces):
        found = "no face was" if not faces else "1 face was" if len(faces) == 1 else f"{len(faces)} faces were"
        valid = "" if not faces else "; choose 0" if len(faces) == 1 else f"; choose 0 to {len(faces) - 1}"
        raise ValueError(f"face_index: {index} asked for, but {found} found (counted from 0, {order}){valid}")
    return faces[index]


def share_within(box: Tensor, other: Tensor) -> float:
    """How much of a box [4] lies within another, 0..1."""
    sides = (torch.minimum(box[2:], other[2:]) - torch.maximum(box[:2], other[:2])).clamp_min(0)
    return (sides.prod() / (box[2:] - box[:2]).prod()).item()


def find_candidates(image: Tensor, backend: str = "carried") -> list[Detection]:
    """Return every find in a picture, those that are no faces marked as refused; raises as `detect_faces` does."""
    if backend not in BACKENDS:
        raise ValueError(f"face detector: {backend!r} is unknown; expected one of {', '.join(BACKENDS)}")
    from . import cascade

    grey = _grey(image)
    found = cascade.find_candidates(grey)
    if all(candidate.refused for candidate in found):
        # A close crop shows less than the whole window; repeating its border makes room for it.
        # A strip gets no wider border than a face across it needs: a line of 20000 pixels would become a picture of gigabytes.
        margin = math.ceil(min(max(grey.shape) / 2, 2 * min(grey.shape)))
        padded = torch.nn.functional.pad(grey[None, None], (margin,) * 4, mode="replicate")[0, 0]
        for candidate in cascade.find_candidates(padded, min_side=min(grey.shape) / 2):
            shift = torch.tensor([margin, margin], dtype=torch.float64)
            moved = cascade.Candidate(
                candidate.box - shift.repeat(2), candidate.points - shift, candidate.score, candidate.refused
            )
            found.append(moved)
    size = (grey.shape[0], grey.shape[1])
    return [
        judged(Detection(c.box, c.points, c.score, _confidence(c.score, cascade.MIN_SCORE), c.refused, LARGER), size)
        for c in found
    ]


def _confidence(windows: float, least: float) -> float:
    """0.5 for the least number of agreeing windows that is accepted, towards 1 for many and 0 for none."""
    return 1.0 - least / (2.0 * windows) if windows >= least else windows / (2.0 * least)


def _grey(image: Tensor) -> Tensor:
    """Return luma (ITU-R BT.601, gamma-coded) [H, W] float32, 0..255."""
    image = torch.as_tensor(image).detach().cpu()
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"image: expected one RGB picture [H, W, 3], got shape {tuple(image.shape)}")
    if image.dtype != torch.uint8:
        if not image.is_floating_point():
            raise ValueError(f"image: expected uint8 or float 0..1, got {image.dtype}")
        if not torch.isfinite(image).all():
            raise ValueError("image: it contains NaN or infinite values; check the node that made it")
        image = image.float().clamp(0, 1) * 255
    return image.float() @ torch.tensor([0.299, 0.587, 0.114])
