"""The weights that come with the pack: where they lie, and what is said when one is missing or damaged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BUNDLED_NAME = "bundled (comes with this pack)"
"""What the bundled encoders are called where people choose."""
_EARLIER_NAMES = ("demo (bundled with this pack)", "photos (bundled with this pack)")
ORIGIN = (
    "trained by this project on rendered faces and photos, real people's among them, for non-commercial research use; "
    "sfsr_model/weights/LICENSE.md says why"
)
"""Where a bundled file comes from whose metadata say nothing."""
PACK = Path(__file__).resolve().parents[1]
"""The folder that the pack lies in: of several copies this one."""
RESTORE = f"it comes with the pack: run 'git checkout -- sfsr_model/weights' in '{PACK}', or install the pack again"


class DamagedFileError(ValueError):
    """A file that comes with the pack cannot be used; the message names it and says how to get it back."""


@dataclass(frozen=True)
class Weights:
    """The files of a folder of bundled weights, whether they are there or not."""

    folder: Path

    @property
    def checkpoint(self) -> Path:
        return self.folder / "photos.safetensors"

    @property
    def faces(self) -> Path:
        """An insightface pack: detector and recogniser."""
        return self.folder / "demo_faces"

    @property
    def detector(self) -> Path:
        return self.faces / "det_demo.onnx"

    @property
    def points(self) -> Path:
        """What takes a second look at every find."""
        return self.folder / "demo_points.onnx"

    @property
    def recogniser(self) -> Path:
        return self.faces / "rec_photo.onnx"

    @property
    def id_encoder(self) -> tuple[Path, Path, Path]:
        """Detector, second look and recogniser."""
        return self.detector, self.points, self.recogniser

    @property
    def expression(self) -> Path:
        return self.folder / "demo_expression.onnx"

    @property
    def face_points(self) -> Path:
        """The mean face and its movements, which drawings of expressions are made of."""
        return self.folder / "drawing" / "face_points.safetensors"

    @property
    def judge_recogniser(self) -> Path:
        """A second recogniser, which measures and conditions nothing."""
        return self.folder / "judges" / "judge_recogniser.onnx"

    @property
    def judge_expression(self) -> Path:
        """A second expression encoder, likewise."""
        return self.folder / "judges" / "judge_expression.onnx"

    def require(self, label: str, *files: Path) -> None:
        """Raise FileNotFoundError naming those of these files that are missing. label: the input that asks for them."""
        missing = " and ".join(file.relative_to(self.folder).as_posix() for file in files if not file.is_file())
        if missing:
            raise FileNotFoundError(f"{label}: '{self.folder}' lacks {missing}; {RESTORE}")


BUNDLED = Weights(PACK / "sfsr_model" / "weights")


def is_bundled_encoder(name: str) -> bool:
    """Whether the encoder of this name comes with the pack; graphs of before give it the names that it had."""
    return name == BUNDLED_NAME or name in _EARLIER_NAMES


@contextmanager
def restorable() -> Iterator[None]:
    """Turn the ValueError of a reader within the block into a DamagedFileError, which says how to get the file back."""
    try:
        yield
    except ValueError as error:
        raise DamagedFileError(f"{error}; {RESTORE}") from error
