"""Who makes the pictures: a network, the plainest rival, the autoencoder alone; all paste as the node Face Paste does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from ...encoders.expression import ExpressionReader
from ...encoders.recogniser import InsightFaceEncoder
from ...expressions import word_expression
from ...face import FaceFrame, crop_face, face_frame, paste_face
from ...training.labelled import LabelledPhotos
from ..encoders.recognisers import vectors
from ..generate import Sampling, Wanted, generate, round_trip
from ..network import Network
from ..pictures import case_noise
from .cast import OWN, SWAPS, WORDS, Case
from .places import Places

CHECKPOINT, FORERUNNER, WARPED, TARGET, ROUND_TRIP = "checkpoint", "forerunner", "warped", "target", "round_trip"
"""Whose pictures are measured. The target is the photo itself, which nobody has to paint."""
# Cases of each kind have noise of their own.
_FIRST = {SWAPS: 0, WORDS: 1 << 17, OWN: 1 << 18}


@dataclass(frozen=True, eq=False)
class Studio:
    """The photos and where their faces are; size: side of the crops in pixels."""

    photos: LabelledPhotos
    places: Places
    size: int

    def frame(self, row: int) -> FaceFrame:
        """The face of a photo in the one crop rule's frame."""
        side = self.photos.widths[row]
        return face_frame(self.places.points[row], (side, side), self.size)

    def crop(self, row: int) -> Tensor:
        """The face of a photo, [size, size, 3] in 0..1."""
        return crop_face(self.photos.picture(row), self.frame(row)).clamp(0, 1)

    def pasted(self, row: int, crop: Tensor) -> Tensor:
        """A photo with a crop for its face, uint8 [H, W, 3]: colours matched and feathered as Face Paste does it unasked."""
        return in_bytes(paste_face(self.photos.picture(row), crop, self.frame(row)))


def in_bytes(picture: Tensor) -> Tensor:
    """A picture in 0..1 as uint8."""
    return (picture.clamp(0, 1) * 255).round().to(torch.uint8)


class Painter(Protocol):
    """kinds: of the cases that it paints. settings: what its pictures depend on, beside the cast."""

    @property
    def kinds(self) -> tuple[str, ...]: ...
    @property
    def settings(self) -> dict[str, Any]: ...

    def paint(self, kind: str, first: int, cases: Sequence[Case]) -> list[Tensor]:
        """The targets of some cases with their new faces, uint8 [H, W, 3]. first: number of the first among its kind."""
        ...


@dataclass(frozen=True, eq=False)
class NetworkPainter:
    """A checkpoint. encoder: of its space. reader: says what a photo's face does, and how the target's head is turned.
    digests: of the files."""

    network: Network
    encoder: InsightFaceEncoder
    reader: ExpressionReader
    studio: Studio
    sampling: Sampling
    seed: int
    digests: dict[str, str]
    kinds = (SWAPS, WORDS, OWN)

    @property
    def settings(self) -> dict[str, Any]:
        return {**self.digests, "identities": self.encoder.space, "size": self.studio.size, "sampling": asdict(self.sampling)}

    def paint(self, kind: str, first: int, cases: Sequence[Case]) -> list[Tensor]:
        """As Painter's."""
        frames = [self.studio.frame(case.target) for case in cases]
        wanted = Wanted(
            identity=self._identities([case.reference for case in cases]),
            expression=torch.cat([self._expression(case.expression) for case in cases]),
            pose=torch.cat([self._read(case.target)[1] for case in cases]),
            target=torch.stack([self.studio.crop(case.target) for case in cases]),
            mask=torch.stack([frame.mask for frame in frames]),
        )
        noise = case_noise(self.seed, _FIRST[kind] + first, len(cases), self.network.latent_shape(self.studio.size))
        made = generate(self.network, wanted, noise, self.sampling)
        return [self.studio.pasted(case.target, crop) for case, crop in zip(cases, made, strict=True)]

    def _identities(self, rows: Sequence[int]) -> Tensor:
        points = self.studio.places.points[list(rows)]
        return F.normalize(vectors(self.encoder, map(self.studio.photos.picture, rows), points), dim=-1)

    def _expression(self, wanted: int | str) -> Tensor:
        return word_expression(wanted).coefficients if isinstance(wanted, str) else self._read(wanted)[0]

    def _read(self, row: int) -> tuple[Tensor, Tensor]:
        """Coefficients [1, 52] and pose [1, 3] of a photo."""
        return self.reader.read(self.studio.photos.picture(row)[None], self.studio.places.points[row][None])


@dataclass(frozen=True, eq=False)
class WarpPainter:
    """The reference's face, moved, turned and scaled until its five points lie on the target's."""

    studio: Studio
    kinds = (SWAPS, OWN)

    @property
    def settings(self) -> dict[str, Any]:
        return {"size": self.studio.size}

    def paint(self, kind: str, first: int, cases: Sequence[Case]) -> list[Tensor]:
        """As Painter's."""
        return [self.studio.pasted(case.target, self.studio.crop(case.reference)) for case in cases]


@dataclass(frozen=True, eq=False)
class RoundTripPainter:
    """The right answer, which is the target where a person's own photo is made again, through the autoencoder and back."""

    network: Network
    studio: Studio
    digests: dict[str, str]
    kinds = (OWN,)

    @property
    def settings(self) -> dict[str, Any]:
        return {**self.digests, "size": self.studio.size}

    def paint(self, kind: str, first: int, cases: Sequence[Case]) -> list[Tensor]:
        """As Painter's."""
        made = round_trip(self.network, torch.stack([self.studio.crop(case.target) for case in cases]))
        return [self.studio.pasted(case.target, crop) for case, crop in zip(cases, made, strict=True)]
