"""How far a face is from the person and from the expression that were asked for, differentiable in its pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..batch import require_repeatable
from ..encoders.differentiable import TorchRecogniser
from ..encoders.expression_photos import Reading
from ..expressions import MIRRORED, Expression
from ..face import FaceFrame
from ..face.crop import apply_affine, template
from ..losses import expression_loss, identity_loss
from .views import PLAIN, View

MEASURES = ("difference", "residual norm")
"""1 - cos of the embeddings and the mean absolute difference of the coefficients; or the Euclidean length of what is missing,
of unit embeddings as it is and of the coefficients over the root of their number, which is steeper near the goal."""


@dataclass(frozen=True, eq=False)
class FacePlace:
    """Where the face is. crop: five points [N, 5, 2] of the face in its crop, in the unit square (u lies at pixel
    u * side - 0.5), float64. whole: the same points in pixels of the picture of `size` (height, width) that it was cut out of,
    where there is one."""

    crop: Tensor
    whole: Tensor | None = None
    size: tuple[int, int] | None = None

    def points(self, height: int, width: int) -> Tensor:
        """[N, 5, 2] in pixels of a picture of this size; raises ValueError for one in which the place is not known."""
        if self.whole is not None and (height, width) == self.size:
            return self.whole
        if height == width:
            return self.crop * height - 0.5
        other = ""
        if self.size is not None:
            other = f", or the whole picture of {self.size[1]} x {self.size[0]} that face was found in"
        raise ValueError(
            f"guidance: found pictures of {width} x {height} pixels, expected the square crops of Face Crop, in which the "
            f"place of the face is known{other}"
        )


def face_place(frames: Sequence[FaceFrame] | None = None) -> FacePlace:
    """Of faces that were cropped; without them the points that the one crop rule aims at, which are those of an average face
    seen from the front."""
    if not frames:
        return FacePlace(template()[None])
    crop = torch.stack([(apply_affine(one.transform, one.landmarks) + 0.5) / one.crop_size for one in frames])
    sizes = {one.image_size for one in frames}
    if len(sizes) > 1:
        return FacePlace(crop)
    return FacePlace(crop, torch.stack([one.landmarks for one in frames]), sizes.pop())


class _Energy(nn.Module):
    """What both energies share: where the face is, and what is wanted, for one picture or for each."""

    wanted: Tensor

    def __init__(self, name: str, wanted: Tensor, place: FacePlace, measure: str) -> None:
        super().__init__()
        if measure not in MEASURES:
            raise ValueError(f"energy: expected {' or '.join(MEASURES)}, found '{measure}'")
        self.name, self.place, self.residual = name, place, measure == MEASURES[1]
        # A buffer travels with the networks; a clone, because what autograd saves must not be an inference tensor.
        self.register_buffer("wanted", wanted.detach().clone())

    def placed(self, pictures: Tensor, view: View) -> tuple[Tensor, Tensor, Tensor]:
        """Pictures [B, H, W, 3] as the view shows them, points [B, 5, 2] in their pixels and wanted [B, D]; raises ValueError
        if they do not fit."""
        count, height, width = pictures.shape[:3]
        points = self.place.points(height, width).to(pictures.device, torch.float64).clone()
        require_repeatable(self.name, len(self.wanted), "the latent", count)
        require_repeatable("face", len(points), "the latent", count)
        return *view.of(pictures, points.expand(count, -1, -1)), self.wanted.expand(count, -1)


class IdentityEnergy(_Energy):
    """1 - cos, or the length of the residual, both 0 to 2, between the recogniser's embedding of each face and the person's."""

    def __init__(self, recogniser: TorchRecogniser, wanted: Tensor, place: FacePlace, measure: str = MEASURES[0]) -> None:
        """wanted: [N, D]; N and the place's number are 1 or as many as pictures. measure: of MEASURES."""
        super().__init__("identity", wanted, place, measure)
        self.recogniser = recogniser

    def at_cosine(self, cosine: float) -> float:
        """The energy of a face at this cosine to the person, 0 at 1."""
        away = max(0.0, 1.0 - cosine)
        return (2.0 * away) ** 0.5 if self.residual else away

    def forward(self, pictures: Tensor, view: View = PLAIN) -> Tensor:
        """[B] of pictures [B, H, W, 3] in 0..1."""
        shown, points, wanted = self.placed(pictures, view)
        found = self.recogniser.embed(shown, points)
        if not self.residual:
            return identity_loss(found, wanted)
        return (nn.functional.normalize(found.float(), dim=-1) - nn.functional.normalize(wanted.float(), dim=-1)).norm(dim=-1)


class ExpressionEnergy(_Energy):
    """Mean absolute difference, or the root of the mean square, 0 to 1, of the coefficients that the expression encoder can
    read."""

    counted: Tensor

    def __init__(
        self,
        reading: Reading,
        wanted: Expression,
        place: FacePlace,
        measure: str = MEASURES[0],
        parts: Tensor | None = None,
    ) -> None:
        """reading: of `PhotoEncoder.differentiable`; wanted, place and measure as for `IdentityEnergy`.

        parts: bool [52], the coefficients that count, as `part_mask` gives them; None for all. Raises ValueError where the
        encoder can read none of them.
        """
        super().__init__("expression", wanted.coefficients, place, measure)
        self.reading = reading
        known = reading.known if parts is None else reading.known * parts.to(reading.known)
        if not known.any():
            raise ValueError(
                "expression_parts: the expression encoder reads none of these coefficients; choose another part of the face, "
                "or another encoder in Load Expression Encoder"
            )
        self.register_buffer("counted", known.detach().clone())

    def forward(self, pictures: Tensor, view: View = PLAIN) -> Tensor:
        """[B] of pictures [B, H, W, 3] in 0..1."""
        shown, points, wanted = self.placed(pictures, view)
        counted = self.counted
        if view.mirrored:
            wanted, counted = wanted[:, list(MIRRORED)], counted[list(MIRRORED)]
        read = self.reading(shown, points)
        if not self.residual:
            return expression_loss(read, wanted, counted)
        return ((read.float() - wanted.float()) * counted).norm(dim=-1) / counted.sum().sqrt()
