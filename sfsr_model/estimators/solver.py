"""The improved midpoint as a sampler, in the calling convention of k-diffusion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from ..schedule import NoisePath, ScaledLinearSchedule, midpoint_sigma
from .midpoint import Level, one_step, two_step

# x0*, its noise level and the denoise mask (or None) to a better x0*.
Refine = Callable[[Tensor, float, "Tensor | None"], Tensor]

# How many seeds a generator knows; ComfyUI's go up to the last.
_SEEDS = 2**64


@torch.no_grad()
def sample_improved_midpoint(
    model: Callable[..., Tensor],
    x: Tensor,
    sigmas: Tensor,
    extra_args: dict[str, Any] | None = None,
    callback: Callable[[dict[str, Any]], None] | None = None,
    disable: bool | None = None,
    *,
    order: int = 2,
    midpoint_location: str = "half log-SNR",
    midpoint_fraction: float = 0.5,
    background_anchoring: float = 1.0,
    eta: float = 0.0,
    refine: Refine | None = None,
    rounds: Callable[[float], int] | None = None,
    path: NoisePath = NoisePath(),  # noqa: B008 - frozen
    alike: Sequence[int] | None = None,
) -> Tensor:
    """Solve the probability-flow ODE from sigmas[0] to sigmas[-1] by estimating x0* once a step.

    Each step replaces x by x0* + sigma_next / sigma (x - x0*), the exact solution of the ODE while x0* stands still.
    With `order` 2 x0* is the improved midpoint estimate (two evaluations a step), with 1 the plain one (DDIM).
    `background_anchoring` in [0, 1] says how firmly the known background, where the caller gives a denoise mask,
    is put back before each evaluation, the midpoint's included. `eta` in [0, 1] adds the ancestral sampler's noise. `refine`
    changes x0* once a step, after the estimate and before the move. `rounds` says how often the step at a noise level is made,
    at least once, asked again after each: in between, fresh noise leads back up to the level (the time travel of Lugmayr et al.
    2022, "RePaint", and Yu et al. 2023, "FreeDoM"). `path`: how x is made of data and noise. The ODE
    dx / dsigma = (x - x0*) / sigma is the same for both kinds; fresh noise is not. `alike`: a number from 0 on for each latent;
    those of one number get the same fresh noise. Without it each gets its own.

    x [B, C, H, W] at noise level sigmas[0]; sigmas falling, [steps + 1]. A list of one noise level returns x as it is.
    Raises ValueError for an empty or rising list, and for a latent or a prediction that is not finite.
    """
    levels = [float(sigma) for sigma in sigmas]
    if not levels:
        raise ValueError("sigmas: expected at least one noise level, found an empty list; check the scheduler's steps")
    if not torch.isfinite(x).all():
        raise ValueError("latent: it holds values that are not finite (NaN or infinity); check the node that made it")
    schedule = ScaledLinearSchedule()
    arguments = dict(extra_args or {})
    # One past the seed: the start noise was drawn with the seed itself, and fresh noise must not repeat it.
    generator = torch.Generator(device="cpu").manual_seed((int(arguments.get("seed") or 0) + 1) % _SEEDS)
    mask = arguments.get("denoise_mask")
    if mask is not None:
        arguments["denoise_mask"] = 1.0 - background_anchoring * (1.0 - mask)
    ones = x.new_ones([x.shape[0]])

    def denoise(latent: Tensor, sigma: Level) -> Tensor:
        x0 = model(latent, sigma * ones, **arguments)
        if not torch.isfinite(x0).all():
            raise ValueError(
                f"model: the prediction at noise level {sigma:.4g} is not finite; "
                "check the checkpoint and the guider's cfg, or run the model in float32"
            )
        return x0

    def fresh(latent: Tensor) -> Tensor:
        count = len(latent) if alike is None else max(alike) + 1
        drawn = torch.randn((count, *latent.shape[1:]), generator=generator, dtype=torch.float32)
        return (drawn if alike is None else drawn[list(alike)]).to(latent)

    for step, (sigma, sigma_next) in enumerate(pairwise(levels)):
        down, up = _ancestral_levels(sigma, sigma_next, eta, path)
        made = 0
        while True:
            if order == 1 or down == sigma:
                estimate = one_step(denoise, x, sigma)
            else:
                middle = midpoint_sigma(sigma, down, midpoint_location, midpoint_fraction, schedule)
                estimate = two_step(denoise, x, sigma, middle, down)
            x0 = estimate.x0 if refine is None else refine(estimate.x0, sigma, mask)
            moved = x0 + (down / sigma) * (x - x0)
            if up > 0.0:
                moved = path.signal(sigma_next) / path.signal(down) * moved + up * fresh(x)
            made += 1
            if rounds is None or made >= rounds(sigma):
                break
            share = path.signal(sigma) / path.signal(sigma_next)
            x = share * moved + (sigma**2 - (share * sigma_next) ** 2) ** 0.5 * fresh(x)
        if callback is not None:
            callback({"x": x, "i": step, "sigma": sigmas[step], "sigma_hat": sigmas[step], "denoised": x0})
        x = moved
    return x


def _ancestral_levels(sigma: float, sigma_next: float, eta: float, path: NoisePath) -> tuple[float, float]:
    """Noise level to step down to, and the deviation of the fresh noise that leads back up to sigma_next.

    With r = sigma / signal both kinds of path are x0 + r noise, where the ancestral step is known.
    """
    if not (sigma >= sigma_next >= 0.0 and sigma > 0.0):
        raise ValueError(f"sigmas: expected falling noise levels, found {sigma} followed by {sigma_next}")
    if eta == 0.0 or sigma_next == 0.0:
        return sigma_next, 0.0
    signal = path.signal(sigma_next)
    ratio, inverse = sigma_next / signal, path.signal(sigma) / sigma
    up = min(ratio, eta * ratio * (1.0 - (ratio * inverse) ** 2) ** 0.5)
    return path.level((ratio**2 - up**2) ** 0.5), signal * up


def alike_noise(noise: Tensor) -> list[int] | None:
    """`alike` of `sample_improved_midpoint` for starting noise [B, ...]: one number for pictures of the same noise, as a film's
    frames have. None for noise of zeros, which says nothing."""
    if not bool(noise.count_nonzero()):
        return None
    seen: dict[bytes, int] = {}
    return [seen.setdefault(one.float().cpu().numpy().tobytes(), len(seen)) for one in noise]
