"""The head's pose from landmarks: the rotation of the rigid canonical face that fits them best."""

from __future__ import annotations

import torch
from torch import Tensor


def head_pose(landmarks: Tensor, vertices: Tensor, weights: Tensor) -> Tensor:
    """Pitch, yaw, roll [M, 3] in radians, of the sign of `Expression.pose`, differentiable.

    landmarks [M, 468 or more, 3]: x to the right, y down, z away from the viewer, in one unit; vertices [V, 3] and weights [V]
    as in `bundle.Bundle`. The fit is the weighted orthogonal Procrustes problem (Kabsch 1976, without reflections) of a
    parallel projection: a face at the edge of a wide picture is seen from the side and counts as turned.
    """
    points = landmarks[:, : len(vertices)].double() * landmarks.new_tensor([1.0, -1.0, -1.0], dtype=torch.float64)
    share = (weights / weights.sum())[:, None]
    model = vertices - (vertices * share).sum(0)
    points = points - (points * share).sum(1, keepdim=True)
    left, _, right = torch.linalg.svd(points.transpose(1, 2) @ (model * share))
    sign = torch.ones_like(left[:, 0])
    sign = torch.cat((sign[:, :2], torch.linalg.det(left @ right)[:, None].sign()), 1)
    rotation = (left * sign[:, None]) @ right
    return rotation_angles(rotation).to(landmarks.dtype)


def rotation_angles(rotation: Tensor) -> Tensor:
    """Pitch, yaw, roll [M, 3] of rotations [M, 3, 3]; x to the viewer's right, y up, z towards the viewer."""
    pitch = torch.asin(rotation[:, 1, 2].clamp(-1, 1))
    yaw = torch.atan2(rotation[:, 0, 2], rotation[:, 2, 2])
    roll = torch.atan2(-rotation[:, 1, 0], rotation[:, 1, 1])
    return torch.stack((pitch, yaw, roll), 1)
