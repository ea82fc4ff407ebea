"""Light on one point: textures, noise, shadow and the surfaces of a portrait. Colours are linear light.

`F` is the scalar parameters, indexed by the constants of `params`, `C` the colours and directions [N, 3], likewise.
"""

from __future__ import annotations

import numpy as np

from . import params as k
from .numba_loader import compiled

_CELLS = 32
_LAST = _CELLS - 1
_LATTICE = np.random.default_rng(20).random((_CELLS,) * 3).astype(np.float32)


@compiled
def add_texel(picture, u, v, share, s):
    """Add share times the bilinear texel of uint8 [H, W, 3] at u, v in 0..1 of the picture to the ALBEDO row of s."""
    height, width = picture.shape[0], picture.shape[1]
    x = min(max(u * width - 0.5, 0.0), width - 1.001)
    y = min(max(v * height - 0.5, 0.0), height - 1.001)
    column, row = int(x), int(y)
    fx, fy = x - column, y - row
    a, b = share * (1 - fx) * (1 - fy), share * fx * (1 - fy)
    c, d = share * (1 - fx) * fy, share * fx * fy
    for i in range(3):
        s[k.ALBEDO, i] += a * picture[row, column, i] + b * picture[row, column + 1, i]
        s[k.ALBEDO, i] += c * picture[row + 1, column, i] + d * picture[row + 1, column + 1, i]


@compiled
def fetch_single(picture, u, v):
    """Bilinear texel of uint8 [H, W], with u, v taken modulo 1."""
    height, width = picture.shape
    x = min(max((u - np.floor(u)) * width - 0.5, 0.0), width - 1.001)
    y = min(max((v - np.floor(v)) * height - 0.5, 0.0), height - 1.001)
    column, row = int(x), int(y)
    fx, fy = x - column, y - row
    top = picture[row, column] * (1 - fx) + picture[row, column + 1] * fx
    return top * (1 - fy) + (picture[row + 1, column] * (1 - fx) + picture[row + 1, column + 1] * fx) * fy


@compiled
def noise(x, y, z):
    """Smooth value noise, 0..1, one cell a unit; it repeats after _CELLS units."""
    ix, iy, iz = int(np.floor(x)), int(np.floor(y)), int(np.floor(z))
    fx, fy, fz = x - ix, y - iy, z - iz
    fx, fy, fz = fx * fx * (3 - 2 * fx), fy * fy * (3 - 2 * fy), fz * fz * (3 - 2 * fz)
    x0, y0, z0 = ix & _LAST, iy & _LAST, iz & _LAST
    x1, y1, z1 = (ix + 1) & _LAST, (iy + 1) & _LAST, (iz + 1) & _LAST
    near = _LATTICE[z0, y0, x0] * (1 - fx) + _LATTICE[z0, y0, x1] * fx
    near += (_LATTICE[z0, y1, x0] * (1 - fx) + _LATTICE[z0, y1, x1] * fx - near) * fy
    far = _LATTICE[z1, y0, x0] * (1 - fx) + _LATTICE[z1, y0, x1] * fx
    far += (_LATTICE[z1, y1, x0] * (1 - fx) + _LATTICE[z1, y1, x1] * fx - far) * fy
    return near + (far - near) * fz


@compiled
def ramp(low, high, value):
    """Smooth step from 0 at low to 1 at high."""
    t = min(max((value - low) / (high - low), 0.0), 1.0)
    return t * t * (3 - 2 * t)


@compiled
def shadow_at(shadow, F, C, x, y, z, cosine):
    """Share 0..1 of the key light that reaches a point, from its shadow map."""
    size = shadow.shape[0]
    u = x * C[k.SHADOW_X, 0] + y * C[k.SHADOW_X, 1] + z * C[k.SHADOW_X, 2] + F[k.SHADOW_U]
    v = x * C[k.SHADOW_Y, 0] + y * C[k.SHADOW_Y, 1] + z * C[k.SHADOW_Y, 2] + F[k.SHADOW_V]
    depth = x * C[k.SHADOW_Z, 0] + y * C[k.SHADOW_Z, 1] + z * C[k.SHADOW_Z, 2] + F[k.SHADOW_W]
    depth += F[k.SHADOW_BIAS] * (1.0 + 2.5 * (1.0 - cosine))
    left, top = int(np.floor(u - 1.0)), int(np.floor(v - 1.0))
    if left < 0 or top < 0 or left + 3 >= size or top + 3 >= size:
        return 1.0
    fx, fy = u - 1.0 - left, v - 1.0 - top
    lit = 0.0
    for j in range(4):
        row = 0.0
        for i in range(4):
            if shadow[top + j, left + i] <= depth:
                row += 1.0 - fx if i == 0 else (fx if i == 3 else 1.0)
        lit += row * (1.0 - fy if j == 0 else (fy if j == 3 else 1.0))
    return lit / 9.0


@compiled
def gloss(nx, ny, nz, vx, vy, vz, lx, ly, lz, roughness, base):
    """Specular term of GGX with Schlick's Fresnel (Walter et al. 2007; Schlick 1994), times the light's cosine."""
    hx, hy, hz = lx + vx, ly + vy, lz + vz
    length = np.sqrt(hx * hx + hy * hy + hz * hz) + 1e-6
    hx, hy, hz = hx / length, hy / length, hz / length
    nl = max(nx * lx + ny * ly + nz * lz, 0.0)
    nv = max(nx * vx + ny * vy + nz * vz, 0.05)
    nh = max(nx * hx + ny * hy + nz * hz, 0.0)
    vh = max(vx * hx + vy * hy + vz * hz, 0.0)
    alpha = roughness * roughness
    a2 = alpha * alpha
    bottom = nh * nh * (a2 - 1.0) + 1.0
    spread = a2 / (3.14159265 * bottom * bottom)
    g = (alpha * 0.5 + 0.5) ** 2 * 0.5
    masking = 1.0 / ((nv * (1 - g) + g) * (nl * (1 - g) + g) * 4.0)
    fresnel = base + (1.0 - base) * (1.0 - vh) ** 5
    return spread * masking * fresnel * nl


@compiled
def light_surface(F, C, s, lit, occlusion, roughness, base):
    """Write to the RESULT row of s the light that a surface sends to the viewer.

    lit: share of the key light that arrives. The WRAP row says how far light creeps round the terminator in each channel, which
    is what scattering in skin looks like.
    """
    nx, ny, nz = s[k.NORMAL, 0], s[k.NORMAL, 1], s[k.NORMAL, 2]
    vx, vy, vz = s[k.TO_VIEWER, 0], s[k.TO_VIEWER, 1], s[k.TO_VIEWER, 2]
    up = 0.5 + 0.5 * ny
    for c in range(3):
        open_sky = occlusion + (0.35 - 0.17 * c) * occlusion * (1 - occlusion)  # red light bleeds into creases
        ambient = (C[k.GROUND, c] * (1 - up) + C[k.SKY, c] * up) * open_sky
        s[k.RESULT, c] = s[k.ALBEDO, c] * ambient
    edge = 1.0 - max(nx * vx + ny * vy + nz * vz, 0.0)
    for light in range(3):
        lx, ly, lz = C[k.LIGHT + light, 0], C[k.LIGHT + light, 1], C[k.LIGHT + light, 2]
        if C[k.COLOUR + light, 1] <= 0.0:
            continue
        cosine = nx * lx + ny * ly + nz * lz
        share = lit if light == 0 else (0.35 + 0.65 * occlusion)
        shine = gloss(nx, ny, nz, vx, vy, vz, lx, ly, lz, roughness, base) * share * (0.3 + 0.7 * occlusion)
        for c in range(3):
            creep = s[k.WRAP, c]
            diffuse = max((cosine + creep) / (1.0 + creep), 0.0)
            diffuse = diffuse * diffuse * (1 - creep) + diffuse * creep if creep > 0 else diffuse
            reach = share + 0.9 * creep * share * (1 - share)
            s[k.RESULT, c] += C[k.COLOUR + light, c] * (s[k.ALBEDO, c] * diffuse * reach + shine)
    for c in range(3):
        s[k.RESULT, c] += 0.06 * edge**4 * C[k.SKY, c] * occlusion
