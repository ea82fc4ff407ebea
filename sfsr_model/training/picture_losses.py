"""Losses on the decoded x0*: who it is, what the face does, how it looks, and whether the background stayed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..encoders.differentiable import TorchRecogniser
from ..encoders.expression import ExpressionReader
from ..landmarker import FaceLandmarker
from ..losses import background_loss, expression_loss, identity_loss, pyramid_loss
from .settings import Losses

# The square that the landmarker looks at in an aligned crop, in shares of the crop's side: height of its centre, and its side.
# What its own detector chooses in rendered crops, on average; the crop rule keeps faces in one place, so nothing need be found.
_REGION_CENTRE, _REGION_SIDE = 0.445, 1.1


@dataclass(frozen=True, eq=False)
class Judged:
    """Pictures [N, 3, H, W] in 0..1 and what they should show.

    points [N, 5, 2]: where the face is. identity [N, D], expression [N, 52]: whose and which. mask [N, 1, H, W]: the face.
    answer: the true picture; own [N]: 1 where it shows the wanted person and expression, else 0.
    """

    picture: Tensor
    points: Tensor
    identity: Tensor
    expression: Tensor
    mask: Tensor
    answer: Tensor
    own: Tensor


class PictureLosses(nn.Module):
    """The losses with a weight above 0, through frozen encoders. Everything here is computed in float32."""

    def __init__(
        self, weights: Losses, recogniser: TorchRecogniser | None, reader: FaceLandmarker | ExpressionReader | None
    ) -> None:
        super().__init__()
        self._weights = weights
        self.recogniser = recogniser
        self.reader = None if reader is None else reader.requires_grad_(False)

    def forward(self, judged: Judged) -> dict[str, tuple[float, Tensor]]:
        """Weight and mean of each loss, by name."""
        weights = self._weights
        found: dict[str, tuple[float, Tensor]] = {}
        if weights.identity and self.recogniser is not None:
            shown = self.recogniser.embed(judged.picture.movedim(1, -1), judged.points)
            found["identity"] = weights.identity, identity_loss(shown, judged.identity).mean()
        if weights.expression and self.reader is not None:
            found["expression"] = weights.expression, self._expression(self.reader, judged).mean()
        if weights.perceptual:
            found["perceptual"] = weights.perceptual, (pyramid_loss(judged.picture, judged.answer) * judged.own).mean()
        if weights.background:
            found["background"] = weights.background, background_loss(judged.picture, judged.answer, judged.mask).mean()
        return found

    def _expression(self, reader: FaceLandmarker | ExpressionReader, judged: Judged) -> Tensor:
        """Distance [N] to what the same network reads in the true picture, or to the wanted coefficients where there is none.

        Its readings of rendered faces differ from the truth in a way of their own, which then plays no part.
        """
        read = _coefficients(reader, judged.picture, judged.points)
        with torch.no_grad():
            true = _coefficients(reader, judged.answer, judged.points)
        return expression_loss(read, torch.where(judged.own[:, None] > 0, true, judged.expression))


def _coefficients(reader: FaceLandmarker | ExpressionReader, crops: Tensor, points: Tensor) -> Tensor:
    pictures = crops.movedim(1, -1)
    if isinstance(reader, ExpressionReader):
        return reader.measure(pictures, points)[0]
    return reader.measure(pictures, face_regions(crops)).coefficients


def face_regions(crops: Tensor) -> Tensor:
    """The landmarker's region [N, 5] in each aligned crop [N, 3, S, S]."""
    size = crops.shape[-1]
    side = _REGION_SIDE * size
    return crops.new_tensor([size / 2 - 0.5, _REGION_CENTRE * size - 0.5, side, side, 0.0]).expand(len(crops), 5)
