"""Noise levels that people type."""

from __future__ import annotations

import math

from ..schedule import ScaledLinearSchedule

MOST_LEVELS = 24
_EXAMPLES = "a list such as '0.5, 2, 8', or how many levels, such as '4'"


def noise_levels(text: str, schedule: ScaledLinearSchedule | None = None) -> tuple[float, ...]:
    """The noise levels sigma that a text names, falling.

    "0.5, 2, 8" are three levels, separated by commas or spaces. A whole number alone, "4", is a count: so many levels, evenly
    spaced in the schedule's timesteps, its ends left out. Raises ValueError naming the entry at fault.
    """
    schedule = schedule or ScaledLinearSchedule()
    entries = text.replace(",", " ").split()
    if not entries:
        raise ValueError(f"levels: found no noise level; expected {_EXAMPLES}")
    if len(entries) == 1 and entries[0].isdecimal():
        count = int(entries[0])
        if not 1 <= count <= MOST_LEVELS:
            raise ValueError(f"levels: found a count of {count}, expected 1 to {MOST_LEVELS}")
        return tuple(schedule.sigma((schedule.timesteps - 1) * (count - place) / (count + 1)) for place in range(count))
    if len(entries) > MOST_LEVELS:
        raise ValueError(f"levels: found {len(entries)} of them, expected at most {MOST_LEVELS}")
    lowest, highest = float(schedule.sigmas[0]), float(schedule.sigmas[-1])
    return tuple(sorted((_level(entry, lowest, highest) for entry in entries), reverse=True))


def _level(entry: str, lowest: float, highest: float) -> float:
    try:
        level = float(entry)
    except ValueError:
        raise ValueError(f"levels: found '{entry}', which is no number; expected {_EXAMPLES}") from None
    if not (math.isfinite(level) and lowest <= level <= highest):
        raise ValueError(
            f"levels: found {entry}, but the model knows noise levels from {lowest:.3g} to {highest:.4g}; expected {_EXAMPLES}"
        )
    return level
