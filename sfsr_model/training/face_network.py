"""The networks under the demo encoders: a face in, a vector out. The residual one is here."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..files import whole_file
from .plain_network import PlainNetwork
from .settings import Settings
from .state import averages_of, trained_state

WIDTHS, BLOCKS = (48, 96, 160), (2, 3, 2)
_WORTH_HALVING = 256  # numbers in a weight; small ones, such as biases, are better kept


class FaceNetwork(nn.Module):
    """Pictures [N, 3, side, side] in -1..1 to vectors [N, outputs].

    Residual blocks (He et al. 2016) at a fourth, an eighth and a sixteenth of the side, 112 or 128 pixels. The last map is
    summed with one learned weight for each place and channel, as MobileFaceNet's global depthwise convolution does (Chen et
    al. 2018): unlike a mean, it knows where in an aligned face something lies. Under 1.6 million parameters.
    """

    def __init__(self, side: int, outputs: int, widths: Sequence[int] = WIDTHS, blocks: Sequence[int] = BLOCKS) -> None:
        super().__init__()
        self.side = side
        stem = widths[0] // 2
        layers: list[nn.Module] = [*convolution(3, stem, 2), nn.PReLU(stem), *convolution(stem, widths[0], 2)]
        layers.append(nn.PReLU(widths[0]))
        width = widths[0]
        for stage, (wanted, count) in enumerate(zip(widths, blocks, strict=True)):
            for number in range(count):
                layers.append(ResidualBlock(width, wanted, 2 if stage and not number else 1))
                width = wanted
        last = side // (4 * 2 ** (len(widths) - 1))
        self.features = nn.Sequential(*layers)
        self.pool = nn.Sequential(nn.Conv2d(width, width, last, groups=width, bias=False), nn.BatchNorm2d(width))
        self.head = nn.Linear(width, outputs)

    def forward(self, faces: Tensor) -> Tensor:
        return self.head(self.pool(self.features(faces)).flatten(1))


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut (He et al. 2016); the first one's stride divides the side.

    activation: makes one of a number of channels.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, activation: Callable[[int], nn.Module] = nn.PReLU) -> None:
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
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs)


EncoderNetwork = FaceNetwork | PlainNetwork


def face_network(settings: Settings, side: int, outputs: int) -> EncoderNetwork:
    """The network of the settings' architecture, of random weights."""
    return PlainNetwork(side, outputs) if settings.encoder.architecture == "plain" else FaceNetwork(side, outputs)


def load_averages(settings: Settings, name: str, module: nn.Module) -> None:
    """Put the newest state's averages of a module into it; raises StateError where there is none."""
    found = averages_of(trained_state(settings.state), name)
    module.load_state_dict(module.state_dict() | found)


def export_onnx(network: EncoderNetwork, path: Path, output: str) -> None:
    """Write a network as ONNX with a free number of faces, its normalisation folded into the convolutions; atomically.

    Such a file takes (pixels - 127.5) / 127.5, which is what insightface assumes of it. Weights are kept in half precision.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    faces = torch.zeros(1, 3, network.side, network.side)
    with whole_file(path) as partial, warnings.catch_warnings():
        # The newer exporter needs one more package and folds less.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            network.eval().cpu(), (faces,), str(partial), dynamo=False, opset_version=17, input_names=["input.1"],
            output_names=[output], dynamic_axes={"input.1": {0: "N"}, output: {0: "N"}},
        )  # fmt: skip
        halve_weights(partial)


def halve_weights(path: Path) -> None:
    """Keep the larger weights of an ONNX file in half precision, and cast them back where they are used: half the size.

    Runtimes fold the casts when they load the file, so nothing else changes, and nothing is computed in half precision.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(str(path))
    graph = model.graph
    casts = []
    for weight in graph.initializer:
        if weight.data_type != TensorProto.FLOAT or math.prod(weight.dims) < _WORTH_HALVING:
            continue
        values, name = numpy_helper.to_array(weight), weight.name
        weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [weight.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.save(model, str(path))
