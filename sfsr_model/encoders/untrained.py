"""A recogniser of random weights: it keeps the graph whole until a trained or a user's own one is there."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import Conv2d, GroupNorm, Linear

from ..face import crop_face, face_frame
from .agreement import DEFAULT_THRESHOLD
from .detection import Detection
from .differentiable import TorchRecogniser

CROP_SIZE = 112

UNTRAINED_ENCODER = "untrained demo recogniser (random weights)"


def _network(dim: int) -> nn.Sequential:
    widths = (3, 32, 64, 128, 256)
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [Conv2d(inputs, outputs, 3, stride=2, padding=1), GroupNorm(8, outputs), nn.SiLU()]
    return nn.Sequential(*layers, nn.Flatten(), Linear(widths[-1] * (CROP_SIZE // 16) ** 2, dim))


@dataclass(frozen=True)
class UntrainedEncoder:
    """A fixed random projection of the aligned face: the same picture gives the same vector, and no more than that."""

    name: str = UNTRAINED_ENCODER
    space: str = "sfsr-untrained"
    dim: int = 512
    provider: str = "PyTorch on cpu"
    trained: bool = False
    note: str = "random weights: it tells pictures apart, not people"
    threshold: float = DEFAULT_THRESHOLD
    network: nn.Sequential = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        with torch.random.fork_rng(devices=[]), torch.inference_mode(False):
            torch.manual_seed(0)
            object.__setattr__(self, "network", _network(self.dim).eval().requires_grad_(False))

    def prepare(self, image: Tensor) -> Tensor:
        return image[..., :3].float().cpu()

    def detect(self, image: Tensor) -> list[Detection] | None:
        return None

    def look_again(self, image: Tensor, finds: Sequence[Detection]) -> list[Detection]:
        return list(finds)

    def align(self, image: Tensor, points: Tensor) -> Tensor:
        """The aligned face [3, S, S], RGB in 0..1, with five points [5, 2] in a picture [H, W, 3]."""
        return _align(self.prepare(image)[None], points[None])[0]

    def embed_aligned(self, faces: Sequence[Tensor]) -> Tensor:
        """Embeddings [N, D] of aligned faces."""
        return self.network(torch.stack(list(faces)) * 2.0 - 1.0)

    def embed(self, image: Tensor, points: Tensor) -> Tensor:
        """Embedding [D] of the face with five points [5, 2] in a picture [H, W, 3], float RGB in 0..1."""
        return self.embed_aligned([self.align(image, points)])[0]

    def differentiable(self) -> TorchRecogniser:
        """The network as a module of its own, with the crop that `embed` uses."""
        network = copy.deepcopy(self.network)
        return TorchRecogniser(network, _align, CROP_SIZE, self.dim, self.space)


def _align(images: Tensor, points: Tensor) -> Tensor:
    size = (images.shape[1], images.shape[2])
    crops = [crop_face(image, face_frame(five, size, CROP_SIZE)) for image, five in zip(images, points, strict=True)]
    return torch.stack(crops).movedim(-1, 1)
