"""Detectors of every kind behind one method: SCRFD's, YuNet, MediaPipe's own finder, and the pack as its users have it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ...bundled import Weights
from ...encoders.detection import Detection
from ...encoders.detector import bgr
from ...encoders.onnx_files import inspect_onnx
from ...landmarker import ExpressionEncoder, load_expression_encoder
from ...naming import naming

# YuNet (Wu et al. 2023) gives a class, an objectness, a box and five points at each of three strides.
_YUNET_OUTPUTS = 12
# OpenCV's own default for YuNet, and down to where its finds are kept as doubtful ones.
_YUNET_SCORE, _YUNET_DOUBTFUL = 0.9, 0.6


class FaceFinder(Protocol):
    """Finds faces in a picture [H, W, 3], float RGB in 0..1; doubtful finds are marked as refused."""

    def detect(self, image: Tensor) -> list[Detection] | None: ...


@dataclass(frozen=True, eq=False)
class YunetFinder:
    """YuNet's ONNX file through OpenCV, at the picture's own size."""

    model: Any

    def detect(self, image: Tensor) -> list[Detection]:
        """As FaceFinder's."""
        picture = bgr(image)
        self.model.setInputSize((picture.shape[1], picture.shape[0]))
        rows = self.model.detect(picture)[1]
        return [] if rows is None else [_yunet_find(row.astype(np.float64)) for row in rows]


def _yunet_find(row: np.ndarray) -> Detection:
    """Of left, top, width, height, five points and score."""
    box, points, score = torch.from_numpy(row[:4].copy()), torch.from_numpy(row[4:14].reshape(5, 2).copy()), float(row[14])
    box[2:] += box[:2]
    refused = None if score >= _YUNET_SCORE else f"its score is below {_YUNET_SCORE:g}"
    return Detection(box, points, score, score, refused)


@dataclass(frozen=True, eq=False)
class LandmarkerFinder:
    """MediaPipe's finder as this project runs it, with box and points by the landmarks that it reads there."""

    encoder: ExpressionEncoder

    def detect(self, image: Tensor) -> list[Detection]:
        """As FaceFinder's."""
        return self.encoder.faces(image)[0]


def load_finder(path: Path, option: str = "detector") -> FaceFinder:
    """The detector of a file or folder; option: that named it.

    A .task is MediaPipe's; an ONNX file YuNet's or one of SCRFD's kind; a folder an insightface pack, or this pack's folder of
    weights, which then finds faces as its users' does: with the carried detector where its own sees nothing.
    Raises ValueError for anything else, RuntimeProblem or ImportError where a package is missing.
    """
    from ...encoders.bundled import load_bundled_encoder
    from ...encoders.pack import load_detector

    if not path.exists():
        raise ValueError(f"{option}: {path} does not exist; give a detector's file or a folder")
    with naming(option):
        if is_pack(path):
            try:
                return load_bundled_encoder("CPU", Weights(path))
            except FileNotFoundError as error:
                raise ValueError(str(error)) from error
        if path.suffix.lower() == ".task":
            return LandmarkerFinder(load_expression_encoder(path))
        return _load_yunet(path) if path.is_file() and _is_yunet(path) else load_detector(path, "CPU")


def is_pack(path: Path) -> bool:
    """Whether a folder is one of this pack's weights."""
    return Weights(path).faces.is_dir()


def _is_yunet(path: Path) -> bool:
    try:
        return len(inspect_onnx(path).outputs) == _YUNET_OUTPUTS
    # onnx and protobuf raise types of their own; `load_detector` then says what is wrong.
    except Exception:
        return False


def _load_yunet(path: Path) -> YunetFinder:
    import cv2

    try:
        return YunetFinder(cv2.FaceDetectorYN.create(str(path), "", (320, 320), _YUNET_DOUBTFUL))
    except (cv2.error, AttributeError) as error:
        raise ValueError(f"{path.name} has YuNet's outputs, but OpenCV cannot load it ({error})") from error
