"""Pictures with the faces in them boxed and numbered in the order they are chosen by."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch
from torch import Tensor

from .detection import Detection

CHOSEN, OTHER, REFUSED = (60, 200, 90), (235, 190, 40), (225, 70, 60)


def number_faces(
    image: Tensor,
    faces: Sequence[Detection],
    chosen: int | Collection[int] | None,
    note: str = "",
    refused: Sequence[Detection] = (),
) -> Tensor:
    """A copy of a picture [H, W, 3] in 0..1 with a numbered box about each face and its five points, the chosen in green, and
    a note above.

    refused: finds that are no face; their boxes are red and have no number.
    """
    meant = {chosen} if chosen is None or isinstance(chosen, int) else set(chosen)
    from PIL import Image, ImageDraw, ImageFont

    pixels = image[..., :3].clamp(0, 1).mul(255.0).round().to(torch.uint8).cpu().numpy()
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    draw = ImageDraw.Draw(picture)
    unit = max(min(picture.size) / 200.0, 1.0)
    font = ImageFont.load_default(size=max(9.0 * unit, 10.0))
    for face in refused:
        draw.rectangle(_inside(face.box, picture.size), outline=REFUSED, width=max(round(unit), 1))
    for number, face in enumerate(faces):
        colour = CHOSEN if number in meant else OTHER
        left, top, right, bottom = _inside(face.box, picture.size)
        draw.rectangle((left, top, right, bottom), outline=colour, width=max(round(unit), 1))
        for x, y in face.points.tolist():  # where the face is taken to be: a box may be right and these wrong
            draw.ellipse((x - unit, y - unit, x + unit, y + unit), fill=colour)
        _label(draw, (left, top), str(number), font, colour)
    if note:
        _label(draw, (0, 0), note, font, OTHER)
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255.0)


def _inside(box: Tensor, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The box cut to the picture; a corner that would be left of or above another one moves onto it."""
    width, height = size
    left, top, right, bottom = box.tolist()
    left, top = min(max(left, 0), width - 1), min(max(top, 0), height - 1)
    return left, top, max(min(right, width - 1), left), max(min(bottom, height - 1), top)


def _label(draw, place: tuple[float, float], text: str, font, colour: tuple[int, int, int]) -> None:
    left, top, right, bottom = draw.textbbox(place, text, font=font)
    draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), fill=colour)
    draw.text(place, text, font=font, fill=(0, 0, 0))
