"""How a new face sits in its picture: as sharp as the old one, and without a step of colour across the mask's edge."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from ...face import crop_face, face_frame, feather, warp_mask
from .lab import ciede2000, lab_of_light, linear

SIDE = 256
"""Pixels of the crop in which the edge is looked at, whatever the picture's size."""
SECTORS = 12
"""Parts of the edge, by the direction from the mask's middle."""
FEATHER, RIBBON = 0.06, 0.03
"""Of the crop's side: how deep the soft edge of the paste is, and how wide the ribbons on both sides of it are."""
_FLAT = 1e-4
# Pixels that make a mean, and from where on a soft mask counts as 1.
_ENOUGH, _WHOLE = 32, 0.999


def sharpness(picture: Tensor, weight: Tensor) -> float:
    """Mean gradient at the scale of one and of two pixels of a picture [H, W, 3] in 0..1, over weights [H, W].

    The length of the differences of brightness across and down, of pixels one and two apart, for each pixel between them.
    """
    grey = picture.double().mean(-1)
    found = []
    for apart in (1, 2):
        across = (grey[:-apart, apart:] - grey[:-apart, :-apart]) / apart
        down = (grey[apart:, :-apart] - grey[:-apart, :-apart]) / apart
        share = weight.double()[:-apart, :-apart]
        found.append(float((torch.hypot(across, down) * share).sum() / share.sum().clamp_min(1e-9)))
    return sum(found) / len(found)


def sharpness_ratio(picture: Tensor, target: Tensor, points: Tensor) -> float:
    """Sharpness of the new face over that of the target's own [H, W, 3], with five points [5, 2]; NaN for a flat target.

    A pixel counts by how much of it is new, by the target's mask and the paste's soft edge.
    """
    weight = warp_mask(face_frame(points, picture.shape[:2], SIDE), FEATHER)  # type: ignore[arg-type]
    own = sharpness(target, weight)
    return sharpness(picture, weight) / own if own > _FLAT else math.nan


def edge_steps(picture: Tensor, points: Tensor) -> Tensor:
    """CIEDE2000 [SECTORS] between the mean colours just inside and just outside the mask of the face with five points [5, 2].

    Just inside is where the soft edge of the paste ends. A sector with too few pixels of either is NaN.
    """
    frame = face_frame(points, picture.shape[:2], SIDE)  # type: ignore[arg-type]
    light = linear(crop_face(picture, frame))
    inside, outside = _ribbons(frame.mask)
    rows, columns = frame.mask.nonzero(as_tuple=True)
    steps = torch.arange(SIDE, dtype=torch.float64)
    angle = torch.atan2(steps[:, None] - rows.double().mean(), steps[None, :] - columns.double().mean())
    sector = ((angle / (2 * math.pi) + 0.5) * SECTORS).long().clamp_max(SECTORS - 1)
    colours, enough = [], torch.ones(SECTORS, dtype=torch.bool)
    for ribbon in (inside, outside):
        number, amount = sector[ribbon], torch.bincount(sector[ribbon], minlength=SECTORS)
        sums = torch.zeros(SECTORS, 3, dtype=torch.float64).index_add_(0, number, light[ribbon])
        colours.append(lab_of_light(sums / amount.clamp_min(1)[:, None]))
        enough &= amount >= _ENOUGH
    return torch.where(enough, ciede2000(*colours), torch.nan)


def _ribbons(mask: Tensor) -> tuple[Tensor, Tensor]:
    """bool [S, S] each: the mask's pixels from the feather's depth on, and those beside the mask, RIBBON of the side wide."""
    soft, softer = (feather(mask, depth * SIDE) for depth in (FEATHER, FEATHER + RIBBON))
    depth = (soft >= _WHOLE) & (softer < _WHOLE)
    reach = round(RIBBON * SIDE)
    grown = F.max_pool2d((mask > 0).float()[None, None], 2 * reach + 1, 1, reach)[0, 0] > 0
    return depth, grown & ~(mask > 0)


def step_beyond(picture: Tensor, target: Tensor, points: Tensor) -> tuple[float, float]:
    """The step of colour beyond the target's own at the same place: the mean over the edge, and the largest of its sectors.

    Hair and jaw make steps of their own. A sector whose step is smaller than the target's counts as 0: it makes up for no seam
    elsewhere.
    """
    beyond = edge_steps(picture, points) - edge_steps(target, points)
    known = beyond[~beyond.isnan()].clamp_min(0)
    return (float(known.mean()), float(known.max())) if len(known) else (math.nan, math.nan)
