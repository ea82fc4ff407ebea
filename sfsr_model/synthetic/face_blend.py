"""One person's face on another's head: fitted along the rim of the face, blended towards it."""

from __future__ import annotations

import weakref
from dataclasses import replace

import numpy as np

from ..face.landmarks import EYES_TO_MOUTH
from .model import FaceModel
from .shape import Eye, Shape

# The face mask's outline on the resting base mesh (see `sfsr_model.face.mask`), in its units: heights in eyes-to-mouth drops
# from the eye line down, half width in eye distances, and the outline's exponents above and below its widest place.
_TOP, _WIDEST, _BOTTOM, _HALF_WIDTH = -0.52, 0.50, 2.05, 0.95
_UPPER_POWER, _LOWER_POWER = 3.0, 2.0
# Within _FULL of the outline a point is all the face's; from _NONE on all the head's.
_FULL, _NONE = 0.78, 1.0
_RIM = (0.75, 1.15)
_shares: weakref.WeakKeyDictionary[FaceModel, np.ndarray] = weakref.WeakKeyDictionary()


def face_share(model: FaceModel) -> np.ndarray:
    """Share [P] of each point that is the inner person's: 1 within the face, 0 outside the mask, eyes and mouth included."""
    if model not in _shares:
        radius = _outline_radius(model)
        share = ((_NONE - radius) / (_NONE - _FULL)).clip(0, 1)
        share = share * share * (3 - 2 * share)
        _shares[model] = share.astype(np.float32)
    return _shares[model]


def _outline_radius(model: FaceModel) -> np.ndarray:
    """Where points [P] lie towards the mask's outline: 0 in the middle, 1 on it; behind the ears far outside."""
    base = model.base
    eyes = np.stack([base[joint].mean(0) for joint in model.eye_joints])
    distance = float(np.linalg.norm(eyes[0] - eyes[1]))
    mouth = base[model.landmark_points[[48, 54]]].mean(0)
    drop = float(eyes[:, 1].mean() - mouth[1]) or EYES_TO_MOUTH * distance
    down = (eyes[:, 1].mean() - base[:, 1]) / drop
    below = down - _WIDEST
    lower = below > 0
    height = np.where(lower, _BOTTOM - _WIDEST, _WIDEST - _TOP)
    power = np.where(lower, _LOWER_POWER, _UPPER_POWER)
    across = np.abs(base[:, 0]) / (_HALF_WIDTH * distance)
    radius = (across**power + np.abs(below / height) ** power) ** (1 / power)
    # A frontal view shows the cheek up to the ear's root; what lies behind is the head's whatever its height.
    behind = ((0.75 - base[:, 2]) / 0.3).clip(0, 1) * (np.abs(base[:, 0]) > 0.35)
    return radius + behind


def blend_heads(model: FaceModel, face: Shape, head: Shape, share: np.ndarray) -> Shape:
    """The face on the head. The face is moved and scaled as a whole so that its rim meets the head's at rest."""
    radius = _outline_radius(model)
    rim = model.skin_points[(radius[model.skin_points] > _RIM[0]) & (radius[model.skin_points] < _RIM[1])]
    scale, shift = _fit(face.neutral[rim], head.neutral[rim])
    neutral = face.neutral * scale + shift
    points = face.points * scale + shift
    weight = share[:, None]
    eyes = tuple(Eye((eye.centre * scale + shift).astype(np.float32), eye.radius * scale, eye.turn) for eye in face.eyes)
    return replace(
        face,
        neutral=(neutral * weight + head.neutral * (1 - weight)).astype(np.float32),
        points=(points * weight + head.points * (1 - weight)).astype(np.float32),
        eyes=(eyes[0], eyes[1]),
    )


def _fit(source: np.ndarray, goal: np.ndarray) -> tuple[float, np.ndarray]:
    """Scale and shift [3] that best map source [N, 3] to goal, least squares."""
    centre, aim = source.mean(0), goal.mean(0)
    scale = float(((source - centre) * (goal - aim)).sum() / ((source - centre) ** 2).sum())
    return scale, aim - scale * centre
