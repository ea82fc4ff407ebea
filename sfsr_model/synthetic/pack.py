"""The shader's vector of scalars and table of colours, filled from identity, look, expression and scene."""

from __future__ import annotations

import numpy as np

from ..expressions import ARKIT_INDEX
from . import params as k
from .identity import Details
from .look import Look
from .scene import Lighting
from .view import SHADOW_REACH, ShadowView


def pack_parameters(
    inner: Details, outer: Details, look: Look, lighting: Lighting, coefficients: np.ndarray, shadows: ShadowView,
    head: np.ndarray, camera: float, eye_height: float,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """(F, C) as `params` lays them out. inner: whose face it is; outer: whose head carries it."""
    F, C = np.zeros(k.SCALARS, np.float32), np.zeros((k.TABLE, 3), np.float32)

    def value(*names: str) -> float:
        return float(np.mean([coefficients[ARKIT_INDEX[name]] for name in names]))

    F[k.SKIN_A], F[k.SKIN_B], F[k.SKIN_MIX] = *inner.skins, inner.skin_mix
    F[k.OTHER_A], F[k.OTHER_B], F[k.OTHER_MIX] = *outer.skins, outer.skin_mix
    F[k.FRECKLES], F[k.SEED] = inner.freckles, inner.moles % 97
    F[k.BROW_DENSITY], F[k.BLUSH], F[k.LIPS] = inner.brow_density, inner.blush, inner.lips
    lifted = max(value("browInnerUp"), value("browOuterUpLeft", "browOuterUpRight"))
    F[k.FOREHEAD] = 0.12 * max(inner.age - 0.25, 0) + (0.45 + 0.7 * inner.age) * lifted
    frown = value("browDownLeft", "browDownRight")
    F[k.FROWN] = 0.08 * max(inner.age - 0.3, 0) + (0.6 + 0.4 * inner.age) * frown
    for index, side in ((k.CROW_LEFT, "Left"), (k.CROW_RIGHT, "Right")):
        narrowed = max(value(f"eyeSquint{side}"), value(f"cheekSquint{side}"), 0.7 * value(f"mouthSmile{side}"))
        F[index] = 0.3 * max(inner.age - 0.3, 0) + (0.2 + 0.8 * inner.age) * narrowed
    F[k.AGE], F[k.OIL], F[k.HAIR_SHINE] = inner.age, look.oil, look.hair_shine
    F[k.CLOTH_PATTERN], F[k.CLOTH_SCALE] = look.cloth_pattern, look.cloth_scale
    F[k.NECKLINE], F[k.NECKLINE_CURVE] = look.neckline, look.neckline_curve
    F[k.MOUTH_OPEN] = min(value("jawOpen") * 1.6 + 0.3 * value("mouthLowerDownLeft", "mouthUpperUpLeft"), 1.0)
    F[k.PUPIL] = 0.42
    F[k.CAMERA], F[k.EYE_HEIGHT] = camera, eye_height
    F[k.FRAME_GLOSS] = look.glasses.gloss if look.glasses else 0.0
    F[[k.SHADOW_U, k.SHADOW_V, k.SHADOW_W]] = shadows.shift
    F[k.SHADOW_BIAS] = 7.0 * SHADOW_REACH / shadows.size

    C[k.TONE], C[k.HAIR_COLOUR], C[k.HAIR_TIP] = look.tone, look.hair_colour, look.hair_tip
    C[k.IRIS], C[k.BROW_COLOUR] = inner.iris, inner.brow_colour
    C[k.CLOTH_A], C[k.CLOTH_B] = look.cloth_a, look.cloth_b
    C[k.FRAME] = look.glasses.colour if look.glasses else 0.0
    C[k.SKY], C[k.GROUND] = lighting.sky, lighting.ground
    for number, light in enumerate((lighting.key, lighting.fill, lighting.rim)):
        C[k.LIGHT + number], C[k.COLOUR + number] = light.direction, light.colour
    C[k.SHADOW_X], C[k.SHADOW_Y], C[k.SHADOW_Z] = shadows.axes
    C[k.HEAD_UP] = head[:, 1]
    return F, C
