"""The cache file: everything that rendering needs, written once from the assets."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .errors import AssetError

MAX_BYTES = 12_000_000


def write_cache(assets: Path, out: Path, progress: Callable[[str], None] = lambda step: None) -> int:
    """Build the cache of an asset folder and return its size in bytes; an interrupted run leaves no file behind.

    Raises AssetError for a missing or damaged asset, OSError when the file cannot be written.
    """
    from .cache_build import collect
    from .occlusion import bake_occlusion

    arrays = collect(assets, progress)
    progress("ambient occlusion")
    arrays["occlusion"] = bake_occlusion(arrays)
    partial = out.with_name(out.name + ".partial")
    try:
        with partial.open("wb") as file:
            np.savez_compressed(file, **arrays)
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    return out.stat().st_size


def read_cache(path: Path) -> dict[str, np.ndarray]:
    """All arrays of a cache file; nothing in it is unpickled. Raises AssetError for a missing, damaged or outdated file."""
    from .cache_build import FORMAT

    rebuild = "build it with `python -m sfsr_model.synthetic cache --assets DATA --out FILE`"
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise AssetError(f"{path}: no such cache file; {rebuild}") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, KeyError) as error:
        raise AssetError(f"{path}: not a whole cache file ({error}); {rebuild}") from error
    found = int(arrays.get("format", np.array(-1)))
    if found != FORMAT:
        raise AssetError(f"{path}: cache of format {found}, expected {FORMAT}; {rebuild}")
    return arrays
