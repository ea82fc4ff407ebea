"""A user's own recogniser, run through insightface: one ONNX file, or a pack with a detector of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .alignment import align_faces, arcface_template
from .detection import Detection, judged
from .differentiable import TorchRecogniser
from .onnx_torch import OnnxError, OnnxModule

DETECTION_SIZES = (640, 320, 160)
# A detector's own default. Fainter finds down to DOUBTFUL_SCORE are kept for messages only.
MIN_SCORE, DOUBTFUL_SCORE = 0.5, 0.3
# Width of the border for the second look at a picture, as a share of its longer side: SCRFD misses faces that fill it.
BORDER = 0.5
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
    detector: Any | None = None
    trained: bool = True

    @property
    def face_size(self) -> int:
        """Side of the aligned faces in pixels."""
        return int(self.recogniser.input_size[0])

    def prepare(self, image: Tensor) -> np.ndarray:
        """The picture as insightface takes it, uint8 BGR; the other methods accept it in place of the picture itself."""
        return _bgr(image)

    def detect(self, image: Tensor | np.ndarray) -> list[Detection] | None:
        """Faces by the pack's own detector, and doubtful finds marked as refused; None for a single recogniser file.

        Smaller analysis sizes and a border around the picture are tried while nothing is found.
        """
        if self.detector is None:
            return None
        picture = image if isinstance(image, np.ndarray) else _bgr(image)
        doubtful: list[Detection] = []
        for border in (0, round(BORDER * max(picture.shape[:2]))):
            framed = np.pad(picture, ((border, border), (border, border), (0, 0))) if border else picture
            for size in self._sizes(framed):
                found = [judged(one, picture.shape[:2]) for one in self._detect_at(framed, size, border)]
                if any(one.refused is None for one in found):
                    return found
                doubtful += found
        return doubtful

    def align(self, image: Tensor | np.ndarray, points: Tensor) -> np.ndarray:
        """The aligned face [S, S, 3], uint8 BGR, with five points [5, 2] in a picture [H, W, 3], float RGB in 0..1."""
        from insightface.utils.face_align import norm_crop

        picture = image if isinstance(image, np.ndarray) else _bgr(image)
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

    def _sizes(self, picture: np.ndarray) -> list[int]:
        """Analysis sizes to try: the one that the detector's file fixes, or several; none that would flatten the picture."""
        assert self.detector is not None
        fixed = self.detector.session.get_inputs()[0].shape[-1]
        sizes = (fixed,) if isinstance(fixed, int) else DETECTION_SIZES
        short, long = sorted(picture.shape[:2])
        return [size for size in sizes if short * size >= long]

    def _detect_at(self, picture: np.ndarray, size: int, border: int) -> list[Detection]:
        """Finds at one analysis size, in pixels of the picture without its border."""
        assert self.detector is not None
        # input_size as an argument works in every insightface; setting the attribute does nothing in 1.0 and later.
        boxes, points = self.detector.detect(picture, input_size=(size, size))
        if points is None:
            return []
        return [
            Detection(
                torch.from_numpy(box[:4].astype(np.float64) - border),
                torch.from_numpy(five.astype(np.float64) - border),
                float(box[4]),
                float(box[4]),
                None if box[4] >= MIN_SCORE else f"its score is below {MIN_SCORE:g}",
            )
            for box, five in zip(boxes, points, strict=True)
        ]


def _bgr(image: Tensor) -> np.ndarray:
    """Float RGB [H, W, 3] in 0..1 to the uint8 BGR that insightface takes. Raises ValueError for values that are not finite."""
    import cv2

    picture = image.detach()[..., :3].cpu().float().contiguous()
    low, high = (float(bound) for bound in torch.aminmax(picture))
    if not math.isfinite(low + high):
        raise ValueError("image: it contains NaN or infinite values; check the node that made it")
    height, width = picture.shape[:2]
    # OpenCV scales, rounds, clips at 255 and narrows in one pass over the picture; of values below 0 it would take the size.
    values = (picture if low >= 0 else picture.clamp_min(0.0)).numpy().reshape(height, width * 3)
    pixels = cv2.convertScaleAbs(values, alpha=255.0).reshape(height, width, 3)
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
