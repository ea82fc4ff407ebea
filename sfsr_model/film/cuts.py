"""Where a film is cut: frames that differ from the one before as no motion makes them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_SIDE = 16
# A cut changes the small picture by this much on the mean, in 0..1, and by so many times what it changed by of late.
_LEAST, _TIMES = 0.06, 4.0
# What it is taken to have changed by before anything was seen of a shot.
_AT_FIRST = 0.03
_MEMORY = 0.8


class CutFinder:
    """Tells of each frame in turn whether a new shot begins with it."""

    def __init__(self) -> None:
        self._before: Tensor | None = None
        self._usual = _AT_FIRST

    def begins(self, picture: Tensor) -> bool:
        """Whether frame [H, W, 3] in 0..1 begins a new shot; the first one does not."""
        step = max(1, min(picture.shape[:2]) // (8 * _SIDE))
        small = F.adaptive_avg_pool2d(picture[::step, ::step].float().movedim(-1, 0)[None], _SIDE)[0]
        if self._before is None or not bool(torch.isfinite(small).all()):
            self._before = small
            return False
        change = (small - self._before).abs().mean().item()
        cut = change > max(_LEAST, _TIMES * self._usual)
        self._before = small
        self._usual = _AT_FIRST if cut else _MEMORY * self._usual + (1 - _MEMORY) * change
        return cut
