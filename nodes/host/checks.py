"""What a checkpoint knows of itself, held against the latent and the conditions that meet its network, once a sampling run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import comfy.patcher_extension
from torch import Tensor

from . import decoupled
from .anchoring import carried, target_of
from .guidance import SCALES, is_guided
from .streams import Traits

logger = logging.getLogger(__name__)

WRAPPER_KEY = "sfsr_checks"
TOKENS = "cross_attn"
"""In a condition, while the host samples: its tokens [B, T, width]."""
LATENT_FACTOR = 8
"""Pixels along a latent's side, of every autoencoder that a checkpoint can hold."""


def check_runs(model: Any, traits: Traits) -> None:
    """Give a model the wrapper that warns of a run that cannot give a face. model: a patcher that is nobody else's yet."""

    def checked(
        executor: Callable[..., Tensor],
        guider: Any,
        sigmas: Tensor,
        extra_args: dict[str, Any],
        callback: Any,
        noise: Tensor,
        latent: Tensor | None = None,
        *rest: Any,
    ) -> Tensor:
        for problem in _problems(traits, guider, extra_args["model_options"], latent):
            logger.warning("SFSR: %s", problem)
        return executor(guider, sigmas, extra_args, callback, noise, latent, *rest)

    model.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.SAMPLER_SAMPLE, WRAPPER_KEY, checked)


def size_problem(traits: Traits, height: int, width: int, found: str = "this one has") -> str | None:
    """What is wrong with pictures of this size in pixels for a model; None where it was trained at it, or not at all."""
    side = traits.resolution
    if not traits.trained or (height, width) == (side, side):
        return None
    return f"the checkpoint was trained on crops of {side} x {side} pixels, {found} {width} x {height}"


def _problems(traits: Traits, guider: Any, options: dict[str, Any], latent: Tensor | None) -> Iterator[str]:
    if latent is not None:
        height, width = (side * LATENT_FACTOR for side in latent.shape[-2:])
        wrong = size_problem(traits, height, width, "the latent is of")
        # Of a size that it was given itself, SFSR Conditioning has told already.
        if wrong and (traits.one_size_only or target_of(guider, latent) is None):
            worse = "of which it makes no face" if traits.one_size_only else "of which it makes a worse one"
            yield (
                f"{wrong}, {worse}: connect the latent of SFSR Conditioning as it is, and enlarge the picture behind VAE "
                "Decode in place of the latent"
            )
    if _carries_streams(guider) and not decoupled.is_installed(options):
        yield (
            "the model of this run does not come from that SFSR Conditioning, so person and expression do not reach it: "
            "connect the model output of that node to the sampler or guider"
        )
    made_for = carried(guider, TOKENS)
    if latent is not None and made_for is not None and len(latent) < len(made_for):
        yield (
            f"the latent holds {len(latent)} of the {len(made_for)} pictures that SFSR Conditioning was given, and conditions "
            "go by their place in the batch, so it gets the person, expression and surroundings of the first. Sample the whole "
            "latent, or take single pictures out before SFSR Conditioning, not behind it"
        )
    scales = carried(guider, SCALES)
    if scales is not None and scales != (1.0, 1.0) and not is_guided(options):
        yield (
            f"identity_guidance {scales[0]:g} and expression_guidance {scales[1]:g} do nothing in this run, because its model "
            "does not come from that SFSR Conditioning; connect the model output of that node to the sampler or guider"
        )


def _carries_streams(guider: Any) -> bool:
    """Whether a condition of a run holds what adapters' patches add."""
    return any(decoupled.KEY in one.get("model_conds", ()) for conds in guider.conds.values() for one in conds or ())
