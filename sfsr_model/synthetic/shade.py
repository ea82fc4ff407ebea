"""From visibility to colour: every pixel is shaded once for each kind of surface that its samples show."""

from __future__ import annotations

import numpy as np

from . import params as k
from .material import fetch_single, light_surface, noise, ramp, shadow_at
from .model import EYE, GLASSES, HAIR, LASH, MOUTH, SKIN, TEETH, TONGUE, TRUNK
from .numba_loader import compiled
from .surfaces import cloth_colour, eye_colour, hair_shine, skin_colour, wrinkle

# Labels of the picture's parts in the truth.
BACKGROUND, FACE_SKIN, CLOTH, EYES, MOUTH_INSIDE, HAIRS, SPECTACLES = range(7)
_PARTS = GLASSES + 1


@compiled
def _shade(t, sx, sy, mesh, paint, F, C, s):  # noqa: PLR0912, PLR0915 - one inner loop, inlined
    """Write the colour of triangle t at the screen place to the RESULT row of s; returns its label."""
    screen, points, normals, rest, attributes, triangles, uv, parts = mesh
    skins, brows, brow_box, hair_level, teeth, shadow = paint
    a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
    ax, ay = screen[a, 0], screen[a, 1]
    bx, by, cx, cy = screen[b, 0] - ax, screen[b, 1] - ay, screen[c, 0] - ax, screen[c, 1] - ay
    area = bx * cy - by * cx
    if abs(area) < 1e-9:
        area = 1e-9
    wb = min(max(((sx - ax) * cy - (sy - ay) * cx) / area, 0.0), 1.0)
    wc = min(max((bx * (sy - ay) - by * (sx - ax)) / area, 0.0), 1.0)
    wa = max(1.0 - wb - wc, 0.0)
    wa, wb, wc = wa * screen[a, 2], wb * screen[b, 2], wc * screen[c, 2]
    total = 1.0 / (wa + wb + wc)
    wa, wb, wc = wa * total, wb * total, wc * total

    for i in range(3):
        s[k.WRAP, i] = 0.0
        s[k.POINT, i] = wa * points[a, i] + wb * points[b, i] + wc * points[c, i]
        s[k.NORMAL, i] = wa * normals[a, i] + wb * normals[b, i] + wc * normals[c, i]
        s[k.REST, i] = wa * rest[a, i] + wb * rest[b, i] + wc * rest[c, i]
    vx, vy, vz = -s[k.POINT, 0], -s[k.POINT, 1], F[k.CAMERA] - s[k.POINT, 2]
    size = np.sqrt(vx * vx + vy * vy + vz * vz)
    vx, vy, vz = vx / size, vy / size, vz / size
    s[k.TO_VIEWER, 0], s[k.TO_VIEWER, 1], s[k.TO_VIEWER, 2] = vx, vy, vz
    tu = wa * uv[t, 0, 0] + wb * uv[t, 1, 0] + wc * uv[t, 2, 0]
    tv = wa * uv[t, 0, 1] + wb * uv[t, 1, 1] + wc * uv[t, 2, 1]
    occlusion = wa * attributes[a, k.OCCLUSION] + wb * attributes[b, k.OCCLUSION] + wc * attributes[c, k.OCCLUSION]
    part = parts[t]
    roughness, base, label = 0.5, 0.028, FACE_SKIN

    if part in (SKIN, TRUNK):
        neckline = F[k.NECKLINE] + F[k.NECKLINE_CURVE] * (s[k.REST, 0] * s[k.REST, 0] * 0.5 - max(s[k.REST, 2], 0.0) * 0.35)
        if s[k.REST, 1] < neckline:
            label = CLOTH
            cloth_colour(F, C, s[k.REST, 0], s[k.REST, 1], s[k.REST, 2], s)
            fold = noise(s[k.REST, 0] * 3.0 + F[k.SEED], s[k.REST, 1] * 2.0, s[k.REST, 2] * 3.0) - 0.5
            s[k.NORMAL, 0] += 0.5 * fold
            s[k.NORMAL, 1] += 0.3 * (noise(s[k.REST, 0] * 3.0, s[k.REST, 1] * 2.0 + 9.0, s[k.REST, 2] * 3.0) - 0.5)
            occlusion *= 0.55 + 0.45 * ramp(0.0, 0.08, neckline - s[k.REST, 1])
            roughness, base = 0.8, 0.02
            s[k.WRAP, 0], s[k.WRAP, 1], s[k.WRAP, 2] = 0.15, 0.15, 0.15
        else:
            inner = wa * attributes[a, k.INNER] + wb * attributes[b, k.INNER] + wc * attributes[c, k.INNER]
            textured = wa * attributes[a, k.TEXTURED] + wb * attributes[b, k.TEXTURED] + wc * attributes[c, k.TEXTURED]
            rx, ry, rz = s[k.REST, 0], s[k.REST, 1], s[k.REST, 2]
            brow = skin_colour(F, C, skins, brows, brow_box, tu, tv, inner, textured, rx, ry, rz, s)
            wrinkle(F, rx, ry, rz, s)
            occlusion *= 0.45 + 0.55 * ramp(-0.02, 0.22, s[k.REST, 1] - neckline)
            zone = ramp(0.45, 0.1, abs(s[k.REST, 0])) * ramp(6.7, 7.1, s[k.REST, 1])
            pores = noise(s[k.REST, 0] * 60.0, s[k.REST, 1] * 60.0, s[k.REST, 2] * 60.0)
            roughness = 0.56 - F[k.OIL] * (0.10 + 0.10 * zone) + 0.12 * (pores - 0.5) + 0.3 * brow
            s[k.WRAP, 0], s[k.WRAP, 1], s[k.WRAP, 2] = 0.42, 0.22, 0.16
    elif part in (MOUTH, TONGUE):
        label = MOUTH_INSIDE
        depth = ramp(0.75, 1.45, s[k.REST, 2])
        dim = depth * (0.25 + 0.75 * F[k.MOUTH_OPEN])
        strength = 0.30 if part == MOUTH else 0.75
        s[k.ALBEDO, 0], s[k.ALBEDO, 1], s[k.ALBEDO, 2] = 0.42 * strength, 0.13 * strength, 0.12 * strength
        occlusion = dim if part == TONGUE else min(occlusion + 0.15, dim)
        roughness, s[k.WRAP, 0] = 0.35, 0.3
    elif part == TEETH:
        label = MOUTH_INSIDE
        row, column = int(tv * teeth.shape[0]) % teeth.shape[0], int(tu * teeth.shape[1]) % teeth.shape[1]
        gum = teeth[row, column, 0] - teeth[row, column, 1] > 0.12
        for i in range(3):
            s[k.ALBEDO, i] = teeth[row, column, i] * (0.5 if gum else 0.92 - 0.07 * i)
        lower = ramp(6.66, 6.60, s[k.REST, 1])
        occlusion = ramp(0.98, 1.46, s[k.REST, 2]) * (0.62 + 0.38 * F[k.MOUTH_OPEN]) * (1 - 0.45 * lower)
        roughness = 0.3
        s[k.WRAP, 0], s[k.WRAP, 1], s[k.WRAP, 2] = 0.3, 0.3, 0.3
    elif part == EYE:
        label = EYES
        length = np.sqrt(s[k.REST, 0] ** 2 + s[k.REST, 1] ** 2 + s[k.REST, 2] ** 2) + 1e-9
        coloured = eye_colour(F, C, s[k.REST, 0] / length, s[k.REST, 1] / length, s[k.REST, 2] / length, s)
        roughness, base = 0.13 if coloured > 0.5 else 0.25, 0.04
        s[k.WRAP, 0], s[k.WRAP, 1], s[k.WRAP, 2] = 0.3, 0.3, 0.3
        s[k.WRAP, 0] = 0.4
    elif part == LASH:
        label = EYES
        for i in range(3):
            s[k.ALBEDO, i] = C[k.BROW_COLOUR, i] * 0.35
        roughness = 0.9
    elif part == HAIR:
        label = HAIRS
        level = fetch_single(hair_level, tu, tv) / 128.0
        strand = 0.8 + 0.4 * noise(s[k.REST, 0] * 20.0, s[k.REST, 1] * 3.0, s[k.REST, 2] * 20.0)
        tip = ramp(0.0, 1.6, F[k.EYE_HEIGHT] + 0.6 - s[k.REST, 1])
        for i in range(3):
            s[k.ALBEDO, i] = (C[k.HAIR_COLOUR, i] * (1 - tip) + C[k.HAIR_TIP, i] * tip) * min(level * level, 2.2) * strand
        roughness = 0.62
        s[k.WRAP, 0], s[k.WRAP, 1], s[k.WRAP, 2] = 0.3, 0.3, 0.3
    elif part == GLASSES:
        label = SPECTACLES
        for i in range(3):
            s[k.ALBEDO, i] = C[k.FRAME, i]
        roughness, base = 0.25 + 0.3 * (1 - F[k.FRAME_GLOSS]), 0.06
    nx, ny, nz = s[k.NORMAL, 0], s[k.NORMAL, 1], s[k.NORMAL, 2]
    length = np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9
    if part >= LASH and nx * vx + ny * vy + nz * vz < 0.0:
        length = -length
    nx, ny, nz = nx / length, ny / length, nz / length
    s[k.NORMAL, 0], s[k.NORMAL, 1], s[k.NORMAL, 2] = nx, ny, nz

    cosine = max(nx * C[k.LIGHT, 0] + ny * C[k.LIGHT, 1] + nz * C[k.LIGHT, 2], 0.0)
    lit = 0.0
    if cosine > 0.0 or s[k.WRAP, 0] > 0.0:
        lit = shadow_at(shadow, F, C, s[k.POINT, 0], s[k.POINT, 1], s[k.POINT, 2], cosine)
        if part in (EYE, TEETH, MOUTH, TONGUE):
            lit *= occlusion
    light_surface(F, C, s, lit, occlusion, roughness, base)
    if part == HAIR:
        hair_shine(F, C, s, lit, level)
    return label


@compiled
def shade_picture(visible, mesh, paint, F, C, picture, labels, distance):  # noqa: PLR0912, PLR0915 - one inner loop
    """Shade 2 x 2 samples [2H, 2W] into picture [H, W, 3], which comes in as the background.

    visible: seen, soft seen, soft opacity, depth and soft depth, as `raster` draws them. mesh: screen, points, normals, resting
    places, attributes, triangles, texture places, parts. paint: skins, brow and its box, brightness of hair, teeth, shadow map.
    labels uint8 [H, W]: the part most samples show; distance [H, W]: from the camera plane in decimetres, 0 for none.
    """
    seen, soft_seen, soft_alpha, depth, soft_depth = visible
    parts = mesh[7]
    height, width = labels.shape
    scratch = np.zeros((k.ROWS, 3), np.float32)
    votes, known, shades = np.zeros(_PARTS, np.int32), np.zeros(_PARTS, np.int32), np.zeros((_PARTS, 3), np.float32)
    for y in range(height):
        for x in range(width):
            any_soft, alike, covered, nearest = False, True, 0, 0.0
            first = seen[2 * y, 2 * x]
            for s in range(4):
                j, i = 2 * y + s // 2, 2 * x + s % 2
                t = seen[j, i]
                if t >= 0:
                    covered += 1
                    nearest = max(nearest, depth[j, i])
                if (t < 0) != (first < 0) or (t >= 0 and first >= 0 and parts[t] != parts[first]):
                    alike = False
                if soft_seen[j, i] >= 0 and soft_depth[j, i] > depth[j, i]:
                    any_soft = True
            if covered == 0 and not any_soft:
                continue
            if nearest > 0.0:
                distance[y, x] = 1.0 / nearest
            for part in range(_PARTS):
                votes[part] = 0
                known[part] = -1
            red, green, blue = 0.0, 0.0, 0.0
            for s in range(4):
                j, i = 2 * y + s // 2, 2 * x + s % 2
                t = seen[j, i]
                if t < 0:
                    r, g, b = picture[y, x, 0], picture[y, x, 1], picture[y, x, 2]
                    label = BACKGROUND
                else:
                    part = parts[t]
                    if known[part] < 0:
                        px, py = (2 * x + 0.5, 2 * y + 0.5) if alike else (i + 0.0, j + 0.0)
                        known[part] = _shade(t, px, py, mesh, paint, F, C, scratch)
                        for c in range(3):
                            shades[part, c] = scratch[k.RESULT, c]
                    r, g, b = shades[part, 0], shades[part, 1], shades[part, 2]
                    label = known[part]
                soft = soft_seen[j, i]
                if soft >= 0 and soft_depth[j, i] > depth[j, i]:
                    part = parts[soft]
                    if known[part] < 0:
                        known[part] = _shade(soft, i + 0.0, j + 0.0, mesh, paint, F, C, scratch)
                        for c in range(3):
                            shades[part, c] = scratch[k.RESULT, c]
                    opacity = soft_alpha[j, i]
                    r += (shades[part, 0] - r) * opacity
                    g += (shades[part, 1] - g) * opacity
                    b += (shades[part, 2] - b) * opacity
                    if opacity > 0.5:
                        label = known[part]
                votes[label] += 1
                red, green, blue = red + r, green + g, blue + b
            picture[y, x, 0], picture[y, x, 1], picture[y, x, 2] = red / 4, green / 4, blue / 4
            best = 0
            for label in range(1, _PARTS):
                if votes[label] > votes[best]:
                    best = label
            labels[y, x] = best
