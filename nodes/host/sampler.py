"""The solver in ComfyUI's SAMPLER type."""

from __future__ import annotations

from typing import Any

import comfy.samplers

from ...sfsr_model.estimators import sample_improved_midpoint


def improved_midpoint_sampler(
    order: int, midpoint_location: str, midpoint_fraction: float, background_anchoring: float, eta: float
) -> Any:
    """A SAMPLER that runs `sample_improved_midpoint` with these options."""
    return comfy.samplers.KSAMPLER(
        sample_improved_midpoint,
        extra_options={
            "order": order,
            "midpoint_location": midpoint_location,
            "midpoint_fraction": midpoint_fraction,
            "background_anchoring": background_anchoring,
            "eta": eta,
        },
    )
