"""Heads of photos: MediaPipe's points of a face where its file is there, the mean face on five points elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..encoders.detection import accepted, doubt, surest
from ..encoders.expression_photos import NoExpressionError, wanted_face
from ..encoders.faces import look
from ..landmarker import ExpressionEncoder
from .face_points import FacePoints
from .head import Head, head_of, mean_head


@dataclass(frozen=True, eq=False)
class PhotoFace:
    """A face of a photo. landmarks: float32 [478, 3] in the photo's pixels; of a mean face, which lies on five points, its own.
    coefficients: float32 [52], 0 where nothing reads them."""

    head: Head
    landmarks: Tensor
    coefficients: Tensor


@dataclass(frozen=True)
class Wanted:
    """Which face of a photo: number `index` in this order; or, where `near` [5, 2] is given, the one that lies there."""

    order: str = "largest first"
    index: int = 0
    near: Tensor | None = None


def photo_face(picture: Tensor, number: int, wanted: Wanted, reader: ExpressionEncoder | None, points: FacePoints) -> PhotoFace:
    """The wanted face of picture `number`, [H, W, 3], float RGB in 0..1. reader: MediaPipe's, or None.

    Without a reader five points are found by the carried detector, or `near` is taken as it is. Raises NoExpressionError
    naming a picture without such a face.
    """
    if reader is None:
        return _on_five_points(picture, number, wanted, points)
    found, reading, refused = reader.faces(picture)
    if wanted.near is None:
        place = wanted_face(picture, number, found, refused, wanted.order, wanted.index)
    else:
        place = _nearest([one.points for one in found], wanted.near, number)
    assert reading is not None
    landmarks, coefficients = reading.landmarks[place].cpu().float(), reading.coefficients[place].cpu().float().clamp(0, 1)
    return PhotoFace(head_of(landmarks, coefficients, points), landmarks, coefficients)


def mean_shape(faces: Sequence[PhotoFace]) -> Tensor:
    """The mean of resting shapes [478, 3], of several photos of one person."""
    return torch.stack([face.head.shape for face in faces]).mean(0)


def _on_five_points(picture: Tensor, number: int, wanted: Wanted, points: FacePoints) -> PhotoFace:
    five = wanted.near
    if five is None:
        finds, _ = look(picture, None)
        faces = accepted(finds)
        five = faces[wanted_face(picture, number, faces, doubt(surest(finds)), wanted.order, wanted.index)].points
    head = mean_head(five, points)
    rest = torch.zeros(points.moves.shape[0])
    return PhotoFace(head, head.wearing(rest, points), rest)


def _nearest(found: list[Tensor], near: Tensor, number: int) -> int:
    """The find whose five points lie nearest, within an eye's distance."""
    distances = [float((five.to(near) - near).norm(dim=-1).mean()) for five in found]
    if not distances or min(distances) > float((near[1] - near[0]).norm()):
        raise NoExpressionError(
            f"picture {number}: MediaPipe's landmarker sees no face where the face frame says; connect the picture that Face "
            "Crop saw, or leave the frame out"
        )
    return distances.index(min(distances))
