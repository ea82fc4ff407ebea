"""x0* of one frame carried over into the next: the walk from noise to a face starts from it, part of the way down."""

from __future__ import annotations

import torch
from torch import Tensor

from ..face import FaceFrame

# A mask at least so large is one, whatever its last bits say.
_WHOLE = 0.999


def spared_steps(share: float, steps: int) -> int:
    """How many of the steps a share of 0..1 spares; at least one is left."""
    return min(int(share * steps + 0.5), steps - 1)


def carried_start(last: Tensor, known: Tensor, mask: Tensor) -> Tensor:
    """Latents [B, C, h, w] to start from: the last frame's where the mask [B, 1, h, w] is 1, elsewhere this one's."""
    return torch.where(mask < _WHOLE, known, last.to(known))


class Carry:
    """Keeps the newest frame's x0* for the next. spared: so many steps less has a frame with one right before it."""

    def __init__(self, spared: int) -> None:
        self.spared = spared
        self._kept: tuple[FaceFrame, Tensor] | None = None

    def last(self, frame: FaceFrame) -> Tensor | None:
        """x0* of the frame before this one; None without one in the same shot, or where nothing is carried."""
        if self._kept is None:
            return None
        before, latents = self._kept
        return latents if (before.picture + 1, before.shot) == (frame.picture, frame.shot) else None

    def keep(self, frame: FaceFrame, latents: Tensor) -> None:
        """Keep the frame's x0* [1, C, h, w], if anything is carried."""
        if self.spared:
            self._kept = frame, latents
