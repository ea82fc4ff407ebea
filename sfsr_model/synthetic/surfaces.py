"""What the surfaces of a portrait are made of: skin with its brows and folds, eyes, cloth, hair.

`F` and `C` are the shader's scalars and colours (see `params`); r is a resting place on the base mesh, in decimetres, and s the
scratch table, whose ALBEDO row takes the colour.
"""

from __future__ import annotations

import numpy as np

from . import params as k
from .material import add_texel, fetch_single, noise, ramp
from .numba_loader import compiled


@compiled
def skin_colour(F, C, skins, brows, brow_box, u, v, inner, textured, rx, ry, rz, s):
    """Write the skin's colour at texture place u, v; returns how much of it is brow."""
    a, b, mix = int(F[k.SKIN_A]), int(F[k.SKIN_B]), F[k.SKIN_MIX] if F[k.SKIN_MIX] > 0.02 else 0.0
    for c in range(3):
        s[k.ALBEDO, c] = 0.0
    if inner > 0.004:
        add_texel(skins[a], u, v, (1 - mix) * inner, s)
        if mix > 0.02:
            add_texel(skins[b], u, v, mix * inner, s)
    if inner < 0.996:
        other = F[k.OTHER_MIX]
        add_texel(skins[int(F[k.OTHER_A])], u, v, (1 - other) * (1 - inner), s)
        add_texel(skins[int(F[k.OTHER_B])], u, v, other * (1 - inner), s)
    for c in range(3):
        relative = 1.0 + (s[k.ALBEDO, c] / 128.0 - 1.0) * textured
        s[k.ALBEDO, c] = C[k.TONE, c] * relative * relative
    if abs(rx) < 0.36 and abs(ry - 6.6) < 0.2:
        red = s[k.ALBEDO, 0] * C[k.TONE, 1] / (s[k.ALBEDO, 1] * C[k.TONE, 0] + 1e-6)
        lips = ramp(1.2, 1.9, red) * ramp(0.36, 0.28, abs(rx)) * ramp(0.2, 0.14, abs(ry - 6.6))
        s[k.ALBEDO, 1] *= 1 - (0.40 * F[k.LIPS] - 0.02) * lips
        s[k.ALBEDO, 2] *= 1 - (0.34 * F[k.LIPS] - 0.02) * lips
    mottle = 0.94 + 0.12 * noise(rx * 7.0 + F[k.SEED], ry * 7.0, rz * 7.0)
    cheek = np.sqrt((abs(rx) - 0.42) ** 2 + (ry - 6.95) ** 2 * 1.5)
    nose = np.sqrt(rx * rx + (ry - 6.93) ** 2)
    redness = F[k.BLUSH] * (ramp(0.45, 0.0, cheek) + 0.6 * ramp(0.16, 0.0, nose))
    s[k.ALBEDO, 0] *= mottle
    s[k.ALBEDO, 1] *= mottle * (1 - 0.10 * redness)
    s[k.ALBEDO, 2] *= mottle * (1 - 0.10 * redness)
    if F[k.FRECKLES] > 0.02 and inner > 0.1:
        spot = noise(rx * 38.0 + F[k.SEED], ry * 38.0, rz * 20.0)
        spread = ramp(7.75, 7.2, ry) * ramp(6.5, 6.9, ry)
        dark = F[k.FRECKLES] * ramp(0.66, 0.78, spot) * spread * inner * 0.5
        s[k.ALBEDO, 0] *= 1 - 0.45 * dark
        s[k.ALBEDO, 1] *= 1 - 0.65 * dark
        s[k.ALBEDO, 2] *= 1 - 0.75 * dark
    bu = (u - brow_box[0]) / (brow_box[2] - brow_box[0])
    bv = (v - brow_box[1]) / (brow_box[3] - brow_box[1])
    if 0.0 < bu < 1.0 and 0.0 < bv < 1.0:
        brow = min(fetch_single(brows, bu, bv) / 255.0 * F[k.BROW_DENSITY] * min(2.5 * inner, 1.0), 0.94)
        for c in range(3):
            s[k.ALBEDO, c] += (C[k.BROW_COLOUR, c] - s[k.ALBEDO, c]) * brow
        return brow
    return 0.0


@compiled
def wrinkle(F, rx, ry, rz, s):
    """Bend the normal where an expression folds the skin: forehead, between the brows, beside the eyes."""
    height = ry - F[k.EYE_HEIGHT]
    if height > 0.24 and F[k.FOREHEAD] > 0.01:
        place = ramp(0.24, 0.36, height) * ramp(0.78, 0.6, height) * ramp(0.52, 0.3, abs(rx))
        phase = (height + 0.035 * np.cos(4.0 * rx) + 0.03 * noise(rx * 4, ry * 3, 0.5)) * 62.0
        s[k.NORMAL, 1] += F[k.FOREHEAD] * place * np.cos(phase) * 0.42
    if F[k.FROWN] > 0.01 and 0.0 < height < 0.5 and abs(rx) < 0.16:
        place = ramp(0.02, 0.12, height) * ramp(0.46, 0.26, height) * ramp(0.16, 0.09, abs(rx))
        s[k.NORMAL, 0] += F[k.FROWN] * place * np.sin(rx * 52.0) * 0.5
    crow = F[k.CROW_LEFT] if rx > 0 else F[k.CROW_RIGHT]
    if crow > 0.01 and abs(height) < 0.25 and 0.46 < abs(rx) < 0.72:
        angle = np.arctan2(height + 0.01, abs(rx) - 0.38)
        place = ramp(0.46, 0.53, abs(rx)) * ramp(0.72, 0.6, abs(rx)) * ramp(0.25, 0.12, abs(height))
        s[k.NORMAL, 1] += crow * place * np.cos(angle * 16.0) * 0.35


@compiled
def eye_colour(F, C, dx, dy, dz, s):
    """Colour of an eyeball towards the unit direction d of its own axes; returns 1 in pupil and iris, 0 in the white."""
    angle = np.arccos(min(max(dz, -1.0), 1.0))
    spoke = np.arctan2(dy, dx)
    radius = angle / 0.40
    if radius < 1.12:
        streak = noise(spoke * 9.0 + 40.0, radius * 2.5, F[k.SEED]) * 0.6 + noise(spoke * 22.0 + 80.0, radius * 3.0, 3.0) * 0.4
        shade = (0.55 + 0.75 * streak) * (1.15 - 0.55 * ramp(0.72, 1.0, radius)) * (0.8 + 0.4 * ramp(0.3, 0.75, radius))
        pupil = ramp(F[k.PUPIL] + 0.04, F[k.PUPIL] - 0.04, radius)
        white = ramp(0.94, 1.10, radius)
        for c in range(3):
            iris = C[k.IRIS, c] * shade * (1 - pupil) + 0.004 * pupil
            ball = 0.62 - 0.03 * c
            s[k.ALBEDO, c] = iris * (1 - white) + ball * white
        return 1.0 - white
    vein = noise(dx * 14.0, dy * 14.0, dz * 5.0)
    corner = ramp(0.55, 1.2, angle)
    s[k.ALBEDO, 0] = 0.64 - 0.06 * corner
    s[k.ALBEDO, 1] = 0.60 - (0.14 + 0.10 * vein) * corner
    s[k.ALBEDO, 2] = 0.57 - (0.14 + 0.10 * vein) * corner
    return 0.0


@compiled
def cloth_colour(F, C, x, y, z, s):
    """Colour of the clothes at a resting place: plain, striped, ribbed, checked or heathered."""
    pattern, scale = int(F[k.CLOTH_PATTERN]), F[k.CLOTH_SCALE]
    mix = 0.0
    if pattern == 1:
        mix = 1.0 if np.sin(y * scale) > 0.2 else 0.0
    elif pattern == 2:
        mix = 0.35 + 0.3 * np.sin(np.arctan2(x, z + 1.0) * scale * 6.0)
    elif pattern == 3:
        mix = 0.5 * (1.0 if np.sin(x * scale * 0.7) > 0.3 else 0.0) + 0.5 * (1.0 if np.sin(y * scale * 0.7) > 0.3 else 0.0)
    elif pattern == 4:
        mix = noise(x * 30.0, y * 30.0, z * 30.0)
    grain = 0.86 + 0.28 * noise(x * 45.0, y * 45.0, z * 45.0)
    for c in range(3):
        s[k.ALBEDO, c] = (C[k.CLOTH_A, c] * (1 - mix) + C[k.CLOTH_B, c] * mix) * grain


@compiled
def hair_shine(F, C, s, lit, level):
    """Add the bright band across strands that run down the head (Kajiya & Kay 1989), shifted by each strand's brightness."""
    nx, ny, nz = s[k.NORMAL, 0], s[k.NORMAL, 1], s[k.NORMAL, 2]
    vx, vy, vz = s[k.TO_VIEWER, 0], s[k.TO_VIEWER, 1], s[k.TO_VIEWER, 2]
    ux, uy, uz = C[k.HEAD_UP, 0], C[k.HEAD_UP, 1], C[k.HEAD_UP, 2]
    shift = (level - 1.0) * 0.35 - (nx * ux + ny * uy + nz * uz)
    tx, ty, tz = ux + shift * nx, uy + shift * ny, uz + shift * nz
    length = np.sqrt(tx * tx + ty * ty + tz * tz) + 1e-6
    for light in range(3):
        lx, ly, lz = C[k.LIGHT + light, 0], C[k.LIGHT + light, 1], C[k.LIGHT + light, 2]
        hx, hy, hz = lx + vx, ly + vy, lz + vz
        size = np.sqrt(hx * hx + hy * hy + hz * hz) + 1e-6
        along = (tx * hx + ty * hy + tz * hz) / (length * size)
        facing = max(nx * lx + ny * ly + nz * lz + 0.2, 0.0)
        band = max(1.0 - along * along, 0.0) ** 30 * F[k.HAIR_SHINE] * facing * (lit if light == 0 else 0.7)
        for i in range(3):
            s[k.RESULT, i] += C[k.COLOUR + light, i] * band * (0.03 + 0.6 * s[k.ALBEDO, i])
