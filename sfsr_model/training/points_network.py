"""The network of the second look: a map of likelihoods for each of the five points, and one number for the face."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import Conv2d, Linear

from ..encoders.onnx_about import About
from ..encoders.points import SIDE, looked_for
from .face_network import ResidualBlock, convolution, rectifier
from .onnx_export import write_onnx

POINTS = 5
STRIDE = 4
CELLS = SIDE // STRIDE
_STEM, _WIDTHS = 16, (32, 64, 128)


class PointsNetwork(nn.Module):
    """Crops [N, 3, SIDE, SIDE] in -1..1 to logits of where each point lies [N, 5, CELLS, CELLS], and of there being a face [N].

    Residual blocks at a fourth, an eighth and a sixteenth of the side, joined from coarse to fine as in a feature pyramid (Lin
    et al. 2017). Under 0.7 million parameters.
    """

    def __init__(self) -> None:
        super().__init__()
        fine, middle, coarse = _WIDTHS
        self.stem = nn.Sequential(*convolution(3, _STEM, 2), rectifier(), _block(_STEM, fine, 2), _block(fine, fine))
        self.middle = nn.Sequential(_block(fine, middle, 2), _block(middle, middle))
        self.coarse = nn.Sequential(_block(middle, coarse, 2), _block(coarse, coarse))
        # Four values for each place, which become a square of four places.
        self.to_middle = nn.Sequential(*convolution(coarse, 4 * middle, 1, kernel=1))
        self.to_fine = nn.Sequential(_block(middle, middle), *convolution(middle, 4 * fine, 1, kernel=1))
        self.points = nn.Sequential(_block(fine, fine), Conv2d(fine, POINTS, 1))
        self.face = Linear(coarse, 1)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        fine = self.stem(crops)
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        middle = middle + doubled(self.to_middle(coarse))
        fine = fine + doubled(self.to_fine(middle))
        return self.points(fine), self.face(coarse.mean((2, 3)))[:, 0]


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Module:
    return ResidualBlock(inputs, outputs, stride, rectifier)


def doubled(x: Tensor) -> Tensor:
    """Maps [N, 4 C, h, w] as [N, C, 2 h, 2 w] (Shi et al. 2016)."""
    channels, height, width = x.shape[1] // 4, *x.shape[2:]
    squares = x.reshape(-1, channels, 2, 2, height, width).permute(0, 1, 4, 2, 5, 3)
    return squares.reshape(-1, channels, 2 * height, 2 * width)


def centres(device: torch.device | None = None) -> Tensor:
    """The cells' centres [CELLS * CELLS, 2] in pixels of the crop, row by row."""
    steps = torch.arange(CELLS, device=device) * float(STRIDE) + (STRIDE - 1) / 2
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    return torch.stack((x, y), -1).reshape(-1, 2)


def points_of(heat: Tensor) -> Tensor:
    """The points [N, 5, 2], in pixels of the crop, that logits [N, 5, CELLS, CELLS] expect (integral regression, Sun et al.
    2018)."""
    return heat.flatten(2).float().softmax(-1) @ centres(heat.device)


class _Exported(nn.Module):
    """As `encoders.points` takes it: how far the points are from where they are looked for, in sides, and the logit."""

    meant: Tensor

    def __init__(self, network: PointsNetwork) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("meant", looked_for().float())

    def forward(self, crops: Tensor) -> Tensor:
        heat, face = self.network(crops)
        return torch.cat((((points_of(heat) - self.meant) / SIDE).flatten(1), face[:, None]), 1)


def export_points(network: PointsNetwork, path: Path, about: About | None = None) -> None:
    """Write the network as an ONNX file for any number of crops; atomically. about: what the file says of itself."""
    free = {"input.1": {0: "N"}, "points": {0: "N"}}
    write_onnx(_Exported(network), torch.zeros(1, 3, SIDE, SIDE), path, ["points"], free, about)
