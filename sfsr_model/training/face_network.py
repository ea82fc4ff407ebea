"""The networks under the demo encoders: a face in, a vector out. The residual one is here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import Conv2d, Linear

from ..encoders.onnx_about import About
from .aligned import first_faces
from .exported import take_over
from .onnx_export import write_onnx
from .plain_network import PlainNetwork
from .settings import Settings
from .state import averages_of, trained_state

WIDTHS, BLOCKS = (48, 96, 160), (2, 3, 2)
_WIDE = {"widths": (48, 128, 256), "blocks": (1, 3, 2)}
Activation = Callable[[int], nn.Module]


def rectifier(_channels: int = 0) -> nn.Module:
    """An activation without weights; a third faster to train than one with."""
    return nn.ReLU(inplace=True)


class FaceNetwork(nn.Module):
    """Pictures [N, 3, side, side] in -1..1 to vectors [N, outputs].

    Residual blocks (He et al. 2016) at a fourth, an eighth and a sixteenth of the side, 112 or 128 pixels. The last map is
    summed with one learned weight for each place and channel, as MobileFaceNet's global depthwise convolution does (Chen et
    al. 2018): unlike a mean, it knows where in an aligned face something lies. Under 1.6 million parameters at the present
    widths. activation: makes one of a number of channels.
    """

    def __init__(
        self, side: int, outputs: int, widths: Sequence[int] = WIDTHS, blocks: Sequence[int] = BLOCKS,
        activation: Activation = nn.PReLU,
    ) -> None:  # fmt: skip
        super().__init__()
        self.side = side
        stem = widths[0] // 2
        layers: list[nn.Module] = [*convolution(3, stem, 2), activation(stem), *convolution(stem, widths[0], 2)]
        layers.append(activation(widths[0]))
        width = widths[0]
        for stage, (wanted, count) in enumerate(zip(widths, blocks, strict=True)):
            for number in range(count):
                layers.append(ResidualBlock(width, wanted, 2 if stage and not number else 1, activation))
                width = wanted
        last = side // (4 * 2 ** (len(widths) - 1))
        self.features = nn.Sequential(*layers)
        self.pool = nn.Sequential(Conv2d(width, width, last, groups=width, bias=False), nn.BatchNorm2d(width))
        self.head = Linear(width, outputs)

    def forward(self, faces: Tensor) -> Tensor:
        return self.head(self.pool(self.features(faces)).flatten(1))


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut (He et al. 2016); the first one's stride divides the side.

    activation: makes one of a number of channels.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, activation: Activation = nn.PReLU) -> None:
        super().__init__()
        self.change = nn.Sequential(
            *convolution(inputs, outputs, stride), activation(outputs), *convolution(outputs, outputs, 1)
        )
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else nn.Sequential(*convolution(inputs, outputs, stride, kernel=1))
        self.activation = activation(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.change(x) + self.shortcut(x))


def convolution(inputs: int, outputs: int, stride: int, kernel: int = 3) -> tuple[nn.Module, nn.Module]:
    """A convolution that keeps the side, or divides it by its stride, and the normalisation after it."""
    return Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs)


EncoderNetwork = FaceNetwork | PlainNetwork


def face_network(settings: Settings, side: int, outputs: int, template: Tensor) -> EncoderNetwork:
    """The network of the settings' architecture, of random weights or of `encoder.initial`'s; template [5, 2] aligns its faces.

    Raises SettingsError for an `encoder.initial` that does not fit.
    """
    network: EncoderNetwork
    match settings.encoder.architecture:
        case "plain":
            network = PlainNetwork(side, outputs)
        case "wide":
            network = FaceNetwork(side, outputs, _WIDE["widths"], _WIDE["blocks"], rectifier)
        case _:
            network = FaceNetwork(side, outputs)
    if settings.encoder.initial is not None:
        take_over(network, settings.encoder.initial, first_faces(settings.data, template, side) * 2 - 1)
    return network


def load_averages(settings: Settings, step: int | None, name: str, module: nn.Module) -> None:
    """Put a module's averages of a step's state, or of the newest, into it; raises StateError where there is none."""
    found = averages_of(trained_state(settings.state, step), name)
    module.load_state_dict(module.state_dict() | found)


def export_onnx(network: EncoderNetwork, path: Path, output: str, about: About | None = None) -> None:
    """Write a network as ONNX with a free number of faces, its normalisation folded into the convolutions; atomically.

    Such a file takes (pixels - 127.5) / 127.5, which is what insightface assumes of it. Weights are kept in 8 bits. about: what
    it says of itself.
    """
    faces = torch.zeros(1, 3, network.side, network.side)
    write_onnx(network, faces, path, [output], {"input.1": {0: "N"}, output: {0: "N"}}, about)
