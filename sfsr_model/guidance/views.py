"""Slightly different looks at one face, so that a gradient does not follow what only one crop would show."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..face.landmarks import mirrored_points

_TURN, _SCALE, _SHIFT = math.radians(5.0), 0.06, 0.04
"""Largest turn, change of size, and shift as a share of the distance of the eyes."""


@dataclass(frozen=True)
class View:
    """One look: the five points turned (radians) and scaled about their mean, and shifted by shares of the eyes' distance, so
    that whatever is cut out by them is; mirrored: the picture and the points left for right."""

    turn: float = 0.0
    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    mirrored: bool = False

    def of(self, pictures: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures [B, H, W, 3] and points [B, 5, 2] in pixels as this view shows them."""
        middle = points.mean(1, keepdim=True)
        turned = torch.tensor([[math.cos(self.turn), math.sin(self.turn)], [-math.sin(self.turn), math.cos(self.turn)]])
        eyes = (points[:, 1] - points[:, 0]).norm(dim=-1)[:, None, None]
        points = middle + self.scale * (points - middle) @ turned.to(points) + eyes * points.new_tensor(self.shift)
        if self.mirrored:
            pictures, points = pictures.flip(2), mirrored_points(points, pictures.shape[2])
        return pictures, points


PLAIN = View()


def random_view(generator: torch.Generator, mirrored: bool) -> View:
    """A look from slightly elsewhere."""
    turn, scale, across, down = (2.0 * torch.rand(4, generator=generator, dtype=torch.float64) - 1.0).tolist()
    return View(_TURN * turn, 1.0 + _SCALE * scale, (_SHIFT * across, _SHIFT * down), mirrored)


def some_views(count: int, generator: torch.Generator) -> list[View]:
    """The face as it is, then count - 1 random looks, every second of them mirrored."""
    return [PLAIN, *(random_view(generator, number % 2 == 1) for number in range(1, count))]
