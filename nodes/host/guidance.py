"""Two guidance scales in one sampling run.

The wanted prediction is D(0,0) + cfg * (s_id [D(id,0) - D(0,0)] + s_exp [D(id,exp) - D(id,0)]), the composition of
InstructPix2Pix (Brooks et al. 2023, eq. 3) with identity and expression as the two conditions. The host computes
D(0,0) + cfg * (P - D(0,0)), so the wrapper hands it P = D(0,0) + s_id [D(id,0) - D(0,0)] + s_exp [D(id,exp) - D(id,0)]
in place of its positive prediction. With both scales at 1 that is the positive prediction itself, and no wrapper is set.
"""

from __future__ import annotations

from typing import Any

import comfy.patcher_extension

WRAPPER_KEY = "sfsr_guidance"
IDENTITY_ONLY = "sfsr_identity_only"
"""In a condition: what reaches the network in place of it where the expression is null."""
SCALES = "sfsr_scales"
"""In a condition: the two scales (identity, expression) that the model was given beside it."""


def set_stream_guidance(model: Any, identity_scale: float, expression_scale: float) -> None:
    """Give a cloned model its two scales; scales of 1 remove what an earlier conditioning had set."""
    wrappers = comfy.patcher_extension.WrappersMP.CALC_COND_BATCH
    model.remove_wrappers_with_key(wrappers, WRAPPER_KEY)
    if identity_scale == expression_scale == 1.0:
        return

    def calculate(executor, inner_model, conds, x_in, timestep, model_options):
        # A plain guider asks for the positive and the negative prediction. One that asks for more has a formula of its own (the
        # dual guider's is the one above), in an order of its own; one that asks for a single one wants no guidance.
        if len(conds) != 2 or None in conds:
            return executor(inner_model, conds, x_in, timestep, model_options)
        positive = conds[0]
        if identity_scale == expression_scale:
            full, null = executor(inner_model, conds, x_in, timestep, model_options)
            return [null + identity_scale * (full - null), null]
        with_identity = [_identity_only(cond) for cond in positive]
        full, null, identity = executor(inner_model, [*conds, with_identity], x_in, timestep, model_options)
        guided = null + identity_scale * (identity - null) + expression_scale * (full - identity)
        return [guided, null]

    model.add_wrapper_with_key(wrappers, WRAPPER_KEY, calculate)
    # At cfg 1 the host would leave out the negative prediction, which the formula needs.
    model.model_options["disable_cfg1_optimization"] = True


def is_guided(model_options: dict[str, Any]) -> bool:
    """Whether the model of a sampling run has two scales."""
    wrappers = comfy.patcher_extension.WrappersMP.CALC_COND_BATCH
    return bool(comfy.patcher_extension.get_wrappers_with_key(wrappers, WRAPPER_KEY, model_options, is_model_options=True))


def _identity_only(cond: dict[str, Any]) -> dict[str, Any]:
    """The same condition with what it would be with a null expression; conditions that are not ours stay."""
    return {**cond, "model_conds": {**cond["model_conds"], **cond.get(IDENTITY_ONLY, {})}}
