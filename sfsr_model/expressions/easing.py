"""How a movement spends its time: curves from (0, 0) to (1, 1) that never turn back."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

_CURVES: Mapping[str, Callable[[float], float]] = MappingProxyType(
    {
        "linear": lambda t: t,
        "ease in": lambda t: t * t,
        "ease out": lambda t: t * (2.0 - t),
        "ease in and out": lambda t: 2.0 * t * t if t < 0.5 else 1.0 - 2.0 * (1.0 - t) ** 2,
        "smoothstep": lambda t: t * t * (3.0 - 2.0 * t),
        "smootherstep": lambda t: t * t * t * (t * (6.0 * t - 15.0) + 10.0),
        "hold": math.floor,
    }
)
EASINGS = tuple(_CURVES)
"""Even speed; slow start; slow end; both, by parabolas; at rest at both ends (3t^2 - 2t^3, the cubic Hermite polynomial);
at rest and without acceleration there (6t^5 - 15t^4 + 10t^3, Perlin 2002, "Improving Noise"); a jump at the end."""


def ease(t: float, easing: str) -> float:
    """Share of the way covered after the share `t` of the time, both in [0, 1]; exact at both ends.

    Raises ValueError for an unknown easing and for a `t` outside [0, 1].
    """
    require_easing(easing)
    if not 0.0 <= t <= 1.0:
        raise ValueError(f"t is {t}; expected a number from 0 to 1")
    return min(float(_CURVES[easing](t)), 1.0)


def require_easing(easing: str) -> None:
    """Raises ValueError, listing the easings, for an unknown one."""
    if easing not in EASINGS:
        raise ValueError(f"unknown easing {easing!r}; expected one of {', '.join(EASINGS)}")
