"""Points of a person with an expression: macro shape, sliders, coefficients, and lids that close over the eye."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..expressions import ARKIT_INDEX, ARKIT_NAMES
from .identity import IdentitySpace, macro_weights
from .model import FaceModel

# Turn of an eyeball at coefficient 1, radians. Both eyes converge a little even when they look ahead.
_GAZE_IN_OUT, _GAZE_UP, _GAZE_DOWN, _VERGENCE = 0.55, 0.42, 0.48, 0.025
_UNSMILING = ("mouthFrown", "mouthPress", "mouthStretch", "browDown", "noseSneer")
_AT_REST: dict[str, tuple[float, tuple[str, ...]]] = {
    "browInnerUp": (0.34, ("browDownLeft", "browDownRight")),
    **{f"browOuterUp{side}": (0.12, (f"browDown{side}",)) for side in ("Left", "Right")},
    **{
        f"mouthSmile{side}": (0.13, (*(f"{stem}{side}" for stem in _UNSMILING), "mouthPucker", "mouthFunnel"))
        for side in ("Left", "Right")
    },
    **{f"eyeWide{side}": (0.18, (f"eyeBlink{side}", f"eyeSquint{side}")) for side in ("Left", "Right")},
}
_BROWS_DOWN, _BROW_YIELD = [ARKIT_INDEX["browDownLeft"], ARKIT_INDEX["browDownRight"]], 1.6
_LID_GAP = 1.03
_BLINK_GAIN = (0.75, 1.6)


@dataclass(frozen=True)
class Eye:
    """An eyeball: centre [3], radius, and its turn [3, 3] from looking ahead."""

    centre: np.ndarray
    radius: float
    turn: np.ndarray


@dataclass(frozen=True)
class Shape:
    """A person's points [P, 3], at rest and with an expression, and the two eyes (left, right, the person's own)."""

    neutral: np.ndarray
    points: np.ndarray
    eyes: tuple[Eye, Eye]
    coefficients: np.ndarray


def check_coefficients(coefficients: np.ndarray) -> np.ndarray:
    """The coefficients as float32 [52]; raises ValueError for a wrong length or a value outside [0, 1]."""
    array = np.asarray(coefficients, np.float32)
    if array.shape != (len(ARKIT_NAMES),):
        raise ValueError(f"coefficients: expected {len(ARKIT_NAMES)} numbers in ARKit's order, got shape {array.shape}")
    bad = np.flatnonzero(~((array >= 0) & (array <= 1)))
    if len(bad):
        raise ValueError(f"coefficients[{bad[0]}] ({ARKIT_NAMES[bad[0]]}) is {array[bad[0]]}; expected 0 to 1")
    return array


def neutral_points(model: FaceModel, space: IdentitySpace, vector: np.ndarray) -> np.ndarray:
    """Points [P, 3] of a person at rest."""
    vector = space.check(vector)
    corners = model.macro.reshape(-1, model.macro.shape[-2] * 3)
    points = model.base + (macro_weights(vector).astype(np.float32).ravel() @ corners).reshape(-1, 3)
    model.sliders.add(points, space.slider_weights(vector))
    return points


def make_shape(model: FaceModel, neutral: np.ndarray, coefficients: np.ndarray) -> Shape:
    """Put an expression on a person's resting points."""
    coefficients = check_coefficients(coefficients)
    weights = coefficients.copy()
    for side, name in enumerate(("eyeBlinkLeft", "eyeBlinkRight")):
        weights[ARKIT_INDEX[name]] *= _blink_gain(model, neutral, side)
    # Frontalis and corrugator together draw the inner brows up and inwards: what is raised is not pressed down.
    weights[_BROWS_DOWN] *= 1.0 - min(_BROW_YIELD * weights[ARKIT_INDEX["browInnerUp"]], 0.85)
    weights = weights + _resting(weights)
    points = neutral.copy()
    model.expressions.add(points, weights)
    eyes = tuple(_eye(model, neutral, side, coefficients) for side in range(2))
    for side, eye in enumerate(eyes):
        _lift_lids(points, neutral, model.lid_points[side], eye)
    return Shape(neutral, points, (eyes[0], eyes[1]), coefficients)


def _resting(weights: np.ndarray) -> np.ndarray:
    """What even a face at rest does, so that it looks at ease instead of stern; each movement yields to its opponents."""
    resting = np.zeros_like(weights)
    for name, (amount, opponents) in _AT_REST.items():
        against = sum(float(weights[ARKIT_INDEX[opponent]]) for opponent in opponents)
        resting[ARKIT_INDEX[name]] = amount * max(1.0 - 1.5 * against, 0.0)
    return resting


def _blink_gain(model: FaceModel, neutral: np.ndarray, side: int) -> float:
    """How much further than on the base mesh this person's lid must travel to meet the lower one."""
    upper, lower = model.lid_middles[side]
    opening = neutral[upper, 1].mean() - neutral[lower, 1].mean()
    usual = model.base[upper, 1].mean() - model.base[lower, 1].mean()
    return float(np.clip(opening / max(usual, 1e-3), *_BLINK_GAIN))


def _eye(model: FaceModel, neutral: np.ndarray, side: int, coefficients: np.ndarray) -> Eye:
    centre = neutral[model.eye_joints[side]].mean(0)
    radius = float(np.linalg.norm(neutral[model.eye_points[side]] - centre, axis=1).mean())
    suffix, outward = ("Left", 1.0) if side == 0 else ("Right", -1.0)

    def value(stem: str) -> float:
        return float(coefficients[ARKIT_INDEX[stem + suffix]])

    across = outward * (_GAZE_IN_OUT * (value("eyeLookOut") - value("eyeLookIn")) - _VERGENCE)
    up = _GAZE_UP * value("eyeLookUp") - _GAZE_DOWN * value("eyeLookDown")
    cos, sin = np.cos(across), np.sin(across)
    about_y = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    cos, sin = np.cos(-up), np.sin(-up)
    about_x = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    return Eye(centre.astype(np.float32), radius, (about_y @ about_x).astype(np.float32))


def _lift_lids(points: np.ndarray, neutral: np.ndarray, lids: np.ndarray, eye: Eye) -> None:
    """Push points of the lids that sank into the eyeball out to its surface, in place."""
    offset = points[lids] - eye.centre
    distance = np.linalg.norm(offset, axis=1)
    resting = np.linalg.norm(neutral[lids] - eye.centre, axis=1)
    least = np.minimum(np.maximum(resting, eye.radius * _LID_GAP), eye.radius * 1.25)
    push = (distance < least) & (offset[:, 2] > 0) & (resting > eye.radius * 0.97)
    points[lids[push]] = eye.centre + offset[push] * (least[push] / np.maximum(distance[push], 1e-6))[:, None]
