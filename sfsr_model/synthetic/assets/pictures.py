"""Pictures of the asset folder, and their compressed form inside the cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import AssetError
from .files import damaged, read_bytes


def read_picture(path: Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """uint8 [H, W, 4] RGBA of a picture file, reduced to (width, height) if given; raises AssetError for a damaged one."""
    import io

    from PIL import Image

    try:
        picture = Image.open(io.BytesIO(read_bytes(path))).convert("RGBA")
    except (OSError, SyntaxError) as error:
        raise damaged(path, None, str(error), "a picture") from None
    if size is not None and picture.size != size:
        picture = picture.resize(size, Image.Resampling.BOX)
    return np.asarray(picture)


def encode_picture(pixels: np.ndarray, quality: int) -> np.ndarray:
    """WebP bytes as uint8 [N] of uint8 pixels [H, W], [H, W, 3] or [H, W, 4]; a single channel is lossless."""
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", quality=quality, lossless=pixels.ndim == 2, method=4)
    return np.frombuffer(buffer.getvalue(), np.uint8)


def decode_picture(data: np.ndarray, name: str) -> np.ndarray:
    """uint8 [H, W, 4] RGBA of `encode_picture`'s bytes; `name` is what the error calls it."""
    import io

    from PIL import Image

    try:
        return np.asarray(Image.open(io.BytesIO(data.tobytes())).convert("RGBA"))
    except (OSError, SyntaxError) as error:
        raise AssetError(f"{name}: damaged picture ({error}); build the cache again") from None
