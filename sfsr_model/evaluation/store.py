"""A run's folder: the pictures made so far, under the settings they were made with, so that a run can go on."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..files import whole_file

Arrays = dict[str, np.ndarray]
PICTURES = "pictures"
_SETTINGS = "run.json"


class RunError(ValueError):
    """A folder that cannot take this run; the message names the folder, and what differs."""


def digest(path: Path) -> str:
    """The start of a file's SHA-256; of a folder's names and sizes."""
    if path.is_dir():
        listing = [(str(file.relative_to(path)), file.stat().st_size) for file in sorted(path.rglob("*")) if file.is_file()]
        return hashlib.sha256(json.dumps(listing).encode()).hexdigest()[:16]
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()[:16]


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def out_folder(folder: Path) -> None:
    """Make the folder of a study; raises RunError where that cannot be done: before the work, not after."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"out: {folder} cannot be made a folder ({error.strerror}); choose another one") from error


class RunFolder:
    """The folder of one run, whose parts lie under `kept`. Raises RunError where it holds the run of other settings, or
    something else."""

    def __init__(self, folder: Path, settings: dict[str, Any], kept: str = PICTURES) -> None:
        self.folder, self._kept = folder, kept
        path = folder / _SETTINGS
        if path.exists():
            self._compare(path, settings)
            return
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise RunError(f"out: {folder} is no folder of an evaluation and not empty; choose a new or empty folder")
        out_folder(folder / kept)
        write_text(path, json.dumps(settings, indent=2))

    def _compare(self, path: Path, settings: dict[str, Any]) -> None:
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(f"out: {path} cannot be read ({error}); delete the folder or choose another") from error
        stored = stored if isinstance(stored, dict) else {}
        wanted = json.loads(json.dumps(settings))
        differing = [name for name in {**stored, **wanted} if stored.get(name) != wanted.get(name)]
        if differing:
            listed = "; ".join(f"{name}: {stored.get(name)} then, {wanted.get(name)} now" for name in sorted(differing))
            raise RunError(f"out: {self.folder} holds another run ({listed}); choose another folder")

    def part(self, number: int, make: Callable[[], Arrays]) -> Arrays:
        """A part, made and stored where it is missing or damaged."""
        path = self.folder / self._kept / f"part-{number:04d}.npz"
        stored = load_part(path)
        if stored is not None:
            return stored
        path.parent.mkdir(exist_ok=True)
        arrays = make()
        with whole_file(path) as partial, partial.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        return arrays


def load_part(path: Path) -> Arrays | None:
    """A stored part, None where it is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None
