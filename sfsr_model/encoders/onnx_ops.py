"""ONNX operators of convolutional networks in PyTorch, after the operator descriptions of the ONNX standard (opsets 7 to 22).

Each takes its inputs (None for one left out) and its attributes, and gives its output, or a tuple of them. Only inference is
meant: Dropout passes through and BatchNormalization uses its stored statistics.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from .onnx_shape_ops import SHAPE_OPERATORS, Attributes, Inputs, Operator, numbers, pad


def _margins(x: Tensor, kernel: Sequence[int], attributes: Attributes, spatial: int) -> list[int]:
    """Padding as ONNX lists it: the starts of all spatial axes, then their ends."""
    auto = attributes.text("auto_pad", "NOTSET")
    if auto in ("NOTSET", "VALID"):
        return list(attributes.get("pads", [0] * 2 * spatial)) if auto == "NOTSET" else [0] * 2 * spatial
    starts, ends = [], []
    strides, dilations = attributes.get("strides", [1] * spatial), attributes.get("dilations", [1] * spatial)
    for side, size, stride, dilation in zip(x.shape[2:], kernel, strides, dilations, strict=True):
        total = max((-(-side // stride) - 1) * stride + (size - 1) * dilation + 1 - side, 0)
        small, large = total // 2, total - total // 2
        starts.append(small if auto == "SAME_UPPER" else large)
        ends.append(large if auto == "SAME_UPPER" else small)
    return starts + ends


def _conv(inputs: Inputs, attributes: Attributes) -> Tensor:
    x, weight, bias = (*inputs, None)[:3]
    spatial = weight.ndim - 2
    margins = _margins(x, weight.shape[2:], attributes, spatial)
    stride, dilation = attributes.get("strides", [1] * spatial), attributes.get("dilations", [1] * spatial)
    if margins[:spatial] != margins[spatial:]:
        x, margins = pad(x, margins), [0] * spatial
    convolve: Any = (F.conv1d, F.conv2d, F.conv3d)[spatial - 1]
    return convolve(x, weight, bias, stride, margins[:spatial], dilation, attributes.get("group", 1))


def _batch_norm(inputs: Inputs, attributes: Attributes) -> Tensor:
    x, scale, bias, mean, variance = inputs[:5]
    return F.batch_norm(x, mean, variance, scale, bias, training=False, eps=attributes.get("epsilon", 1e-5))


def _prelu(inputs: Inputs, _: Attributes) -> Tensor:
    x, slope = inputs
    per_channel = slope.ndim == x.ndim - 1 and slope.shape[0] == x.shape[1] and slope.numel() == slope.shape[0]
    if slope.numel() == 1 or per_channel:
        return F.prelu(x, slope.reshape(-1))
    return torch.where(x >= 0, x, slope * x)


def _clip(inputs: Inputs, attributes: Attributes) -> Tensor:
    x, low, high = (*inputs, None, None)[:3]
    low = attributes.get("min") if low is None else low.to(x)
    high = attributes.get("max") if high is None else high.to(x)
    return x if low is None and high is None else torch.clamp(x, low, high)


def _average_pool(inputs: Inputs, attributes: Attributes) -> Tensor:
    (x,) = inputs
    kernel = attributes.get("kernel_shape")
    margins = _margins(x, kernel, attributes, len(kernel))
    pool: Any = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[len(kernel) - 1]
    options = {"kernel_size": kernel, "stride": attributes.get("strides", [1] * len(kernel))}
    options["ceil_mode"] = bool(attributes.get("ceil_mode", 0))
    if not any(margins):
        return pool(x, **options)
    # The share of real pixels in each window turns the mean over padding and pixels into a mean over pixels.
    mean = pool(pad(x, margins), **options)
    if attributes.get("count_include_pad", 0):
        return mean
    return mean / pool(pad(torch.ones_like(x[:1, :1]), margins), **options)


def _max_pool(inputs: Inputs, attributes: Attributes) -> Tensor:
    (x,) = inputs
    kernel = attributes.get("kernel_shape")
    margins = _margins(x, kernel, attributes, len(kernel))
    pool: Any = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[len(kernel) - 1]
    ones = [1] * len(kernel)
    return pool(
        pad(x, margins, float("-inf")),
        kernel,
        attributes.get("strides", ones),
        dilation=attributes.get("dilations", ones),
        ceil_mode=bool(attributes.get("ceil_mode", 0)),
    )


def _gemm(inputs: Inputs, attributes: Attributes) -> Tensor:
    a, b, c = (*inputs, None)[:3]
    a = a.mT if attributes.get("transA", 0) else a
    b = b.mT if attributes.get("transB", 0) else b
    product = attributes.get("alpha", 1.0) * (a @ b)
    return product if c is None else product + attributes.get("beta", 1.0) * c


def _softmax(inputs: Inputs, attributes: Attributes) -> Tensor:
    (x,) = inputs
    if attributes.opset >= 13:
        return x.softmax(attributes.get("axis", -1))
    axis = attributes.get("axis", 1) % x.ndim
    return x.flatten(axis).softmax(-1).reshape(x.shape)  # before opset 13: over all axes from this one on


def _instance_norm(inputs: Inputs, attributes: Attributes) -> Tensor:
    x, scale, bias = inputs
    return F.instance_norm(x, weight=scale, bias=bias, eps=attributes.get("epsilon", 1e-5))


def _layer_norm(inputs: Inputs, attributes: Attributes) -> Tensor:
    x, scale, bias = (*inputs, None)[:3]
    sides = x.shape[attributes.get("axis", -1) % x.ndim :]
    bias = None if bias is None else bias.expand(sides)
    return F.layer_norm(x, sides, scale.expand(sides), bias, attributes.get("epsilon", 1e-5))


def _reduction(measure: Callable[[Tensor, tuple[int, ...], bool], Tensor]) -> Operator:
    def run(inputs: Inputs, attributes: Attributes) -> Tensor:
        axes = numbers(inputs, 1, attributes, "axes")
        if not axes and attributes.get("noop_with_empty_axes", 0):
            return inputs[0]
        over = tuple(axes or range(inputs[0].ndim))
        return measure(inputs[0], over, bool(attributes.get("keepdims", 1)))

    return run


def _lp_normalization(inputs: Inputs, attributes: Attributes) -> Tensor:
    (x,) = inputs
    return x / x.norm(attributes.get("p", 2), dim=attributes.get("axis", -1), keepdim=True).clamp_min(1e-30)


def _divide(a: Tensor, b: Tensor) -> Tensor:
    return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


def _each(function: Callable[..., Tensor]) -> Operator:
    return lambda inputs, _: function(*inputs)


def _folded(function: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    return lambda inputs, _: reduce(function, inputs)


OPERATORS: dict[str, Operator] = {
    # Networks proper.
    "Conv": _conv,
    "BatchNormalization": _batch_norm,
    "InstanceNormalization": _instance_norm,
    "LayerNormalization": _layer_norm,
    "AveragePool": _average_pool,
    "MaxPool": _max_pool,
    "GlobalAveragePool": lambda i, _: i[0].mean(tuple(range(2, i[0].ndim)), keepdim=True),
    "GlobalMaxPool": lambda i, _: i[0].amax(tuple(range(2, i[0].ndim)), keepdim=True),
    "Gemm": _gemm,
    "MatMul": _each(torch.matmul),
    "LpNormalization": _lp_normalization,
    "Dropout": lambda i, _: i[0],
    # Activations.
    "Relu": _each(F.relu),
    "PRelu": _prelu,
    "LeakyRelu": lambda i, a: F.leaky_relu(i[0], a.get("alpha", 0.01)),
    "Elu": lambda i, a: F.elu(i[0], a.get("alpha", 1.0)),
    "Sigmoid": _each(torch.sigmoid),
    "HardSigmoid": lambda i, a: (a.get("alpha", 0.2) * i[0] + a.get("beta", 0.5)).clamp(0, 1),
    "HardSwish": _each(F.hardswish),
    "Gelu": lambda i, a: F.gelu(i[0], approximate=a.text("approximate", "none")),
    "Softplus": _each(F.softplus),
    "Mish": _each(F.mish),
    "Tanh": _each(torch.tanh),
    "Softmax": _softmax,
    "Clip": _clip,
    # Arithmetic.
    "Add": _each(torch.add),
    "Sub": _each(torch.sub),
    "Mul": _each(torch.mul),
    "Div": _each(_divide),
    "Pow": _each(torch.pow),
    "Sqrt": _each(torch.sqrt),
    "Exp": _each(torch.exp),
    "Log": _each(torch.log),
    "Erf": _each(torch.erf),
    "Abs": _each(torch.abs),
    "Neg": _each(torch.neg),
    "Reciprocal": _each(torch.reciprocal),
    "Max": _folded(torch.maximum),
    "Min": _folded(torch.minimum),
    "Sum": _folded(torch.add),
    "ReduceMean": _reduction(lambda x, axes, keep: x.mean(axes, keep)),
    "ReduceSum": _reduction(lambda x, axes, keep: x.sum(axes, keep)),
    "ReduceMax": _reduction(lambda x, axes, keep: x.amax(axes, keep)),
    "ReduceL2": _reduction(lambda x, axes, keep: torch.linalg.vector_norm(x, dim=axes, keepdim=keep)),
    **SHAPE_OPERATORS,
}
