"""A handful of sliders for the whole face: each moves a few of the 52 coefficients, or turns the eyes or the head."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from .arkit import ARKIT_INDEX, ARKIT_NAMES
from .value import POSE_AXES, Expression


@dataclass(frozen=True)
class Slider:
    """One slider in [-1, 1] (the head's in degrees).

    up, down: coefficients that the positive and the negative half raise, by weight. A slider without `down` takes away
    from `up` when it is negative, which tones down what a word or a photo put there.
    """

    name: str
    label: str
    tooltip: str
    up: Mapping[str, float]
    down: Mapping[str, float] | None = None


def _pair(stem: str, weight: float = 1.0) -> dict[str, float]:
    return {stem + "Left": weight, stem + "Right": weight}


SLIDERS = (
    Slider(
        "brow_raise",
        "brow raise",
        "Lifts both brows, their inner and outer ends; below 0 it lowers them.",
        {"browInnerUp": 1.0, **_pair("browOuterUp")},
        _pair("browDown"),
    ),
    Slider("worry", "worry", "Lifts the inner ends of the brows only, as in worry and grief.", {"browInnerUp": 1.0}),
    Slider(
        "eyes_open",
        "eyes open",
        "Opens the eyes wide; below 0 it closes them, -1 is shut.",
        _pair("eyeWide"),
        _pair("eyeBlink"),
    ),
    Slider("squint", "squint", "Narrows the eyes and lifts the cheeks.", {**_pair("eyeSquint"), **_pair("cheekSquint")}),
    Slider(
        "gaze_side",
        "gaze sideways",
        "Turns both eyes: 1 is to the right of the picture, -1 to the left.",
        {"eyeLookOutLeft": 1.0, "eyeLookInRight": 1.0},
        {"eyeLookInLeft": 1.0, "eyeLookOutRight": 1.0},
    ),
    Slider("gaze_up", "gaze up", "Turns both eyes up; below 0 down.", _pair("eyeLookUp"), _pair("eyeLookDown")),
    Slider("nose_wrinkle", "nose wrinkle", "Wrinkles the nose, as in disgust.", _pair("noseSneer")),
    Slider(
        "smile",
        "smile",
        "Pulls the mouth's corners up; below 0 it pulls them down.",
        _pair("mouthSmile"),
        _pair("mouthFrown"),
    ),
    Slider("jaw_open", "jaw open", "Drops the jaw.", {"jawOpen": 1.0}),
    Slider("teeth", "show teeth", "Parts the lips over the teeth.", {**_pair("mouthUpperUp"), **_pair("mouthLowerDown")}),
    Slider(
        "lips",
        "lips forward",
        "Puckers the lips; below 0 it stretches them sideways.",
        {"mouthPucker": 1.0},
        _pair("mouthStretch"),
    ),
)
_STAYS = " The target's head stays as it is, so little of this is seen."
HEAD_SLIDERS = (
    ("head_pitch", "Raises the face, in degrees; below 0 it nods." + _STAYS),
    ("head_yaw", "Turns the face to the right of the picture, in degrees; below 0 to the left." + _STAYS),
    ("head_roll", "Tips the head clockwise as seen in the picture, in degrees; below 0 the other way." + _STAYS),
)
HEAD_LIMIT = 60.0


def add_sliders(base: Expression, values: Mapping[str, float]) -> Expression:
    """`base` with the sliders' amounts added to every row; coefficients are kept in [0, 1].

    values: amounts by slider name, -1 to 1, and the head's in degrees, -60 to 60; a name left out is 0. A pose appears only
    when a head slider moves, otherwise the base's stays; a flame stays while no slider of the face moves. Raises ValueError
    for an unknown name or an amount out of range.
    """
    known = {slider.name for slider in SLIDERS} | {name for name, _ in HEAD_SLIDERS}
    unknown = sorted(values.keys() - known)
    if unknown:
        raise ValueError(f"slider '{unknown[0]}' does not exist; expected one of {', '.join(sorted(known))}")
    change = torch.zeros(len(ARKIT_NAMES))
    for slider in SLIDERS:
        amount = _checked(slider.name, values.get(slider.name, 0.0), 1.0)
        targets, strength = (slider.up, amount) if amount >= 0 or slider.down is None else (slider.down, -amount)
        for name, weight in targets.items():
            change[ARKIT_INDEX[name]] += strength * weight
    coefficients = (base.coefficients + change.to(base.coefficients)).clamp(0.0, 1.0)

    degrees = [_checked(name, values.get(name, 0.0), HEAD_LIMIT) for name, _ in HEAD_SLIDERS]
    pose = base.pose
    if any(degrees):
        turn = coefficients.new_tensor([math.radians(angle) for angle in degrees])
        start = coefficients.new_zeros(len(base), len(POSE_AXES)) if pose is None else pose
        pose = (start + turn).clamp(-math.pi, math.pi)
    flame = None if bool(change.any()) else base.flame
    return replace(base, coefficients=coefficients, pose=pose, flame=flame)


def _checked(name: str, amount: float, limit: float) -> float:
    if not -limit <= amount <= limit:
        raise ValueError(f"slider '{name}' is {amount}; expected a number from {-limit:g} to {limit:g}")
    return float(amount)
