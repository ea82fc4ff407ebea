"""CIE Lab of sRGB pictures, and the difference CIEDE2000 of two colours."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# IEC 61966-2-1: linear sRGB to XYZ, and the white point D65.
_XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
_WHITE = (0.95047, 1.0, 1.08883)
# CIE 15: where the cube root goes over into a line.
_EPSILON, _KAPPA = 216 / 24389, 24389 / 27
_CHROMA_POWER = 25.0**7


def linear(rgb: Tensor) -> Tensor:
    """Light [..., 3] of gamma-coded sRGB, both in 0..1; float64."""
    rgb = rgb.double().clamp(0, 1)
    return torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def luminance(rgb: Tensor) -> Tensor:
    """The share of white's luminance [...] of gamma-coded sRGB [..., 3] in 0..1."""
    return linear(rgb) @ torch.tensor(_XYZ[1], dtype=torch.float64)


def lab(rgb: Tensor) -> Tensor:
    """L*, a* and b* [..., 3] of gamma-coded sRGB [..., 3] in 0..1; float64."""
    return lab_of_light(linear(rgb))


def lab_of_light(light: Tensor) -> Tensor:
    """L*, a* and b* [..., 3] of linear sRGB [..., 3] in 0..1, as means of light are taken; float64."""
    xyz = light.double() @ torch.tensor(_XYZ, dtype=torch.float64).T / torch.tensor(_WHITE, dtype=torch.float64)
    x, y, z = torch.where(xyz > _EPSILON, xyz.clamp_min(0) ** (1 / 3), (_KAPPA * xyz + 16) / 116).unbind(-1)
    return torch.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), -1)


def ciede2000(one: Tensor, other: Tensor) -> Tensor:
    """The difference [...] of colours [..., 3] in Lab; Sharma, Wu and Dalal (2005), all weights 1."""
    (l1, a1, b1), (l2, a2, b2) = one.double().unbind(-1), other.double().unbind(-1)
    mean_chroma = (torch.hypot(a1, b1) + torch.hypot(a2, b2)) / 2
    stretch = 1.5 - 0.5 * (mean_chroma**7 / (mean_chroma**7 + _CHROMA_POWER)).sqrt()
    a1, a2 = a1 * stretch, a2 * stretch
    c1, c2 = torch.hypot(a1, b1), torch.hypot(a2, b2)
    h1, h2 = (torch.rad2deg(torch.atan2(b, a)) % 360 for a, b in ((a1, b1), (a2, b2)))
    coloured = (c1 * c2) != 0
    turn = torch.where(coloured, (h2 - h1 + 180) % 360 - 180, 0.0)
    # Opposite hues are 180 degrees apart either way; the formula goes upwards there.
    turn = torch.where(coloured & ((h2 - h1) == 180), 180.0, turn)
    hue_step = 2 * (c1 * c2).sqrt() * torch.sin(torch.deg2rad(turn / 2))
    far = (h1 - h2).abs() > 180
    middle = (h1 + h2 + torch.where(far & (h1 + h2 < 360), 360.0, 0.0) - torch.where(far & (h1 + h2 >= 360), 360.0, 0.0)) / 2
    hue = torch.where(coloured, middle, h1 + h2)
    light, chroma = (l1 + l2) / 2, (c1 + c2) / 2

    def cosine(factor: float, shift: float) -> Tensor:
        return torch.cos(torch.deg2rad(factor * hue + shift))

    weight = 1 - 0.17 * cosine(1, -30) + 0.24 * cosine(2, 0) + 0.32 * cosine(3, 6) - 0.20 * cosine(4, -63)
    of_light = 1 + 0.015 * (light - 50) ** 2 / (20 + (light - 50) ** 2).sqrt()
    of_chroma, of_hue = 1 + 0.045 * chroma, 1 + 0.015 * chroma * weight
    bend = 60 * torch.exp(-(((hue - 275) / 25) ** 2))
    rotation = -2 * (chroma**7 / (chroma**7 + _CHROMA_POWER)).sqrt() * torch.sin(bend * math.pi / 180)
    parts = (l2 - l1) / of_light, (c2 - c1) / of_chroma, hue_step / of_hue
    return (sum(part**2 for part in parts) + rotation * parts[1] * parts[2]).clamp_min(0).sqrt()
