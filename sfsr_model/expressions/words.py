"""The expression of each of the 135 emotion words."""

from __future__ import annotations

from .action_units import action_units_to_arkit
from .combine import concatenate
from .value import NEUTRAL, Expression
from .vocabulary import all_words, lookup


def word_expression(text: str | int, intensity: float = 1.0) -> Expression:
    """One expression, float32 on the CPU, for a name or number as `lookup` takes it, scaled by `intensity`.

    pose is None for words that say nothing about the head. Raises ValueError as `lookup` and `Expression.scaled` do.
    """
    word = lookup(text)
    if word.word == NEUTRAL:
        return Expression.neutral().scaled(intensity)
    coefficients, pose = action_units_to_arkit({unit.code: unit.intensity for unit in word.action_units})
    pose = None if pose is None else pose.unsqueeze(0)
    return Expression(coefficients.unsqueeze(0), pose, (word.word,)).scaled(intensity)


def all_word_expressions() -> Expression:
    """All 135 in the order of their numbers, at full intensity; words without a pose are upright here."""
    return concatenate([word_expression(word.word) for word in all_words()])
