"""Opening asset files with errors that name them."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from ..errors import AssetError

# No asset reaches as far, in decimetres or shares; beyond it lie damaged numbers, and those that float32 cannot hold.
LARGEST = 1e6
_HINT = "point --assets at the `data` folder of a complete MakeHuman checkout"


def read_bytes(path: Path) -> bytes:
    """The file's bytes; a name without its own file is looked up with `.gz` appended and unpacked.

    Raises AssetError when neither exists or the packed file is damaged.
    """
    packed = path if path.suffix == ".gz" else path.with_name(path.name + ".gz")
    try:
        if path.suffix != ".gz" and path.is_file():
            return path.read_bytes()
        return gzip.decompress(packed.read_bytes())
    except FileNotFoundError:
        raise AssetError(f"{path}: no such file; {_HINT}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise AssetError(f"{path}: cannot be read ({error}); fetch it again") from error


def read_text(path: Path) -> str:
    """The file as text; raises AssetError as `read_bytes`, and for bytes that are not UTF-8."""
    try:
        return read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise AssetError(f"{path}: not a text file ({error}); fetch it again") from error


def check_numbers(*values: float) -> None:
    """Raise ValueError for numbers that are not finite or larger than any asset's."""
    if not sum(map(abs, values)) < LARGEST:
        raise ValueError(values)


def damaged(path: Path, line: int | None, found: str, expected: str) -> AssetError:
    """The error for content that does not parse; `line` counts from 1."""
    where = f"{path}" if line is None else f"{path}, line {line}"
    return AssetError(f"{where}: found {found!r}, expected {expected}; the file is damaged, fetch it again")
