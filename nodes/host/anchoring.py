"""What lies outside a noise mask, where a run goes on from a latent that is noisy already.

The host holds it, at each noise level, to the latent that the sampler was handed and the noise of the run. A run that goes on
where another stopped (sigmas split over two samplers, KSamplerAdvanced's start and end) adds no noise, and what it is handed is
noisy: held to that, the surroundings would keep their noise to the end. The conditioning therefore carries the target, and such
a run is handed the target and the noise n with which it starts at the same place, x = target + sigma n. So every sampler of the
host holds the surroundings to what belongs there at each level.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import comfy.patcher_extension
import comfy.utils
import torch
from torch import Tensor

logger = logging.getLogger(__name__)

TARGET = "sfsr_target"
"""In a condition: the target's latent [B, C, h, w] as the VAE gives it, clean and whole."""
WRAPPER_KEY = "sfsr_anchoring"
# A latent that is further from the target than this, in units of the run's first noise level, is not only the target.
_FAR = 0.5


def hold_to_target(model: Any) -> None:
    """Give a model the wrapper that looks at every sampling run. model: a patcher that is nobody else's yet."""
    model.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.SAMPLER_SAMPLE, WRAPPER_KEY, _held)


def carried(guider: Any, key: str) -> Any:
    """What the first condition that has something under this key carries; None where none does. guider: while it samples."""
    return next((one[key] for conds in guider.conds.values() for one in conds or () if one.get(key) is not None), None)


def target_of(guider: Any, latent: Tensor | None) -> Tensor | None:
    """The target that belongs to a latent of the model's own space, in that space; None where none of its size is known."""
    target = carried(guider, TARGET)
    if target is None or latent is None or target.shape[1:] != latent.shape[1:]:
        return None
    return comfy.utils.repeat_to_batch_size(guider.inner_model.process_latent_in(target.to(latent)), len(latent))


def goes_on(noise: Tensor, sigmas: Tensor, mask: Tensor | None) -> bool:
    """Whether a run takes its latent as noisy already, and a mask says that only a part of it is to be made."""
    return mask is not None and bool((mask < 1).any()) and len(sigmas) > 1 and not bool(noise.count_nonzero())


def _held(
    executor: Callable[..., Tensor],
    guider: Any,
    sigmas: Tensor,
    extra_args: dict[str, Any],
    callback: Any,
    noise: Tensor,
    latent: Tensor | None = None,
    mask: Tensor | None = None,
    disable_pbar: bool = False,
) -> Tensor:
    target = target_of(guider, latent)
    if target is not None and mask is not None and len(sigmas) > 1:
        highest = executor.class_obj.max_denoise(guider, sigmas)
        if goes_on(noise, sigmas, mask):
            noise = _implied(guider.inner_model.model_sampling, sigmas[0], noise, latent, target, highest)
            latent = target
        elif not highest and _is_far(latent, target, mask, sigmas[0]):
            logger.warning(
                "SFSR: outside the mask the latent is not the target that SFSR Conditioning saw, and stays as it is; if it is "
                "noisy already, as another sampler left it, turn add_noise off in this one, or give it Disable Noise"
            )
    return executor(guider, sigmas, extra_args, callback, noise, latent, mask, disable_pbar)


def _implied(sampling: Any, sigma: Tensor, noise: Tensor, latent: Tensor, target: Tensor, highest: bool) -> Tensor:
    """The noise that brings the target to where the run starts; the host's scaling is affine in both."""
    nothing = torch.zeros_like(latent)
    start = sampling.noise_scaling(sigma, noise, latent, highest)
    without = sampling.noise_scaling(sigma, nothing, target, highest)
    return (start - without) / sampling.noise_scaling(sigma, torch.ones_like(latent), nothing, highest)


def _is_far(latent: Tensor, target: Tensor, mask: Tensor, sigma: Tensor) -> bool:
    outside = (mask == 0).expand_as(latent)
    return bool(outside.any()) and ((latent - target)[outside].square().mean().sqrt() > _FAR * sigma).item()
