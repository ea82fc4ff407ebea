"""Reading an expression from a photo: MediaPipe's face landmarker in plain PyTorch, from a file that people own."""

from ..encoders.expression_photos import NoExpressionError
from .bundle import LandmarkerFileError
from .encoder import BLIND, UNREAD, ExpressionEncoder, load_expression_encoder
from .landmarker import FaceLandmarker, FaceReading, load_landmarker

__all__ = [
    "BLIND",
    "UNREAD",
    "ExpressionEncoder",
    "FaceLandmarker",
    "FaceReading",
    "LandmarkerFileError",
    "NoExpressionError",
    "load_expression_encoder",
    "load_landmarker",
]
