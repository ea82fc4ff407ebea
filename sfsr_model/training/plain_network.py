"""A second kind of network for encoders, so that who judges is unlike who is judged: plain convolutions, one after another."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import Conv2d, Linear

WIDTHS = (24, 48, 96, 160)
_KEPT = 32  # channels of the last map


class PlainNetwork(nn.Module):
    """Pictures [N, 3, side, side] in -1..1 to vectors [N, outputs].

    Convolutions in VGG's way (Simonyan and Zisserman 2015): two at every size, no shortcuts, maxima of 2 x 2 between the sizes.
    One matrix reads the last map as a whole. Neither the layers nor the way the places are brought together are
    `FaceNetwork`'s, so its mistakes are others. Less than half of that one's work.
    """

    def __init__(self, side: int, outputs: int, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        self.side = side
        layers = _step(3, widths[0], stride=2) + _step(widths[0], widths[0])
        for before, width in pairwise(widths):
            layers += [nn.MaxPool2d(2), *_step(before, width), *_step(width, width)]
        last = side // 2 ** len(widths)
        self.features = nn.Sequential(*layers, Conv2d(widths[-1], _KEPT, 1))
        # What all faces have in common is taken off before they are read: their vectors would else start as one.
        self.head = nn.Sequential(nn.BatchNorm1d(_KEPT * last * last), Linear(_KEPT * last * last, outputs))

    def forward(self, faces: Tensor) -> Tensor:
        return self.head(self.features(faces).flatten(1))


def _step(inputs: int, outputs: int, stride: int = 1) -> list[nn.Module]:
    return [Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
