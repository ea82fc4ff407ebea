"""Random smooth fields."""

from __future__ import annotations

import numpy as np

from .packages import optional


def fractal_field(rng: np.random.Generator, size: int, cells: int, octaves: int) -> np.ndarray:
    """Noise [size, size] float32, 0..1: octaves of smooth random cells, each twice as fine and half as strong."""
    cv2 = optional("cv2")

    total, weight = np.zeros((size, size), np.float32), 0.0
    for octave in range(octaves):
        count = min(cells * 2**octave, size)
        coarse = rng.random((count, count), np.float32)
        total += cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC) * 0.5**octave
        weight += 0.5**octave
    return (total / weight).clip(0, 1)
