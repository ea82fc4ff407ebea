"""The 55 numbers by which SMIRK reads an expression: what they are called, and what they may be.

They are coefficients of the face model FLAME, in the order in which SMIRK's network gives them and the Arc2Face Expression
Adapter takes them. All zeros is FLAME's own face at rest.
"""

from __future__ import annotations

import torch
from torch import Tensor

EXPRESSION, EYELID, JAW = slice(0, 50), slice(50, 52), slice(52, 55)
FLAME_NAMES = (
    *(f"expression {number}" for number in range(50)),
    "eyelid left", "eyelid right", "jaw open", "jaw sideways", "jaw turned",
)  # fmt: skip
"""Components of the expression without a unit, lids from 0 (open) to 1 (shut), the jaw's turn about three axes in radians."""
_UNBOUNDED = float("inf")
_JAW_LIMIT = 0.2
LOWEST = (*(-_UNBOUNDED,) * 50, 0.0, 0.0, 0.0, -_JAW_LIMIT, -_JAW_LIMIT)
HIGHEST = (*(_UNBOUNDED,) * 50, 1.0, 1.0, _UNBOUNDED, _JAW_LIMIT, _JAW_LIMIT)


def clamp_flame(numbers: Tensor) -> Tensor:
    """Numbers [..., 55] within the bounds that SMIRK itself puts on its network's output."""
    return torch.minimum(torch.maximum(numbers, numbers.new_tensor(LOWEST)), numbers.new_tensor(HIGHEST))
