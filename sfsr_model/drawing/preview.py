"""What an expression looks like before anything is sampled: the mean face that wears it, drawn as lines."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from ..expressions import Expression
from .face_points import bundled_face_points
from .head import Head
from .lines import draw_smooth

SIDE = 256
"""Pixels of a single drawing's side."""
MOST = 144
"""So many faces of a batch are drawn, evenly chosen."""
_GRID_SIDE = 768
_SMALLEST, _COLUMNS_FROM = 64, 4
# Where the middle between the eyes lies and how far they are apart, in sides: room for a dropped jaw.
_EYES, _EYE_DISTANCE = (0.5, 0.40), 0.275


def preview(expression: Expression, side: int = SIDE) -> Tensor:
    """A picture [1, H, W, 3] in 0..1: one face of `side` pixels, or a grid of a batch's faces, smaller ones, row by row.

    The head is turned as the expression says. Raises DamagedFileError where the pack's mean face is missing or damaged.
    """
    frames = shown_frames(len(expression))
    columns = math.ceil(math.sqrt(len(frames))) if len(frames) > _COLUMNS_FROM else len(frames)
    side = side if len(frames) == 1 else max(_SMALLEST, _GRID_SIDE // max(columns, _COLUMNS_FROM))
    coefficients = expression.coefficients.detach().cpu().float()
    poses = None if expression.pose is None else expression.pose.detach().cpu().float()
    cells = [
        _drawn(coefficients[row].numpy().tobytes(), b"" if poses is None else poses[row].numpy().tobytes(), side)
        for row in frames
    ]
    cells += [torch.zeros_like(cells[0])] * (-len(cells) % columns)
    rows = [torch.cat(cells[start : start + columns], 1) for start in range(0, len(cells), columns)]
    return torch.cat(rows)[None].float() / 255


def shown_frames(count: int) -> list[int]:
    """Which rows of a batch of `count` are drawn: all, or MOST from the first to the last."""
    if count <= MOST:
        return list(range(count))
    return [round(place * (count - 1) / (MOST - 1)) for place in range(MOST)]


@lru_cache(maxsize=512)
def _drawn(coefficients: bytes, pose: bytes, side: int) -> Tensor:
    """One face, uint8 [side, side, 3]."""
    points = bundled_face_points()
    shift = torch.tensor([_EYES[0] * side - 0.5, _EYES[1] * side - 0.5, 0.0])
    head = Head(points.mean, _EYE_DISTANCE * side, torch.eye(3), shift)
    if pose:
        head = head.turned(torch.frombuffer(bytearray(pose), dtype=torch.float32))
    landmarks = head.wearing(torch.frombuffer(bytearray(coefficients), dtype=torch.float32), points)
    return draw_smooth(landmarks[None], (side, side), max(1, round(side / 128)))
