"""The cache file: everything that rendering needs, written once from the assets."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np

from ..files import whole_file
from .errors import AssetError

MAX_BYTES = 12_000_000
# What numpy and zipfile raise for a file that is damaged or no archive at all.
UNREADABLE = (
    OSError,
    ValueError,
    TypeError,
    EOFError,
    KeyError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    tokenize.TokenError,
)


def write_cache(assets: Path, out: Path, progress: Callable[[str], None] = lambda step: None) -> int:
    """Build the cache of an asset folder and return its size in bytes; an interrupted run leaves no file behind.

    Raises AssetError for a missing or damaged asset and where the file cannot be written, before any work is done.
    """
    from .cache_build import collect
    from .occlusion import bake_occlusion

    if out.is_dir():
        raise AssetError(f"{out}: is a folder; give --out the name of the cache file, such as {out / 'faces.npz'}")
    try:
        with whole_file(out) as partial, partial.open("wb") as file:
            arrays = collect(assets, progress)
            progress("ambient occlusion")
            arrays["occlusion"] = bake_occlusion(arrays)
            np.savez_compressed(file, **cast("dict[str, Any]", arrays))
        return out.stat().st_size
    except OSError as error:
        raise AssetError(f"{out}: cannot be written ({error}); choose another --out or free the disk") from error


def read_cache(path: Path) -> dict[str, np.ndarray]:
    """All arrays of a cache file; nothing in it is unpickled. Raises AssetError for a missing, damaged or outdated file."""
    from .cache_build import FORMAT

    rebuild = "build it with `python -m sfsr_model.synthetic cache --assets DATA --out FILE`"
    try:
        if path.is_file() and not zipfile.is_zipfile(path):
            raise zipfile.BadZipFile("it is no .npz archive, or its end is missing")
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise AssetError(f"{path}: no such cache file; {rebuild}") from None
    except UNREADABLE as error:
        raise AssetError(f"{path}: not a whole cache file ({error}); {rebuild}") from error
    found = arrays.get("format", np.array("none")).tolist()
    if found != FORMAT:
        raise AssetError(f"{path}: cache of format {found}, expected {FORMAT}; {rebuild}")
    return arrays
