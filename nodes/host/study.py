"""A model as a plain denoiser, run by the host as it would run it for a sampler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import comfy.model_management
import comfy.samplers
import comfy.utils
import torch
from torch import Tensor

from ...sfsr_model.estimators.midpoint import Denoiser, Level

Result = TypeVar("Result")


def with_denoiser(
    model: Any,
    positive: list,
    negative: list,
    cfg: float,
    latent: dict[str, Any],
    seed: int,
    evaluations: int,
    use: Callable[[Denoiser, Tensor, Tensor | None], Result],
) -> Result:
    """Hand `use` the denoiser D(x, sigma), the clean latent [B, C, h, w] and its mask, both in the model's own space.

    The host loads the model, prepares the conditions and applies patches, as for any sampler; what `use` returns is returned.
    evaluations: how many `use` will make, for the progress bar. Stops at the user's Interrupt before each of them.
    """
    bar = comfy.utils.ProgressBar(evaluations)
    results: list[Result] = []

    def function(wrapped: Any, x: Tensor, _sigmas: Tensor, extra_args: dict[str, Any], callback: Any, disable: bool) -> Tensor:
        # The mask goes to `use` alone: the host must not put the background back into what the model says.
        arguments = {key: value for key, value in extra_args.items() if key != "denoise_mask"}

        def denoise(latents: Tensor, sigma: Level) -> Tensor:
            comfy.model_management.throw_exception_if_processing_interrupted()
            x0 = wrapped(latents, sigma * latents.new_ones([len(latents)]), denoise_mask=None, **arguments)
            bar.update(1)
            return x0

        results.append(use(denoise, wrapped.latent_image, extra_args.get("denoise_mask")))
        return wrapped.latent_image

    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(positive, negative)
    guider.set_cfg(cfg)
    samples = latent["samples"]
    sampler = comfy.samplers.KSAMPLER(function)
    # One level, which `use` does not look at: the host asks for a list to start from.
    sigmas = torch.tensor([1.0])
    guider.sample(torch.zeros_like(samples), samples, sampler, sigmas, latent.get("noise_mask"), None, True, seed)
    return results[0]


def to_latent(model: Any, samples: Tensor) -> dict[str, Any]:
    """Latents of the model's own space as ComfyUI's LATENT."""
    return {"samples": model.model.process_latent_out(samples.float()).to(comfy.model_management.intermediate_device())}
