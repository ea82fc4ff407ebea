"""Identity: what a recogniser says of a person, and the interface of the networks that say it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from .detection import Detection
from .differentiable import TorchRecogniser

PORTRAIT_SIDE = 224
"""Pixels along the side of the aligned face that an identity keeps: what CLIP's picture encoders look at."""


@dataclass(frozen=True)
class Identity:
    """One person, as one or more embeddings of one recogniser.

    embeddings: [N, D], each of unit length, never inference tensors, so that losses can use them under autograd. space: tag
    of the recogniser; embeddings of different spaces mean nothing to each other. quality: one number per embedding, 0..1,
    how much the face it came from can be trusted. sources: where each came from. photos: how many were looked at for it, those
    that were left out included; at least as many as there are embeddings. warnings: what should be known of the photos.
    lengths: of the embeddings before they were made unit, one each, or none where nobody kept them. aligned: the best face
    upright, [PORTRAIT_SIDE, PORTRAIT_SIDE, 3] in bytes, or None; both are what some adapters of other models look at.
    Raises ValueError for wrong shapes, values that are not finite, a quality that is none, or an embedding of no length.
    """

    embeddings: Tensor
    space: str
    quality: tuple[float, ...]
    sources: tuple[str, ...]
    photos: int = 0
    warnings: tuple[str, ...] = ()
    lengths: tuple[float, ...] = ()
    aligned: Tensor | None = None

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
        if not all(math.isfinite(value) and value >= 0 for value in self.quality):
            raise ValueError(f"identity: qualities are numbers from 0 on, found {self.quality}")
        if self.lengths and len(self.lengths) != len(self.embeddings):
            raise ValueError(f"identity: {len(self.lengths)} lengths for {len(self.embeddings)} embeddings; expected one each")
        if self.aligned is not None and (
            self.aligned.shape != (PORTRAIT_SIDE,) * 2 + (3,) or self.aligned.dtype != torch.uint8
        ):
            raise ValueError(
                f"identity: its aligned face has shape {tuple(self.aligned.shape)} and kind {self.aligned.dtype}; expected "
                f"bytes [{PORTRAIT_SIDE}, {PORTRAIT_SIDE}, 3]"
            )
        object.__setattr__(self, "photos", max(self.photos, len(self.embeddings)))
        with torch.inference_mode(False):
            object.__setattr__(self, "embeddings", self.embeddings.detach() / lengths.detach()[:, None])

    @property
    def dim(self) -> int:
        return self.embeddings.shape[1]

    def raw_mean(self) -> Tensor:
        """The quality-weighted mean [D] of the embeddings as the recogniser gave them, with their lengths.

        Raises ValueError where these are not known.
        """
        if not self.lengths:
            raise ValueError(
                "identity: the lengths of its embeddings were not kept, as it comes from an older file; make it anew from its "
                "photos"
            )
        with torch.inference_mode(False):
            return _average(self.embeddings * torch.tensor(self.lengths)[:, None], self.quality)

    def mean(self) -> Tensor:
        """The one vector [D] of unit length that stands for the person: the quality-weighted mean, put back on the sphere.

        Of all directions it has the highest weighted mean cosine to the embeddings, and cosines are what losses and reports
        measure. (The Karcher mean would minimise squared angles instead; it needs an iteration, and for embeddings of one
        person the two hardly differ.) Embeddings that cancel out leave the one of the best quality.
        """
        with torch.inference_mode(False):
            return weighted_mean(self.embeddings, self.quality)


def weighted_mean(embeddings: Tensor, quality: Sequence[float]) -> Tensor:
    """The normalised weighted mean [D] of unit embeddings [N, D], as `_average` weighs them."""
    total = _average(embeddings, quality)
    if total.norm() < 1e-6:
        total = embeddings[quality.index(max(quality))]
    return torch.nn.functional.normalize(total, dim=0)


def _average(rows: Tensor, quality: Sequence[float]) -> Tensor:
    """The weighted mean [D] of rows [N, D]; weights of zero throughout count as equal ones."""
    weights = torch.tensor(quality, dtype=rows.dtype, device=rows.device)
    if not weights.any():
        weights = torch.ones_like(weights)
    return (rows * (weights / weights.sum())[:, None]).sum(dim=0)


def same_space(identity: Identity, name: str, space: str, maker: str) -> Identity:
    """The identity itself. name: of the input it came on. Raises ValueError naming both spaces when `maker` makes another."""
    if identity.space != space:
        raise ValueError(
            f"{name}: its embeddings are of the space '{identity.space}', {maker} makes '{space}'; embeddings of two "
            "recognisers mean nothing to each other, use one recogniser for both"
        )
    return identity


class IDEncoder(Protocol):
    """A recogniser that is ready for use.

    name: for people. space: the tag of its embeddings. dim: D. provider: what really runs it.
    trained: False for the stand-in of random weights. note: what the user should know about this one, or "".
    threshold: the cosine below which two of its embeddings are taken for two people.
    """

    @property
    def name(self) -> str: ...
    @property
    def space(self) -> str: ...
    @property
    def dim(self) -> int: ...
    @property
    def provider(self) -> str: ...
    @property
    def trained(self) -> bool: ...
    @property
    def note(self) -> str: ...
    @property
    def threshold(self) -> float: ...

    def prepare(self, image: Tensor) -> Any:
        """The picture [H, W, 3], float RGB in 0..1, as this encoder works on it; the other methods take either."""
        ...

    def detect(self, image: Any) -> list[Detection] | None:
        """What the encoder's own detector finds, refused finds included, or None where it has no detector."""
        ...

    def look_again(self, image: Any, finds: Sequence[Detection]) -> list[Detection]:
        """The finds with better points, refused where there is no face; as they are where this encoder looks but once."""
        ...

    def align(self, image: Any, points: Tensor) -> Any:
        """The aligned face with five points [5, 2] in a picture, for `embed_aligned`."""
        ...

    def embed_aligned(self, faces: Sequence[Any]) -> Tensor:
        """Embeddings [N, D], not normalised, of aligned faces."""
        ...

    def embed(self, image: Any, points: Tensor) -> Tensor:
        """Embedding [D] of the face with five points [5, 2] in a picture."""
        ...

    def differentiable(self) -> TorchRecogniser:
        """The same recogniser as a PyTorch module, for losses and guidance; a new one at each call."""
        ...
