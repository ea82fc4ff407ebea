"""Writing files so that a killed process or a full disk leaves a whole one, reading them, and telling whether one changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import safe_open

if TYPE_CHECKING:
    from torch import Tensor

LONGEST_WEBP = 16383
"""Pixels that a side of a WebP can have."""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A name to write under, beside `path`; what is there takes `path`'s place when the block ends, and goes if it fails."""
    partial = path.with_name(path.name + ".partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read_metadata(path: Path) -> dict[str, str]:
    """Metadata of a safetensors file; raises SafetensorError or OSError for one that is not whole."""
    with safe_open(path, framework="pt") as file:
        return file.metadata() or {}


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file, in memory of their own; raises as `read_metadata` does.

    The library's own are windows into the file, and a file that is cut off while they are in use ends the process.
    """
    with safe_open(path, framework="pt") as file:
        return {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118 - no mapping


def state_of(*files: Path) -> tuple[tuple[str, int, int], ...]:
    """Path, time of the last change and size of each file: another value where one of them has been written anew."""
    return tuple((str(file), (stat := file.stat()).st_mtime_ns, stat.st_size) for file in files)
