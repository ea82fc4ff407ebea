"""Labelled photos: pictures of faces with five points, coefficients, people and splits, in one folder.

The folder holds the pictures, `index.csv` (file, source, person, split, size, eye_distance; the same person's text is the same
person) and `labels.npz` in the same order: `names` [K], `coefficients` [N, K], and `points` [N, 5, 2] in pixels of the file.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..expressions import ARKIT_INDEX, ARKIT_NAMES
from ..landmarker.photos import load_photo

INDEX, LABELS = "index.csv", "labels.npz"
_COLUMNS = ("file", "source", "person", "split", "size", "eye_distance")


class LabelledError(ValueError):
    """A folder that holds no labelled photos; the message names it, what was found and what was expected."""


@dataclass(frozen=True, eq=False)
class LabelledPhotos:
    """Rows of such a folder. points [N, 5, 2] float64, in pixels of the files; coefficients [N, 52] in `ARKIT_NAMES` order, 0
    for those that the labels lack; people and sources as the index writes them; widths in pixels of square pictures."""

    folder: Path
    files: tuple[str, ...]
    sources: tuple[str, ...]
    people: tuple[str, ...]
    splits: tuple[str, ...]
    widths: tuple[int, ...]
    points: Tensor
    coefficients: Tensor

    def __len__(self) -> int:
        return len(self.files)

    def picture(self, row: int) -> Tensor:
        """A row's picture [H, W, 3], float RGB in 0..1; raises OSError naming a file that cannot be read."""
        path = self.folder / self.files[row]
        try:
            return load_photo(path)
        except OSError as error:
            raise OSError(f"{path}: {error}") from error

    def chosen(self, split: str | None = None, sources: Sequence[str] | None = None) -> LabelledPhotos:
        """The rows of a split and of some sources, all where none are named; raises LabelledError for none left."""
        known = sorted(set(self.sources))
        if unknown := sorted(set(sources or ()) - set(known)):
            raise LabelledError(f"sources: {', '.join(unknown)} not in {self.folder / INDEX}; it has {', '.join(known)}")
        rows = [
            row
            for row, (part, source) in enumerate(zip(self.splits, self.sources, strict=True))
            if (split is None or part == split) and (not sources or source in sources)
        ]
        if not rows:
            raise LabelledError(f"{self.folder / INDEX}: no photo of split {split} in sources {', '.join(sources or known)}")
        return self.rows(rows)

    def rows(self, numbers: Sequence[int]) -> LabelledPhotos:
        """Rows of these numbers, in this order."""

        def of(values: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(values[row] for row in numbers)

        return LabelledPhotos(
            self.folder, of(self.files), of(self.sources), of(self.people), of(self.splits), of(self.widths),
            self.points[list(numbers)], self.coefficients[list(numbers)],
        )  # fmt: skip


def load_labelled(folder: Path) -> LabelledPhotos:
    """All rows of a folder; raises LabelledError for one that holds no labelled photos."""
    index, labels = folder / INDEX, folder / LABELS
    for path in (index, labels):
        if not path.is_file():
            raise LabelledError(f"{path}: no such file; expected a folder of labelled photos, with {INDEX} and {LABELS}")
    try:
        with index.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        with np.load(labels) as arrays:  # which unpickles nothing
            names = [str(name) for name in arrays["names"]]
            points, coefficients = arrays["points"].astype(np.float64), arrays["coefficients"].astype(np.float32)
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise LabelledError(f"{folder}: cannot be read as labelled photos ({error})") from error
    if not rows or set(_COLUMNS) - set(rows[0]):
        raise LabelledError(
            f"{index}: expected the columns {', '.join(_COLUMNS)}, found {', '.join(rows[0]) if rows else 'none'}"
        )
    if points.shape != (len(rows), 5, 2) or coefficients.shape != (len(rows), len(names)):
        raise LabelledError(
            f"{labels}: expected points [{len(rows)}, 5, 2] and coefficients [{len(rows)}, {len(names)}], found "
            f"{list(points.shape)} and {list(coefficients.shape)}"
        )
    ordered = torch.zeros(len(rows), len(ARKIT_NAMES))
    for place, name in enumerate(names):
        if name in ARKIT_INDEX:
            ordered[:, ARKIT_INDEX[name]] = torch.from_numpy(coefficients[:, place])
    columns = {name: tuple(row[name] for row in rows) for name in _COLUMNS}
    return LabelledPhotos(
        folder, columns["file"], columns["source"], columns["person"], columns["split"], tuple(map(int, columns["size"])),
        torch.from_numpy(points), ordered,
    )  # fmt: skip
