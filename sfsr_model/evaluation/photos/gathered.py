"""All that was read for one run, by whose pictures, kind of case and reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .cast import Cast
from .kept import Tensors
from .painters import TARGET
from .readers import Looks


@dataclass(frozen=True, eq=False)
class Gathered:
    """photos: by reader, of the cast's rows in their order. painted: by painter, kind of case and reader. renders: coefficients
    [P * 6, 52] by expression judge (`renders.read_renders`), empty without a renderer's cache."""

    cast: Cast
    photos: Mapping[str, Tensors]
    painted: Mapping[str, Mapping[str, Mapping[str, Tensors]]]
    renders: Mapping[str, Tensor] = field(default_factory=dict)

    def of_photos(self, label: str, name: str, rows: Sequence[int]) -> Tensor:
        """What a reader says of rows of photos."""
        places = {row: place for place, row in enumerate(self.cast.rows())}
        return self.photos[label][name][[places[row] for row in rows]]

    def makers(self, kind: str) -> list[str]:
        """Whose pictures of a kind there are, the targets as they were at last."""
        return [*(name for name, kinds in self.painted.items() if kind in kinds), TARGET]

    def of(self, maker: str, kind: str, label: str, name: str) -> Tensor:
        """What a reader says of somebody's pictures of the cases of a kind."""
        if maker != TARGET:
            return self.painted[maker][kind][label][name]
        rows = [case.target for case in self.cast.cases[kind]]
        if label == Looks.label:
            return torch.full((len(rows),), float(name == "sharpness"), dtype=torch.float64)
        return self.of_photos(label, name, rows)
