"""Pictures with what was found in them drawn on top."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

# Pixels of the shorter side from which a face with two lines of text on it can be read.
_READABLE = 256


def annotate(image: Tensor, points: Tensor | None, text: str) -> Tensor:
    """A copy of a picture [H, W, 3] in 0..1 with five landmarks [5, 2] and lines of text on a dark strip.

    A small picture comes back enlarged by a whole number, and text that is wider than the picture is broken.
    """
    from PIL import Image, ImageDraw, ImageFont

    pixels = (image[..., :3].clamp(0, 1) * 255.0).round().to(torch.uint8).cpu().numpy()
    picture = Image.fromarray(pixels)
    zoom = math.ceil(_READABLE / min(picture.size))
    picture = picture.resize((picture.width * zoom, picture.height * zoom), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(picture, "RGBA")
    unit = min(picture.size) / 160.0
    for x, y in [] if points is None else (((points + 0.5) * zoom) - 0.5).tolist():
        radius = 1.5 * unit
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(255, 220, 0, 255), outline=(0, 0, 0, 255))
    font = ImageFont.load_default(size=7.0 * unit)
    lines = "\n".join(_broken(line, font.getlength, picture.width - 4 * unit) for line in text.splitlines())
    height = draw.textbbox((0, 0), lines, font=font)[3] + 2 * unit
    draw.rectangle((0, 0, picture.width, height), fill=(0, 0, 0, 160))
    draw.text((2 * unit, unit), lines, font=font, fill=(255, 255, 255, 255))
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255.0)


def _broken(line: str, length, width: float) -> str:
    """The words in lines no longer than `width`, each as full as can be; a word alone may be longer."""
    lines: list[str] = []
    for word in line.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and length(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return "\n".join(lines)
