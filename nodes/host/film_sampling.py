"""New faces for the crops of a film by the host's own sampling, a few frames at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import comfy.sample
import torch
from torch import Tensor

from ...sfsr_model.face import FaceFrame
from ...sfsr_model.face.faceless import soft_latent_mask
from ...sfsr_model.film.carry import Carry, carried_start
from .conditioning import Conditioned


@dataclass(frozen=True)
class Run:
    """What SamplerCustom is given beside model, conditions and latent: a SAMPLER, noise levels, cfg and the noise's seed."""

    sampler: Any
    sigmas: Tensor
    cfg: float
    seed: int


def sample_faces(conditioned: Conditioned, vae: Any, run: Run, frames: tuple[FaceFrame, ...], carry: Carry) -> Tensor:
    """Sample and decode as SamplerCustom and VAE Decode do: pictures [B, H, W, 3] in 0..1.

    frames: where the crops come from. Where `carry` has latents of the frame before, which takes B = 1, these are what the walk
    starts from.
    """
    latent = conditioned.latent
    samples, mask, sigmas = latent["samples"], latent["noise_mask"], run.sigmas
    noise = comfy.sample.prepare_noise(samples, run.seed, latent.get("batch_index"))
    last = carry.last(frames[0])
    if last is not None:
        sigmas = sigmas[carry.spared :]
        samples = carried_start(last, samples, soft_latent_mask(mask[:, 0].to(samples), *samples.shape[-2:]))
    with torch.inference_mode():
        made = comfy.sample.sample_custom(
            conditioned.model,
            noise,
            run.cfg,
            run.sampler,
            sigmas,
            conditioned.positive,
            conditioned.negative,
            samples,
            noise_mask=mask,
            disable_pbar=True,
            seed=run.seed,
        )
        carry.keep(frames[-1], made[-1:])
        return vae.decode(made)
