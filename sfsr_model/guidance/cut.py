"""The part of a latent that shows the face, so that nothing else need be decoded with gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

_SIDES, _ABOVE, _BELOW = 0.5, 0.6, 0.6
"""How far a face reaches beyond its five points, in distances of the eyes: to the temples, above the brows, to the chin."""


@dataclass(frozen=True)
class Cut:
    """A rectangle of a latent's cells."""

    top: int
    left: int
    height: int
    width: int

    def of(self, latents: Tensor) -> Tensor:
        """The part [..., height, width] of latents [..., h, w]."""
        return latents[..., self.top : self.top + self.height, self.left : self.left + self.width]


def face_cut(points: Tensor, factor: int, height: int, width: int, margin: int = 2, multiple: int = 2) -> Cut:
    """The cells around every face with five points [N, 5, 2] in pixels, `factor` of them to a cell of [height, width].

    margin: cells beyond the face, whose neighbourhood the decoder looks at. multiple: that sides must be of; a side that the
    latent is too short for is the latent's own.
    """
    points = points.detach().double().cpu()
    eyes = (points[:, 1] - points[:, 0]).norm(dim=-1)
    low, high = points.amin(1), points.amax(1)
    left, right = (low[:, 0] - _SIDES * eyes).min(), (high[:, 0] + _SIDES * eyes).max()
    top, bottom = (low[:, 1] - _ABOVE * eyes).min(), (high[:, 1] + _BELOW * eyes).max()
    across = _span(left / factor, right / factor, width, margin, multiple)
    down = _span(top / factor, bottom / factor, height, margin, multiple)
    return Cut(down[0], across[0], down[1], across[1])


def _span(low: Tensor, high: Tensor, length: int, margin: int, multiple: int) -> tuple[int, int]:
    """First cell and number of cells."""
    first, last = int(low.floor()) - margin, int(high.ceil()) + margin
    count = min(-(-(last - first) // multiple) * multiple, length)
    return min(max(first, 0), length - count), count


class FaceDecoder:
    """Decodes the face's cells with gradients, and once, without, the rest of the picture, which then stands still.

    decode: latents [B, C, ..., h, w] to pictures [B, H, W, 3], differentiable. points: five points of each face in pixels of a
    picture of this height and width. One object for one run.
    """

    def __init__(self, decode: Callable[[Tensor], Tensor], points: Callable[[int, int], Tensor]) -> None:
        self._decode, self._points = decode, points
        self._rest: Tensor | None = None
        self._cut: Cut | None = None

    def __call__(self, latents: Tensor) -> Tensor:
        """Pictures [B, H, W, 3] of latents [B, C, ..., h, w], with gradients where the face is."""
        if self._rest is None or self._cut is None:
            with torch.no_grad():
                self._rest = self._decode(latents.detach()).clone()
            height, width = self._rest.shape[1:3]
            self._cut = face_cut(self._points(height, width), height // latents.shape[-2], latents.shape[-2], latents.shape[-1])
        cut, rest = self._cut, self._rest
        factor = rest.shape[1] // latents.shape[-2]
        face = self._decode(cut.of(latents))
        pictures = rest.to(face).clone()
        down = slice(cut.top * factor, (cut.top + cut.height) * factor)
        across = slice(cut.left * factor, (cut.left + cut.width) * factor)
        pictures[:, down, across] = face
        return pictures
