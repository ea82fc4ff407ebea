"""x0* of one frame carried over into the next: the walk from noise to a face starts from it, part of the way down."""

from __future__ import annotations

from torch import Tensor

from ..face import FaceFrame


def carried_levels(sigmas: Tensor, share: float) -> Tensor:
    """Noise levels [steps + 1] without the first `share` of the steps, 0..1; at least one step is left."""
    steps = len(sigmas) - 1
    return sigmas[min(round(share * steps), steps - 1) :]


def carried_start(last: Tensor, known: Tensor, mask: Tensor) -> Tensor:
    """Latents [B, C, h, w] to start from: the last frame's in the mask [B, 1, h, w], this one's surroundings elsewhere."""
    return known + mask * (last.to(known) - known)


class Carry:
    """Keeps the newest frame's x0* for the next. share: of the steps that a frame which has one before it is spared, 0..1."""

    def __init__(self, share: float) -> None:
        self.share = share
        self._kept: tuple[FaceFrame, Tensor] | None = None

    def last(self, frame: FaceFrame) -> Tensor | None:
        """x0* of the frame before this one; None without one in the same shot, or where nothing is carried."""
        if self._kept is None:
            return None
        before, latents = self._kept
        return latents if (before.picture + 1, before.shot) == (frame.picture, frame.shot) else None

    def keep(self, frame: FaceFrame, latents: Tensor) -> None:
        """Keep the frame's x0* [1, C, h, w], if anything is carried."""
        if self.share:
            self._kept = frame, latents
