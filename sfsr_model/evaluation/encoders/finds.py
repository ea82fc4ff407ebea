"""What a detector's finds are worth where it is known which face a picture shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...encoders.detection import Detection, accepted
from ...training.detector_loss import overlaps
from ..metrics import Figure, bins, figure
from .finders import FaceFinder
from .people import Scene

OVERLAP = 0.5
"""A face counts as found where a box's intersection over union with its own is at least this."""
YAWS = (0.0, 15.0, 30.0, 60.0)
"""Edges in degrees of the bins of |yaw|."""


@dataclass(frozen=True, eq=False)
class Found:
    """best: the find that overlaps the face most and enough, or None. error: its points' mean distance in eyes' distances, NaN
    without one. rest: the other accepted finds."""

    best: Detection | None
    error: float
    rest: tuple[Detection, ...]


def look_at(finder: FaceFinder, scene: Scene) -> Found:
    """What a detector finds in a picture, refused finds left out."""
    finds = accepted(finder.detect(scene.picture) or [])
    shared = shares(finds, scene.box)
    place = max(range(len(finds)), key=lambda number: shared[number], default=-1)
    if place < 0 or shared[place] < OVERLAP:
        return Found(None, math.nan, tuple(finds))
    best = finds[place]
    eyes = (scene.points[1] - scene.points[0]).norm()
    error = float((best.points.double() - scene.points).norm(dim=1).mean() / eyes)
    return Found(best, error, tuple(one for one in finds if one is not best))


def shares(finds: Sequence[Detection], box: Tensor) -> list[float]:
    """Each find's intersection over union with a box [4]."""
    return overlaps(torch.stack([one.box.double() for one in finds]), box[None].double())[0].tolist() if finds else []


def by_yaw(values: Tensor, yaw: Tensor, owners: Tensor | None = None) -> dict[str, Figure]:
    """Means of values [N] by |yaw| [N] in radians, by the names of the figures."""
    degrees = torch.rad2deg(yaw.abs().double())
    return {
        f"points_yaw_{low:g}": figure(torch.where(members, values.double(), torch.nan), owners)
        for low, (_, members) in zip(YAWS[:-1], bins(degrees, YAWS), strict=False)
    }
