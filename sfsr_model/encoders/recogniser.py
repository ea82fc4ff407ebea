"""A user's own recogniser, run through insightface: one ONNX file, or a pack with a detector of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .agreement import DEFAULT_THRESHOLD
from .alignment import align_faces, arcface_template
from .detection import Detection
from .detector import FaceDetector, bgr
from .differentiable import TorchRecogniser
from .onnx_torch import OnnxError, OnnxModule

MAX_BATCH = 8
_AGREEMENT = 0.999


class RecogniserError(ValueError):
    """The file or folder is no usable recogniser; the message names it and says what was expected."""


@dataclass(frozen=True)
class InsightFaceEncoder:
    """A recogniser, and the pack's detector where there is one. Made by `load_recogniser`."""

    name: str
    space: str
    dim: int
    provider: str
    note: str
    recogniser: Any
    detector: FaceDetector | None = None
    trained: bool = True
    threshold: float = DEFAULT_THRESHOLD

    @property
    def face_size(self) -> int:
        """Side of the aligned faces in pixels."""
        return int(self.recogniser.input_size[0])

    def prepare(self, image: Tensor) -> np.ndarray:
        """The picture as insightface takes it, uint8 BGR; the other methods accept it in place of the picture itself."""
        return bgr(image)

    def detect(self, image: Tensor | np.ndarray) -> list[Detection] | None:
        """Faces as the pack's own detector finds them; None for a single recogniser file."""
        return None if self.detector is None else self.detector.detect(image)

    def look_again(self, image: Tensor | np.ndarray, finds: Sequence[Detection]) -> list[Detection]:
        """The finds as the pack's second look sees them, where it has one (`points.py`)."""
        closely = None if self.detector is None else self.detector.closely
        return (
            list(finds) if closely is None else closely.look(self.prepare(image) if isinstance(image, Tensor) else image, finds)
        )

    def align(self, image: Tensor | np.ndarray, points: Tensor) -> np.ndarray:
        """The aligned face [S, S, 3], uint8 BGR, with five points [5, 2] in a picture [H, W, 3], float RGB in 0..1."""
        from insightface.utils.face_align import norm_crop

        picture = image if isinstance(image, np.ndarray) else bgr(image)
        return norm_crop(picture, points.float().cpu().numpy(), self.face_size)

    def embed_aligned(self, faces: Sequence[np.ndarray]) -> Tensor:
        """Embeddings [N, D] of aligned faces, in passes of MAX_BATCH where the file allows more than one at a time."""
        batch = self.recogniser.input_shape[0]
        batch = batch if isinstance(batch, int) and batch > 0 else MAX_BATCH
        parts = [self.recogniser.get_feat(list(faces[start : start + batch])) for start in range(0, len(faces), batch)]
        return torch.from_numpy(np.concatenate(parts).astype(np.float32)).reshape(len(faces), -1)

    def embed(self, image: Tensor | np.ndarray, points: Tensor) -> Tensor:
        """Embedding [D] of the face with five points [5, 2] in a picture [H, W, 3], float RGB in 0..1."""
        return self.embed_aligned([self.align(image, points)])[0]

    def differentiable(self) -> TorchRecogniser:
        """The recogniser as a PyTorch module on the CPU, a new one at each call; checked against ONNX Runtime.

        Raises RecogniserError when the file holds what cannot be carried out with gradients, or the two disagree.
        """
        path = Path(self.recogniser.model_file)
        try:
            network = OnnxModule(path)
        except OnnxError as error:
            raise RecogniserError(f"encoder: {error}") from error
        size, model = self.face_size, self.recogniser
        mean, std = float(model.input_mean), float(model.input_std)
        align = partial(align_faces, template=arcface_template(size), size=size)
        module = TorchRecogniser(network, align, size, self.dim, self.space, mean, std, network.input_shape[0])
        # A smooth picture: bytes in, so that both see exactly the same.
        coarse = np.random.default_rng(0).integers(0, 256, (size // 16, size // 16, 3), dtype=np.uint8)
        picture = coarse.repeat(16, 0).repeat(16, 1)
        expected = self.embed_aligned([picture])
        with torch.no_grad():
            found = module(torch.from_numpy(picture[..., ::-1].copy()).movedim(-1, 0)[None] / 255.0)
        cosine = torch.nn.functional.cosine_similarity(found, expected)[0].item()
        if not cosine >= _AGREEMENT:
            raise RecogniserError(
                f"encoder: {path.name} gives other embeddings in PyTorch than in ONNX Runtime (cosine {cosine:.4f}), so it "
                "serves for identities, not for losses or guidance"
            )
        return module
