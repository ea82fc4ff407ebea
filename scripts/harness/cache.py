"""The folder that keeps the environment, the host and the logs between runs, and the lock on it."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.errors import SetupError

GIB = 1024**3


def cache_folder() -> Path:
    """`SFSR_CACHE`, or the platform's place for caches. Created if missing."""
    if named := os.environ.get("SFSR_CACHE"):
        folder = Path(named).expanduser().absolute()
    elif sys.platform == "darwin":
        folder = Path.home() / "Library" / "Caches" / "sfsr"
    elif os.name == "nt":
        folder = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "sfsr"
    else:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sfsr"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError(
            f"The cache folder {folder} cannot be created ({error.strerror}). Name another one in SFSR_CACHE."
        ) from error
    return folder


def require_space(folder: Path, needed: int, purpose: str) -> None:
    """Raise SetupError unless `needed` bytes are free on the disk that holds `folder`."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise SetupError(
            f"Not enough disk space for {purpose}: {needed / GIB:.1f} GiB needed, {free / GIB:.1f} GiB free"
            f" in {folder}. Free some, or name a folder on a larger disk in SFSR_CACHE."
        )


def write_atomically(path: Path, text: str) -> None:
    """Write a small file so that it is either whole or absent."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)


@contextlib.contextmanager
def locked(folder: Path, say: Callable[[str], None] = print) -> Iterator[None]:
    """Hold the folder's lock: two set-ups at once would write the same environment. The lock dies with its process."""
    with (folder / ".lock").open("a+b") as stream:
        waiting = False
        while not _try_lock(stream.fileno()):
            if not waiting:
                say("Waiting for another set-up in the same cache folder to finish.")
                waiting = True
            time.sleep(0.5)
        yield


def _try_lock(descriptor: int) -> bool:
    try:
        if os.name == "nt":
            import msvcrt  # Windows only

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl  # absent on Windows

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
