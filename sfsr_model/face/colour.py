"""Matching a synthesised face's colours to the picture it returns to."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .mask import feather

# Luma of ITU-R BT.709, on the gamma-coded values as they are.
_LUMA = (0.2126, 0.7152, 0.0722)
_BAND = 0.10
# Large crops are measured reduced to this side: colour is matched, not detail.
MEASURED_SIDE = 64
_GAIN_LIMIT = 1.5
_MIN_STD = 0.01
# Means and deviations of colour below this, half a step of 8 bits, are those of a picture in black and white.
_COLOURLESS = 0.5 / 255


def measure_colours(crop: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """What `match_colour` needs to know of crops [B, 3, S, S] and target crops [B, 3, T, T], gamma-coded RGB, 0..1: [B, 4, 3].

    Rows are means and deviations of the crop, then of the target; columns luma Y' and the differences R - Y', B - Y'. They are
    measured in the band of the mask [S, S] next to its edge, _BAND of the side wide: skin of forehead, cheeks and jaw, which
    must agree across the seam, without eyes and mouth, whose change is the very purpose. T may be another side than S, down to
    MEASURED_SIDE.
    """
    coarse = (min(mask.shape[-1], MEASURED_SIDE),) * 2
    mask = mask.cpu()  # some accelerators lack the float64 that feathering uses
    small_mask = F.interpolate(mask[None, None], coarse, mode="area")[0, 0]
    band = small_mask - feather(small_mask, 2 * _BAND * coarse[0])
    weight = (band / band.sum().clamp_min(1e-6)).to(crop)
    source = _moments(_to_opponent(F.interpolate(crop, coarse, mode="area")), weight)
    goal = _moments(_to_opponent(F.interpolate(target, coarse, mode="area")), weight)
    return torch.stack((*source, *goal), 1)[..., 0, 0]


def match_colour(crop: Tensor, colours: Tensor, strength: float = 1.0) -> Tensor:
    """Return the crops [B, 3, S, S] with the colours of their targets, as measured [B, 4, 3] by `measure_colours`.

    Means and deviations are matched (Reinhard et al. 2001) as luma and differences, so that a gain in contrast does not turn
    the hue. The gain stays within 1/_GAIN_LIMIT.._GAIN_LIMIT; for a target in black and white all colour goes.
    strength 0..1 blends with the unchanged crop.
    """
    source_mean, source_std, goal_mean, goal_std = colours.to(crop)[..., None, None].unbind(1)
    gain = ((goal_std + _MIN_STD) / (source_std + _MIN_STD)).clamp(1 / _GAIN_LIMIT, _GAIN_LIMIT)
    colourful = (goal_mean[:, 1:].abs() + goal_std[:, 1:]).amax(1, keepdim=True) >= _COLOURLESS
    gain = torch.cat((gain[:, :1], gain[:, 1:] * colourful), 1)
    matched = _to_rgb((_to_opponent(crop) - source_mean) * gain + goal_mean).clamp(0, 1)
    return torch.lerp(crop, matched, strength)


def _moments(pixels: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    mean = (pixels * weight).sum((-2, -1), keepdim=True)
    variance = ((pixels - mean) ** 2 * weight).sum((-2, -1), keepdim=True)
    return mean, (variance + 1e-12).sqrt()


def _to_opponent(rgb: Tensor) -> Tensor:
    red, green, blue = rgb.unbind(1)
    luma = _LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue
    return torch.stack((luma, red - luma, blue - luma), 1)


def _to_rgb(opponent: Tensor) -> Tensor:
    luma, red, blue = opponent.unbind(1)
    red, blue = red + luma, blue + luma
    return torch.stack((red, (luma - _LUMA[0] * red - _LUMA[2] * blue) / _LUMA[1], blue), 1)
