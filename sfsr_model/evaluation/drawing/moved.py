"""Landmarks moved to another expression against those of a photo of the same person that shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ...drawing.edges import LEFT_IRIS, PARTS, RIGHT_IRIS
from ...drawing.face_points import FacePoints
from ...drawing.head import Head
from ..metrics import Figure

LEAST_CHANGE = 0.5
"""Pairs of photos count whose 52 coefficients differ by this much or more, by the length of the difference."""
_BOOTSTRAPS = 1000


def _points(*names: str) -> list[int]:
    return sorted({point for name in names for edge in PARTS[name].edges for point in edge})


AREAS: Mapping[str, list[int]] = {
    "brows": _points("left brow", "right brow"),
    "eyes": _points("left eye", "right eye"),
    "irises": sorted((*LEFT_IRIS, *RIGHT_IRIS)),
    "lips": _points("lips"),
    "oval": _points("oval"),
    "all that is drawn": sorted({*_points(*PARTS), LEFT_IRIS[0], RIGHT_IRIS[0]}),
}
"""Which of the 478 points each figure is of."""


def changing_pairs(people: Sequence[str], coefficients: Tensor) -> list[tuple[int, int]]:
    """Ordered pairs of rows of one person whose coefficients [N, 52] differ by LEAST_CHANGE or more."""
    far = torch.cdist(coefficients.double(), coefficients.double()) >= LEAST_CHANGE
    return [
        (start, end)
        for start, owner in enumerate(people)
        for end, other in enumerate(people)
        if owner == other and bool(far[start, end])
    ]


def pair_errors(
    heads: Sequence[Head], coefficients: Tensor, pairs: Sequence[tuple[int, int]], points: FacePoints
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """By area the mean distance [P] from the second photo's points, in the eyes' distance: of the first one's moved to the
    second one's expression, and of the first one's as they are.

    Both are laid on the second photo's head, turned to the front, and compared across and down alone.
    """
    moved: dict[str, list[float]] = {name: [] for name in AREAS}
    still: dict[str, list[float]] = {name: [] for name in AREAS}
    for start, end in pairs:
        true = heads[end].shape + points.moved(coefficients[end])
        stands = heads[start].shape + points.moved(coefficients[start])
        upright = Head(heads[start].shape, 1.0, torch.eye(3), torch.zeros(3))
        goes = upright.wearing(coefficients[end], points)
        for errors, guess in ((moved, goes), (still, stands)):
            apart = (guess - true)[:, :2].norm(dim=-1)
            for name, places in AREAS.items():
                errors[name].append(float(apart[places].mean()))
    return {name: torch.tensor(some) for name, some in moved.items()}, {
        name: torch.tensor(some) for name, some in still.items()
    }


def ratio_figure(above: Tensor, below: Tensor, owners: Tensor, seed: int = 0) -> Figure:
    """The sum of `above` [P] over that of `below` [P], with the interval of owners [P] drawn anew."""
    if not len(above):
        return Figure(None, None, None, 0)
    _, members = owners.unique(return_inverse=True)
    sums = torch.zeros(2, int(members.max()) + 1, dtype=torch.float64)
    sums[0].index_add_(0, members, above.double())
    sums[1].index_add_(0, members, below.double())
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(sums.shape[1], (_BOOTSTRAPS, sums.shape[1]), generator=generator)
    ratios = sums[0][drawn].sum(1) / sums[1][drawn].sum(1)
    low, high = torch.quantile(ratios, torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return Figure(float(above.sum() / below.sum()), low, high, len(above))
