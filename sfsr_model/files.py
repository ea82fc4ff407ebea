"""Writing files so that a killed process or a full disk leaves a whole one, reading them, and telling whether one changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


def read_foreign_tensors(path: Path) -> dict[str, Any]:
    """Tensors of another project's file, safetensors or PyTorch's, nested as it has them; nothing else is unpickled.

    Raises ValueError naming a file that is not there, cannot be read, or holds anything but named tensors.
    """
    import torch

    try:
        if path.suffix == ".safetensors":
            return read_tensors(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such file") from error
    except Exception as error:  # as many kinds as there are ways to damage a file
        raise ValueError(unreadable(path)) from error
    if not isinstance(found, dict):
        raise ValueError(f"{path.name}: holds a {type(found).__name__}, expected named tensors; get the file again")
    return found


def unreadable(path: Path) -> str:
    """What to say of a file of which no tensors can be read.

    What PyTorch says is for programmers, and proposes to run the file's programs.
    """
    return (
        f"{path.name}: cannot be read as a file of tensors; it is cut off, empty, a page in place of the file, or it holds "
        "programs, which are never run: get the file again"
    )


def flat_tensors(tensors: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """Nested tensors by their names, with dots between what was nested; whatever is no tensor is left out."""
    import torch

    for key, value in tensors.items():
        if isinstance(value, Mapping):
            yield from flat_tensors(value, f"{prefix}{key}.")
        elif isinstance(value, torch.Tensor):
            yield f"{prefix}{key}", value


def digest_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def state_of(*files: Path) -> tuple[tuple[str, int, int], ...]:
    """Path, time of the last change and size of each file: another value where one of them has been written anew."""
    return tuple((str(file), (stat := file.stat()).st_mtime_ns, stat.st_size) for file in files)
