"""What the figures are called, how their numbers are written, and what they should reach."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..metrics import Figure, shown
from .cast import GALLERY, PAIRS
from .painters import CHECKPOINT, FORERUNNER, ROUND_TRIP, TARGET, WARPED

NOTHING = Figure(None, None, None, 0)
MAKERS = {
    CHECKPOINT: "checkpoint",
    FORERUNNER: "forerunner",
    WARPED: "reference warped and blended",
    TARGET: "target itself",
    ROUND_TRIP: "right answer's round trip",
}
OWN_TARGET = "right answer"
"""What the target is called where the person's own photo is to be made again."""


@dataclass(frozen=True)
class Goal:
    """From where to where a figure should lie, at least and at best."""

    floor: tuple[float, float]
    target: tuple[float, float]

    def reached(self, value: float | None) -> str:
        """In a word, "-" for what was not measured."""
        if value is None:
            return "-"
        return next((name for name, (low, high) in reversed(vars(self).items()) if low <= value <= high), "neither")


def _at_least(floor: float, target: float) -> Goal:
    return Goal((floor, math.inf), (target, math.inf))


def _at_most(floor: float, target: float) -> Goal:
    return Goal((-math.inf, floor), (-math.inf, target))


GOALS = {
    "carried": _at_least(0.40, 0.80),
    "retrieved": _at_least(0.35, 0.90),
    "target_instead": _at_most(15, 3),
    "correlation": _at_least(0.45, 0.80),
    "words": _at_least(0.55, 0.90),
    "source_instead": _at_most(3, 1.5),
    "seen": _at_least(0.97, 0.995),
    "eyes": _at_least(0.90, 0.98),
    "sharpness": Goal((0.6, 1.2), (0.85, 1.1)),
    "step": _at_most(2.5, 1.0),
}
"""By figure of the headline judges."""
TITLES = {
    "carried": "identity carried over",
    **{f"carried_{source}": f"identity carried over: {source}" for source in (GALLERY, *PAIRS)},
    "cosine": "cosine to the person's other photo",
    "retrieved": "the person retrieved",
    "target_instead": "the target's person retrieved instead, times chance",
    "correlation": "expression: correlation with the source's reading, mean of coefficients",
    "error_active": "expression: mean error of active coefficients",
    "error_all": "expression: mean error of all coefficients",
    "words": "expression: six primary words told apart",
    "source_instead": "the expression's source person retrieved, times chance",
    "pose": "pose: mean difference to the target's in degrees",
    "seen": "a face is seen",
    "eyes": "both eyes within 8 % of the eyes' distance of the target's",
    "sharpness": "sharpness inside the mask over the target's own",
    "step": "step of colour across the mask's edge beyond the target's own, CIEDE2000",
    "worst_step": "the same, the worst twelfth of the edge",
    "difference": "mean difference to the right answer inside the mask, grey levels",
}
"""In the order of the tables' rows."""
SHARES = frozenset({"retrieved", "words", "seen", "eyes"})
_TWO_DIGITS = frozenset({"target_instead", "source_instead", "pose", "step", "worst_step", "difference", "sharpness"})


def written(name: str, figure: Figure) -> str:
    """A figure as a table shows it."""
    return shown(figure, lambda number: format(number, _form(name)))


def _form(name: str) -> str:
    return ".1%" if name in SHARES else ".2f" if name in _TWO_DIGITS else ".3f"


def range_text(name: str, ends: tuple[float, float]) -> str:
    """A floor or target for people, such as "at least 0.4" or "0.6 to 1.2"."""
    low, high = (f"{100 * end:g} %" if name in SHARES else f"{end:g}" for end in ends)
    if math.isinf(ends[1]):
        return f"at least {low}"
    return f"at most {high}" if math.isinf(ends[0]) else f"{low} to {high}"
