"""Displacements that touch few points, packed as int16 thousandths of a decimetre."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SCALE = 1000.0
_THRESHOLD = 0.0005


def pack(morphs: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays `start` [M + 1], `index` [K] and `move` [K, 3] of M displacements [P, 3]; what is below half a unit is dropped."""
    start, index, move = [0], [], []
    for morph in morphs:
        touched = np.flatnonzero(np.abs(morph).max(1) >= _THRESHOLD)
        index.append(touched.astype(np.uint16))
        move.append(np.round(morph[touched] * SCALE).clip(-32767, 32767).astype(np.int16))
        start.append(start[-1] + len(touched))
    return {
        "start": np.array(start, np.int32),
        "index": np.concatenate(index),
        "move": np.concatenate(move),
    }


@dataclass(frozen=True)
class Morphs:
    """M displacements as `pack` made them; move is float32 decimetres."""

    start: np.ndarray
    index: np.ndarray
    move: np.ndarray

    @classmethod
    def of(cls, packed: dict[str, np.ndarray]) -> Morphs:
        """From the arrays of `pack`."""
        return cls(packed["start"], packed["index"].astype(np.int32), packed["move"].astype(np.float32) / np.float32(SCALE))

    def add(self, points: np.ndarray, weights: np.ndarray) -> None:
        """Add the displacements times weights [M] to points [P, 3] float32, in place."""
        from .raster import add_morphs

        add_morphs(points, self.start, self.index, self.move, weights.astype(np.float32))


def unpack(packed: dict[str, np.ndarray], points: int) -> np.ndarray:
    """Dense displacements [M, P, 3] float32."""
    start = packed["start"]
    dense = np.zeros((len(start) - 1, points, 3), np.float32)
    for row in range(len(dense)):
        first, last = start[row], start[row + 1]
        dense[row, packed["index"][first:last]] = packed["move"][first:last] / SCALE
    return dense
