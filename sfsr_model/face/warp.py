"""Cutting a face out of a picture and pasting it back; every pixel outside the mask stays bit-equal.

Pictures are ComfyUI's IMAGE: float [H, W, C] or [B, H, W, C], 0..1. Everything is torch and differentiable. Every precision is
kept at both ends and computed in float32, so that a mask is 0 in the same places for all of them. Work and memory follow the
face's region, not the picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from .colour import MEASURED_SIDE, match_colour, measure_colours
from .crop import apply_affine, crop_transform, invert_affine
from .frame import FaceFrame
from .mask import feather as feather_mask

Box = tuple[int, int, int, int]  # left, top, right, bottom; the last two exclusive

# Rows of the picture that are pasted at a time: their temporaries stay in the processor's cache.
_BAND = 64


def crop_face(image: Tensor, frame: FaceFrame) -> Tensor:
    """Return the aligned crop [S, S, C] (or [B, S, S, C]) of a picture [H, W, C] (or [B, H, W, C]).

    What lies outside the picture repeats its border pixels. A face larger than the crop is reduced with an antialiasing
    filter. Raises ValueError when the picture is not of the frame's size.
    """
    pixels, batched = _channels_first(image, frame)
    crop = resample(pixels, frame.transform, (0, 0, frame.crop_size, frame.crop_size)).to(image.dtype)
    return _channels_last(crop, batched)


def crop_faces(pictures: Tensor, points: Tensor, size: int) -> Tensor:
    """Crops [N, C, size, size] of pictures [N, H, W, C] with five points each [N, 5, 2], as `crop_face` cuts out one."""
    transforms = crop_transform(points.detach().cpu(), size)
    rows = zip(pictures.movedim(-1, 1).split(1), transforms, strict=True)
    return torch.cat([resample(picture, transform, (0, 0, size, size)) for picture, transform in rows])


def warp_mask(frame: FaceFrame, feather: float = 0.0) -> Tensor:
    """Return the frame's mask in the picture [H, W], float32, 0 wherever `paste_face` leaves the picture alone.

    feather: width of the soft edge, inside the mask, as a fraction of the crop's side.
    """
    full = torch.zeros(*frame.image_size)
    soft = feather_mask(frame.mask, feather * frame.crop_size)
    for (left, top, right, bottom), layers in _bands(soft[None, None], frame):
        full[top:bottom, left:right] = layers[0, 0]
    return full


def paste_face(image: Tensor, crop: Tensor, frame: FaceFrame, feather: float = 0.06, colour_match: float = 1.0) -> Tensor:
    """Return the picture with the crop's masked part warped back to its place; see `paste_into`.

    image: [H, W, C] or [B, H, W, C]; crop: [S, S, C], or one per picture [B, S, S, C].
    """
    return paste_into(image.clone(), crop, frame, feather, colour_match)


def seam_colours(picture: Tensor, crop: Tensor, frame: FaceFrame) -> Tensor | None:
    """The colours [B, 4, 3] of crop and picture at the seam, as `paste_into` matches them; see `measure_colours`.

    picture and crop as for `paste_into`. None where nothing is pasted and for pictures without three channels.
    """
    pixels, _ = _channels_first(picture, frame)
    return _seam_colours(pixels, _crop_channels_first(crop, frame, pixels), frame)


def paste_into(
    picture: Tensor,
    crop: Tensor,
    frame: FaceFrame,
    feather: float = 0.06,
    colour_match: float = 1.0,
    colours: Tensor | None = None,
) -> Tensor:
    """Warp the crop's masked part back to its place, in the picture itself, which is returned.

    picture: [H, W, C] or [B, H, W, C]; crop: [S, S, C], or one per picture [B, S, S, C].
    feather: width of the soft edge, inside the mask, as a fraction of the crop's side.
    colour_match: 0 keeps the crop's colours, 1 matches them fully to the picture (`match_colour`).
    colours: what `seam_colours` measures, where somebody knows better, such as from the frames about it.
    The frame's opacity thins the whole. Only the mask's bounding box is touched; pixels where the warped mask is 0 keep their
    exact bits.
    Raises ValueError when picture or crop do not have the sizes of the frame.
    """
    pixels, _ = _channels_first(picture, frame)
    patch = _crop_channels_first(crop, frame, pixels)
    if colour_match > 0:
        colours = _seam_colours(pixels, patch, frame) if colours is None else colours
        patch = patch if colours is None else match_colour(patch, colours, colour_match)
    soft = feather_mask(frame.mask, feather * frame.crop_size).to(patch) * frame.opacity
    layers = torch.cat((patch, soft.expand(len(patch), 1, -1, -1)), 1)
    for (left, top, right, bottom), band in _bands(layers, frame):
        mask = band[:, -1].detach()
        # Channel by channel: the picture's channels alternate in memory, and mixing both orders at once is slow.
        for channel in range(pixels.shape[1]):
            under = pixels[:, channel, top:bottom, left:right]
            mixed = torch.lerp(under.to(band), band[:, channel], mask).to(under)
            under.copy_(torch.where(mask > 0, mixed, under))
    return picture


def _seam_colours(pixels: Tensor, patch: Tensor, frame: FaceFrame) -> Tensor | None:
    if patch.shape[1] != 3 or _paste_box(frame) is None:
        return None
    side = min(frame.crop_size, MEASURED_SIDE)
    around = resample(pixels, frame.resized(side).transform, (0, 0, side, side))
    return measure_colours(patch, around, frame.mask)


def resample(pixels: Tensor, transform: Tensor, box: Box, padding: str = "border") -> Tensor:
    """Sample [B, C, h, w] so that result pixel p of `box` shows pixels[inverse(transform) p].

    transform [2, 3] maps source to result pixels and is a similarity. Only the needed part of the source is read; where the
    result is smaller it is first reduced with an antialiased filter to the result's scale, then sampled bilinearly.
    """
    left, top, right, bottom = box
    back = invert_affine(transform)
    scale = torch.linalg.det(transform[:, :2]).abs().sqrt().item()
    corners = torch.tensor([[left, top], [right, top], [left, bottom], [right, bottom]], dtype=torch.float64)
    height, width = pixels.shape[-2:]
    x0, y0, x1, y1 = _enclosing(apply_affine(back, corners - 0.5), math.ceil(2 + 1 / min(scale, 1.0)), width, height)
    back[:, 2] -= torch.tensor([x0, y0], dtype=torch.float64)
    region = _reduced(pixels[..., y0:y1, x0:x1].float(), scale)
    return _sample(region, _to_unit(back, x1 - x0, y1 - y0), box, padding)


def _bands(layers: Tensor, frame: FaceFrame) -> Iterator[tuple[Box, Tensor]]:
    """The layers [B, L, S, S] of a crop, the last of which is a mask, warped to the picture in bands of rows.

    Yields each band's place and its pixels [B, L, h, w]. Beyond the crop its border repeats, but the mask is 0.
    """
    box = _paste_box(frame)
    if box is None:
        return
    left, top, right, bottom = box
    scale = torch.linalg.det(frame.transform[:, :2]).abs().sqrt().item()
    layers = _reduced(layers, 1 / scale)
    side = layers.shape[-1]
    layers = torch.cat((F.pad(layers, (1,) * 4, "replicate")[:, :-1], F.pad(layers[:, -1:], (1,) * 4)), 1)
    # The margin around the layers, one of their own pixels wide, moves their edges inwards from -1 and 1.
    unit = _to_unit(frame.transform, frame.crop_size, frame.crop_size) * (side / (side + 2))
    layers = layers.contiguous(memory_format=torch.channels_last)
    for start in range(top, bottom, _BAND):
        place = (left, start, right, min(start + _BAND, bottom))
        yield place, _sample(layers, unit, place)


def _reduced(pixels: Tensor, scale: float) -> Tensor:
    """[B, C, h, w], antialiased and `scale` times as large where that is below 1."""
    if scale >= 1:
        return pixels
    size = [max(1, round(side * scale)) for side in pixels.shape[-2:]]
    return F.interpolate(pixels, size=size, mode="bilinear", antialias=True, align_corners=False)


def _to_unit(transform: Tensor, width: int, height: int) -> Tensor:
    """The transform [2, 3] to pixels, as one to grid_sample's measure: -1 at the left or upper edge, 1 at the other."""
    unit = transform * torch.tensor([[2 / width], [2 / height]], dtype=torch.float64)
    unit[:, 2] += torch.tensor([1 / width - 1, 1 / height - 1], dtype=torch.float64)
    return unit


def _sample(pixels: Tensor, unit: Tensor, box: Box, padding: str = "border") -> Tensor:
    """The pixels [B, C, h, w] at unit [2, 3] times each place of the box, bilinearly."""
    left, top, right, bottom = box
    across = torch.arange(left, right, dtype=torch.float64)[:, None] * unit[:, 0]
    down = torch.arange(top, bottom, dtype=torch.float64)[:, None] * unit[:, 1] + unit[:, 2]
    grid = across.to(pixels)[None] + down.to(pixels)[:, None]
    grid = grid.expand(pixels.shape[0], -1, -1, -1)
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


def require_size(image: Tensor, frame: FaceFrame, name: str = "image") -> None:
    """Raises ValueError for pictures [..., H, W, C] of another size than the one that the face was found in."""
    height, width = image.shape[-3:-1]
    if (height, width) != frame.image_size:
        raise ValueError(
            f"{name}: {width} x {height} pixels, but the face was found in a picture of "
            f"{frame.image_size[1]} x {frame.image_size[0]}; pass the picture that the crop was made from"
        )


def _channels_first(image: Tensor, frame: FaceFrame) -> tuple[Tensor, bool]:
    if image.ndim not in (3, 4) or not image.is_floating_point():
        raise ValueError(f"image: expected float [H, W, C] or [B, H, W, C], got {image.dtype} with shape {tuple(image.shape)}")
    require_size(image, frame)
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
    return patch.to(pixels).float().expand(batch, -1, -1, -1)


def _channels_last(pixels: Tensor, batched: bool) -> Tensor:
    pixels = pixels.movedim(1, -1).contiguous()
    return pixels if batched else pixels[0]
