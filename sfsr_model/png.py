"""PNG files of 16 bits a channel, which Pillow reads and does not write (W3C, PNG Specification, third edition)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable

import numpy as np
from torch import Tensor

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOURS = {3: 2, 4: 6}  # by channels: RGB, and RGB with alpha
_UP = 2  # a row is kept as its difference from the one above it
_EFFORT = 4  # as the host compresses its own


def encode_png16(picture: Tensor, chunks: Iterable[tuple[bytes, bytes]] = ()) -> bytes:
    """A picture [H, W, 3 or 4] in 0..1 as the bytes of a file, with more chunks (type, data) before its pixels.

    Values beyond 0 and 1 are cut off. Raises ValueError for another shape.
    """
    if picture.ndim != 3 or picture.shape[-1] not in _COLOURS or 0 in picture.shape:
        raise ValueError(f"picture: expected [H, W, 3 or 4], found shape {tuple(picture.shape)}")
    height, width, channels = picture.shape
    values = picture.detach().cpu().double().clamp(0, 1).mul(65535).round().numpy().astype(">u2")
    rows = values.reshape(height, -1).view(np.uint8)
    above = np.vstack((np.zeros_like(rows[:1]), rows[:-1]))
    filtered = np.hstack((np.full((height, 1), _UP, np.uint8), rows - above))
    header = struct.pack(">IIBBBBB", width, height, 16, _COLOURS[channels], 0, 0, 0)
    body = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(filtered.tobytes(), _EFFORT)), (b"IEND", b"")]
    return _SIGNATURE + b"".join(_chunk(kind, data) for kind, data in body)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
