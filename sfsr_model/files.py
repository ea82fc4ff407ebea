"""Writing files so that a killed process or a full disk leaves a whole one, and telling whether one has changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A name to write under, beside `path`; what is there takes `path`'s place when the block ends, and goes if it fails."""
    partial = path.with_name(path.name + ".partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def state_of(*files: Path) -> tuple[tuple[str, int, int], ...]:
    """Path, time of the last change and size of each file: another value where one of them has been written anew."""
    return tuple((str(file), (stat := file.stat()).st_mtime_ns, stat.st_size) for file in files)
