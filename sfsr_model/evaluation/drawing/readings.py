"""Wanted coefficients against those that MediaPipe's last network reads from landmarks that were moved to them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...drawing.face_points import FacePoints
from ...drawing.head import Head
from ...expressions import ARKIT_INDEX, ARKIT_NAMES, MOVEMENTS, all_words, word_expression
from ...landmarker import UNREAD, FaceLandmarker
from ..metrics import Figure, correlation_figure

KNOWN = torch.tensor([name not in UNREAD for name in ARKIT_NAMES])
"""Coefficients [52] that the network knows."""
_BATCH = 64
_PIXELS = 100.0


def movements() -> list[tuple[int, ...]]:
    """Coefficients that move together, in the order of the first of them."""
    return sorted(MOVEMENTS)


def series(movement: Sequence[int], faces: int, generator: torch.Generator) -> Tensor:
    """Wanted coefficients [faces, 52]: a movement at strengths spread evenly over 0..1, each beside one other movement."""
    wanted = torch.zeros(faces, len(ARKIT_NAMES))
    others = [one for one in movements() if one[0] != movement[0]]
    for row in range(faces):
        other = others[int(torch.randint(len(others), (), generator=generator))]
        wanted[row, list(other)] = float(torch.rand((), generator=generator))
        wanted[row, list(movement)] = row / max(faces - 1, 1)
    return wanted


def words() -> Tensor:
    """The coefficients [135, 52] of all words."""
    return torch.cat([word_expression(one.word).coefficients for one in all_words()])


@torch.no_grad()
def read_moved(
    wanted: Tensor, heads: Sequence[Head], landmarker: FaceLandmarker, points: FacePoints, generator: torch.Generator
) -> Tensor:
    """What is read [N, 52] of faces whose points were moved to `wanted` [N, 52], each on a head drawn by the generator."""
    drawn = torch.randint(len(heads), (len(wanted),), generator=generator).tolist()
    worn = [
        Head(heads[place].shape, _PIXELS, torch.eye(3), torch.zeros(3)).wearing(row, points)
        for place, row in zip(drawn, wanted, strict=True)
    ]
    return torch.cat([landmarker.coefficients(torch.stack(worn[at : at + _BATCH])) for at in range(0, len(worn), _BATCH)])


def single_figures(
    heads: Sequence[Head], landmarker: FaceLandmarker, points: FacePoints, faces: int, seed: int
) -> dict[str, Figure]:
    """By name of a known coefficient, Pearson's correlation over a series of its movement."""
    figures = {}
    for movement in movements():
        generator = torch.Generator().manual_seed(seed + movement[0])
        wanted = series(movement, faces, generator)
        read = read_moved(wanted, heads, landmarker, points, generator)
        for one in movement:
            if KNOWN[one]:
                only = torch.zeros(len(ARKIT_NAMES), dtype=torch.bool)
                only[one] = True
                figures[ARKIT_NAMES[one]] = correlation_figure(read, wanted, only)
    return {name: figures[name] for name in sorted(figures, key=lambda name: ARKIT_INDEX[name])}


def word_figure(heads: Sequence[Head], landmarker: FaceLandmarker, points: FacePoints, seed: int) -> Figure:
    """The same over all words, the mean of the known coefficients that vary among them."""
    generator = torch.Generator().manual_seed(seed)
    wanted = words()
    return correlation_figure(read_moved(wanted, heads, landmarker, points, generator), wanted, KNOWN)
