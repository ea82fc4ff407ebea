"""An expression as FineFace is told of it."""

from __future__ import annotations

from torch import Tensor

from ..expressions.action_units import arkit_to_action_units
from .kinds import ACTION_UNITS

FULL_INTENSITY = 5.0
"""DISFA's scale, from 0 to 5 (FACS's A to E). That a coefficient of 1 is the most a face can do is ARKit's own scale."""


def fineface_units(coefficients: Tensor) -> Tensor:
    """ARKit's coefficients [B, 52] as intensities [B, 12] of FineFace's action units, from 0 to 5."""
    return FULL_INTENSITY * arkit_to_action_units(coefficients, ACTION_UNITS)
