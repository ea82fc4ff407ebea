"""The demo weights that come with the pack: where they lie, and what is said when one is missing or damaged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WEIGHTS = Path(__file__).resolve().parent / "weights"
CHECKPOINT = WEIGHTS / "demo.safetensors"
FACES = WEIGHTS / "demo_faces"
DETECTOR, RECOGNISER = FACES / "det_demo.onnx", FACES / "rec_demo.onnx"
EXPRESSION = WEIGHTS / "demo_expression.onnx"

DEMO = "demo (bundled with this pack)"
"""What the demo encoders are called where people choose."""
ORIGIN = "trained by this project on rendered faces alone, Apache License 2.0; docs/models.md says what it can do"
RESTORE = "it comes with the pack: run 'git checkout -- sfsr_model/weights' in the pack's folder, or install the pack again"


class DamagedFileError(ValueError):
    """A file that comes with the pack cannot be used; the message names it and says how to get it back."""


def require_bundled(label: str, *files: Path) -> None:
    """Raise FileNotFoundError naming those of the bundled files that are missing. label: the input that asks for them."""
    missing = " and ".join(file.relative_to(WEIGHTS).as_posix() for file in files if not file.is_file())
    if missing:
        raise FileNotFoundError(f"{label}: the pack's sfsr_model/weights lacks {missing}; {RESTORE}")


@contextmanager
def restorable() -> Iterator[None]:
    """Turn the ValueError of a reader within the block into a DamagedFileError, which says how to get the file back."""
    try:
        yield
    except ValueError as error:
        raise DamagedFileError(f"{error}; {RESTORE}") from error
