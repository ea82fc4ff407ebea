"""Readings in parts, each made once and kept in its reader's folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..store import Arrays, RunFolder
from .readers import Reader, Shown

Tensors = dict[str, Tensor]


def reading_folder(parent: Path, reader: Reader) -> Path:
    """Where a reader's readings are kept: another file of the same name has a folder of its own."""
    told = hashlib.sha256(json.dumps(reader.settings, sort_keys=True).encode()).hexdigest()
    return parent / f"{reader.label}-{told[:8]}"


def read_parts(
    parts: range,
    readers: Sequence[Reader],
    folders: Mapping[str, RunFolder],
    shown: Callable[[int], Shown],
    told: str,
) -> dict[str, Tensors]:
    """Every reader's parts joined; pictures are only looked for where one of them has not read a part yet."""
    from tqdm import tqdm

    found: dict[str, list[Arrays]] = {one.label: [] for one in readers}
    for number in tqdm(parts, desc=told, unit="part"):
        seen = cache(partial(shown, number))
        for one in readers:
            found[one.label].append(folders[one.label].part(number, partial(_read, one, seen)))
    return {label: _joined(some) for label, some in found.items() if some}


def _read(reader: Reader, seen: Callable[[], Shown]) -> Arrays:
    return reader.read(seen())


def _joined(parts: Sequence[Arrays]) -> Tensors:
    return {name: torch.from_numpy(np.concatenate([part[name] for part in parts])) for name in parts[0]}
