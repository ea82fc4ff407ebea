"""`.target` files: sparse displacements of the base mesh."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .files import check_numbers, damaged, read_text


def read_target(path: Path, vertices: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertex numbers [K] and displacements [K, 3], plain or gzipped; `vertices` is the base mesh's count.

    Raises AssetError naming the line that is no `vertex dx dy dz` or names a vertex the mesh lacks.
    """
    indices: list[int] = []
    moves: list[list[float]] = []
    lines = read_text(path).splitlines()
    if not lines:
        raise damaged(path, None, "an empty file", "lines `vertex dx dy dz`")
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            index, (x, y, z) = int(words[0]), map(float, words[1:])
            check_numbers(x, y, z)
        except ValueError:
            raise damaged(path, number, line.strip(), "`vertex dx dy dz`") from None
        if not 0 <= index < vertices:
            raise damaged(path, number, line.strip(), f"a vertex number below {vertices}")
        indices.append(index)
        moves.append([x, y, z])
    return np.array(indices, dtype=np.int32), np.array(moves).reshape(-1, 3)
