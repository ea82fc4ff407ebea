"""The folder of a run: what was painted and what was read of it, each made once, so that a run can go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..store import Arrays, RunFolder
from .cast import Case, Cast
from .kept import Tensors, read_parts, reading_folder
from .painters import Painter
from .readers import Reader, Shown

_CHUNK = 32
_PHOTOS, _PICTURES = "photos", "pictures"


@dataclass(frozen=True, eq=False)
class Album:
    """out: the folder. settings: what the cast depends on. batch: pictures painted at once.

    Below `out` every painter has a folder of its pictures and one for each reader; a further painter or reader adds its own.
    """

    out: Path
    cast: Cast
    settings: dict[str, Any]
    batch: int

    def photos(self, readers: Sequence[Reader]) -> dict[str, Tensors]:
        """What each reader says of the cast's rows, in their order."""
        rows, photos = self.cast.rows(), self.cast.photos

        def shown(number: int) -> Shown:
            some = rows[number * _CHUNK : (number + 1) * _CHUNK]
            pictures = [(photos.picture(row) * 255).round().to(torch.uint8) for row in some]
            return Shown(pictures, photos.points[list(some)], pictures)

        folders = {one.label: self._readings(_PHOTOS, self.settings, one, _PHOTOS) for one in readers}
        return read_parts(_parts(len(rows), _CHUNK), readers, folders, shown, "reading photos")

    def painted(self, name: str, painter: Painter, kind: str, readers: Sequence[Reader]) -> dict[str, Tensors]:
        """What each reader says of a painter's pictures of the cases of a kind."""
        cases, photos = self.cast.cases[kind], self.cast.photos

        def shown(number: int) -> Shown:
            rows = [case.target for case in self._some(cases, number)]
            targets = [(photos.picture(row) * 255).round().to(torch.uint8) for row in rows]
            return Shown(self.pictures(name, painter, kind, number), photos.points[rows], targets)

        settings = self.settings | painter.settings
        folders = {one.label: self._readings(name, settings, one, kind) for one in readers}
        return read_parts(_parts(len(cases), self.batch), readers, folders, shown, f"{name}, {kind}")

    def pictures(self, name: str, painter: Painter, kind: str, number: int) -> list[Tensor]:
        """A part of a painter's pictures, uint8 [H, W, 3] each, made where it is missing."""
        cases = self._some(self.cast.cases[kind], number)
        folder = RunFolder(self.out / name / _PICTURES, self.settings | painter.settings, kind)

        def make() -> Arrays:
            painted = painter.paint(kind, number * self.batch, cases)
            return {f"{place:04d}": picture.numpy() for place, picture in enumerate(painted)}

        stored = folder.part(number, make)
        return [torch.from_numpy(stored[name]) for name in sorted(stored)]

    def _some(self, cases: Sequence[Case], number: int) -> Sequence[Case]:
        return cases[number * self.batch : (number + 1) * self.batch]

    def _readings(self, name: str, settings: Mapping[str, Any], reader: Reader, kind: str) -> RunFolder:
        return RunFolder(reading_folder(self.out / name, reader), {**settings, **reader.settings}, kind)


def _parts(count: int, size: int) -> range:
    return range(-(-count // size))
