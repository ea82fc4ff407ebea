"""New faces for the crops of a film by the host's own sampling, a few frames at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import comfy.sample
import torch
from torch import Tensor

from .conditioning import Conditioned


@dataclass(frozen=True)
class Run:
    """What SamplerCustom is given beside model, conditions and latent: a SAMPLER, noise levels, cfg and the noise's seed."""

    sampler: Any
    sigmas: Tensor
    cfg: float
    seed: int


def sample_faces(conditioned: Conditioned, vae: Any, run: Run) -> Tensor:
    """Sample and decode as SamplerCustom and VAE Decode do: pictures [B, H, W, 3] in 0..1."""
    latent = conditioned.latent
    samples = latent["samples"]
    noise = comfy.sample.prepare_noise(samples, run.seed, latent.get("batch_index"))
    with torch.inference_mode():
        made = comfy.sample.sample_custom(
            conditioned.model,
            noise,
            run.cfg,
            run.sampler,
            run.sigmas,
            conditioned.positive,
            conditioned.negative,
            samples,
            noise_mask=latent["noise_mask"],
            disable_pbar=True,
            seed=run.seed,
        )
        return vae.decode(made)
