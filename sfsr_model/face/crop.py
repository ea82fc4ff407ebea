"""The one crop rule: five points -> a similarity transform from picture to aligned crop.

Pixel-centre convention, everywhere in this package: the centre of the top-left pixel is (0, 0), as in OpenCV, so a picture of
width W covers x from -0.5 to W - 0.5. A position u of the unit square lies at crop coordinate u * size - 0.5.

The template is an average frontal face (proportions in `landmarks.py`) whose eyes are TEMPLATE_EYE_DISTANCE apart. That leaves
room inside the frame for raised brows above and a dropped jaw below, and a border of background around the mask, which
carries the context that the seam is matched to.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .landmarks import EYES_TO_MOUTH, EYES_TO_NOSE, MOUTH_HALF_WIDTH, five_points

TEMPLATE_EYE_DISTANCE = 0.30
TEMPLATE_EYE_HEIGHT = 0.27
MIN_CROP_SIZE = 16


def template() -> Tensor:
    """Return the canonical points [5, 2] in the unit square, float64."""
    face = torch.tensor(
        [
            [-0.5, 0.0],
            [0.5, 0.0],
            [0.0, EYES_TO_NOSE],
            [-MOUTH_HALF_WIDTH, EYES_TO_MOUTH],
            [MOUTH_HALF_WIDTH, EYES_TO_MOUTH],
        ],
        dtype=torch.float64,
    )
    return face * TEMPLATE_EYE_DISTANCE + torch.tensor([0.5, TEMPLATE_EYE_HEIGHT], dtype=torch.float64)


def check_crop_size(size: int) -> None:
    """Raise ValueError for a crop too small to show a face."""
    if size < MIN_CROP_SIZE:
        raise ValueError(f"crop size: expected at least {MIN_CROP_SIZE} pixels, got {size}")


def similarity(source: Tensor, target: Tensor) -> Tensor:
    """Return the similarity [..., 2, 3] (rotation, one scale, shift; no reflection) that best maps source to target.

    source, target: [..., N, 2]. Least squares as in Umeyama (PAMI 1991). In the plane the rotation needs no SVD: with points
    as complex numbers about their means, the factor is sum(conj(p) q) / sum(|p|^2).
    Raises ValueError where the source points coincide or the best scale is zero.
    """
    source, target = torch.broadcast_tensors(source.to(torch.float64), target.to(torch.float64))
    source_mean, target_mean = source.mean(-2), target.mean(-2)
    p, q = source - source_mean[..., None, :], target - target_mean[..., None, :]
    spread = (p**2).sum((-2, -1))
    cos = (p * q).sum((-2, -1)) / spread
    sin = (p[..., 0] * q[..., 1] - p[..., 1] * q[..., 0]).sum(-1) / spread
    determinant = cos**2 + sin**2
    if (spread < 1e-12).any() or not (determinant > 1e-12).all():
        raise ValueError("landmarks: the points coincide, so they define no crop; check the detection")
    linear = torch.stack((torch.stack((cos, -sin), -1), torch.stack((sin, cos), -1)), -2)
    shift = target_mean - (linear @ source_mean[..., None])[..., 0]
    return torch.cat((linear, shift[..., None]), -1)


def crop_transform(points: Tensor, size: int) -> Tensor:
    """Return the transform [..., 2, 3] (float64) from picture pixels to the pixels of a size x size crop.

    points: 5, 68, 468 or 478 landmarks [..., N, 2]. Raises ValueError for points that are not finite or
    that coincide, and for a size below MIN_CROP_SIZE.
    """
    check_crop_size(size)
    return similarity(five_points(points), template() * size - 0.5)


def invert_affine(transform: Tensor) -> Tensor:
    """Return the inverse [..., 2, 3] of an affine transform [..., 2, 3]; raises ValueError if there is none."""
    linear, shift = transform[..., :2], transform[..., 2:]
    inverse, info = torch.linalg.inv_ex(linear)
    if (info != 0).any():
        raise ValueError("transform: it is singular and cannot be inverted")
    return torch.cat((inverse, -inverse @ shift), -1)


def apply_affine(transform: Tensor, points: Tensor) -> Tensor:
    """Map points [..., N, 2] by a transform [..., 2, 3]."""
    return points.to(transform.dtype) @ transform[..., :2].mT + transform[..., None, :, 2]
