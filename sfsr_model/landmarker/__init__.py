"""Reading an expression from a photo: MediaPipe's face landmarker in plain PyTorch, from a file that people own."""

from .bundle import LandmarkerFileError
from .encoder import BLIND, ExpressionEncoder, NoExpressionError, load_expression_encoder
from .landmarker import FaceLandmarker, FaceReading, load_landmarker

__all__ = [
    "BLIND",
    "ExpressionEncoder",
    "FaceLandmarker",
    "FaceReading",
    "LandmarkerFileError",
    "NoExpressionError",
    "load_expression_encoder",
    "load_landmarker",
]
