"""Expressions: the shared value, ARKit's 52 blendshapes, FACS action units, 135 emotion words, blending.

Names are fetched when they are first asked for: the words are listed and looked up without PyTorch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .action_units import action_units_to_arkit
    from .arkit import ARKIT_INDEX, ARKIT_NAMES, LEFT_RIGHT_PAIRS, MIRRORED, MOVEMENTS, PARTS, part_mask
    from .combine import blend, concatenate, take_parts
    from .easing import EASINGS, ease
    from .flame import FLAME_NAMES, clamp_flame
    from .flame_map import FlameMap, FlameMapError, flame_left_out, flame_numbers, load_flame_map
    from .keyframes import Keyframe, parse_keyframes, require_within
    from .library import ExpressionLibrary, LibraryError, build_library, load_library
    from .motion import MAX_FRAMES, interpolate, travel
    from .prompt import PortraitPrompt, parse_prompt
    from .series import even_steps, sweep, sweep_labels
    from .text import Look, family_looks, parse_look, parse_looks
    from .value import HEAD, POSE_AXES, Expression
    from .vocabulary import NEUTRAL, ActionUnit, Word, all_words, group_core, lookup, sources
    from .words import all_word_expressions, word_expression

__all__ = [
    "ARKIT_INDEX",
    "ARKIT_NAMES",
    "EASINGS",
    "FLAME_NAMES",
    "HEAD",
    "LEFT_RIGHT_PAIRS",
    "MAX_FRAMES",
    "MIRRORED",
    "MOVEMENTS",
    "NEUTRAL",
    "PARTS",
    "POSE_AXES",
    "ActionUnit",
    "Expression",
    "ExpressionLibrary",
    "FlameMap",
    "FlameMapError",
    "Keyframe",
    "LibraryError",
    "Look",
    "PortraitPrompt",
    "Word",
    "action_units_to_arkit",
    "all_word_expressions",
    "all_words",
    "blend",
    "build_library",
    "clamp_flame",
    "concatenate",
    "ease",
    "even_steps",
    "family_looks",
    "flame_left_out",
    "flame_numbers",
    "group_core",
    "interpolate",
    "load_flame_map",
    "load_library",
    "lookup",
    "parse_keyframes",
    "parse_look",
    "parse_looks",
    "parse_prompt",
    "part_mask",
    "require_within",
    "sources",
    "sweep",
    "sweep_labels",
    "take_parts",
    "travel",
    "word_expression",
]

_HOMES = {
    "action_units": ("action_units_to_arkit",),
    "arkit": ("ARKIT_INDEX", "ARKIT_NAMES", "LEFT_RIGHT_PAIRS", "MIRRORED", "MOVEMENTS", "PARTS", "part_mask"),
    "combine": ("blend", "concatenate", "take_parts"),
    "easing": ("EASINGS", "ease"),
    "flame": ("FLAME_NAMES", "clamp_flame"),
    "flame_map": ("FlameMap", "FlameMapError", "flame_left_out", "flame_numbers", "load_flame_map"),
    "keyframes": ("Keyframe", "parse_keyframes", "require_within"),
    "library": ("ExpressionLibrary", "LibraryError", "build_library", "load_library"),
    "motion": ("MAX_FRAMES", "interpolate", "travel"),
    "prompt": ("PortraitPrompt", "parse_prompt"),
    "series": ("even_steps", "sweep", "sweep_labels"),
    "text": ("Look", "family_looks", "parse_look", "parse_looks"),
    "value": ("HEAD", "POSE_AXES", "Expression"),
    "vocabulary": ("NEUTRAL", "ActionUnit", "Word", "all_words", "group_core", "lookup", "sources"),
    "words": ("all_word_expressions", "word_expression"),
}


def __getattr__(name: str) -> object:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f".{module}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
