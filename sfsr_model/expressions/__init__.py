"""Expressions: the shared value, ARKit's 52 blendshapes, FACS action units, 135 emotion words, blending."""

from .action_units import action_units_to_arkit
from .arkit import ARKIT_INDEX, ARKIT_NAMES, LEFT_RIGHT_PAIRS, PARTS, part_mask
from .combine import EASINGS, blend, concatenate, travel
from .value import HEAD, NEUTRAL, POSE_AXES, Expression
from .words import ActionUnit, Word, all_word_expressions, all_words, group_core, lookup, sources, word_expression

__all__ = [
    "ARKIT_INDEX",
    "ARKIT_NAMES",
    "EASINGS",
    "HEAD",
    "LEFT_RIGHT_PAIRS",
    "NEUTRAL",
    "PARTS",
    "POSE_AXES",
    "ActionUnit",
    "Expression",
    "Word",
    "action_units_to_arkit",
    "all_word_expressions",
    "all_words",
    "blend",
    "concatenate",
    "group_core",
    "lookup",
    "part_mask",
    "sources",
    "travel",
    "word_expression",
]
