"""The weights that come with the pack: where they lie, and what is said when one is missing or damaged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

DEMO = "demo (bundled with this pack)"
"""What the demo encoders are called where people choose."""
PHOTOS = "photos (bundled with this pack)"
"""What the second ID encoder is called there, whose recogniser learned from photos."""
ID_ENCODERS = (DEMO, PHOTOS)
"""The ID encoders that come with the pack; the first is what a fresh node shows."""
ORIGIN = "trained by this project on rendered faces alone, Apache License 2.0; docs/models.md says what it can do"
"""Where a file comes from whose metadata say nothing: those that learned from photos say it themselves."""
PHOTO_ORIGIN = (
    "trained by this project on rendered faces and photos, real people's among them, for non-commercial research use; "
    "sfsr_model/weights/LICENSE.md says why"
)
"""The same of the recogniser that learned from photos."""
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
        return self.folder / "demo.safetensors"

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
        return self.faces / "rec_demo.onnx"

    @property
    def photo_recogniser(self) -> Path:
        """The second ID encoder's recogniser; the detector before it is the demo's."""
        return self.folder / "photo_faces" / "rec_photo.onnx"

    def id_encoder(self, name: str) -> tuple[Path, Path, Path]:
        """Detector, second look and recogniser of one of ID_ENCODERS."""
        return self.detector, self.points, {DEMO: self.recogniser, PHOTOS: self.photo_recogniser}[name]

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


@contextmanager
def restorable() -> Iterator[None]:
    """Turn the ValueError of a reader within the block into a DamagedFileError, which says how to get the file back."""
    try:
        yield
    except ValueError as error:
        raise DamagedFileError(f"{error}; {RESTORE}") from error
