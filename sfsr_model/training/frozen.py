"""The frozen networks that losses on pictures look through, from the settings' `encoders`."""

from __future__ import annotations

from ..encoders.differentiable import TorchRecogniser
from ..encoders.expression import ExpressionReader, load_expression_reader
from ..landmarker import FaceLandmarker, load_landmarker
from .settings import Settings, SettingsError


def recogniser(settings: Settings) -> TorchRecogniser | None:
    """The recogniser, None where the settings name none; raises SettingsError for a file that is not there."""
    path = settings.encoders.identity
    if path is None:
        return None
    if not path.exists():
        raise SettingsError(f"encoders.identity: {path} does not exist; give a recogniser's ONNX file or an insightface pack")
    from ..encoders.pack import load_recogniser

    return load_recogniser(path, "CPU").differentiable()


def expression_reader(settings: Settings) -> FaceLandmarker | ExpressionReader | None:
    """What reads expressions, None where no loss asks for it."""
    path = settings.encoders.expression
    if not settings.losses.expression or path is None:
        return None
    return load_expression_reader(path) if path.suffix.lower() == ".onnx" else load_landmarker(path)
