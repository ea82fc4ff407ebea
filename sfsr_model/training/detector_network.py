"""The demo detector's network: SCRFD's inputs and outputs around a small residual network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import Conv2d
from torch.nn import functional as F

from ..encoders.onnx_about import About
from .face_network import ResidualBlock, convolution, rectifier
from .onnx_export import write_onnx

STRIDES, ANCHORS, POINTS = (8, 16, 32), 2, 5
# Sides that pictures must be multiples of.
MULTIPLE = STRIDES[-1]
_KINDS = {"score": 1, "bbox": 4, "kps": 2 * POINTS}
_STEM, _QUARTER, _WIDTHS, _WIDTH = 16, 24, (48, 64, 64), 40
# At the start every place says so much of "face": then the many places without one do not drown the others (Lin et al. 2017).
_FIRST_SCORE = -4.0


@dataclass(frozen=True, eq=False)
class Candidates:
    """What the network says at each of its K = 2 (H W / 64 + H W / 256 + H W / 1024) anchors.

    scores [N, K] are logits; boxes [N, K, 4] are distances to left, top, right and bottom, points [N, K, 10] offsets x, y of
    the five points, both in strides.
    """

    scores: Tensor
    boxes: Tensor
    points: Tensor


class DetectorNetwork(nn.Module):
    """Pictures [N, 3, H, W] in -1..1 to what lies at each anchor of strides 8, 16 and 32, two anchors a place.

    Residual blocks, then the maps of the three strides joined from coarse to fine (Lin et al. 2017), and a head of its own for
    each stride, in the arrangement of SCRFD (Guo et al. 2021). Under 0.5 million parameters.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*convolution(3, _STEM, 2), rectifier(), ResidualBlock(_STEM, _QUARTER, 2, rectifier))
        before = (_QUARTER, *_WIDTHS)
        self.stages = nn.ModuleList(
            nn.Sequential(ResidualBlock(inputs, outputs, 2, rectifier), ResidualBlock(outputs, outputs, 1, rectifier))
            for inputs, outputs in zip(before, _WIDTHS, strict=False)
        )
        self.laterals = nn.ModuleList(nn.Sequential(*convolution(width, _WIDTH, 1, kernel=1)) for width in _WIDTHS)
        self.heads = nn.ModuleList(_head() for _ in STRIDES)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """SCRFD's nine outputs [N, K of the stride, 1, 4 or 10]: scores as logits, boxes, points, each at stride 8, 16, 32."""
        x, maps = self.stem(pictures), []
        for stage, lateral in zip(self.stages, self.laterals, strict=True):
            x = stage(x)
            maps.append(lateral(x))
        for fine in reversed(range(len(maps) - 1)):
            maps[fine] = maps[fine] + F.interpolate(maps[fine + 1], scale_factor=2.0, mode="nearest")
        levels = [self._level(head(found)) for head, found in zip(self.heads, maps, strict=True)]
        return [level[kind] for kind in range(len(_KINDS)) for level in levels]

    @staticmethod
    def _level(raw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        scores, boxes, points = raw.split([ANCHORS * size for size in _KINDS.values()], 1)
        # A place that answers for a face lies in its box.
        return _by_anchor(scores, 1), _by_anchor(F.softplus(boxes), 4), _by_anchor(points, 2 * POINTS)


def _head() -> nn.Module:
    last = Conv2d(_WIDTH, ANCHORS * sum(_KINDS.values()), 1)
    assert last.bias is not None
    with torch.no_grad():
        last.bias[:ANCHORS] = _FIRST_SCORE
    return nn.Sequential(*convolution(_WIDTH, _WIDTH, 1), rectifier(), last)


def _by_anchor(values: Tensor, size: int) -> Tensor:
    """[N, anchors * size, h, w] to [N, h * w * anchors, size]: row by row, the anchors of a place after each other."""
    return values.permute(0, 2, 3, 1).reshape(values.shape[0], -1, size)


def joined(outputs: list[Tensor]) -> Candidates:
    """The nine outputs with the anchors of all strides after each other, float32."""
    count = len(STRIDES)
    scores, boxes, points = (torch.cat(outputs[kind * count :][:count], 1).float() for kind in range(len(_KINDS)))
    return Candidates(scores[..., 0], boxes, points)


def places(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Where the anchors of a picture lie, [K, 2] in pixels, and their strides [K], in the order of `joined`.

    A place is its stride times its column and row, as insightface decodes it.
    """
    centres, strides = [], []
    for stride in STRIDES:
        y, x = torch.meshgrid(torch.arange(height // stride), torch.arange(width // stride), indexing="ij")
        centres.append(torch.stack((x, y), -1).reshape(-1, 2).repeat_interleave(ANCHORS, 0) * float(stride))
        strides.append(torch.full((len(centres[-1]),), float(stride)))
    return torch.cat(centres), torch.cat(strides)


def boxes_at(centres: Tensor, distances: Tensor) -> Tensor:
    """Boxes [..., 4] of anchors at centres [..., 2] by their distances [..., 4] to left, top, right and bottom, in pixels."""
    return torch.cat((centres - distances[..., :2], centres + distances[..., 2:]), -1)


class _Exported(nn.Module):
    """One picture's outputs as insightface takes them: scores in 0..1, no axis for the number of pictures."""

    def __init__(self, network: DetectorNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, picture: Tensor) -> list[Tensor]:
        outputs = [output.flatten(0, 1) for output in self.network(picture)]
        count = len(STRIDES)
        return [output.sigmoid() for output in outputs[:count]] + outputs[count:]


def export_detector(network: DetectorNetwork, path: Path, about: About | None = None) -> None:
    """Write the network as an ONNX file for pictures of any size that is a multiple of 32; atomically.

    It takes one picture, (pixels - 127.5) / 128 in RGB, and gives the nine outputs by which insightface knows SCRFD. Its
    weights are kept in 8 bits. about: what the file says of itself.
    """
    names = [f"{kind}_{stride}" for kind in _KINDS for stride in STRIDES]
    picture = torch.zeros(1, 3, 4 * MULTIPLE, 4 * MULTIPLE)
    free = {"input.1": {2: "height", 3: "width"}} | {name: {0: f"anchors_{name.split('_')[1]}"} for name in names}
    write_onnx(_Exported(network), picture, path, names, free, about)
