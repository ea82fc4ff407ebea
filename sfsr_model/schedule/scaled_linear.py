"""The noise schedule of Stable Diffusion 1.x: beta linear in its square root over 1000 timesteps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class ScaledLinearSchedule:
    """beta_t = (sqrt(beta_start) + t/(T-1) (sqrt(beta_end) - sqrt(beta_start)))^2, the latent diffusion schedule
    of Rombach et al. 2022; the defaults are Stable Diffusion 1.x's."""

    beta_start: float = 0.00085
    beta_end: float = 0.012
    timesteps: int = 1000

    @cached_property
    def alpha_bar(self) -> Tensor:
        """Cumulative product of 1 - beta, float64 [timesteps], falling from just under 1 towards 0."""
        root = torch.linspace(self.beta_start**0.5, self.beta_end**0.5, self.timesteps, dtype=torch.float64)
        return torch.cumprod(1.0 - root**2, dim=0)

    @cached_property
    def sigmas(self) -> Tensor:
        """sqrt((1 - alpha_bar) / alpha_bar), float64 [timesteps], rising with the timestep."""
        return ((1.0 - self.alpha_bar) / self.alpha_bar).sqrt()

    @cached_property
    def log_sigmas(self) -> Tensor:
        """Natural logarithms of the sigmas, float64 [timesteps]."""
        return self.sigmas.log()

    def sigma(self, timestep: float) -> float:
        """Sigma at a (fractional) timestep in [0, timesteps - 1], interpolated linearly in log sigma."""
        last = self.timesteps - 1
        position = min(max(float(timestep), 0.0), float(last))
        low = min(int(position), last - 1)
        log_sigmas = self.log_sigmas
        return float(torch.lerp(log_sigmas[low], log_sigmas[low + 1], position - low).exp())

    def timestep(self, sigma: float) -> float:
        """The inverse of `sigma`; noise levels beyond the table give the nearest end.

        Raises ValueError for a sigma that is not positive.
        """
        if not sigma > 0:
            raise ValueError(f"sigma: expected a positive noise level, found {sigma}")
        log_sigma = torch.tensor(float(sigma), dtype=torch.float64).log()
        log_sigmas = self.log_sigmas
        low = int(torch.searchsorted(log_sigmas, log_sigma).clamp(1, self.timesteps - 1)) - 1
        fraction = (log_sigma - log_sigmas[low]) / (log_sigmas[low + 1] - log_sigmas[low])
        return float((low + fraction).clamp(0, self.timesteps - 1))

    def nearest_timesteps(self, sigmas: Tensor) -> Tensor:
        """The whole timestep nearest to each of the noise levels [N] in the logarithm, as ComfyUI's model sampling takes it."""
        return (sigmas.log()[:, None] - self.log_sigmas.to(sigmas)).abs().argmin(1)
