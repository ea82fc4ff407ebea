"""What a photo itself is like, whoever judges: how light the skin is, and from which side the light falls."""

from __future__ import annotations

import torch
from torch import Tensor

from ...face.crop import EYES_TO_MOUTH, TEMPLATE_EYE_DISTANCE, TEMPLATE_EYE_HEIGHT
from ...face.warp import crop_faces
from .lab import lab, luminance

SIDE = 64
"""Pixels of the crop that is looked at."""
# The cheeks: below the eyes, beside the nose, where neither hair nor beard is; places and half side in units of the crop.
_DOWN = TEMPLATE_EYE_HEIGHT + 0.55 * TEMPLATE_EYE_DISTANCE * EYES_TO_MOUTH
_BESIDE, _HALF = 0.55 * TEMPLATE_EYE_DISTANCE, 0.05
_DARKEST = 0.005


def skin_lightness(picture: Tensor, points: Tensor) -> float:
    """L* of the skin, 0..100: the median over both cheeks of the face with five points [5, 2] in a picture [H, W, 3]."""
    return float(lab(torch.cat(_cheeks(picture, points)))[:, 0].median())


def side_light(picture: Tensor, points: Tensor) -> float:
    """How many stops the cheek at the picture's left is lighter than the other, whatever tone and exposure."""
    left, right = (luminance(cheek).median().clamp_min(_DARKEST).log2() for cheek in _cheeks(picture, points))
    return float(left - right)


def _cheeks(picture: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Pixels [P, 3] of the cheek at the picture's left and of the other one."""
    crop = crop_faces(picture[None], points[None], SIDE)[0].movedim(0, -1).clamp(0, 1)
    place = (torch.arange(SIDE) + 0.5) / SIDE
    rows = crop[(place - _DOWN).abs() < _HALF]
    left, right = (rows[:, (place - middle).abs() < _HALF].reshape(-1, 3) for middle in (0.5 - _BESIDE, 0.5 + _BESIDE))
    return left, right
