"""Faces from a checkpoint: noise, the project's solver, the decoder, and the paste by the mask."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..estimators import alike_noise, sample_improved_midpoint
from ..film.carry import carried_start
from ..schedule import ScaledLinearSchedule
from .network import Guidance, Network, anchored

STARTS = ("noise", "background")


@dataclass(frozen=True)
class Sampling:
    """How pictures are made.

    steps, order: of the solver, `order` evaluations a step but for the last one's rule. start: pure noise, or the faceless
    target under noise. anchoring: how firmly the known background is put back, 0..1. pose: whether the network is told the
    answer's head pose. eta: how much fresh noise a step takes, 0..1, the same for pictures of the same noise. Raises
    ValueError for a value that makes no sense.
    """

    steps: int = 12
    order: int = 2
    guidance: Guidance = field(default_factory=Guidance)
    start: str = "noise"
    anchoring: float = 1.0
    pose: bool = True
    eta: float = 1.0

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps: expected at least 1, found {self.steps}")
        if self.order not in (1, 2):
            raise ValueError(f"order: expected 1 or 2, found {self.order}")
        if self.start not in STARTS:
            raise ValueError(f"start: expected {' or '.join(STARTS)}, found '{self.start}'")
        for name, share in (("anchoring", self.anchoring), ("eta", self.eta)):
            if not 0 <= share <= 1:
                raise ValueError(f"{name}: expected 0 to 1, found {share:g}")
        for name, scale in vars(self.guidance).items():
            if not math.isfinite(scale):
                raise ValueError(f"{name}-guidance: expected a finite number, found {scale:g}")


@dataclass(frozen=True, eq=False)
class Wanted:
    """identity [B, D], expression [B, 52], pose [B, 3]; target [B, H, W, 3] in 0..1 with its mask [B, H, W]."""

    identity: Tensor
    expression: Tensor
    pose: Tensor
    target: Tensor
    mask: Tensor


def noise_levels(steps: int) -> Tensor:
    """Sigmas [steps + 1], the last one 0: evenly spaced timesteps from the noisiest to the cleanest (the host's "normal")."""
    schedule = ScaledLinearSchedule()
    times = torch.linspace(schedule.timesteps - 1, 0, steps).tolist()
    return torch.tensor([*(schedule.sigma(time) for time in times), 0.0])


@torch.no_grad()
def generate(network: Network, wanted: Wanted, noise: Tensor, sampling: Sampling) -> Tensor:
    """Pictures [B, H, W, 3] in 0..1, before anything is pasted; arguments and errors as those of `generate_latents`."""
    return network.decode(generate_latents(network, wanted, noise, sampling)).cpu()


@torch.no_grad()
def generate_latents(
    network: Network, wanted: Wanted, noise: Tensor, sampling: Sampling, last: Tensor | None = None, spared: int = 0
) -> Tensor:
    """Latents [B, C, H / 8, W / 8] of new faces; noise, of the same shape, of unit deviation.

    last: in place of noise alone, latents to start from, `spared` steps further down. Raises ValueError where a prediction is
    not finite.
    """
    shown = network.surroundings(wanted.target, wanted.mask)
    noise = noise.to(network.device)
    pose = wanted.pose if sampling.pose else None
    denoise = network.denoiser(wanted.identity, wanted.expression, pose, shown, sampling.guidance)
    sigmas = noise_levels(sampling.steps)
    top = float(sigmas[0])
    start = shown.faceless + top * noise if sampling.start == "background" else (1 + top**2) ** 0.5 * noise
    if last is not None:
        sigmas = sigmas[spared:]
        start = carried_start(last, shown.known, shown.mask) + float(sigmas[0]) * noise
    return sample_improved_midpoint(
        anchored(denoise, shown.known, shown.mask, noise),
        start,
        sigmas,
        {"denoise_mask": shown.mask},
        order=sampling.order,
        background_anchoring=sampling.anchoring,
        eta=sampling.eta,
        alike=alike_noise(noise),
    )


def round_trip(network: Network, images: Tensor) -> Tensor:
    """Pictures [B, H, W, 3] in 0..1 through the autoencoder and back."""
    return network.decode(network.encode(images)).cpu()


def paste(pictures: Tensor, targets: Tensor, masks: Tensor) -> Tensor:
    """uint8 [B, H, W, 3]: pictures in 0..1 inside masks [B, H, W], the uint8 targets bit for bit where these are 0."""
    share = masks[..., None]
    mixed = (targets * (1 - share) + pictures * 255 * share).round().clamp(0, 255).to(torch.uint8)
    return torch.where(share > 0, mixed, targets)
