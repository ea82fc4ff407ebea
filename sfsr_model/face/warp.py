"""Cutting a face out of a picture and pasting it back; every pixel outside the mask stays bit-equal.

Pictures are ComfyUI's IMAGE: float [H, W, C] or [B, H, W, C], 0..1. Everything is torch and differentiable.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from .colour import match_colour
from .crop import apply_affine, invert_affine
from .frame import FaceFrame
from .mask import feather as feather_mask

Box = tuple[int, int, int, int]  # left, top, right, bottom; the last two exclusive


def crop_face(image: Tensor, frame: FaceFrame) -> Tensor:
    """Return the aligned crop [S, S, C] (or [B, S, S, C]) of a picture [H, W, C] (or [B, H, W, C]).

    What lies outside the picture repeats its border pixels. A face larger than the crop is reduced with an antialiasing
    filter. Raises ValueError when the picture is not of the frame's size.
    """
    pixels, batched = _channels_first(image, frame)
    size = frame.crop_size
    crop = resample(pixels, frame.transform, (0, 0, size, size), padding="border")
    return _channels_last(crop, batched)


def warp_mask(frame: FaceFrame, feather: float = 0.0) -> Tensor:
    """Return the frame's mask in the picture [H, W], float32, 0 wherever `paste_face` leaves the picture alone.

    feather: width of the soft edge, inside the mask, as a fraction of the crop's side.
    """
    height, width = frame.image_size
    full = torch.zeros(height, width)
    box = _paste_box(frame)
    if box is not None:
        left, top, right, bottom = box
        full[top:bottom, left:right] = _mask_in_box(frame, feather, box)
    return full


def paste_face(image: Tensor, crop: Tensor, frame: FaceFrame, feather: float = 0.06, colour_match: float = 1.0) -> Tensor:
    """Return the picture with the crop's masked part warped back to its place.

    image: [H, W, C] or [B, H, W, C]; crop: [S, S, C], or one per picture [B, S, S, C].
    feather: width of the soft edge, inside the mask, as a fraction of the crop's side.
    colour_match: 0 keeps the crop's colours, 1 matches them fully to the picture (`match_colour`).
    Only the mask's bounding box is touched; pixels where the warped mask is 0 keep their exact bits.
    Raises ValueError when picture or crop do not have the sizes of the frame.
    """
    pixels, batched = _channels_first(image, frame)
    patch = _crop_channels_first(crop, frame, pixels)
    result = pixels.clone()
    box = _paste_box(frame)
    if box is not None:
        if colour_match > 0:
            target = resample(pixels, frame.transform, (0, 0, frame.crop_size, frame.crop_size), padding="border")
            patch = match_colour(patch, target, frame.mask, colour_match)
        left, top, right, bottom = box
        under = pixels[..., top:bottom, left:right]
        mask = _mask_in_box(frame, feather, box).to(pixels)
        over = resample(patch, invert_affine(frame.transform), box, padding="border")
        result[..., top:bottom, left:right] = torch.where(mask > 0, torch.lerp(under, over, mask), under)
    return _channels_last(result, batched)


def resample(pixels: Tensor, transform: Tensor, box: Box, padding: str) -> Tensor:
    """Sample [B, C, h, w] so that result pixel p of `box` shows pixels[inverse(transform) p].

    transform [2, 3] maps source to result pixels and is a similarity. Only the needed part of the source is read; where the
    result is smaller it is first reduced with an antialiased filter to the result's scale, then sampled bilinearly.
    """
    left, top, right, bottom = box
    back = invert_affine(transform)
    scale = torch.linalg.det(transform[:, :2]).abs().sqrt().item()
    corners = torch.tensor([[left, top], [right, top], [left, bottom], [right, bottom]], dtype=torch.float64)
    height, width = pixels.shape[-2:]
    margin = math.ceil(2 + 1 / min(scale, 1.0))
    x0, y0, x1, y1 = _enclosing(apply_affine(back, corners - 0.5), margin, width, height)
    pixels = pixels[..., y0:y1, x0:x1]
    if scale < 1:
        reduced = [max(1, round(side * scale)) for side in pixels.shape[-2:]]
        pixels = F.interpolate(pixels, size=reduced, mode="bilinear", antialias=True, align_corners=False)
    # grid_sample measures a source from -1 at its left edge to 1 at its right one, which no reduction moves.
    to_unit = torch.tensor(
        [[2 / (x1 - x0), 0, (1 - 2 * x0) / (x1 - x0) - 1], [0, 2 / (y1 - y0), (1 - 2 * y0) / (y1 - y0) - 1]],
        dtype=torch.float64,
    )
    linear = to_unit[:, :2] @ back
    linear[:, 2] += to_unit[:, 2]
    columns = torch.arange(left, right, dtype=torch.float64)
    rows = torch.arange(top, bottom, dtype=torch.float64)
    grid = columns[None, :, None] * linear[:, 0] + (rows[:, None, None] * linear[:, 1] + linear[:, 2])
    grid = grid.to(pixels).expand(pixels.shape[0], -1, -1, -1)
    return F.grid_sample(pixels, grid, mode="bilinear", padding_mode=padding, align_corners=False)


def _enclosing(points: Tensor, margin: int, width: int, height: int) -> Box:
    """Return the pixel box around points [N, 2], widened by margin and cut to the picture, at least one pixel large."""
    low = (points.amin(0).floor() - margin).long().tolist()
    high = (points.amax(0).ceil() + margin + 1).long().tolist()
    x0, y0 = min(max(low[0], 0), width - 1), min(max(low[1], 0), height - 1)
    return x0, y0, max(min(high[0], width), x0 + 1), max(min(high[1], height), y0 + 1)


def _paste_box(frame: FaceFrame) -> Box | None:
    """Return the part of the picture that the mask can reach, or None when it reaches none of it."""
    rows, columns = torch.nonzero(frame.mask, as_tuple=True)
    if len(rows) == 0:
        return None
    x0, x1, y0, y1 = (float(v) for v in (columns.min(), columns.max(), rows.min(), rows.max()))
    corners = torch.tensor([[x0, y0], [x1, y0], [x0, y1], [x1, y1]], dtype=torch.float64)
    back = invert_affine(frame.transform)
    # One crop pixel of bilinear reach, in picture pixels, and as much for the filter of a reduction.
    reach = math.ceil(2 * torch.linalg.det(back[:, :2]).abs().sqrt().item()) + 2
    height, width = frame.image_size
    points = apply_affine(back, corners)
    low, high = points.amin(0) - reach, points.amax(0) + reach
    if high[0] < 0 or high[1] < 0 or low[0] > width - 1 or low[1] > height - 1:
        return None
    return _enclosing(points, reach, width, height)


def _mask_in_box(frame: FaceFrame, feather: float, box: Box) -> Tensor:
    soft = feather_mask(frame.mask, feather * frame.crop_size)
    return resample(soft[None, None], invert_affine(frame.transform), box, padding="zeros")[0, 0].clamp(0, 1)


def _channels_first(image: Tensor, frame: FaceFrame) -> tuple[Tensor, bool]:
    if image.ndim not in (3, 4) or not image.is_floating_point():
        raise ValueError(f"image: expected float [H, W, C] or [B, H, W, C], got {image.dtype} with shape {tuple(image.shape)}")
    height, width = image.shape[-3:-1]
    if (height, width) != frame.image_size:
        raise ValueError(
            f"image: {width} x {height} pixels, but the face was found in a picture of "
            f"{frame.image_size[1]} x {frame.image_size[0]}; pass the picture that the crop was made from"
        )
    batched = image.ndim == 4
    return (image if batched else image[None]).movedim(-1, 1), batched


def _crop_channels_first(crop: Tensor, frame: FaceFrame, pixels: Tensor) -> Tensor:
    batch, channels = pixels.shape[:2]
    size = frame.crop_size
    patch = (crop if crop.ndim == 4 else crop[None]).movedim(-1, 1)
    if patch.shape[0] not in (1, batch) or patch.shape[1:] != (channels, size, size):
        raise ValueError(
            f"crop: shape {tuple(crop.shape)} does not fit; expected {size} x {size} pixels with {channels} channels, "
            f"one for all or one for each of the {batch} pictures"
        )
    return patch.to(pixels).expand(batch, -1, -1, -1)


def _channels_last(pixels: Tensor, batched: bool) -> Tensor:
    pixels = pixels.movedim(1, -1).contiguous()
    return pixels if batched else pixels[0]
