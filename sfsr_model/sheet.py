"""Rows of pictures with labels, captions and titles, all in one picture."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from .fonts import Font, fonts_for

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

_PAPER, _INK = (255, 255, 255), (20, 20, 20)
_GAP = 4
_SCREEN = 16 / 9
# Pillow takes a picture of a few more pixels for an attack, and browsers show none with a longer side.
MOST_PIXELS, LONGEST_SIDE = 80_000_000, 32_767


@dataclass(frozen=True, eq=False)
class Cell:
    """A picture [h, w, C] in 0..1, C 1 (gray), 3 or 4 (alpha is left out), and what is written under it."""

    picture: Tensor
    caption: str = ""


@dataclass(frozen=True)
class _Text:
    """Lines of text in the font they fit with; sizes in pixels."""

    lines: str
    font: FreeTypeFont
    width: int
    height: int


def result_rows(
    results: Sequence[Tensor], labels: Sequence[str], in_a_row: int, **beside: Sequence[Tensor]
) -> tuple[list[list[Cell]], list[str]]:
    """Rows of cells and a label for each: a picture of each of `beside`, then `in_a_row` of the results.

    labels: one for each result, or none. With one result in a row they are the rows' labels, with more of them the results'
    captions. beside: one picture for all rows or one for each row, by the name of the input they come from.
    Raises ValueError naming the input whose number does not fit.
    """
    if labels and len(labels) != len(results):
        raise ValueError(
            f"labels: found {len(labels)} lines for {len(results)} pictures; expected a line for each picture, or no text"
        )
    texts = list(labels) or [""] * len(results)
    starts = range(0, len(results), in_a_row)
    for name, pictures in beside.items():
        if len(pictures) not in (1, len(starts)):
            raise ValueError(
                f"{name}: found {len(pictures)} pictures for {len(starts)} rows; expected one for all, or one for each row"
            )
    rows = []
    for row, start in enumerate(starts):
        places = range(start, min(start + in_a_row, len(results)))
        repeated = [Cell(pictures[row % len(pictures)]) for pictures in beside.values()]
        rows.append(repeated + [Cell(results[place], "" if in_a_row == 1 else texts[place]) for place in places])
    return rows, texts if in_a_row == 1 else [""] * len(rows)


def draw_sheet(
    rows: Sequence[Sequence[Cell]],
    labels: Sequence[str],
    titles: Sequence[str],
    cell: tuple[int, int],
    most_rows: int = 0,
) -> Tensor:
    """One picture [1, H, W, 3] in 0..1 with a label at the left of each row and a title above each column.

    titles: of the columns from the left; those that have none are left out. cell: width and height of the room for a picture,
    which is fitted into it as a whole; a picture that is enlarged by a whole factor keeps its pixels as squares.
    most_rows: rows below each other, before the sheet goes on with the next at the right; 0 gives a sheet of about a screen's
    shape. Texts are wrapped, and written smaller where a word is too long, each in a font that has its letters (`fonts_for`).
    Raises ValueError for more titles than columns and for a sheet that nothing could show.
    """
    from PIL import Image, ImageDraw

    columns = max(len(row) for row in rows)
    if len(titles) > columns:
        raise ValueError(f"titles: found {len(titles)} for {columns} columns of pictures; expected at most one for each")
    width, height = cell
    size = max(11.0, width / 10.0)
    fonts = fonts_for([*labels, *titles, *(one.caption for row in rows for one in row)])
    names = [_fitted(label, 2 * width, size, fonts[label]) for label in labels]
    heads = [_fitted(title, width, size, fonts[title]) for title in titles]
    captions = [[_fitted(one.caption, width, size, fonts[one.caption]) for one in row] for row in rows]
    left = max(name.width for name in names) + 2 * _GAP if any(labels) else 0
    top = _tallest(heads) + 2 * _GAP if any(titles) else 0
    under = _tallest(caption for row in captions for caption in row) + _GAP
    pitch = max(height + under, _tallest(names) + _GAP)
    across = left + columns * (width + _GAP)
    lines = min(most_rows, len(rows)) or _lines_of_a_screen(len(rows), across, pitch, top)
    blocks = math.ceil(len(rows) / lines)
    whole = (blocks * across, top + lines * pitch)
    if max(whole) > LONGEST_SIDE or whole[0] * whole[1] > MOST_PIXELS:
        raise ValueError(
            f"cell_size: the sheet would have {whole[0]} x {whole[1]} pixels; expected at most {LONGEST_SIDE} on a side and "
            f"{MOST_PIXELS} in all; choose smaller cells or fewer pictures"
        )
    sheet = Image.new("RGB", whole, _PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, (row, name) in enumerate(zip(rows, names, strict=True)):
        block, line = divmod(number, lines)
        x, y = block * across, top + line * pitch
        _write(draw, (x + _GAP, y + (pitch - _GAP) // 2), name, "lm")
        y += (pitch - height - under) // 2
        for place, (one, caption) in enumerate(zip(row, captions[number], strict=True)):
            start = x + left + place * (width + _GAP)
            picture = _fitted_picture(one.picture, cell)
            sheet.paste(picture, (start + (width - picture.width) // 2, y + (height - picture.height) // 2))
            _write(draw, (start + width // 2, y + height + _GAP), caption, "ma")
    for block in range(blocks):
        for place, head in enumerate(heads):
            _write(draw, (block * across + left + place * (width + _GAP) + width // 2, top // 2), head, "mm")
    return torch.from_numpy(np.asarray(sheet, dtype=np.float32) / 255.0)[None]


def _lines_of_a_screen(rows: int, across: int, pitch: int, top: int) -> int:
    """Into how many lines to break the rows, so that the sheet is about as wide for its height as a screen."""

    def unlike(lines: int) -> float:
        return abs(math.log(math.ceil(rows / lines) * across / (top + lines * pitch) / _SCREEN))

    return min(range(1, rows + 1), key=unlike)


def _fitted(text: str, width: int, size: float, face: Font) -> _Text:
    """The text in lines no wider than `width`: smaller, by a third at most, for a long word; still longer ones are broken."""
    font = face.at(size)
    words = text.split()
    while font.size > size * 2 / 3 and any(font.getlength(word) > width for word in words):
        font = face.at(font.size - 0.5)
    lines: list[str] = []
    for letters in range(min(len(text), math.ceil(width / font.getlength("."))), 0, -1):
        lines = textwrap.wrap(text, letters)
        if all(font.getlength(line) <= width for line in lines):
            break
    if not lines:
        return _Text("", font, 0, 0)
    ascent, descent = font.getmetrics()
    return _Text("\n".join(lines), font, math.ceil(max(map(font.getlength, lines))), len(lines) * (ascent + descent + _GAP))


def _tallest(texts: Iterable[_Text]) -> int:
    return max((text.height for text in texts), default=0)


def _write(draw: ImageDraw, place: tuple[float, float], text: _Text, anchor: str) -> None:
    draw.multiline_text(place, text.lines, fill=_INK, font=text.font, anchor=anchor, align="center", spacing=_GAP)


def _fitted_picture(picture: Tensor, cell: tuple[int, int]) -> Image:
    from PIL import Image

    pixels = (picture[..., :3].clamp(0, 1) * 255).round().to(torch.uint8).cpu()
    height, width = pixels.shape[:2]
    image = Image.fromarray(pixels.expand(height, width, 3).numpy())
    scale = min(cell[0] / width, cell[1] / height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return image.resize(size, Image.Resampling.NEAREST if scale.is_integer() else Image.Resampling.LANCZOS)
