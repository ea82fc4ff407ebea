"""The frozen networks that losses on pictures look through, from the settings' `encoders`."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from ..encoders.differentiable import TorchRecogniser
from ..encoders.expression import ExpressionReader, load_expression_reader
from ..landmarker import FaceLandmarker, load_landmarker
from .settings import Settings, SettingsError

# The square that the landmarker looks at in an aligned crop, in shares of the crop's side: height of its centre, and its side.
# What its own detector chooses in rendered crops, on average; the crop rule keeps faces in one place, so nothing need be found.
_REGION_CENTRE, _REGION_SIDE = 0.445, 1.1


def recogniser(path: Path | None, entry: str = "encoders.identity") -> TorchRecogniser | None:
    """The recogniser that an entry of the settings names, if it does; raises SettingsError for a file that is not there."""
    if path is None:
        return None
    if not path.exists():
        raise SettingsError(f"{entry}: {path} does not exist; give a recogniser's ONNX file or an insightface pack")
    from ..encoders.pack import load_recogniser

    return load_recogniser(path, "CPU").differentiable()


Reader = FaceLandmarker | ExpressionReader


def expression_reader(settings: Settings) -> Reader | None:
    """What reads expressions, None where the settings name nothing."""
    path = settings.encoders.expression
    if path is None:
        return None
    return load_expression_reader(path) if path.suffix.lower() == ".onnx" else load_landmarker(path)


def measure_expressions(reader: Reader, crops: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Coefficients [N, 52] and pose [N, 3] in aligned crops [N, 3, S, S] in 0..1 with five points [N, 5, 2], with gradients."""
    pictures = crops.movedim(1, -1)
    if isinstance(reader, ExpressionReader):
        return reader.measure(pictures, points)
    read = reader.measure(pictures, face_regions(crops))
    return read.coefficients, read.pose


def face_regions(crops: Tensor) -> Tensor:
    """The landmarker's region [N, 5] in each aligned crop [N, 3, S, S]."""
    size = crops.shape[-1]
    side = _REGION_SIDE * size
    return crops.new_tensor([size / 2 - 0.5, _REGION_CENTRE * size - 0.5, side, side, 0.0]).expand(len(crops), 5)
