"""What a detector's anchors shall say of the faces in a picture, and how far they are from it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .detector_network import ANCHORS, STRIDES, Candidates, boxes_at, places
from .scenes import Scenes

# The longer side in pixels of the faces that each stride's anchors are for. The first takes smaller ones too, the last larger.
ANCHOR_SIDES = ((16.0, 28.0), (48.0, 80.0), (136.0, 232.0))
# How far from that a face may be, in octaves: more than half of what lies between two anchors, so that some faces have two.
_REACH = 0.6
# Which places answer for a face: those whose distance from its box's centre, along both axes, is within this many strides and
# this share of the box's shorter side.
_RADIUS_STRIDES, _RADIUS_SHARE = 1.5, 0.3
_BOX, _POINTS = 2.0, 15.0
# Where the smooth L1 loss turns from square to straight, in longer sides of the face.
_TURN = 0.02


@dataclass(frozen=True, eq=False)
class Assignment:
    """face [N, K]: the number of that which each anchor answers for, -1 for none. judged [N, K]: False where nobody can say."""

    face: Tensor
    judged: Tensor


def assign(scenes: Scenes, height: int, width: int) -> Assignment:
    """Give each face the anchors for its size about its centre; where two faces want one, the nearer has it.

    Every face gets at least the nearest place of the nearest size. Anchors in the box of a doubtful face are not judged.
    """
    centres, strides = places(height, width)
    sides = _anchor_sides(len(centres), strides)
    boxes = scenes.boxes[:, None]
    middles, extents = (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]
    away = (centres[:, None] - middles).abs().amax(-1)
    longer = extents.amax(-1).clamp(ANCHOR_SIDES[0][0], ANCHOR_SIDES[-1][-1])
    octaves = (longer.log2() - sides.log2()[:, None]).abs()
    radius = torch.minimum(_RADIUS_STRIDES * strides[:, None], _RADIUS_SHARE * extents.amin(-1))
    fitting = octaves <= octaves.amin(1, keepdim=True) + 1e-4
    nearest = fitting & (away <= torch.where(fitting, away, torch.inf).amin(1, keepdim=True))
    wanted = (((octaves <= _REACH) & (away <= radius)) | nearest) & scenes.certain[:, None]
    distance, face = torch.where(wanted, away, torch.inf).min(-1)
    inside = (centres[:, None] >= boxes[..., :2]).all(-1) & (centres[:, None] <= boxes[..., 2:]).all(-1)
    doubtful = (inside & scenes.doubtful[:, None]).any(-1)
    found = distance.isfinite()
    return Assignment(torch.where(found, face, -1), found | ~doubtful)


def _anchor_sides(count: int, strides: Tensor) -> Tensor:
    table = torch.tensor(ANCHOR_SIDES)
    level = torch.bucketize(strides, torch.tensor(STRIDES, dtype=strides.dtype))
    return table[level, torch.arange(count) % ANCHORS]


def detector_loss(found: Candidates, scenes: Scenes, assignment: Assignment) -> dict[str, Tensor]:
    """The parts of the loss. score: the quality focal loss (Li et al. 2020), whose target is the overlap that the anchor's own
    box has with its face, so that the best box of a face scores highest. box: generalised IoU (Rezatofighi et al. 2019).
    points: smooth L1 (Girshick 2015) in the face's longer sides. overlap, for the log: the mean IoU of the anchors' boxes.
    """
    height, width = scenes.images.shape[-2:]
    place = found.scores.device
    centres, strides = (values.to(place) for values in places(height, width))
    face, judged = assignment.face.to(place), assignment.judged.to(place)
    rows, anchors = (face >= 0).nonzero(as_tuple=True)
    chosen = face[rows, anchors]
    boxes, points = scenes.boxes.to(place)[rows, chosen], scenes.points.to(place)[rows, chosen]
    centre, stride = centres[anchors], strides[anchors, None]
    overlap, generalised = overlaps(boxes_at(centre, found.boxes[rows, anchors] * stride), boxes)
    read = found.points[rows, anchors].unflatten(-1, (-1, 2)) * stride[..., None] + centre[:, None]
    longer = (boxes[:, 2:] - boxes[:, :2]).amax(-1)[:, None, None]
    quality = torch.zeros_like(found.scores)
    quality[rows, anchors] = overlap.detach().clamp(0, 1)
    focal = (found.scores.sigmoid() - quality).square() * F.binary_cross_entropy_with_logits(
        found.scores, quality, reduction="none"
    )
    count = max(len(rows), 1)
    return {
        "score": (focal * judged).sum() / count,
        "box": _BOX * (1 - generalised).sum() / count,
        "points": _POINTS * F.smooth_l1_loss(read / longer, points / longer, reduction="sum", beta=_TURN) / (10 * count),
        "overlap": overlap.detach().sum() / count,
    }


def overlaps(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and generalised IoU [M] of boxes [M, 4] (left, top, right, bottom) with boxes [M, 4] or one [1, 4]."""
    shared = _area(torch.maximum(first[:, :2], second[:, :2]), torch.minimum(first[:, 2:], second[:, 2:]))
    union = _area(first[:, :2], first[:, 2:]) + _area(second[:, :2], second[:, 2:]) - shared
    hull = _area(torch.minimum(first[:, :2], second[:, :2]), torch.maximum(first[:, 2:], second[:, 2:]))
    overlap = shared / union.clamp_min(1e-6)
    return overlap, overlap - (hull - union) / hull.clamp_min(1e-6)


def _area(low: Tensor, high: Tensor) -> Tensor:
    return (high - low).clamp_min(0).prod(-1)
