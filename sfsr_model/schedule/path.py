"""How data and noise share a noisy latent."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NoisePath:
    """x = signal * x0 + sigma * noise.

    flow False: noise is added to the data, which stay whole (variance exploding, as ComfyUI's samplers see eps and v models).
    flow True: it takes their place, signal = 1 - sigma (rectified flow, Liu et al. 2022), sigma in [0, 1].
    """

    flow: bool = False

    def signal(self, sigma: float) -> float:
        """The share of the data at a noise level."""
        return 1.0 - sigma if self.flow else 1.0

    def level(self, ratio: float) -> float:
        """The noise level at which sigma / signal is this ratio."""
        return ratio / (1.0 + ratio) if self.flow else ratio

    def left_open(self, sigma: float) -> float:
        """The deviation of x0 that noise of this level leaves open where data have unit deviation, 0 to 1.

        1 / (1 + (signal / sigma)^2) is the variance of that Gaussian posterior.
        """
        return sigma / (self.signal(sigma) ** 2 + sigma**2) ** 0.5
