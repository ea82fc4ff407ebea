"""From visibility to colour: every pixel is shaded once for each kind of surface that its samples show."""

from __future__ import annotations

import numpy as np

from . import params as k
from .material import fetch, fetch_single, light_surface, noise, ramp, shadow_at
from .model import EYE, GLASSES, HAIR, LASH, MOUTH, SKIN, TEETH, TONGUE, TRUNK
from .numba_loader import compiled

# Labels of the picture's parts in the truth.
BACKGROUND, FACE_SKIN, CLOTH, EYES, MOUTH_INSIDE, HAIRS, SPECTACLES = range(7)
_PARTS = GLASSES + 1


@compiled
def _albedo_of_skin(F, C, skins, brows, brow_box, u, v, inner, textured, rx, ry, rz, albedo):
    """Write the skin's colour at texture place u, v; returns how much of it is brow."""
    a, b, mix = int(F[k.SKIN_A]), int(F[k.SKIN_B]), F[k.SKIN_MIX]
    for c in range(3):
        relative = 0.0
        if inner > 0.004:
            relative = fetch(skins[a], u, v, c) * (1 - mix)
            if mix > 0.02:
                relative += fetch(skins[b], u, v, c) * mix
        if inner < 0.996:
            other = F[k.OTHER_MIX]
            outer = fetch(skins[int(F[k.OTHER_A])], u, v, c) * (1 - other)
            if other > 0.02:
                outer += fetch(skins[int(F[k.OTHER_B])], u, v, c) * other
            relative = relative * inner + outer * (1 - inner) if inner > 0.004 else outer
        relative = 1.0 + (relative / 128.0 - 1.0) * textured
        albedo[c] = C[k.TONE, c] * relative * relative
    lips = ramp(1.2, 1.9, albedo[0] * C[k.TONE, 1] / (albedo[1] * C[k.TONE, 0] + 1e-6)) * ramp(0.36, 0.28, abs(rx)) * ramp(0.2, 0.14, abs(ry - 6.6))
    if lips > 0.0:
        albedo[1] *= 1 - (0.45 * F[k.LIPS] - 0.1) * lips
        albedo[2] *= 1 - (0.38 * F[k.LIPS] - 0.1) * lips
    mottle = 0.94 + 0.12 * noise(rx * 7.0 + F[k.SEED], ry * 7.0, rz * 7.0)
    redness = F[k.BLUSH] * (ramp(0.45, 0.0, np.sqrt((abs(rx) - 0.42) ** 2 + (ry - 6.95) ** 2 * 1.5)) + 0.6 * ramp(0.16, 0.0, np.sqrt(rx * rx + (ry - 6.93) ** 2)))
    albedo[0] *= mottle
    albedo[1] *= mottle * (1 - 0.10 * redness)
    albedo[2] *= mottle * (1 - 0.10 * redness)
    if F[k.FRECKLES] > 0.02 and inner > 0.1:
        spot = noise(rx * 38.0 + F[k.SEED], ry * 38.0, rz * 20.0)
        spread = ramp(7.75, 7.2, ry) * ramp(6.5, 6.9, ry)
        dark = F[k.FRECKLES] * ramp(0.66, 0.78, spot) * spread * inner * 0.5
        albedo[0] *= 1 - 0.45 * dark
        albedo[1] *= 1 - 0.65 * dark
        albedo[2] *= 1 - 0.75 * dark
    bu = (u - brow_box[0]) / (brow_box[2] - brow_box[0])
    bv = (v - brow_box[1]) / (brow_box[3] - brow_box[1])
    if 0.0 < bu < 1.0 and 0.0 < bv < 1.0:
        brow = min(fetch_single(brows, bu, bv) / 255.0 * F[k.BROW_DENSITY] * inner, 0.94)
        for c in range(3):
            albedo[c] += (C[k.BROW_COLOUR, c] - albedo[c]) * brow
        return brow
    return 0.0


@compiled
def _wrinkle(F, rx, ry, rz, n):
    """Bend the normal where an expression folds the skin: forehead, between the brows, beside the eyes."""
    height = ry - F[k.EYE_HEIGHT]
    if height > 0.24 and F[k.FOREHEAD] > 0.01:
        place = ramp(0.24, 0.36, height) * ramp(0.78, 0.6, height) * ramp(0.52, 0.3, abs(rx))
        phase = (height + 0.035 * np.cos(4.0 * rx) + 0.03 * noise(rx * 4, ry * 3, 0.5)) * 62.0
        n[1] += F[k.FOREHEAD] * place * np.cos(phase) * 0.42
    if F[k.FROWN] > 0.01 and 0.0 < height < 0.5 and abs(rx) < 0.16:
        place = ramp(0.02, 0.12, height) * ramp(0.46, 0.26, height) * ramp(0.16, 0.09, abs(rx))
        n[0] += F[k.FROWN] * place * np.sin(rx * 52.0) * 0.5
    crow = F[k.CROW_LEFT] if rx > 0 else F[k.CROW_RIGHT]
    if crow > 0.01 and abs(height) < 0.25 and 0.46 < abs(rx) < 0.72:
        angle = np.arctan2(height + 0.01, abs(rx) - 0.38)
        place = ramp(0.46, 0.53, abs(rx)) * ramp(0.72, 0.6, abs(rx)) * ramp(0.25, 0.12, abs(height))
        n[1] += crow * place * np.cos(angle * 16.0) * 0.35


@compiled
def _eye_colour(F, C, dx, dy, dz, albedo):
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
            albedo[c] = iris * (1 - white) + ball * white
        return 1.0 - white
    vein = noise(dx * 14.0, dy * 14.0, dz * 5.0)
    corner = ramp(0.55, 1.2, angle)
    albedo[0] = 0.64 - 0.06 * corner
    albedo[1] = 0.60 - (0.14 + 0.10 * vein) * corner
    albedo[2] = 0.57 - (0.14 + 0.10 * vein) * corner
    return 0.0


@compiled
def _cloth_colour(F, C, x, y, z, albedo):
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
        albedo[c] = (C[k.CLOTH_A, c] * (1 - mix) + C[k.CLOTH_B, c] * mix) * grain


@compiled
def _shade(t, sx, sy, screen, points, normals, rest, attributes, triangles, uv, parts, skins, brows, brow_box, hair_level, teeth, shadow, F, C, scratch, out):
    """Write the colour of triangle t at the screen place to out [3]; returns its label."""
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

    p, n, v, r, albedo, wrap = scratch[0], scratch[1], scratch[2], scratch[3], scratch[4], scratch[5]
    for i in range(3):
        wrap[i] = 0.0
        p[i] = wa * points[a, i] + wb * points[b, i] + wc * points[c, i]
        n[i] = wa * normals[a, i] + wb * normals[b, i] + wc * normals[c, i]
        r[i] = wa * rest[a, i] + wb * rest[b, i] + wc * rest[c, i]
    v[0], v[1], v[2] = -p[0], -p[1], F[k.CAMERA] - p[2]
    size = np.sqrt(v[0] ** 2 + v[1] ** 2 + v[2] ** 2)
    v[0], v[1], v[2] = v[0] / size, v[1] / size, v[2] / size
    tu = wa * uv[t, 0, 0] + wb * uv[t, 1, 0] + wc * uv[t, 2, 0]
    tv = wa * uv[t, 0, 1] + wb * uv[t, 1, 1] + wc * uv[t, 2, 1]
    occlusion = wa * attributes[a, k.OCCLUSION] + wb * attributes[b, k.OCCLUSION] + wc * attributes[c, k.OCCLUSION]
    part = parts[t]
    roughness, base, label = 0.5, 0.028, FACE_SKIN

    if part == SKIN or part == TRUNK:
        neckline = F[k.NECKLINE] + F[k.NECKLINE_CURVE] * (r[0] * r[0] * 0.5 - max(r[2], 0.0) * 0.35)
        if r[1] < neckline:
            label = CLOTH
            _cloth_colour(F, C, r[0], r[1], r[2], albedo)
            fold = noise(r[0] * 3.0 + F[k.SEED], r[1] * 2.0, r[2] * 3.0) - 0.5
            n[0] += 0.5 * fold
            n[1] += 0.3 * (noise(r[0] * 3.0, r[1] * 2.0 + 9.0, r[2] * 3.0) - 0.5)
            occlusion *= 0.55 + 0.45 * ramp(0.0, 0.08, neckline - r[1])
            roughness, base = 0.8, 0.02
            wrap[:] = 0.15
        else:
            inner = wa * attributes[a, k.INNER] + wb * attributes[b, k.INNER] + wc * attributes[c, k.INNER]
            textured = wa * attributes[a, k.TEXTURED] + wb * attributes[b, k.TEXTURED] + wc * attributes[c, k.TEXTURED]
            brow = _albedo_of_skin(F, C, skins, brows, brow_box, tu, tv, inner, textured, r[0], r[1], r[2], albedo)
            _wrinkle(F, r[0], r[1], r[2], n)
            occlusion *= 0.45 + 0.55 * ramp(-0.02, 0.22, r[1] - neckline)
            zone = ramp(0.45, 0.1, abs(r[0])) * ramp(6.7, 7.1, r[1])
            pores = noise(r[0] * 60.0, r[1] * 60.0, r[2] * 60.0)
            roughness = 0.56 - F[k.OIL] * (0.10 + 0.10 * zone) + 0.12 * (pores - 0.5) + 0.3 * brow
            wrap[0], wrap[1], wrap[2] = 0.42, 0.22, 0.16
    elif part == MOUTH or part == TONGUE:
        label = MOUTH_INSIDE
        depth = ramp(0.75, 1.45, r[2])
        dim = depth * (0.25 + 0.75 * F[k.MOUTH_OPEN])
        strength = 0.30 if part == MOUTH else 0.75
        albedo[0], albedo[1], albedo[2] = 0.42 * strength, 0.13 * strength, 0.12 * strength
        occlusion = dim if part == TONGUE else min(occlusion + 0.15, dim)
        roughness, wrap[0] = 0.35, 0.3
    elif part == TEETH:
        label = MOUTH_INSIDE
        row, column = int(tv * teeth.shape[0]) % teeth.shape[0], int(tu * teeth.shape[1]) % teeth.shape[1]
        gum = teeth[row, column, 0] - teeth[row, column, 1] > 0.12
        for i in range(3):
            albedo[i] = teeth[row, column, i] * (0.5 if gum else 0.92 - 0.07 * i)
        lower = ramp(6.66, 6.60, r[1])
        occlusion = ramp(0.98, 1.46, r[2]) * (0.62 + 0.38 * F[k.MOUTH_OPEN]) * (1 - 0.45 * lower)
        roughness, wrap[:] = 0.3, 0.3
    elif part == EYE:
        label = EYES
        length = np.sqrt(r[0] ** 2 + r[1] ** 2 + r[2] ** 2) + 1e-9
        coloured = _eye_colour(F, C, r[0] / length, r[1] / length, r[2] / length, albedo)
        roughness, base = 0.13 if coloured > 0.5 else 0.25, 0.04
        wrap[:] = 0.3
        wrap[0] = 0.4
    elif part == LASH:
        label = EYES
        for i in range(3):
            albedo[i] = C[k.BROW_COLOUR, i] * 0.35
        roughness = 0.9
    elif part == HAIR:
        label = HAIRS
        level = fetch_single(hair_level, tu, tv) / 128.0
        strand = 0.8 + 0.4 * noise(r[0] * 20.0, r[1] * 3.0, r[2] * 20.0)
        tip = ramp(0.0, 1.6, F[k.EYE_HEIGHT] + 0.6 - r[1])
        for i in range(3):
            albedo[i] = (C[k.HAIR_COLOUR, i] * (1 - tip) + C[k.HAIR_TIP, i] * tip) * min(level * level, 2.2) * strand
        roughness, wrap[:] = 0.62, 0.3
    elif part == GLASSES:
        label = SPECTACLES
        for i in range(3):
            albedo[i] = C[k.FRAME, i]
        roughness, base = 0.25 + 0.3 * (1 - F[k.FRAME_GLOSS]), 0.06
    length = np.sqrt(n[0] ** 2 + n[1] ** 2 + n[2] ** 2) + 1e-9
    if part >= LASH and n[0] * v[0] + n[1] * v[1] + n[2] * v[2] < 0.0:
        length = -length
    n[0], n[1], n[2] = n[0] / length, n[1] / length, n[2] / length

    cosine = max(n[0] * C[k.LIGHT, 0] + n[1] * C[k.LIGHT, 1] + n[2] * C[k.LIGHT, 2], 0.0)
    lit = 0.0
    if cosine > 0.0 or wrap[0] > 0.0:
        lit = shadow_at(shadow, F, C, p[0], p[1], p[2], cosine)
        if part == EYE or part == TEETH or part == MOUTH or part == TONGUE:
            lit *= occlusion
    light_surface(F, C, albedo, n, v, lit, occlusion, wrap, roughness, base, out)
    if part == HAIR:
        _hair_shine(F, C, n, v, lit, albedo, level, out)
    return label


@compiled
def _hair_shine(F, C, n, v, lit, albedo, level, out):
    """Add the bright band across strands that run down the head (Kajiya & Kay 1989), shifted by each strand's brightness."""
    dot = n[0] * C[k.HEAD_UP, 0] + n[1] * C[k.HEAD_UP, 1] + n[2] * C[k.HEAD_UP, 2]
    tx, ty, tz = C[k.HEAD_UP, 0] - dot * n[0], C[k.HEAD_UP, 1] - dot * n[1], C[k.HEAD_UP, 2] - dot * n[2]
    shift = (level - 1.0) * 0.35
    tx, ty, tz = tx + shift * n[0], ty + shift * n[1], tz + shift * n[2]
    length = np.sqrt(tx * tx + ty * ty + tz * tz) + 1e-6
    for light in range(3):
        hx, hy, hz = C[k.LIGHT + light, 0] + v[0], C[k.LIGHT + light, 1] + v[1], C[k.LIGHT + light, 2] + v[2]
        size = np.sqrt(hx * hx + hy * hy + hz * hz) + 1e-6
        along = (tx * hx + ty * hy + tz * hz) / (length * size)
        facing = max(n[0] * C[k.LIGHT + light, 0] + n[1] * C[k.LIGHT + light, 1] + n[2] * C[k.LIGHT + light, 2] + 0.2, 0.0)
        band = max(1.0 - along * along, 0.0) ** 30 * F[k.HAIR_SHINE] * facing * (lit if light == 0 else 0.7)
        for i in range(3):
            out[i] += C[k.COLOUR + light, i] * band * (0.03 + 0.6 * albedo[i])


@compiled
def shade_picture(seen, soft_seen, soft_alpha, depth, soft_depth, screen, points, normals, rest, attributes, triangles, uv, parts, skins, brows, brow_box, hair_level, teeth, shadow, F, C, picture, labels, distance):
    """Shade 2 x 2 samples [2H, 2W] into picture [H, W, 3], which comes in as the background.

    labels uint8 [H, W]: the part most samples show; distance [H, W]: from the camera plane in decimetres, 0 for none.
    """
    height, width = labels.shape
    scratch = np.zeros((6, 3), np.float32)
    votes, known, shades = np.zeros(8, np.int32), np.zeros(_PARTS, np.int32), np.zeros((_PARTS, 3), np.float32)
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
            votes[:] = 0
            known[:] = -1
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
                        known[part] = _shade(t, px, py, screen, points, normals, rest, attributes, triangles, uv, parts, skins, brows, brow_box, hair_level, teeth, shadow, F, C, scratch, shades[part])
                    r, g, b = shades[part, 0], shades[part, 1], shades[part, 2]
                    label = known[part]
                soft = soft_seen[j, i]
                if soft >= 0 and soft_depth[j, i] > depth[j, i]:
                    part = parts[soft]
                    if known[part] < 0:
                        known[part] = _shade(soft, i + 0.0, j + 0.0, screen, points, normals, rest, attributes, triangles, uv, parts, skins, brows, brow_box, hair_level, teeth, shadow, F, C, scratch, shades[part])
                    opacity = soft_alpha[j, i]
                    r += (shades[part, 0] - r) * opacity
                    g += (shades[part, 1] - g) * opacity
                    b += (shades[part, 2] - b) * opacity
                    if opacity > 0.5:
                        label = known[part]
                votes[label] += 1
                red, green, blue = red + r, green + g, blue + b
            picture[y, x, 0], picture[y, x, 1], picture[y, x, 2] = red / 4, green / 4, blue / 4
            labels[y, x] = np.argmax(votes)
