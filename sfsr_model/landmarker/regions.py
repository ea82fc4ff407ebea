"""Where the faces are: MediaPipe's short-range BlazeFace, and the turned square around each face.

Constants and formulas: mediapipe/tasks/cc/vision/face_detector/face_detector_graph.cc, and MediaPipe's
ssd_anchors_calculator.cc, tensors_to_detections_calculator.cc, non_max_suppression_calculator.cc (weighted) and
detections_to_rects_calculator.cc (Apache-2.0).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..face.crop import apply_affine, similarity, template

MIN_SCORE = 0.5
_OVERLAP = 0.5
_CELLS = ((16, 2), (8, 6))  # a grid's side and the anchors in each of its cells
_LOGIT_LIMIT = 100.0
_ENLARGED = 1.5
# Where the detector's regions lie in the unit square of the one crop rule, and how wide they are there: medians over the sample
# portraits, whose regions differ from them by a few hundredths.
_CROP_CENTRE, _CROP_SIDE = (0.5, 0.468), 1.11
REGION = ("centre x", "centre y", "width", "height", "angle")
"""Columns of a region, in picture pixels; the angle in radians, positive clockwise in the picture."""


def anchors() -> Tensor:
    """Centres [896, 2] of the anchors in units of the input's side; all of size 1."""
    centres = []
    for side, count in _CELLS:
        steps = (torch.arange(side, dtype=torch.float32) + 0.5) / side
        grid = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1).reshape(-1, 2)
        centres.append(grid.repeat_interleave(count, 0))
    return torch.cat(centres)


def views(height: int, width: int) -> tuple[tuple[Tensor, str], ...]:
    """The squares [S, 5] to search one after the other until a face is found, and what lies beyond the picture there.

    First the whole picture with black beside its shorter side, as MediaPipe does. Then the picture at half the scale, its
    border repeated: a close crop shows less than the network expects. Then nine overlapping quarters, for small faces.
    """
    side, middle = float(max(height, width)), torch.tensor([width / 2, height / 2])
    offsets = torch.tensor([-0.25, 0.0, 0.25]) * side
    quarters = middle + torch.stack(torch.meshgrid(offsets, offsets, indexing="xy"), -1).reshape(-1, 2)
    return (
        (_squares(middle[None], side), "zeros"),
        (_squares(middle[None], 2 * side), "border"),
        (_squares(quarters, side / 2), "zeros"),
    )


def _squares(middles: Tensor, side: float) -> Tensor:
    rest = torch.tensor([side, side, 0.0])
    return torch.cat((middles, rest.expand(len(middles), 3)), 1)


def warp(pictures: Tensor, regions: Tensor, size: int, padding: str) -> Tensor:
    """The region [M, 5] of each picture [M, C, H, W] as [M, C, size, size]; bilinear, differentiable in the pixels.

    Pixel i of the result lies at i / size of the region and integers are the centres of the picture's pixels, as in
    MediaPipe. padding: "zeros" or "border", what lies beyond the picture.
    """
    height, width = pictures.shape[-2:]
    steps = torch.arange(size, dtype=pictures.dtype, device=pictures.device) / size - 0.5
    down, across = torch.meshgrid(steps, steps, indexing="ij")
    places = to_picture(torch.stack((across, down), -1).reshape(1, -1, 2), regions.to(pictures))
    scale = places.new_tensor([2.0 / width, 2.0 / height])
    grid = ((places + 0.5) * scale - 1.0).reshape(len(regions), size, size, 2)
    return F.grid_sample(pictures, grid, mode="bilinear", padding_mode=padding, align_corners=False)


def to_picture(points: Tensor, regions: Tensor) -> Tensor:
    """Points [M, P, 2] in a region's units (-0.5 to 0.5 along each side) to picture pixels."""
    centre_x, centre_y, width, height, angle = (column[:, None] for column in regions.unbind(-1))
    x, y = points[..., 0] * width, points[..., 1] * height
    cos, sin = torch.cos(angle), torch.sin(angle)
    return torch.stack((centre_x + x * cos - y * sin, centre_y + x * sin + y * cos), -1)


def decode(boxes: Tensor, logits: Tensor, centres: Tensor, side: float) -> Tensor:
    """Detections [K, 17] of one picture, best first: left, top, right, bottom, six points (x, y), score.

    boxes [896, 16] and logits [896, 1] as the network gives them for an input of `side` pixels; units: the input's side.
    """
    scores = torch.sigmoid(logits[:, 0].clamp(-_LOGIT_LIMIT, _LOGIT_LIMIT))
    kept = scores >= MIN_SCORE
    values, origin = boxes[kept] / side, centres[kept]
    centre, half = values[:, :2] + origin, values[:, 2:4] / 2
    points = (values[:, 4:].reshape(-1, 6, 2) + origin[:, None]).reshape(-1, 12)
    found = torch.cat((centre - half, centre + half, points, scores[kept, None]), 1)
    return found[found[:, 16].argsort(descending=True, stable=True)]


def merge(found: Tensor) -> Tensor:
    """One detection for each group that overlaps its best by more than half: the mean weighted by the scores."""
    merged = []
    while len(found):
        same = _overlap(found[0, :4], found[:, :4]) > _OVERLAP
        same[0] = True
        group, weights = found[same], found[same, 16:]
        mean = (group[:, :16] * weights).sum(0) / weights.sum()
        merged.append(torch.cat((mean, found[0, 16:])))
        found = found[~same]
    return torch.stack(merged) if merged else found


def placed(found: Tensor, square: Tensor) -> Tensor:
    """Detections [K, 17] in units of a square region [5], in picture pixels instead."""
    corner = (square[:2] - square[2:4] / 2).repeat(8)
    return torch.cat((found[:, :16] * square[2] + corner, found[:, 16:]), 1)


def face_regions(found: Tensor) -> Tensor:
    """Regions [K, 5] of detections [K, 17], both in picture pixels.

    Turned until the line between the eyes is level, and enlarged about the box's centre.
    """
    low, high, eyes = found[:, :2], found[:, 2:4], found[:, 6:8] - found[:, 4:6]
    angle = torch.atan2(eyes[:, 1], eyes[:, 0])
    return torch.cat(((low + high) / 2, (high - low) * _ENLARGED, angle[:, None]), 1)


def regions_around(points: Tensor) -> Tensor:
    """Regions [N, 5], float64, of faces with canonical five points [N, 5, 2] in picture pixels; nothing is looked at."""
    transform = similarity(template(), points.detach().cpu())
    centre = apply_affine(transform, torch.tensor([_CROP_CENTRE], dtype=torch.float64))[:, 0]
    side = _CROP_SIDE * torch.linalg.det(transform[..., :2]).sqrt()
    angle = torch.atan2(transform[:, 1, 0], transform[:, 0, 0])
    return torch.cat((centre, torch.stack((side, side, angle), -1)), -1)


def _overlap(box: Tensor, others: Tensor) -> Tensor:
    """Area shared with each of the others [K, 4], as a share of the two areas together."""
    shared = (torch.minimum(box[2:], others[:, 2:]) - torch.maximum(box[:2], others[:, :2])).clamp_min(0).prod(-1)
    areas = (others[:, 2:] - others[:, :2]).clamp_min(0).prod(-1)
    together = areas + (box[2:] - box[:2]).clamp_min(0).prod() - shared
    return torch.where(together > 0, shared / together, 0.0)
