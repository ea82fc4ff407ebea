"""Where the shader's numbers lie: indices into its scalar vector F and its table C of colours and directions."""

from __future__ import annotations

# Scalars.
(
    SKIN_A, SKIN_B, SKIN_MIX, OTHER_A, OTHER_B, OTHER_MIX, FRECKLES, SEED, BROW_DENSITY, BROW_STYLE, BLUSH, LIPS,
    FOREHEAD, FROWN, CROW_LEFT, CROW_RIGHT, AGE, OIL, HAIR_SHINE, CLOTH_PATTERN, CLOTH_SCALE, NECKLINE, NECKLINE_CURVE,
    SHADOW_U, SHADOW_V, SHADOW_W, SHADOW_BIAS, MOUTH_OPEN, PUPIL, CAMERA, EYE_HEIGHT, FRAME_GLOSS, SCALP, SCALARS,
) = range(34)  # fmt: skip

# Colours and directions, three numbers each; LIGHT and COLOUR hold three lights: key, fill, rim.
(
    TONE, HAIR_COLOUR, HAIR_TIP, IRIS, BROW_COLOUR, CLOTH_A, CLOTH_B, FRAME, SKY, GROUND,
    LIGHT, _LIGHT_1, _LIGHT_2, COLOUR, _COLOUR_1, _COLOUR_2, SHADOW_X, SHADOW_Y, SHADOW_Z, HEAD_UP, TABLE,
) = range(21)  # fmt: skip

# Columns of the vertices' attributes: occlusion, share of the inner person's skin, share of the skin's texture.
OCCLUSION, INNER, TEXTURED = range(3)

# Rows of the shader's scratch table s [ROWS, 3]: the point being shaded and what is known of it.
POINT, NORMAL, TO_VIEWER, REST, ALBEDO, WRAP, RESULT, ROWS = range(8)
