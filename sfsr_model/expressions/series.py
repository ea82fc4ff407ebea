"""Series of expressions side by side: many words, many intensities, or a sheet of both."""

from __future__ import annotations

from collections.abc import Sequence

from .motion import MAX_FRAMES
from .value import Expression


def even_steps(start: float, end: float, steps: int) -> tuple[float, ...]:
    """`steps` numbers from `start` to `end`, both included exactly; a single one is `end`. Raises ValueError for no step."""
    if steps < 1:
        raise ValueError(f"steps is {steps}; expected 1 or more")
    if steps == 1:
        return (end,)
    shares = [step / (steps - 1) for step in range(steps)]
    return tuple(start * (1.0 - share) + end * share for share in shares)


def sweep(expressions: Expression, intensities: Sequence[float]) -> Expression:
    """Each of B expressions at each of M intensities, B * M rows: all intensities of the first, then of the second, ...

    Raises ValueError for no intensity, one that `Expression.scaled` refuses, and for more than `MAX_FRAMES` rows.
    """
    count = len(expressions) * len(intensities)
    if not 1 <= count <= MAX_FRAMES:
        raise ValueError(
            f"steps: {len(expressions)} expressions at {len(intensities)} intensities are {count}; expected 1 to {MAX_FRAMES}: "
            "take fewer steps or fewer expressions"
        )
    rows = expressions.rows([row for row in range(len(expressions)) for _ in intensities])
    return rows.scaled(rows.coefficients.new_tensor(list(intensities) * len(expressions)))


def sweep_labels(names: Sequence[str], intensities: Sequence[float]) -> tuple[str, ...]:
    """A caption for each row of `sweep`: the name, and the intensity where there are several."""
    if len(intensities) == 1:
        return tuple(names)
    return tuple(f"{name} {intensity:.2f}" for name in names for intensity in intensities)
