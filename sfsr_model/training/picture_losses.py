"""Losses on the decoded x0*: who it is, what the face does, how it looks, and whether the background stayed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..encoders.differentiable import TorchRecogniser
from ..guidance import PLAIN, View
from ..losses import background_loss, expression_loss, identity_loss, pyramid_loss
from .frozen import Reader, measure_expressions
from .settings import Losses


@dataclass(frozen=True, eq=False)
class Judged:
    """Pictures [N, 3, H, W] in 0..1 and what they should show.

    points [N, 5, 2]: where the face is. likeness [N, D]: whose, as `PictureLosses.likeness` sees it; expression [N, 52]: which.
    mask [N, 1, H, W]: the face. answer: the true picture; own [N]: 1 where it shows the wanted person and expression, else 0.
    view: how the recogniser looks at the picture; where it differs in every step, nothing pays that shows from one place alone.
    """

    picture: Tensor
    points: Tensor
    likeness: Tensor | None
    expression: Tensor
    mask: Tensor
    answer: Tensor
    own: Tensor
    view: View = PLAIN


class PictureLosses(nn.Module):
    """The losses with a weight above 0, through frozen encoders. Everything here is computed in float32."""

    def __init__(self, weights: Losses, recogniser: TorchRecogniser | None, reader: Reader | None) -> None:
        super().__init__()
        self._weights = weights
        self.recogniser = recogniser
        self.reader = None if reader is None else reader.requires_grad_(False)

    def forward(self, judged: Judged) -> dict[str, tuple[float, Tensor]]:
        """Weight and mean of each loss, by name."""
        weights = self._weights
        found: dict[str, tuple[float, Tensor]] = {}
        if weights.identity and self.recogniser is not None:
            assert judged.likeness is not None
            shown = self.recogniser.embed(*judged.view.of(judged.picture.movedim(1, -1), judged.points))
            found["identity"] = weights.identity, identity_loss(shown, judged.likeness).mean()
        if weights.expression and self.reader is not None:
            found["expression"] = weights.expression, self._expression(self.reader, judged).mean()
        if weights.perceptual:
            found["perceptual"] = weights.perceptual, (pyramid_loss(judged.picture, judged.answer) * judged.own).mean()
        if weights.background:
            found["background"] = weights.background, background_loss(judged.picture, judged.answer, judged.mask).mean()
        return found

    @torch.no_grad()
    def likeness(self, pictures: Tensor, points: Tensor) -> Tensor | None:
        """Who the recogniser sees [N, D] in pictures [N, 3, H, W] with points [N, 5, 2]; None without an identity loss."""
        if not self._weights.identity or self.recogniser is None:
            return None
        return self.recogniser.embed(pictures.movedim(1, -1), points)

    def _expression(self, reader: Reader, judged: Judged) -> Tensor:
        """Distance [N] to what the same network reads in the true picture, or to the wanted coefficients where there is none.

        Its readings of rendered faces differ from the truth in a way of their own, which then plays no part.
        """
        read, _ = measure_expressions(reader, judged.picture, judged.points)
        with torch.no_grad():
            true, _ = measure_expressions(reader, judged.answer, judged.points)
        return expression_loss(read, torch.where(judged.own[:, None] > 0, true, judged.expression))
