"""What a driver's face did, drawn over time: a row for each movement that was made most, and one for the head."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from ..expressions import ARKIT_NAMES, MOVEMENTS, Expression
from .smoothing import GAZE

_PAPER, _INK, _GRID, _RAW = (255, 255, 255), (40, 40, 40), (225, 225, 225), (200, 200, 205)
_COLOURS = ((48, 99, 142), (209, 73, 91), (0, 121, 111), (237, 174, 73), (102, 72, 138), (90, 90, 90))
_HEAD = ((209, 73, 91), (48, 99, 142), (0, 121, 111))
_WIDTH, _ROW, _LEFT, _GAP = 720, 44, 150, 6
# Twice as large and then reduced: smooth lines.
_SCALE = 2


def main_movements(coefficients: Tensor, most: int = 6) -> list[tuple[str, Tensor]]:
    """The movements that a film [T, 52] shows most, both sides as one: their names and values [T], the largest first."""
    found = []
    for first, *second in sorted(MOVEMENTS):
        if first not in GAZE:
            name = ARKIT_NAMES[first].removesuffix("Left") if second else ARKIT_NAMES[first]
            found.append((name, coefficients[:, [first, *second]].mean(1)))
    found.sort(key=lambda one: -float(one[1].max() - one[1].min()))
    return found[:most]


def plot(expression: Expression, raw: Tensor, rate: float) -> Tensor:
    """A picture [1, H, W, 3] in 0..1 of what the expressions do over time at this rate; grey: coefficients [T, 52] as read."""
    from PIL import Image, ImageDraw, ImageFont

    rows = main_movements(expression.coefficients)
    grey = dict(main_movements(raw, len(ARKIT_NAMES)))
    heights = len(rows) + (expression.pose is not None)
    size = (_WIDTH, heights * (_ROW + _GAP) + 26)
    picture = Image.new("RGB", (size[0] * _SCALE, size[1] * _SCALE), _PAPER)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(13 * _SCALE)
    count = len(expression)
    seconds = count / rate

    def place(values: Tensor, top: int, low: float, high: float) -> list[tuple[float, float]]:
        shares = ((values.double() - low) / (high - low)).clamp(0, 1).tolist()
        step = (_WIDTH - _LEFT - 8) / max(count - 1, 1)
        return [((_LEFT + number * step) * _SCALE, (top + _ROW * (1 - share)) * _SCALE) for number, share in enumerate(shares)]

    def line(points: list[tuple[float, float]], colour: tuple[int, int, int], width: int) -> None:
        if len(points) == 1:
            (x, y), r = points[0], 2 * _SCALE
            draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)
        else:
            draw.line(points, colour, width)

    for number in range(heights):
        top = number * (_ROW + _GAP) + _GAP
        draw.rectangle((_LEFT * _SCALE, top * _SCALE, (_WIDTH - 8) * _SCALE, (top + _ROW) * _SCALE), outline=_GRID)
        if number < len(rows):
            name, values = rows[number]
            line(place(grey[name], top, 0, 1), _RAW, _SCALE)
            line(place(values, top, 0, 1), _COLOURS[number % len(_COLOURS)], 2 * _SCALE)
            draw.text((6 * _SCALE, (top + 14) * _SCALE), name, fill=_INK, font=font)
        elif expression.pose is not None:
            high = max(math.radians(30), float(expression.pose.abs().max()))
            for axis, colour in enumerate(_HEAD):
                line(place(expression.pose[:, axis], top, -high, high), colour, 2 * _SCALE)
            x = 6 * _SCALE
            for text, colour in zip(("pitch", "yaw", "roll"), _HEAD, strict=True):
                draw.text((x, (top + 14) * _SCALE), text, fill=colour, font=font)
                x += int(draw.textlength(text + " ", font=font))
    label = f"{count} frames, {seconds:.1f} s; grey: as read"
    draw.text((_LEFT * _SCALE, (size[1] - 20) * _SCALE), label, fill=_INK, font=font)
    picture = picture.resize(size, Image.Resampling.LANCZOS)
    return torch.from_numpy(np.asarray(picture, np.float32) / 255)[None]
