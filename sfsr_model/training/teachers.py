"""Networks of others that teach this project's encoders on photos, or judge them; never bundled, nor needed to run the pack."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ..encoders.alignment import align_faces
from ..encoders.pack import load_recogniser

DLIB_SUFFIX = ".dat"
_DLIB_SIDE = 150
# Eyes' centres, nose tip and mouth corners of dlib's mean face, in units of its frame, and the border that dlib leaves about it
# (`mean_face_shape_x`, `mean_face_shape_y` and the padding of 0.25 in dlib's image_transforms/interpolation.h and its
# face recognition example).
_DLIB_FACE = ((0.2255, 0.2160), (0.7548, 0.2160), (0.4901, 0.5156), (0.2541, 0.7802), (0.7261, 0.7802))
_DLIB_PADDING = 0.25


class FaceTeacher(Protocol):
    """Says who somebody is: a vector [D] of the face with five points [5, 2] in a picture [H, W, 3], float RGB in 0..1."""

    @property
    def name(self) -> str: ...

    def embed(self, image: Tensor, points: Tensor) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class DlibRecogniser:
    """dlib's ResNet (King 2017): faces of 150 pixels to 128 numbers, whose mean over people is far from 0."""

    name: str
    network: Any

    def embed(self, image: Tensor, points: Tensor) -> Tensor:
        """As FaceTeacher's."""
        face = align_faces(image[None].float(), points[None].double(), dlib_template(), _DLIB_SIDE)[0]
        pixels = (face.movedim(0, -1).clamp(0, 1) * 255).round().to(torch.uint8).numpy()
        return torch.from_numpy(np.array(self.network.compute_face_descriptor(np.ascontiguousarray(pixels)), dtype=np.float32))


def dlib_template() -> Tensor:
    """Where the five points lie in dlib's aligned face, [5, 2] in pixels, float64."""
    unit = (torch.tensor(_DLIB_FACE, dtype=torch.float64) + _DLIB_PADDING) / (1 + 2 * _DLIB_PADDING)
    return unit * _DLIB_SIDE - 0.5


def load_teacher(path: Path) -> FaceTeacher:
    """dlib's recogniser of a `.dat` file, or a recogniser ONNX; raises ImportError, ValueError or OSError naming the file."""
    if not path.exists():
        raise FileNotFoundError(f"teacher: {path} does not exist; give dlib's .dat file or a recogniser's .onnx")
    if path.suffix.lower() != DLIB_SUFFIX:
        return load_recogniser(path, "CPU")
    try:
        import dlib
    except ImportError as error:
        raise ImportError(f"teacher: {path.name} needs dlib ({error}): run 'python -m pip install dlib-bin'") from error
    try:
        return DlibRecogniser(path.name, dlib.face_recognition_model_v1(str(path)))
    except RuntimeError as error:
        raise ValueError(f"teacher: {path.name} is no recogniser of dlib's ({error})") from error
