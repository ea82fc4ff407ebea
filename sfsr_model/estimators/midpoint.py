"""x0* from one noise level, by one evaluation of the denoiser or by two along the probability flow.

A denoiser is any callable D(x, sigma) -> E[x0 | x] on x = x0 + sigma eps. A noise level is one number for a whole batch, or one
for each of its latents.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

Level = float | Tensor
Denoiser = Callable[[Tensor, Level], Tensor]


@dataclass(frozen=True)
class Estimate:
    """x0*, shaped like the input, and the number of denoiser evaluations it took."""

    x0: Tensor
    evaluations: int


def beside(level: Level, x: Tensor) -> Level:
    """Levels [B] as [B, 1, ...], ready to multiply latents [B, ...]; a number as it is."""
    return level.reshape(-1, *[1] * (x.ndim - 1)).to(x) if isinstance(level, Tensor) else level


def walk(x: Tensor, x0: Tensor, sigma: Level, sigma_next: Level) -> Tensor:
    """Latents at sigma_next on the straight line from x at sigma to x0 at 0: the noise in x stays, only less of it.

    In sigma space this is DDIM's step with eta 0 (Song et al. 2021, eq. 12).
    """
    return x0 + beside(sigma_next, x) / beside(sigma, x) * (x - x0)


def one_step(denoise: Denoiser, x: Tensor, sigma: Level) -> Estimate:
    """x0* = D(x, sigma); one evaluation."""
    return Estimate(denoise(x, sigma), 1)


def two_step(denoise: Denoiser, x: Tensor, sigma: float, sigma_mid: float, sigma_end: float = 0.0) -> Estimate:
    """The DDIM-consistent midpoint: walk from sigma to sigma_mid along the first estimate, then look again.

    Nothing but the estimate's error changes on the way. For a step that ends at sigma_end > 0 the two estimates are
    extrapolated to second order in the log-SNR, x0* = x0_1 + (x0_2 - x0_1) / (2 r), where r is the share of the step's
    log-SNR that lies before the midpoint (DPM-Solver++ 2S, Lu et al. 2022); a step to 0 takes x0_2 as it is.
    Two evaluations.
    """
    first = denoise(x, sigma)
    second = denoise(walk(x, first, sigma, sigma_mid), sigma_mid)
    if sigma_end == 0.0:
        return Estimate(second, 2)
    share = math.log(sigma / sigma_mid) / math.log(sigma / sigma_end)
    return Estimate(first + (second - first) / (2.0 * share), 2)
