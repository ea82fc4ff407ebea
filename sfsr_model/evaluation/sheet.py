"""The picture sheet: what went in, what came out, and what should have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..files import whole_file
from .store import Arrays

COLUMNS = ("reference", "source", "target", "generated", "answer", "round_trip")
_CAPTION = 14


def draw_sheet(rows: Sequence[Arrays], path: Path) -> None:
    """A JPEG with a row for each case and a captioned column for each of COLUMNS, uint8 [S, S, 3] each."""
    cells = [[row[name] for name in COLUMNS] for row in rows]
    draw_columns(cells, [name.replace("_", " ") for name in COLUMNS], path, _CAPTION)


def draw_columns(cells: Sequence[Sequence[np.ndarray]], titles: Sequence[str], path: Path, caption: int) -> None:
    """A JPEG of rows of pictures, uint8 [S, S, 3] each, below their columns' titles in a line of `caption` pixels."""
    from PIL import Image, ImageDraw

    pixels = np.concatenate([np.concatenate(row, 1) for row in cells])
    sheet = Image.new("RGB", (pixels.shape[1], pixels.shape[0] + caption), (24, 24, 24))
    sheet.paste(Image.fromarray(pixels), (0, caption))
    drawing = ImageDraw.Draw(sheet)
    for place, title in enumerate(titles):
        drawing.text((place * pixels.shape[1] // len(titles) + 3, 1), title, fill=(255, 255, 255))
    _save(sheet, path)


def save_sheet(picture: Tensor, path: Path) -> None:
    """A picture [H, W, 3] in 0..1 as a JPEG."""
    from PIL import Image

    _save(Image.fromarray((picture.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()), path)


def _save(sheet: Any, path: Path) -> None:
    with whole_file(path) as partial:
        sheet.save(partial, "JPEG", quality=88)
