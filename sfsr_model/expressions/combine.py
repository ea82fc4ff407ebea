"""Mixing expressions: batches joined, weighted blends, parts of the face from different ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..batch import common_length
from .arkit import PARTS
from .flame import FLAME_NAMES, clamp_flame
from .value import HEAD, POSE_AXES, Expression, shared_smirk


def concatenate(expressions: Sequence[Expression]) -> Expression:
    """One batch of all rows, in order, with the first one's dtype and device.

    Where some have a pose and others none, none counts as upright. Where some have flame and others none, there is none, except
    that a face at rest counts as zeros. Raises ValueError for an empty sequence.
    """
    expressions = _aligned(expressions)
    coefficients = torch.cat([one.coefficients for one in expressions])
    pose = torch.cat([_pose_or_upright(one) for one in expressions]) if _any_pose(expressions) else None
    flames = _flames(expressions)
    flame = None if flames is None else torch.cat(flames)
    words = tuple(word for one in expressions for word in one.words)
    return Expression(coefficients, pose, words, flame, shared_smirk(expressions))


def blend(expressions: Sequence[Expression], weights: Sequence[float], names: Sequence[str] | None = None) -> Expression:
    """Weighted mean, row by row; weights are divided by their sum, so the result is an expression again.

    Lengths must agree, or be 1 (used for every row). A missing pose counts as upright where another contributor has
    one; flame is treated as `concatenate` does. A row keeps its word if all that contribute to it (weight above 0) share
    the word. Raises ValueError for no expression, another number of weights, a negative or non-finite weight, weights that
    sum to 0, unequal lengths; the messages call the expressions and their weights by `names`, one each, where they are
    given.
    """
    expressions = _aligned(expressions)
    if len(weights) != len(expressions):
        raise ValueError(f"weights has {len(weights)} entries for {len(expressions)} expressions; expected one each")
    names = [f"[{index}]" for index in range(len(expressions))] if names is None else [f"_{name}" for name in names]
    for name, weight in zip(names, weights, strict=True):
        if not (math.isfinite(weight) and weight >= 0):
            raise ValueError(f"weight{name} is {weight}; expected a finite number, 0 or more")
    total = math.fsum(weights)
    if total == 0:
        raise ValueError("weights are all 0; expected at least one above 0")
    batch = common_length(**{f"expression{name}": len(one) for name, one in zip(names, expressions, strict=True)})
    parts = [(one.expand(batch), weight / total) for one, weight in zip(expressions, weights, strict=True) if weight > 0]
    coefficients = torch.stack([one.coefficients * share for one, share in parts]).sum(0)
    pose = None
    if _any_pose([one for one, _ in parts]):
        pose = torch.stack([_pose_or_upright(one) * share for one, share in parts]).sum(0)
    flames = _flames([one for one, _ in parts])
    flame = None
    if flames is not None:
        flame = clamp_flame(torch.stack([one * share for one, (_, share) in zip(flames, parts, strict=True)]).sum(0))
    words = _shared_words([one for one, _ in parts], batch)
    smirk = shared_smirk([one for one, _ in parts])
    # Rounding may exceed 1 by one unit in the last place.
    return Expression(coefficients.clamp(0, 1), pose, words, flame, smirk)


def take_parts(base: Expression, sources: Mapping[str, Expression]) -> Expression:
    """`base` with some parts of the face taken from other expressions, row by row.

    sources: by part (keys of `PARTS`, and "head" for the pose) the expression that shows there. Lengths must agree, or be 1
    (used for every row). A head taken from an expression without a pose has none. A face of parts has no flame. A row keeps its
    word if all that are left in it share the word. Raises ValueError for an unknown part or unequal lengths.
    """
    batch = common_length(base=len(base), **{part: len(source) for part, source in sources.items()})
    mixed = base = base.expand(batch)
    for part, source in sources.items():
        mixed = source.to(mixed.coefficients).expand(batch).select_parts(part, otherwise=mixed)
    shown = [base, *sources.values()] if {*PARTS, HEAD} - sources.keys() else list(sources.values())
    return replace(mixed, words=_shared_words(shown, batch))


def _shared_words(expressions: Sequence[Expression], batch: int) -> tuple[str | None, ...]:
    """For each row the word that all have there, else None."""
    rows = zip(*(one.expand(batch).words for one in expressions), strict=True)
    return tuple(row[0] if len(set(row)) == 1 else None for row in rows)


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


def _flames(expressions: Sequence[Expression]) -> list[Tensor] | None:
    """What each has as flame, zeros for faces at rest that have none; None where there is nothing to go by."""
    if all(one.flame is None for one in expressions):
        return None
    flames = []
    for one in expressions:
        if one.flame is not None:
            flames.append(one.flame)
        elif not bool(one.coefficients.any()):
            flames.append(one.coefficients.new_zeros(len(one), len(FLAME_NAMES)))
        else:
            return None
    return flames
