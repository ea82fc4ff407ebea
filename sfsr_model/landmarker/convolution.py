"""Steps on pictures: convolutions, PReLU, the largest of a window.

Values have the file's layout, [N, height, width, channels]: seen as [N, C, H, W] without copying they are what PyTorch
calls channels-last, its fast layout for convolutions on a CPU.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .step import LARGEST_STEP, Step, activation_of, needed, padding_of, wrong
from .tflite import Graph, Operation

_NARROW = 16


class Conv(Step):
    """CONV_2D and DEPTHWISE_CONV_2D, with the activation that follows."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, operation: Operation, graph: Graph) -> None:
        super().__init__(operation, graph)
        options = operation.options
        weight = needed(graph, operation, 1, 4)
        depthwise = operation.kind == "DEPTHWISE_CONV_2D"
        # The file's order is [out, h, w, in], and [1, h, w, out] for the depthwise one.
        weight = weight.permute(3, 0, 1, 2) if depthwise else weight.permute(0, 3, 1, 2)
        channels = graph.shapes[operation.inputs[0]][-1]
        self.groups = channels if depthwise else 1
        if weight.shape[0] % self.groups or weight.shape[1] * self.groups != channels:
            raise wrong(graph, operation, f"weights for {weight.shape[1] * self.groups} channels on a value of {channels}")
        bias = graph.constants.get(operation.inputs[2]) if len(operation.inputs) > 2 else None
        self.stride = (options["stride_h"], options["stride_w"])
        self.dilation = (options["dilation_h"], options["dilation_w"])
        if not 1 <= min(*self.stride, *self.dilation) <= max(*self.stride, *self.dilation) <= LARGEST_STEP:
            raise wrong(graph, operation, f"stride {self.stride}, dilation {self.dilation}")
        # A 1 x 1 convolution is a matrix product, but a product with few columns is slow. A dilation, which such a kernel
        # does not notice, keeps PyTorch from making a product of the convolution again.
        single = weight.shape[2:] == (1, 1)
        self.pointwise = single and self.stride == (1, 1) and not depthwise and weight.shape[0] >= _NARROW
        if single:
            self.dilation = (2, 2)
        # PyTorch pads both ends alike: where the file wants more at the end, more is computed in front and cut off.
        left, _, top, _ = pads = padding_of(operation, graph, weight.shape[2:], self.stride, self.dilation)
        self.padding = tuple(
            next(width for width in range(max(pair), max(pair) + step) if (width - pair[0]) % step == 0)
            for pair, step in ((pads[2:], self.stride[0]), (pads[:2], self.stride[1]))
        )
        skipped = ((self.padding[0] - top) // self.stride[0], (self.padding[1] - left) // self.stride[1])
        _, height, width, _ = graph.shapes[operation.outputs[0]]
        window = (slice(None), slice(skipped[0], skipped[0] + height), slice(skipped[1], skipped[1] + width))
        self.window = window if any(skipped) else None
        self.activation = activation_of(operation, graph)
        layout = torch.contiguous_format if self.pointwise else torch.channels_last
        self.register_buffer("weight", (weight[:, :, 0, 0] if self.pointwise else weight).contiguous(memory_format=layout))
        self.register_buffer("bias", None if bias is None else bias.clone())

    def forward(self, value: Tensor) -> Tensor:
        if self.pointwise:
            return self.activation(F.linear(value, self.weight, self.bias))
        pixels = value.permute(0, 3, 1, 2)
        result = F.conv2d(pixels, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
        result = result.permute(0, 2, 3, 1)
        return self.activation(result if self.window is None else result[self.window])


class Prelu(Step):
    """PRELU with a slope for each channel, carried out on whole rows of a picture: a few channels are a short loop."""

    slopes: Tensor

    def __init__(self, operation: Operation, graph: Graph) -> None:
        super().__init__(operation, graph)
        *_, width, channels = graph.shapes[operation.inputs[0]]
        slope = needed(graph, operation, 1, None)
        if slope.numel() != channels:
            raise wrong(graph, operation, f"slopes of shape {list(slope.shape)}")
        self.register_buffer("slopes", slope.reshape(-1).repeat(width))

    def forward(self, value: Tensor) -> Tensor:
        return F.prelu(value.reshape(-1, len(self.slopes)), self.slopes).reshape(value.shape)


class MaxPool(Step):
    def __init__(self, operation: Operation, graph: Graph) -> None:
        super().__init__(operation, graph)
        options = operation.options
        self.size, self.stride = (options["filter_h"], options["filter_w"]), (options["stride_h"], options["stride_w"])
        if not 1 <= min(*self.size, *self.stride) <= max(*self.size, *self.stride) <= LARGEST_STEP:
            raise wrong(graph, operation, f"window {self.size}, stride {self.stride}")
        self.pad = padding_of(operation, graph, self.size, self.stride, (1, 1))
        self.activation = activation_of(operation, graph)

    def forward(self, value: Tensor) -> Tensor:
        pixels = value.permute(0, 3, 1, 2)
        if any(self.pad):
            pixels = F.pad(pixels, self.pad, value=float("-inf"))
        return self.activation(F.max_pool2d(pixels, self.size, self.stride).permute(0, 2, 3, 1))
