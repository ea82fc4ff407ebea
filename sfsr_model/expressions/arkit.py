"""The 52 ARKit blendshapes: names in Apple's order, left/right pairs, parts of the face.

Apple's order is the one of its list of `ARFaceAnchor.BlendShapeLocation` by region: left eye, right eye, jaw, mouth,
brows, cheeks, nose, tongue. Other tools keep other orders (MediaPipe sorts by name and adds `_neutral`; Live Link Face
swaps left and right in places): map by name, never by position. Left and right are the person's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor


def _both_sides(*stems: str) -> tuple[str, ...]:
    return tuple(stem + side for stem in stems for side in ("Left", "Right"))


_EYE_STEMS = ("eyeBlink", "eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp", "eyeSquint", "eyeWide")

ARKIT_NAMES: tuple[str, ...] = (
    *(stem + "Left" for stem in _EYE_STEMS),
    *(stem + "Right" for stem in _EYE_STEMS),
    "jawForward",
    "jawLeft",
    "jawRight",
    "jawOpen",
    "mouthClose",
    "mouthFunnel",
    "mouthPucker",
    "mouthLeft",
    "mouthRight",
    *_both_sides("mouthSmile", "mouthFrown", "mouthDimple", "mouthStretch"),
    "mouthRollLower",
    "mouthRollUpper",
    "mouthShrugLower",
    "mouthShrugUpper",
    *_both_sides("mouthPress", "mouthLowerDown", "mouthUpperUp"),
    *_both_sides("browDown"),
    "browInnerUp",
    *_both_sides("browOuterUp"),
    "cheekPuff",
    *_both_sides("cheekSquint", "noseSneer"),
    "tongueOut",
)
ARKIT_INDEX: Mapping[str, int] = MappingProxyType({name: index for index, name in enumerate(ARKIT_NAMES)})

LEFT_RIGHT_PAIRS: tuple[tuple[int, int], ...] = tuple(
    (ARKIT_INDEX[name], ARKIT_INDEX[name[: -len("Left")] + "Right"]) for name in ARKIT_NAMES if name.endswith("Left")
)
"""Index pairs (left, right) that a mirror exchanges; the coefficients in no pair are their own mirror image."""

_PARTNER = {one: other for pair in LEFT_RIGHT_PAIRS for one, other in (pair, pair[::-1])}
MIRRORED: tuple[int, ...] = tuple(_PARTNER.get(index, index) for index in range(len(ARKIT_NAMES)))
"""Where each coefficient of a mirrored face stands."""
MOVEMENTS: tuple[tuple[int, ...], ...] = (
    *LEFT_RIGHT_PAIRS,
    *((index,) for index in range(len(ARKIT_NAMES)) if index not in _PARTNER),
)
"""Indices of coefficients that mostly move together: both sides, then those that have none."""

_GAZE = _both_sides("eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp")
_EYES = _both_sides("eyeBlink", "eyeSquint", "eyeWide", "cheekSquint")
_BROWS = ("browInnerUp", *_both_sides("browDown", "browOuterUp"))
_NOSE = _both_sides("noseSneer")
_ELSEWHERE = {*_GAZE, *_EYES, *_BROWS, *_NOSE}

PARTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "brows": _BROWS,
        "eyes": _EYES,
        "gaze": _GAZE,
        "nose": _NOSE,
        "mouth": tuple(name for name in ARKIT_NAMES if name not in _ELSEWHERE),
    }
)
"""A partition of the 52 names. cheekSquint is work of the muscle around the eye and counts as eyes; mouth takes lips,
jaw, tongue and cheekPuff (air held by the lips)."""


def part_mask(names: str | Iterable[str]) -> Tensor:
    """Boolean [52], true where a coefficient belongs to one of the named parts (keys of `PARTS`).

    Raises ValueError for a name that is no part.
    """
    mask = torch.zeros(len(ARKIT_NAMES), dtype=torch.bool)
    for part in [names] if isinstance(names, str) else names:
        if part not in PARTS:
            raise ValueError(f"unknown part of the face {part!r}; expected one of {', '.join(PARTS)}")
        mask[[ARKIT_INDEX[name] for name in PARTS[part]]] = True
    return mask
