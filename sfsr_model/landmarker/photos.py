"""Photo files for an expression library."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..encoders.expression_photos import PhotoEncoder
from ..expressions.library import ExpressionLibrary, build_library, gallery_photos


def load_photo(path: Path) -> Tensor:
    """A picture file as [H, W, 3], float RGB in 0..1, turned as its EXIF says; transparency is laid on grey, and
    16-bit grey keeps its tones.

    Raises OSError for a file that is no readable picture.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as file:
            picture = ImageOps.exif_transpose(file) or file
            if "A" in picture.getbands() or "transparency" in picture.info:
                picture = picture.convert("RGBA")
                ground = Image.new("RGBA", picture.size, (128, 128, 128, 255))
                picture = Image.alpha_composite(ground, picture)
            if picture.mode.startswith("I"):
                # Pillow's own conversion cuts such values off at 255, which leaves a white picture.
                grey = np.asarray(picture, dtype=np.float32).clip(0, 65535) / 257
                pixels = np.stack([grey] * 3, -1)
            else:
                pixels = np.asarray(picture.convert("RGB"), dtype=np.float32)
    # Pillow raises SyntaxError for some damaged files and its own error for one of absurd size.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise OSError(f"cannot be read as a picture ({error}); replace it or take it out") from error
    return torch.from_numpy(pixels / 255)


def read_gallery(
    folder: Path,
    encoder: PhotoEncoder,
    steps: Callable[[Sequence[tuple[str, Path]]], Iterable[tuple[int, tuple[str, Path]]]] = enumerate,
) -> ExpressionLibrary:
    """The library of a folder with one subfolder of photos a word; the largest face of each photo counts.

    steps: see `build_library`. Raises LibraryError.
    """
    return read_photos(gallery_photos(folder), encoder, steps)


def read_photos(
    photos: Mapping[str, tuple[Path, ...]],
    encoder: PhotoEncoder,
    steps: Callable[[Sequence[tuple[str, Path]]], Iterable[tuple[int, tuple[str, Path]]]] = enumerate,
) -> ExpressionLibrary:
    """As `read_gallery`, of the files of each word."""
    return build_library(
        photos, lambda file: encoder.read(load_photo(file)[None]).coefficients[0], encoder.blind, encoder.name, steps
    )
