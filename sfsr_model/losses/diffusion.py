"""The diffusion loss, weighted over noise levels."""

from __future__ import annotations

import torch
from torch import Tensor

WEIGHTINGS = ("uniform", "min_snr")


def snr_weight(sigma: Tensor, prediction: str, weighting: str = "min_snr", gamma: float = 5.0) -> Tensor:
    """Weight [B] of each squared error at noise levels [B].

    "min_snr": min(SNR, gamma) / SNR for eps, min(SNR, gamma) / (SNR + 1) for v, with SNR = 1 / sigma^2 (Hang et al. 2023,
    "Efficient Diffusion Training via Min-SNR Weighting Strategy"). Raises ValueError for another weighting.
    """
    if weighting not in WEIGHTINGS:
        raise ValueError(f"weighting: expected {' or '.join(WEIGHTINGS)}, found '{weighting}'")
    if weighting == "uniform":
        return torch.ones_like(sigma)
    snr = sigma**-2
    return snr.clamp_max(gamma) / (snr if prediction == "eps" else snr + 1.0)


def diffusion_loss(output: Tensor, wanted: Tensor, weight: Tensor, hole: Tensor | None = None, outside: float = 1.0) -> Tensor:
    """Weighted mean squared error, a scalar.

    output, wanted: [B, C, H, W]; weight: [B]; hole: [B, 1, H, W], 1 where the face is made; outside: how much an error beyond
    the hole counts, 0 to 1.
    """
    squared = (output.float() - wanted.float()) ** 2
    if hole is not None and outside != 1.0:
        share = outside + (1.0 - outside) * hole
        squared = squared * (share / share.mean(dim=(1, 2, 3), keepdim=True))
    return (squared.mean(dim=(1, 2, 3)) * weight).mean()
