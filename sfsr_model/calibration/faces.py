"""Faces whose coefficients are known, as SMIRK reads them: rendered ones, or photos."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..encoders.expression_photos import PhotoEncoder
from ..encoders.smirk import SmirkReader, square_at
from ..expressions.library import PICTURES
from ..landmarker.photos import load_photo

if TYPE_CHECKING:
    from ..synthetic.model import FaceModel

MAX_YAW = np.radians(30.0)
"""How far rendered heads turn: the numbers are of the face, and SMIRK reads those of a turned head worse."""


@dataclass(frozen=True, eq=False)
class Readings:
    """N faces. coefficients: float32 [N, 52]. numbers: float32 [N, 55], by SMIRK. skipped: files that were no use, and why."""

    coefficients: Tensor
    numbers: Tensor
    skipped: tuple[str, ...] = ()


def rendered_faces(
    model: FaceModel,
    smirk: SmirkReader,
    count: int,
    size: int = 256,
    seed: int = 0,
    told: Callable[[int], None] = lambda _: None,
) -> Readings:
    """`count` random faces of the renderer, each another person; `told` is given the number of those that are done.

    Raises ValueError for fewer than one face and for a size that cannot be rendered.
    """
    from ..synthetic.sample import sample_picture

    if count < 1:
        raise ValueError(f"count: {count}; expected at least 1 face")
    coefficients, numbers = [], []
    for number in range(count):
        face = sample_picture(model, seed, number, size, max_yaw=MAX_YAW)
        coefficients.append(torch.from_numpy(face.coefficients))
        picture = torch.from_numpy(face.image).float() / 255
        numbers.append(smirk.read(picture, square_at(torch.from_numpy(face.five)))[0])
        told(number + 1)
    return Readings(torch.stack(coefficients), torch.stack(numbers))


def photo_faces(folder: Path, encoder: PhotoEncoder, told: Callable[[int], None] = lambda _: None) -> Readings:
    """The largest face of each photo in a folder and the folders in it, in the order of their names.

    encoder: reads the coefficients, and by its `smirk` the numbers. Raises ValueError for a folder without a readable face.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder; give one with photos of faces")
    read, skipped = [], []
    for number, path in enumerate(_photos(folder), 1):
        try:
            read.append(encoder.read(load_photo(path)[None]))
        except (OSError, ValueError) as error:
            skipped.append(f"{path.relative_to(folder).as_posix()}: {error}")
        told(number)
    if not read:
        raise ValueError(f"{folder}: {_none(skipped)}; give a folder with photos of faces ({', '.join(PICTURES)})")
    numbers = [one.flame for one in read if one.flame is not None]
    return Readings(torch.cat([one.coefficients for one in read]), torch.cat(numbers), tuple(skipped))


def _photos(folder: Path) -> Iterable[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix.lower() in PICTURES)


def _none(skipped: Sequence[str]) -> str:
    return f"no face was read in {len(skipped)} photos ({skipped[0]})" if skipped else "holds no photo"
