"""Gaussian data, for which the best denoiser is linear and every estimator has a closed form."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sfsr_model.estimators import Noisy
from sfsr_model.estimators.midpoint import Level

MEAN, DEVIATION = 0.7, 0.5
SIGMAS, MIDDLES = torch.tensor([6.0, 2.0, 0.9], dtype=torch.float64), torch.tensor([1.5, 0.8, 0.3], dtype=torch.float64)


def gain(level: Level) -> Any:
    """The share of an observation's distance from the mean that is signal."""
    return DEVIATION**2 / (DEVIATION**2 + level**2)


def best(x: Tensor, sigma: Level) -> Tensor:
    """E[x0 | x] for x0 ~ N(MEAN, DEVIATION^2)."""
    share = gain(sigma.reshape(-1, 1, 1, 1) if isinstance(sigma, Tensor) else sigma)
    return MEAN + share * (x - MEAN)


def problem(seed: int = 0, **changes: Any) -> Noisy:
    """Three noisy latents [3, 4, 8, 8], float64, with all that an estimator may know beside them."""
    generator = torch.Generator().manual_seed(seed)

    def draw() -> Tensor:
        return torch.randn(3, 4, 8, 8, generator=generator, dtype=torch.float64)

    truth = MEAN + DEVIATION * draw()
    fields = {
        "x": truth + SIGMAS.reshape(-1, 1, 1, 1) * draw(),
        "sigma": SIGMAS,
        "sigma_mid": MIDDLES,
        "background": truth,
        "hole": (torch.arange(8) >= 4).double().reshape(1, 1, 1, 8),
        "truth": truth,
        "noise": draw(),
    }
    return Noisy(**{**fields, **changes})


def closed_form(name: str, noisy: Noisy) -> Tensor:
    """x0* of a problem's own levels, with the denoiser's gains k at sigma and q at sigma_mid, and rho = sigma_mid / sigma."""
    sigma, middle = SIGMAS.reshape(-1, 1, 1, 1), MIDDLES.reshape(-1, 1, 1, 1)
    k, q, rho = gain(sigma), gain(middle), middle / sigma
    away, off = noisy.x - MEAN, noisy.truth - MEAN
    return (
        MEAN
        + {
            "one_step": k * away,
            "ddim": q * (k + rho * (1 - k)) * away,
            "fresh_noise": q * (k * away + middle * noisy.noise),
            "explicit": away * (1 - (1 - q) * (k + rho * (1 - k)) / rho),
            "mean": (k + q * (k + rho * (1 - k))) / 2 * away,
            "background": torch.where(noisy.hole > 0, q * (k + rho * (1 - k)) * away, off),
            "truth": q * (off + rho * (noisy.x - noisy.truth)),
        }[name]
    )
