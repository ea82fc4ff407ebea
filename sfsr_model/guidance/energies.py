"""How far a face is from the person and from the expression that were asked for, differentiable in its pixels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..batch import require_repeatable
from ..encoders.differentiable import TorchRecogniser
from ..encoders.expression_photos import Reading
from ..expressions import Expression
from ..face import FaceFrame
from ..face.crop import apply_affine, template
from ..losses import expression_loss, identity_loss


def crop_points(frames: Sequence[FaceFrame] | None = None) -> Tensor:
    """Five points [N, 5, 2] of the face in a crop, in the unit square (u lies at pixel u * side - 0.5), float64.

    frames: the faces that were cropped; without them the points that the one crop rule aims at, which are those of an average
    face seen from the front.
    """
    if not frames:
        return template()[None]
    return torch.stack([(apply_affine(one.transform, one.landmarks) + 0.5) / one.crop_size for one in frames])


class _Energy(nn.Module):
    """What both energies share: where the face is in a square crop, and what is wanted, for one picture or for each."""

    points: Tensor
    wanted: Tensor

    def __init__(self, name: str, wanted: Tensor, points: Tensor) -> None:
        super().__init__()
        self.name = name
        # Buffers travel with the networks; clones, because what autograd saves must not be inference tensors.
        self.register_buffer("wanted", wanted.detach().clone())
        self.register_buffer("points", points.detach().clone())

    def placed(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Points [B, 5, 2] in picture pixels and wanted [B, D] for crops [B, S, S, 3]; raises ValueError if they do not fit."""
        count, height, width = pictures.shape[:3]
        if height != width:
            raise ValueError(
                f"guidance: found pictures of {width} x {height} pixels, expected the square crops of Face Crop, in which the "
                "place of the face is known"
            )
        require_repeatable(self.name, len(self.wanted), "the latent", count)
        require_repeatable("face", len(self.points), "the latent", count)
        points = self.points.expand(count, -1, -1) * height - 0.5
        return points, self.wanted.expand(count, -1)


class IdentityEnergy(_Energy):
    """1 - cos, 0 to 2, between the recogniser's embedding of each crop and the person's."""

    def __init__(self, recogniser: TorchRecogniser, wanted: Tensor, points: Tensor) -> None:
        """wanted: [N, D]; points: as `crop_points` gives them; N and their number are 1 or as many as pictures."""
        super().__init__("identity", wanted, points)
        self.recogniser = recogniser

    def forward(self, pictures: Tensor) -> Tensor:
        """[B] of square crops [B, S, S, 3] in 0..1."""
        points, wanted = self.placed(pictures)
        return identity_loss(self.recogniser.embed(pictures, points), wanted)


class ExpressionEnergy(_Energy):
    """Mean absolute difference, 0 to 1, of the coefficients that the expression encoder can read."""

    def __init__(self, reading: Reading, wanted: Expression, points: Tensor) -> None:
        """reading: of `PhotoEncoder.differentiable`; wanted and points as for `IdentityEnergy`."""
        super().__init__("expression", wanted.coefficients, points)
        self.reading = reading

    def forward(self, pictures: Tensor) -> Tensor:
        """[B] of square crops [B, S, S, 3] in 0..1."""
        points, wanted = self.placed(pictures)
        return expression_loss(self.reading(pictures, points), wanted, self.reading.known)
