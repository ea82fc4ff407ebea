"""Identity: what a recogniser says of a person, and the interface of the networks that say it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from .detection import Detection


@dataclass(frozen=True)
class Identity:
    """One person, as one or more embeddings of one recogniser.

    embeddings: [N, D], each of unit length. space: tag of the recogniser; embeddings of different spaces mean nothing to
    each other. quality: one number per embedding, the detector's score of the face. sources: where each came from.
    Raises ValueError for wrong shapes, values that are not finite, or an embedding of no length.
    """

    embeddings: Tensor
    space: str
    quality: tuple[float, ...]
    sources: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.embeddings.ndim != 2 or self.embeddings.shape[0] == 0:
            raise ValueError(f"identity: expected embeddings [N, D], found shape {tuple(self.embeddings.shape)}")
        if not torch.isfinite(self.embeddings).all():
            raise ValueError("identity: the recogniser returned values that are not finite; check the picture and the ONNX")
        lengths = self.embeddings.norm(dim=-1)
        if (lengths < 1e-6).any():
            raise ValueError("identity: an embedding has no length; the recogniser saw nothing in the crop")
        if len(self.quality) != len(self.embeddings) or len(self.sources) != len(self.embeddings):
            raise ValueError(
                f"identity: {len(self.embeddings)} embeddings with {len(self.quality)} qualities and "
                f"{len(self.sources)} sources; expected one of each per embedding"
            )
        object.__setattr__(self, "embeddings", self.embeddings / lengths[:, None])

    @property
    def dim(self) -> int:
        return self.embeddings.shape[1]

    def mean(self) -> Tensor:
        """The mean direction [D], of unit length: the one vector that stands for the person."""
        return torch.nn.functional.normalize(self.embeddings.mean(dim=0), dim=0)


class IDEncoder(Protocol):
    """A recogniser that is ready for use.

    name: for people. space: the tag of its embeddings. dim: D. provider: what really runs it.
    trained: False for the stand-in of random weights. note: what the user should know about this one, or "".
    """

    name: str
    space: str
    dim: int
    provider: str
    trained: bool
    note: str

    def embed(self, image: Tensor, points: Tensor) -> Tensor:
        """Embedding [D] of the face with five points [5, 2] in a picture [H, W, 3], float RGB in 0..1."""
        ...

    def detect(self, image: Tensor) -> list[Detection] | None:
        """Faces found by the encoder's own detector, or None where it has none."""
        ...
