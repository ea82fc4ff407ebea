"""The contact sheet: who went in and what came out, for looking only. It shows people: it is not to be published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ...sheet import Cell, draw_sheet
from ..sheet import save_sheet
from .album import Album
from .cast import OWN, SWAPS, WORDS, Case
from .goals import MAKERS
from .painters import CHECKPOINT, Painter
from .readers import in_floats
from .summary import Judging

CELL = 208
"""Pixels of a picture's side."""


@dataclass(frozen=True, eq=False)
class Contact:
    """What the sheet is made of: the folder, who painted, and the judges, for captions."""

    album: Album
    painters: Mapping[str, Painter]
    judging: Judging

    def draw(self, rows: int, path: Path) -> None:
        """A JPEG with the first cases: `rows` swaps, half as many words and own photos."""
        cells, labels = [], []
        for kind, most in ((SWAPS, rows), (WORDS, -(-rows // 2)), (OWN, -(-rows // 2))):
            if kind not in self.judging.gathered.painted[CHECKPOINT]:
                continue
            for number, case in enumerate(self.album.cast.cases[kind][:most]):
                cells.append(self._row(kind, number, case))
                labels.append(self._label(kind, number, case))
        if cells:
            titles = [
                "reference",
                "the person's photo kept apart",
                "expression of",
                "target",
                *map(MAKERS.__getitem__, self.painters),
            ]
            save_sheet(draw_sheet(cells, labels, titles, (CELL, CELL), most_rows=len(cells))[0], path)

    def _row(self, kind: str, number: int, case: Case) -> list[Cell]:
        photos = self.album.cast.photos
        word = isinstance(case.expression, str)
        source = torch.full((8, 8, 3), 0.5) if word else photos.picture(int(case.expression))
        shown = [
            Cell(photos.picture(case.reference)),
            Cell(photos.picture(case.apart)),
            Cell(source, str(case.expression) if word else ""),
            Cell(photos.picture(case.target)),
        ]
        for name, painter in self.painters.items():
            if kind not in painter.kinds:
                shown.append(Cell(torch.ones(8, 8, 3)))
                continue
            part, place = divmod(number, self.album.batch)
            picture = in_floats(self.album.pictures(name, painter, kind, part))[place]
            shown.append(Cell(picture, self._caption(name, kind, number)))
        return shown

    def _label(self, kind: str, number: int, case: Case) -> str:
        cast = self.album.cast
        people = [cast.person(row)[1] for row in (case.reference, case.target)]
        return f"{kind} {number}: {people[0]} onto {people[1]}" if kind != OWN else f"{kind} {number}: {people[0]}"

    def _caption(self, maker: str, kind: str, number: int) -> str:
        """The share of the identity that was carried over, by the headline judge."""
        if kind == WORDS or self.judging.who is None:
            return ""
        carried: Tensor = self.judging.faces[self.judging.who.label].carried(maker, kind)
        return f"identity {float(carried[number]):.2f}"
