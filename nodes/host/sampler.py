"""The solver in ComfyUI's SAMPLER type, with or without guidance."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import comfy.model_management
import comfy.model_patcher
import comfy.model_sampling
import comfy.samplers
import torch
from torch import Tensor, nn

from ...sfsr_model.estimators import alike_noise, sample_improved_midpoint
from ...sfsr_model.guidance import FaceDecoder, Guide, GuidedRun, Term
from ...sfsr_model.schedule import NoisePath
from .anchoring import goes_on, target_of
from .decoders import FACE, TINY, chosen, decoding_memory, require_pictures, tiny_decode, vae_decode, with_gradients
from .network import require_vae_of

logger = logging.getLogger(__name__)

# How many seeds a generator knows.
_SEEDS = 2**63


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
    path = _path(model.inner_model.inner_model.model_sampling)
    draws_noise = arguments.get("eta") or arguments.get("rounds")
    alike = alike_noise(model.noise) if draws_noise else None
    return sample_improved_midpoint(
        model, x, sigmas, background_anchoring=background_anchoring, path=path, alike=alike, **arguments
    )


@dataclass(frozen=True)
class GuideOptions:
    """As `Guide` takes them; decoder: of DECODERS."""

    start: float
    end: float
    step_size: str
    rounds: int
    views: int
    decoder: str


def guided_midpoint_sampler(options: SolverOptions, vae: Any, terms: Sequence[Term], guiding: GuideOptions) -> Any:
    """The same with x0* guided by energies of decoded pictures.

    The node's VAE stays as it is; both its copy with gradients and the energies' networks are loaded by the host beside the
    model. What a run needs beyond that is made at its start and goes with it.
    """
    with torch.inference_mode(False):
        decoder = with_gradients(vae)
        energies = nn.ModuleList(term.energy for term in terms).eval()
        networks = comfy.model_patcher.ModelPatcher(
            energies,
            load_device=comfy.model_management.get_torch_device(),
            offload_device=comfy.model_management.unet_offload_device(),
        )

    def sample(model: Any, x: Tensor, sigmas: Tensor, **arguments: Any) -> Tensor:
        patcher = model.inner_model.model_patcher
        require_vae_of(patcher, vae)
        require_pictures(x)
        choice = chosen(guiding.decoder, patcher, vae)
        # The model is named too, so that the host keeps it where it is.
        needed = [patcher, networks] if choice == TINY else [patcher, decoder.patcher, networks]
        with torch.inference_mode(False):
            comfy.model_management.load_models_gpu(needed, memory_required=decoding_memory(decoder, x.shape))
        decode = (
            vae_decode(decoder, patcher, networks.load_device) if choice != TINY else tiny_decode(patcher, networks.load_device)
        )
        if choice == FACE:
            decode = FaceDecoder(decode, terms[0].energy.place.points)
        sampling = patcher.model.model_sampling
        guide = Guide(
            decode, terms, guiding.start, guiding.end,
            level=lambda share: float(sampling.percent_to_sigma(share)),
            path=_path(sampling), step_size=guiding.step_size, rounds=guiding.rounds, views=guiding.views,
        )  # fmt: skip
        if not any(guide.acts(float(sigma)) for sigma in sigmas[:-1]):
            logger.warning(
                "SFSR: guidance: none of the %d steps lies between guidance_start (%g) and guidance_end (%g), so it does "
                "nothing; take more steps or a wider part of the run",
                len(sigmas) - 1, guiding.start, guiding.end,
            )  # fmt: skip
        extra = dict(arguments.pop("extra_args", None) or {})
        correction = Correction()
        extra["model_options"] = comfy.model_patcher.set_model_options_post_cfg_function(
            dict(extra.get("model_options") or {}), correction.see
        )
        run = GuidedRun(guide, correction.take, seed=int(extra.get("seed") or 0) % _SEEDS)
        return _sample(model, x, sigmas, extra_args=extra, refine=run, rounds=run.rounds, **arguments)

    return comfy.samplers.KSAMPLER(sample, extra_options=vars(options))


def _path(sampling: Any) -> NoisePath:
    """How the host makes noisy latents of a model."""
    return NoisePath(flow=isinstance(sampling, comfy.model_sampling.CONST))


class Correction:
    """What classifier-free guidance adds to the negative prediction of x0, seen as the host makes it."""

    def __init__(self) -> None:
        self._seen: Tensor | None = None

    def see(self, made: dict[str, Any]) -> Tensor:
        """The host's hook after its guidance; changes nothing. The first look of a step counts: it is the one at its level."""
        positive, negative = made["cond_denoised"], made["uncond_denoised"]
        # At a scale of 1 the host may leave the negative out, and then hands on zeros or nothing.
        if self._seen is None and made.get("uncond") is not None and negative is not None:
            self._seen = made["cond_scale"] * (positive - negative)
        return made["denoised"]

    def take(self) -> Tensor | None:
        """cfg (D_cond - D_uncond) of the step that is being made, once; None where nothing was seen."""
        seen, self._seen = self._seen, None
        return seen
