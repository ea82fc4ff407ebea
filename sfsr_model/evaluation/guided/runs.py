"""Guided sampling with another estimate of x0* in each run, at equal numbers of evaluations."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from ...estimators.midpoint import Denoiser, one_step, two_step, walk
from ...guidance import Guide, GuidedRun
from ...schedule import midpoint_sigma
from ..generate import noise_levels

Estimate = Callable[[Denoiser, Tensor, float, float, torch.Generator], Tensor]


def _one_step(denoise: Denoiser, x: Tensor, sigma: float, sigma_next: float, generator: torch.Generator) -> Tensor:
    return one_step(denoise, x, sigma).x0


def _improved(denoise: Denoiser, x: Tensor, sigma: float, sigma_next: float, generator: torch.Generator) -> Tensor:
    return two_step(denoise, x, sigma, midpoint_sigma(sigma, sigma_next, "half log-SNR"), sigma_next).x0


def _midpoint(denoise: Denoiser, x: Tensor, sigma: float, sigma_next: float, generator: torch.Generator) -> Tensor:
    middle = midpoint_sigma(sigma, 0.0, "half time")
    fresh = torch.randn(x.shape, generator=generator).to(x)
    return denoise(denoise(x, sigma) + middle * fresh, middle)


ESTIMATES: dict[str, tuple[int, Estimate]] = {
    "improved_midpoint": (2, _improved),
    "one_step": (1, _one_step),
    "midpoint": (2, _midpoint),
}
"""By name: evaluations a step, and the estimate. midpoint draws fresh noise at half the time, as `fresh_noise` does."""


@dataclass(frozen=True)
class Setting:
    """One way of sampling: which estimate is guided, in how many steps, and in how many of them, about their middle."""

    estimate: str
    steps: int
    guided: int

    @property
    def name(self) -> str:
        return f"{self.estimate}-{self.steps}-{self.guided}"

    @property
    def evaluations(self) -> int:
        return ESTIMATES[self.estimate][0] * self.steps

    @property
    def acting(self) -> range:
        """The steps that are guided."""
        first = (self.steps - self.guided) // 2
        return range(first, first + self.guided)


@torch.no_grad()
def sample(
    setting: Setting, denoise: Denoiser, noise: Tensor, hole: Tensor, guide: Guide, seed: int
) -> tuple[Tensor, float, float]:
    """Final latents [B, C, h, w], seconds of the processor that all took, seconds of these that guidance took.

    noise: of unit deviation; hole [B, 1, h, w]: what is guided; seed: of fresh noise.
    """
    sigmas = noise_levels(setting.steps).tolist()
    x, run = (1 + sigmas[0] ** 2) ** 0.5 * noise, GuidedRun(guide, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    estimate = ESTIMATES[setting.estimate][1]
    began, spent = time.process_time(), 0.0
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        x0 = estimate(denoise, x, sigma, sigma_next, generator)
        if step in setting.acting:
            before = time.process_time()
            x0 = run(x0, sigma, hole)
            spent += time.process_time() - before
        x = walk(x, x0, sigma, sigma_next)
    return x, time.process_time() - began, spent
