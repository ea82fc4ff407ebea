"""Faces in pictures: what a detector returns, which face is meant, and what happens when there is none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..face.landmarks import plausible

BACKENDS = ("carried",)
ORDERS = ("largest first", "left to right", "top to bottom")


@dataclass(frozen=True, eq=False)
class Detection:
    """One face: box [4] (left, top, right, bottom) and canonical points [5, 2] in picture pixels, float64, and a score.

    The score's scale is the backend's; for "carried" it is the number of cascade windows that agree, from 40 upwards.
    """

    box: Tensor
    points: Tensor
    score: float


class NoFaceError(ValueError):
    """No usable face in a picture.

    image_index: the picture's number in its batch; size: (height, width); best_score: of the best refused candidate, 0 when
    there was none.
    """

    def __init__(self, image_index: int, size: tuple[int, int], best_score: float, reason: str = "") -> None:
        self.image_index, self.size, self.best_score = image_index, size, best_score
        best = f"best candidate scored {best_score:g}" + (f" ({reason})" if reason else "")
        super().__init__(
            f"image {image_index} ({size[1]} x {size[0]} pixels): no face found; "
            f"{best if best_score > 0 else 'not even a doubtful one'}. Use a picture in which the face is closer, larger "
            "and seen from the front, or connect an insightface pack, whose detector sees more."
        )


def detect_faces(image: Tensor, backend: str = "carried") -> list[Detection]:
    """Return the faces of one picture, largest first; an empty list when there is none.

    image: RGB [H, W, 3], uint8 or float 0..1. The "carried" backend finds faces seen from within about 30 degrees of the
    front, rolled by up to about 25, wider than a sixteenth of the picture's longer side (`cascade.py`).
    Raises ValueError for another shape, type, backend or for NaN, ImportError when the backend's package is missing.
    """
    return _accepted(_candidates(image, backend))


def require_faces(image: Tensor, image_index: int = 0, backend: str = "carried") -> list[Detection]:
    """Return the faces of one picture as `detect_faces` does, at least one; raises NoFaceError otherwise."""
    candidates = _candidates(image, backend)
    faces = _accepted(candidates)
    if not faces:
        refused = [(face.score, reason) for face, reason in candidates if reason]
        score, reason = max(refused, default=(0.0, ""))
        raise NoFaceError(image_index, (image.shape[0], image.shape[1]), score, reason)
    return faces


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
    faces = order_faces(detections, order)
    if not 0 <= index < len(faces):
        found = "no face was" if not faces else "1 face was" if len(faces) == 1 else f"{len(faces)} faces were"
        valid = f"; choose 0 to {len(faces) - 1}" if faces else ""
        raise ValueError(f"face index: {index} asked for, but {found} found (counted from 0, {order}){valid}")
    return faces[index]


def _accepted(candidates: list[tuple[Detection, str | None]]) -> list[Detection]:
    return order_faces([face for face, reason in candidates if reason is None])


def _candidates(image: Tensor, backend: str) -> list[tuple[Detection, str | None]]:
    """Return every candidate with the reason why it is refused, or None for a face."""
    if backend not in BACKENDS:
        raise ValueError(f"face detector: {backend!r} is unknown; expected one of {', '.join(BACKENDS)}")
    from . import cascade

    grey = _grey(image)
    found = cascade.find_candidates(grey)
    if all(candidate.refused for candidate in found):
        # A close crop shows less than the whole window; repeating its border makes room for it.
        margin = math.ceil(max(grey.shape) / 2)
        padded = torch.nn.functional.pad(grey[None, None], (margin,) * 4, mode="replicate")[0, 0]
        for candidate in cascade.find_candidates(padded, min_side=min(grey.shape) / 2):
            shift = torch.tensor([margin, margin], dtype=torch.float64)
            moved = cascade.Candidate(
                candidate.box - shift.repeat(2), candidate.points - shift, candidate.score, candidate.refused
            )
            found.append(moved)
    return [(Detection(c.box, c.points, c.score), c.refused or plausible(c.points)) for c in found]


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
