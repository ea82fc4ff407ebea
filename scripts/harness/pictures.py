"""Checks of picture files, and free names for new ones."""

from __future__ import annotations

from pathlib import Path

from harness.errors import UsageError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM", b"GIF87a", b"GIF89a", b"II*\x00", b"MM\x00*")


def require_picture(path: Path, option: str) -> Path:
    """Return the absolute path; raises UsageError unless the file exists, can be read, and begins like a picture."""
    try:
        with path.open("rb") as stream:
            head = stream.read(16)
    except OSError as error:
        raise UsageError(f"{option}: {path} cannot be read ({error.strerror}).") from None
    webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    if not webp and not head.startswith(_SIGNATURES):
        raise UsageError(f"{option}: {path} is not a picture. PNG, JPEG, WebP, BMP, GIF and TIFF are read.")
    return path.absolute()


def require_decodable(path: Path, option: str) -> None:
    """Decode the whole picture with Pillow; raises UsageError if it is damaged."""
    from PIL import Image  # there only inside the environment

    try:
        with Image.open(path) as picture:
            picture.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UsageError(f"{option}: {path} is damaged and cannot be decoded ({error}).") from None


def free_name(folder: Path, stem: str, suffix: str) -> Path:
    """The first of stem_0001, stem_0002, ... that does not exist in the folder yet."""
    number = 1
    while (path := folder / f"{stem}_{number:04d}{suffix}").exists():
        number += 1
    return path
