"""x0* from one noise level, by one evaluation of the denoiser or by two.

A denoiser is any callable D(x, sigma) -> E[x0 | x] on x = x0 + sigma eps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

Denoiser = Callable[[Tensor, float], Tensor]


@dataclass(frozen=True)
class Estimate:
    """x0*, shaped like the input, and the number of denoiser evaluations it took."""

    x0: Tensor
    evaluations: int


def one_step(denoise: Denoiser, x: Tensor, sigma: float) -> Estimate:
    """x0* = D(x, sigma); one evaluation."""
    return Estimate(denoise(x, sigma), 1)


def two_step(denoise: Denoiser, x: Tensor, sigma: float, sigma_mid: float, sigma_end: float = 0.0) -> Estimate:
    """The DDIM-consistent midpoint: walk from sigma to sigma_mid along the first estimate, then look again.

    x_mid = x0_1 + sigma_mid / sigma (x - x0_1) keeps the noise that is already in x (Song et al. 2021, eq. 12 with
    eta 0), so nothing but the estimate's error changes on the way. For a step that ends at sigma_end > 0 the two
    estimates are extrapolated to second order in the log-SNR, x0* = x0_1 + (x0_2 - x0_1) / (2 r), where r is the
    share of the step's log-SNR that lies before the midpoint (DPM-Solver++ 2S, Lu et al. 2022); a step to 0 takes
    x0_2 as it is. Two evaluations.
    """
    first = denoise(x, sigma)
    second = denoise(first + (sigma_mid / sigma) * (x - first), sigma_mid)
    if sigma_end == 0.0:
        return Estimate(second, 2)
    share = math.log(sigma / sigma_mid) / math.log(sigma / sigma_end)
    return Estimate(first + (second - first) / (2.0 * share), 2)
