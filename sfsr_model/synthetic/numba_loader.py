"""numba, imported where pixels are made; the rest of the package does without it."""

from __future__ import annotations

from .packages import optional

compiled = optional("numba").njit(cache=True, fastmath=True, error_model="numpy", nogil=True)
"""Decorator of the inner loops. The machine code is kept on disk; a division by zero gives infinity, not an error."""

__all__ = ["compiled"]
