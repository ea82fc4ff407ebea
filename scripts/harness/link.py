"""Make a folder appear at a second place, and take it away again without touching the original."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_NOT_COPIED = shutil.ignore_patterns(".git", ".venv", "output", "__pycache__", ".*_cache", ".hypothesis")


def link_folder(source: Path, place: Path) -> None:
    """Link `place` to `source`: a symlink; on Windows, where that needs a privilege, a junction, at last a copy."""
    try:
        place.symlink_to(source, target_is_directory=True)
    except OSError:
        if os.name != "nt":
            raise
        try:
            import _winapi  # Windows only

            _winapi.CreateJunction(str(source), str(place))
        except OSError:
            shutil.copytree(source, place, ignore=_NOT_COPIED)


def unlink_folder(place: Path) -> None:
    """Undo `link_folder`."""
    if place.is_symlink():
        place.unlink()
    elif place.is_dir():
        try:
            # Removes a junction, and never what it leads to; a copied folder is not empty and stays.
            place.rmdir()
        except OSError:
            shutil.rmtree(place)
