"""The one face mask: the inner face with room for an opening jaw, from the five canonical points alone.

From brows to below the chin of an open jaw, from cheek to cheek; ears and hair stay outside. Because nothing but the five
points enters, every detector, the renderer and photo data give the same mask for the same face.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .crop import check_crop_size
from .landmarks import FaceAxes, face_axes

FRAME_BORDER = 0.04

# Heights along the face, in units of the distance from eyes to mouth, from the eye line downwards. A closed chin lies at
# about 1.65; a jaw at its widest lowers it by about 0.4.
_TOP, _WIDEST, _BOTTOM = -0.68, 0.50, 2.05
# Superellipse exponents: a square forehead keeps the brows' tails inside, an ordinary ellipse follows the jaw.
_UPPER_POWER, _LOWER_POWER = 5.0, 2.0
# Horizontal section of the head, in eye distances: an ellipse whose centre lies _SECTION_BACK behind the eyes. The mask
# covers the azimuths up to _SECTION_LIMIT on both sides, which for a frontal face is +-0.95.
_SECTION_DEPTH, _SECTION_BACK, _SECTION_LIMIT = 0.95, 0.75, math.radians(75)
_SECTION_WIDTH = 0.95 / math.sin(_SECTION_LIMIT)
# What the far edge must leave room for beyond the nose tip and beyond the far eye's centre.
_BESIDE_NOSE, _BESIDE_EYE = 0.10, 0.14
# The chin sits nearer to the face's middle plane than the cheeks' midpoint does when the head is turned.
_CHIN_SHARE = 0.4
_FRAME_POWER = 10.0


def face_mask(landmarks: Tensor, size: int) -> Tensor:
    """Return the mask [..., size, size] (float32, 0..1) of the face with these landmarks, in crop pixels.

    landmarks: 5, 68, 468 or 478 points [..., N, 2] in crop pixels. The mask is 1 inside, 0 outside, with a border of one
    antialiased pixel. On the far side of a turned face it ends at the silhouette. It never enters the outermost
    FRAME_BORDER of the crop. Raises ValueError for a size below MIN_CROP_SIZE and for landmarks `five_points` refuses.
    """
    check_crop_size(size)
    axes = face_axes(landmarks)
    left, right = _sides(axes)
    steps = torch.arange(size, dtype=torch.float64)
    offset_x = steps - axes.origin[..., 0, None]
    offset_y = steps - axes.origin[..., 1, None]
    across = _along(axes.right, offset_x, offset_y)
    down = _along(axes.down, offset_x, offset_y)

    drop = axes.drop[..., None, None]
    below = down - _WIDEST * drop
    lower = below > 0
    height = torch.where(lower, (_BOTTOM - _WIDEST) * drop, (_WIDEST - _TOP) * drop)
    level = (below / height).clamp(-1, 1)
    # Slide the midline from the cheeks' midpoint to the chin, so that a turned jaw is followed.
    middle = ((left + right) / 2)[..., None, None] * (1 - (1 - _CHIN_SHARE) * level.clamp_min(0))
    half_width = ((right - left) / 2)[..., None, None]
    power = torch.where(lower, _LOWER_POWER, _UPPER_POWER)
    face = _coverage(across - middle, below, half_width, height, power)

    centred = steps - (size - 1) / 2
    half = torch.tensor((0.5 - FRAME_BORDER) * size - 0.5, dtype=torch.float64)
    frame = _coverage(centred[None, :], centred[:, None], half, half, torch.tensor(_FRAME_POWER, dtype=torch.float64))
    return torch.minimum(face, frame).to(torch.float32)


def feather(mask: Tensor, radius: float) -> Tensor:
    """Soften a mask [..., H, W] inwards: it rises from 0 at its edge to 1 at `radius` pixels inside, and grows nowhere.

    Eroded by half the radius (rounded) and then smoothed over the same reach, so the result is 0 wherever the mask is.
    """
    reach = round(radius / 2)
    if reach < 1:
        return mask
    soft = mask
    for dim in (-2, -1):
        soft = _erode(soft, reach, dim)
    # Two box filters make a ramp without kinks; together they reach exactly as far as the erosion retreated.
    for half in (reach // 2, reach - reach // 2):
        for dim in (-2, -1):
            soft = _average(soft, half, dim)
    return soft


def _average(mask: Tensor, half: int, dim: int) -> Tensor:
    """Return the mean over 2 * half + 1 values along one dimension; what lies beyond the tensor counts as 0.

    By differences of a running sum, whose cost does not depend on the window; float64 keeps its rounding invisible.
    """
    edge = torch.zeros_like(mask.narrow(dim, 0, 1))
    sums = torch.cat((edge.repeat_interleave(half + 1, dim), mask, edge.repeat_interleave(half, dim)), dim)
    sums = sums.cumsum(dim, dtype=torch.float64)
    size, width = mask.shape[dim], 2 * half + 1
    return ((sums.narrow(dim, width, size) - sums.narrow(dim, 0, size)) / width).clamp(0, 1).to(mask.dtype)


def _erode(mask: Tensor, reach: int, dim: int) -> Tensor:
    """Return the least value within `reach` along one dimension; what lies beyond the tensor counts as 0.

    The window's width doubles with every step, as the least of two windows is that of both together.
    """
    edge = torch.zeros_like(mask.narrow(dim, 0, 1)).repeat_interleave(reach, dim)
    least = torch.cat((edge, mask, edge), dim)
    width = 1
    while width < 2 * reach + 1:
        step = min(width, 2 * reach + 1 - width)
        count = least.shape[dim] - step
        least = torch.minimum(least.narrow(dim, 0, count), least.narrow(dim, step, count))
        width += step
    return least


def _sides(axes: FaceAxes) -> tuple[Tensor, Tensor]:
    """Return the mask's left and right end along the face's `right` axis, in pixels from the eyes' midpoint.

    A point of the section at azimuth a appears at width * sin(a) cos(yaw) + (depth * cos(a) - back) sin(yaw). The near end
    is the limit azimuth; the far end is the silhouette, where that expression is largest, once it lies before the limit, and
    never so close as to cut the nose tip or the far eye.
    """
    turn = axes.yaw.abs()
    cos, sin = torch.cos(turn), torch.sin(turn)
    silhouette = torch.atan2(_SECTION_WIDTH * cos, _SECTION_DEPTH * sin).clamp_max(_SECTION_LIMIT)

    def seen(azimuth: Tensor) -> Tensor:
        depth = _SECTION_DEPTH * torch.cos(azimuth) - _SECTION_BACK
        return (_SECTION_WIDTH * torch.sin(azimuth) * cos + depth * sin) * axes.eye_distance

    near = -seen(torch.full_like(turn, -_SECTION_LIMIT))
    nose_room = axes.nose_shift.abs() + _BESIDE_NOSE * axes.eye_distance
    eye_room = axes.eye_span.abs() / 2 + _BESIDE_EYE * axes.eye_distance
    far = torch.maximum(seen(silhouette), torch.maximum(nose_room, eye_room))
    nose_right = axes.yaw >= 0
    return -torch.where(nose_right, near, far), torch.where(nose_right, far, near)


def _along(axis: Tensor, offset_x: Tensor, offset_y: Tensor) -> Tensor:
    """Project pixel offsets onto a unit vector [..., 2]; returns [..., H, W]."""
    return axis[..., 0, None, None] * offset_x[..., None, :] + axis[..., 1, None, None] * offset_y[..., :, None]


def _coverage(x: Tensor, y: Tensor, half_width: Tensor, half_height: Tensor, power: Tensor) -> Tensor:
    """Return how much of each pixel a superellipse about the origin covers, from its radial distance to the outline."""
    norm = ((x / half_width).abs() ** power + (y / half_height).abs() ** power) ** (1 / power)
    radius = torch.hypot(x, y)
    inside = torch.where(norm > 0, radius / norm - radius, half_width)
    return (0.5 + inside).clamp(0, 1)
