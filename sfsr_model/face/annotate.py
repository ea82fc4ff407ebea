"""Pictures with what was found in them drawn on top."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def annotate(image: Tensor, points: Tensor | None, text: str) -> Tensor:
    """A copy of a picture [H, W, 3] in 0..1 with five landmarks [5, 2] and lines of text on a dark strip."""
    from PIL import Image, ImageDraw, ImageFont

    pixels = (image[..., :3].clamp(0, 1) * 255.0).round().to(torch.uint8).cpu().numpy()
    picture = Image.fromarray(pixels)
    draw = ImageDraw.Draw(picture, "RGBA")
    unit = max(min(picture.size) / 160.0, 1.0)
    for x, y in [] if points is None else points.tolist():
        radius = 1.5 * unit
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(255, 220, 0, 255), outline=(0, 0, 0, 255))
    font = ImageFont.load_default(size=max(7.0 * unit, 10.0))
    height = draw.textbbox((0, 0), text, font=font)[3] + 2 * unit
    draw.rectangle((0, 0, picture.width, height), fill=(0, 0, 0, 160))
    draw.text((2 * unit, unit), text, font=font, fill=(255, 255, 255, 255))
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255.0)
