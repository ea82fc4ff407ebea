"""Mixing expressions: batches joined, weighted blends, travel from one to another."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .value import POSE_AXES, Expression

EASINGS = ("linear", "smooth")


def concatenate(expressions: Sequence[Expression]) -> Expression:
    """One batch of all rows, in order, with the first one's dtype and device.

    Where some have a pose and others none, none counts as upright. Raises ValueError for an empty sequence.
    """
    expressions = _aligned(expressions)
    coefficients = torch.cat([one.coefficients for one in expressions])
    pose = torch.cat([_pose_or_upright(one) for one in expressions]) if _any_pose(expressions) else None
    return Expression(coefficients, pose, tuple(word for one in expressions for word in one.words))


def blend(expressions: Sequence[Expression], weights: Sequence[float]) -> Expression:
    """Weighted mean, row by row; weights are divided by their sum, so the result is an expression again.

    Lengths must agree, or be 1 (used for every row). A missing pose counts as upright where another contributor has
    one. A row keeps its word if all that contribute to it (weight above 0) share the word. Raises ValueError for no
    expression, another number of weights, a negative or non-finite weight, weights that sum to 0, unequal lengths.
    """
    expressions = _aligned(expressions)
    if len(weights) != len(expressions):
        raise ValueError(f"weights has {len(weights)} entries for {len(expressions)} expressions; expected one each")
    for index, weight in enumerate(weights):
        if not (math.isfinite(weight) and weight >= 0):
            raise ValueError(f"weights[{index}] is {weight}; expected a finite number, 0 or more")
    total = math.fsum(weights)
    if total == 0:
        raise ValueError("weights are all 0; expected at least one above 0")
    batch = max(len(one) for one in expressions)
    parts = [(one.expand(batch), weight / total) for one, weight in zip(expressions, weights, strict=True) if weight > 0]
    coefficients = sum(one.coefficients * share for one, share in parts)
    pose = None
    if _any_pose([one for one, _ in parts]):
        pose = sum(_pose_or_upright(one) * share for one, share in parts)
    sources = [set(row) for row in zip(*(one.words for one, _ in parts), strict=True)]
    words = tuple(row.pop() if len(row) == 1 else None for row in sources)
    return Expression(coefficients.clamp(0, 1), pose, words)  # rounding may exceed 1 by one unit in the last place


def travel(start: Expression, end: Expression, steps: int, easing: str = "linear") -> Expression:
    """`steps` expressions from `start` to `end`, both included exactly; only these two keep their words.

    start, end: one row each. easing: "linear", or "smooth" (3t^2 - 2t^3: at rest at both ends). A missing pose counts
    as upright if the other has one. Raises ValueError for a batch, fewer than 2 steps, an unknown easing.
    """
    for name, one in (("start", start), ("end", end)):
        if len(one) != 1:
            raise ValueError(f"{name} holds {len(one)} expressions; expected 1")
    if steps <= 1:
        raise ValueError(f"steps is {steps}; expected 2 or more, as both ends are included")
    if easing not in EASINGS:
        raise ValueError(f"unknown easing {easing!r}; expected one of {', '.join(EASINGS)}")
    start, end = _aligned([start, end])
    like = start.coefficients
    t = torch.linspace(0, 1, steps, dtype=like.dtype, device=like.device).unsqueeze(1)
    if easing == "smooth":
        t = t * t * (3 - 2 * t)
    coefficients = start.coefficients * (1 - t) + end.coefficients * t
    pose = None
    if _any_pose([start, end]):
        pose = _pose_or_upright(start) * (1 - t) + _pose_or_upright(end) * t
    return Expression(coefficients, pose, (start.words[0], *(None,) * (steps - 2), end.words[0]))


def _aligned(expressions: Sequence[Expression]) -> list[Expression]:
    if not expressions:
        raise ValueError("expressions is empty; expected at least one")
    return [one.to(expressions[0].coefficients) for one in expressions]


def _any_pose(expressions: Sequence[Expression]) -> bool:
    return any(one.pose is not None for one in expressions)


def _pose_or_upright(expression: Expression) -> Tensor:
    if expression.pose is not None:
        return expression.pose
    return expression.coefficients.new_zeros(len(expression), len(POSE_AXES))
