"""numba, imported where pixels are made; the rest of the package does without it."""

from __future__ import annotations

try:
    from numba import njit
except ImportError as error:  # pragma: no cover - the message is all there is
    raise ImportError("rendering faces needs numba, which is not installed; install it with `pip install numba`") from error

__all__ = ["njit"]
