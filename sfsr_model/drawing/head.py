"""A head's place and shape from landmarks, and its landmarks with a wanted expression."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..face.landmarks import face_axes
from .edges import (
    INNER_LOWER_LIP,
    INNER_UPPER_LIP,
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
)
from .face_points import FacePoints, five_of

# Landmarks' axes (y down, z away) from those of `Expression.pose` (y up, z to the viewer).
_FLIP = (1.0, -1.0, -1.0)
# Upper and lower points that lie over each other and never cross: lips, then lids; their common corners are left out.
_UPPER = torch.tensor([*INNER_UPPER_LIP[1:-1], *LEFT_UPPER_LID[1:-1], *RIGHT_UPPER_LID[1:-1]])
_LOWER = torch.tensor([*INNER_LOWER_LIP[1:-1], *LEFT_LOWER_LID[1:-1], *RIGHT_LOWER_LID[1:-1]])


@dataclass(frozen=True, eq=False)
class Head:
    """A person's face at rest, and where it is: landmarks are scale * shape @ rotation.T + shift.

    shape: float32 [478, 3], in the axes and the unit of `FacePoints.mean`. scale: pixels of that unit. rotation [3, 3].
    shift [3]: where the middle between the eyes lies, in pixels.
    """

    shape: Tensor
    scale: float
    rotation: Tensor
    shift: Tensor

    def shaped_as(self, shape: Tensor, share: float) -> Head:
        """In this head's place, a shape between its own (share 0) and another (1)."""
        return replace(self, shape=torch.lerp(self.shape, shape, share))

    def turned(self, pose: Tensor) -> Head:
        """The head turned to a pose [3] as `Expression.pose`, about the middle between the eyes."""
        return replace(self, rotation=pose_rotation(pose))

    def wearing(self, coefficients: Tensor, points: FacePoints) -> Tensor:
        """Landmarks [478, 3] in pixels with coefficients [52] in 0..1; lips and lids meet where they would cross."""
        worn = uncrossed(self.shape + points.moved(coefficients))
        return self.scale * worn @ self.rotation.T + self.shift


def head_of(landmarks: Tensor, coefficients: Tensor, points: FacePoints) -> Head:
    """The head of landmarks [478, 3] in pixels, as MediaPipe's, whose expression is `coefficients` [52].

    The mean face with that expression is laid on them, by the points that expressions move least.
    """
    landmarks = landmarks.detach().cpu().float()
    moved = points.moved(coefficients)
    scale, rotation, shift = similarity(points.mean + moved, landmarks, points.stillness)
    shape = (landmarks - shift) @ rotation / scale - moved
    return Head(shape, scale, rotation, shift)


def mean_head(five: Tensor, points: FacePoints) -> Head:
    """The mean face laid on a face's canonical five points [5, 2] in pixels: its size, place, roll, and its yaw by the nose."""
    yaw = float(face_axes(five).yaw)
    turn = pose_rotation(torch.tensor([0.0, yaw, 0.0]))
    model = five_of(points.mean) @ turn.T
    scale, roll, shift = similarity(model[:, :2], five.detach().cpu().float(), torch.ones(5))
    rotation = torch.eye(3)
    rotation[:2, :2] = roll
    return Head(points.mean, scale, rotation @ turn, torch.cat((shift, torch.zeros(1))))


def upright_head(size: tuple[int, int], share: float, points: FacePoints) -> Head:
    """The mean face in the middle of a picture of size (height, width), `share` of its height tall, or as wide as it is."""
    low, high = points.mean.amin(0), points.mean.amax(0)
    extent = high - low
    scale = share * min(size[0] / float(extent[1]), size[1] / float(extent[0]))
    middle = torch.tensor([(size[1] - 1) / 2, (size[0] - 1) / 2, 0.0])
    return Head(points.mean, scale, torch.eye(3), middle - scale * (low + high) / 2 * torch.tensor([1.0, 1.0, 0.0]))


def uncrossed(points: Tensor) -> Tensor:
    """Points [478, 3], head upright, whose lips and lids meet half way where the lower would lie above the upper one."""
    crossed = (points[_UPPER, 1] - points[_LOWER, 1]).clamp_min(0) / 2
    result = points.clone()
    result[_UPPER, 1] -= crossed
    result[_LOWER, 1] += crossed
    return result


def pose_rotation(pose: Tensor) -> Tensor:
    """The rotation float32 [3, 3] of landmarks' axes for a pose [3]: pitch, yaw, roll as `Expression.pose`."""
    pitch, yaw, roll = (float(angle) for angle in pose)
    matrix = _about(1, yaw) @ _about(0, -pitch) @ _about(2, -roll)
    flip = torch.tensor(_FLIP)
    return flip[:, None] * matrix * flip


def similarity(source: Tensor, target: Tensor, weights: Tensor) -> tuple[float, Tensor, Tensor]:
    """Scale, rotation [C, C] and shift [C] that lay points [N, C] on others best, by weights [N] (Umeyama 1991)."""
    share = (weights / weights.sum())[:, None].double()
    source, target = source.double(), target.double()
    middle, aim = (share * source).sum(0), (share * target).sum(0)
    centred = source - middle
    left, values, right = torch.linalg.svd((share * (target - aim)).T @ centred)
    signs = torch.ones_like(values)
    signs[-1] = torch.sign(torch.linalg.det(left @ right))
    rotation = (left * signs) @ right
    scale = float((values * signs).sum() / (share * centred.square()).sum())
    return scale, rotation.float(), (aim - scale * rotation @ middle).float()


def _about(axis: int, angle: float) -> Tensor:
    i, j = ((1, 2), (2, 0), (0, 1))[axis]
    cos, sin = torch.tensor(angle).cos(), torch.tensor(angle).sin()
    matrix = torch.eye(3)
    matrix[i, i] = matrix[j, j] = cos
    matrix[j, i], matrix[i, j] = sin, -sin
    return matrix
