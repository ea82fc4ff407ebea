"""The solver in ComfyUI's SAMPLER type, with or without guidance."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import comfy.model_management
import comfy.model_patcher
import comfy.samplers
import comfy.sd
import torch
from torch import Tensor, nn

from ...sfsr_model.estimators import sample_improved_midpoint
from ...sfsr_model.guidance import Guide
from .anchoring import goes_on, target_of
from .network import require_vae_of

logger = logging.getLogger(__name__)

# A backward pass keeps what the decoder's forward pass made on its way; the host's own figure is for forward alone.
_BACKWARD_MEMORY = 3


@dataclass(frozen=True)
class SolverOptions:
    """As `sample_improved_midpoint` takes them."""

    order: int
    midpoint_location: str
    midpoint_fraction: float
    background_anchoring: float
    eta: float


def improved_midpoint_sampler(options: SolverOptions) -> Any:
    """A SAMPLER that runs `sample_improved_midpoint` with these options."""
    return comfy.samplers.KSAMPLER(_sample, extra_options=vars(options))


def _sample(model: Any, x: Tensor, sigmas: Tensor, *, background_anchoring: float, **arguments: Any) -> Tensor:
    """`sample_improved_midpoint`, which puts no background back where the host knows only a noisy one. model: the host's."""
    mask = (arguments.get("extra_args") or {}).get("denoise_mask")
    unknown = goes_on(model.noise, sigmas, mask) and target_of(model.inner_model, model.latent_image) is None
    if background_anchoring and unknown:
        logger.warning(
            "SFSR: this run adds no noise to its latent, which is taken to be noisy already, and nothing says what it was "
            "before; so background_anchoring is off in it. Sample in one run, or put the surroundings back into the picture"
        )
        background_anchoring = 0.0
    return sample_improved_midpoint(model, x, sigmas, background_anchoring=background_anchoring, **arguments)


def guided_midpoint_sampler(
    options: SolverOptions, vae: Any, terms: Sequence[tuple[float, nn.Module]], start: float, end: float
) -> Any:
    """The same with x0* guided by energies of decoded pictures, each with its scale, from `start` to `end` of the run.

    The node's VAE stays as it is. Graphs run in inference mode, where weights cannot take part in autograd, so a second VAE of
    the same weights is made outside it. Both it and the energies' networks are loaded by the host beside the model.
    """
    with torch.inference_mode(False):
        decoder = comfy.sd.VAE(
            sd={key: value.detach().clone() for key, value in vae.get_sd().items()}, device=vae.device, dtype=torch.float32
        )
        decoder.first_stage_model.requires_grad_(False)
        energies = nn.ModuleList(energy for _, energy in terms).eval()
        networks = comfy.model_patcher.ModelPatcher(
            energies,
            load_device=comfy.model_management.get_torch_device(),
            offload_device=comfy.model_management.unet_offload_device(),
        )

    def sample(model: Any, x: Tensor, sigmas: Tensor, **arguments: Any) -> Tensor:
        guider = model.inner_model
        require_vae_of(guider.model_patcher, vae)
        memory = _BACKWARD_MEMORY * decoder.memory_used_decode(x.shape, torch.float32)
        with torch.inference_mode(False):
            # The model is named too, so that the host keeps it where it is.
            comfy.model_management.load_models_gpu([guider.model_patcher, decoder.patcher, networks], memory_required=memory)

        def decode(latents: Tensor) -> Tensor:
            comfy.model_management.throw_exception_if_processing_interrupted()
            latents = guider.inner_model.process_latent_out(latents)
            pixels = decoder.first_stage_model.decode(latents.to(decoder.device, torch.float32))
            return decoder.process_output(pixels).movedim(1, -1).to(networks.load_device)

        guide = Guide(decode, [(scale, energy) for scale, energy in terms], start, end)
        if not any(guide.acts(float(sigma)) for sigma in sigmas[:-1]):
            logger.warning(
                "guidance: none of the %d steps lies between guidance_start (%g) and guidance_end (%g), so it does nothing; "
                "take more steps or a wider part of the run",
                len(sigmas) - 1, start, end,
            )  # fmt: skip
        return _sample(model, x, sigmas, refine=guide, **arguments)

    return comfy.samplers.KSAMPLER(sample, extra_options=vars(options))
