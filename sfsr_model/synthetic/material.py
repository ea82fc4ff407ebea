"""Light on one point: textures, noise, shadow and the surfaces of a portrait. Colours are linear light.

`F` is the scalar parameters, indexed by the constants of `params`, `C` the colours and directions [N, 3], likewise.
"""

from __future__ import annotations

import numpy as np

from . import params as k
from .numba_loader import njit


@njit(cache=True, fastmath=True)
def fetch(picture, u, v, channel):
    """Bilinear texel of uint8 [H, W, C] at u, v in 0..1 of the picture."""
    height, width = picture.shape[0], picture.shape[1]
    x = min(max(u * width - 0.5, 0.0), width - 1.001)
    y = min(max(v * height - 0.5, 0.0), height - 1.001)
    column, row = int(x), int(y)
    fx, fy = x - column, y - row
    top = picture[row, column, channel] * (1 - fx) + picture[row, column + 1, channel] * fx
    bottom = picture[row + 1, column, channel] * (1 - fx) + picture[row + 1, column + 1, channel] * fx
    return top * (1 - fy) + bottom * fy


@njit(cache=True, fastmath=True)
def fetch_single(picture, u, v):
    """Bilinear texel of uint8 [H, W], with u, v taken modulo 1."""
    height, width = picture.shape
    x = min(max((u - np.floor(u)) * width - 0.5, 0.0), width - 1.001)
    y = min(max((v - np.floor(v)) * height - 0.5, 0.0), height - 1.001)
    column, row = int(x), int(y)
    fx, fy = x - column, y - row
    top = picture[row, column] * (1 - fx) + picture[row, column + 1] * fx
    return top * (1 - fy) + (picture[row + 1, column] * (1 - fx) + picture[row + 1, column + 1] * fx) * fy


@njit(cache=True)
def _hash(x, y, z):
    value = (x * 374761393 + y * 668265263 + z * 1274126177) & 0xFFFFFFFF
    value = ((value ^ (value >> 13)) * 1103515245) & 0xFFFFFFFF
    return ((value ^ (value >> 16)) & 0xFFFF) / 65535.0


@njit(cache=True, fastmath=True)
def noise(x, y, z):
    """Smooth value noise, 0..1, one cell a unit."""
    ix, iy, iz = int(np.floor(x)), int(np.floor(y)), int(np.floor(z))
    fx, fy, fz = x - ix, y - iy, z - iz
    fx, fy, fz = fx * fx * (3 - 2 * fx), fy * fy * (3 - 2 * fy), fz * fz * (3 - 2 * fz)
    total = 0.0
    for dz in range(2):
        for dy in range(2):
            for dx in range(2):
                share = (fx if dx else 1 - fx) * (fy if dy else 1 - fy) * (fz if dz else 1 - fz)
                total += share * _hash(ix + dx, iy + dy, iz + dz)
    return total


@njit(cache=True, fastmath=True)
def ramp(low, high, value):
    """Smooth step from 0 at low to 1 at high."""
    t = min(max((value - low) / (high - low), 0.0), 1.0)
    return t * t * (3 - 2 * t)


@njit(cache=True, fastmath=True)
def shadow_at(shadow, F, C, x, y, z, cosine):
    """Share 0..1 of the key light that reaches a point, from its shadow map."""
    size = shadow.shape[0]
    u = x * C[k.SHADOW_X, 0] + y * C[k.SHADOW_X, 1] + z * C[k.SHADOW_X, 2] + F[k.SHADOW_U]
    v = x * C[k.SHADOW_Y, 0] + y * C[k.SHADOW_Y, 1] + z * C[k.SHADOW_Y, 2] + F[k.SHADOW_V]
    depth = x * C[k.SHADOW_Z, 0] + y * C[k.SHADOW_Z, 1] + z * C[k.SHADOW_Z, 2] + F[k.SHADOW_W]
    depth += F[k.SHADOW_BIAS] * (1.0 + 2.5 * (1.0 - cosine))
    reach = F[k.SHADOW_SOFT]
    lit = 0.0
    for j in range(-1, 2):
        for i in range(-1, 2):
            px, py = u + i * reach, v + j * reach
            column, row = int(np.floor(px)), int(np.floor(py))
            if column < 0 or row < 0 or column >= size - 1 or row >= size - 1:
                lit += 1.0
                continue
            fx, fy = px - column, py - row
            a = 1.0 if shadow[row, column] <= depth else 0.0
            b = 1.0 if shadow[row, column + 1] <= depth else 0.0
            c = 1.0 if shadow[row + 1, column] <= depth else 0.0
            d = 1.0 if shadow[row + 1, column + 1] <= depth else 0.0
            lit += (a * (1 - fx) + b * fx) * (1 - fy) + (c * (1 - fx) + d * fx) * fy
    return lit / 9.0


@njit(cache=True, fastmath=True)
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


@njit(cache=True, fastmath=True)
def light_surface(F, C, albedo, n, v, lit, occlusion, wrap, roughness, base, out):
    """Write to out [3] the light that a surface of colour albedo [3] sends to the viewer.

    n, v [3]: normal and direction to the viewer. lit: share of the key light. wrap [3]: how far light creeps round the
    terminator in each channel, which is what scattering in skin looks like.
    """
    up = 0.5 + 0.5 * n[1]
    for c in range(3):
        open_sky = occlusion ** (0.75 + 0.25 * c / 2)
        ambient = (C[k.GROUND, c] * (1 - up) + C[k.SKY, c] * up) * open_sky
        out[c] = albedo[c] * ambient
    edge = 1.0 - max(n[0] * v[0] + n[1] * v[1] + n[2] * v[2], 0.0)
    for light in range(3):
        lx, ly, lz = C[k.LIGHT + light, 0], C[k.LIGHT + light, 1], C[k.LIGHT + light, 2]
        cosine = n[0] * lx + n[1] * ly + n[2] * lz
        share = lit if light == 0 else (0.35 + 0.65 * occlusion)
        shine = gloss(n[0], n[1], n[2], v[0], v[1], v[2], lx, ly, lz, roughness, base) * share * (0.3 + 0.7 * occlusion)
        for c in range(3):
            creep = wrap[c]
            diffuse = max((cosine + creep) / (1.0 + creep), 0.0)
            diffuse = diffuse * diffuse * (1 - creep) + diffuse * creep if creep > 0 else diffuse
            reach = share ** (0.6 + 0.4 * (1 - creep)) if creep > 0 and share > 0 else share
            out[c] += C[k.COLOUR + light, c] * (albedo[c] * diffuse * reach + shine)
    for c in range(3):
        out[c] += 0.06 * edge**4 * C[k.SKY, c] * occlusion
