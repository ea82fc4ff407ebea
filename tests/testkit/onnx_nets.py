"""Recognisers of random weights in the shapes of the networks that people own: iresnet, MobileFaceNet, and one with SE blocks.

Only shapes and operators are meant to be those; the weights come from a seed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .onnx_graph import GraphWriter

EMBEDDING = 512
MXNET_MEAN, MXNET_SCALE = 127.5, 0.0078125
# Distances from a cell's corner in cells: left, top, right, bottom; the five points' x and y.
DETECTOR_BOX = (1.5, 1.5, 2.5, 2.5)
DETECTOR_POINTS = (-0.3, -0.2, 1.3, -0.2, 0.5, 0.7, -0.1, 1.6, 1.1, 1.6)


def save_iresnet(path: Path, layers: tuple[int, ...] = (3, 4, 14, 3), width: int = 64, size: int = 112, seed: int = 0) -> Path:
    """An iresnet as arcface_torch exports it; the defaults are its 50-layer one, 44 million weights, 174 MB."""
    graph = GraphWriter(size, seed)
    x = graph.prelu(graph.conv(graph.input, 3, width, 3), width)
    channels = width
    for stage, count in enumerate(layers):
        wide = width * 2**stage
        for block in range(count):
            stride = 2 if block == 0 else 1
            y = graph.prelu(graph.conv(graph.batch_norm(x, channels), channels, wide, 3), wide)
            y = graph.conv(y, wide, wide, 3, stride)
            shortcut = graph.conv(x, channels, wide, 1, stride) if block == 0 else x
            x, channels = graph.node("Add", y, shortcut), wide
    x = graph.node("Flatten", graph.batch_norm(x, channels), axis=1)
    x = graph.gemm(x, channels * (size // 2 ** len(layers)) ** 2, EMBEDDING)
    # arcface_torch's exporter shares equal initializers through Identity nodes.
    return graph.save(path, graph.batch_norm(x, EMBEDDING, shared=True))


def save_mobilefacenet(path: Path, size: int = 112, seed: int = 0) -> Path:
    """A MobileFaceNet (Chen et al. 2018), 1 million weights: depthwise convolutions and a global depthwise one at the end."""
    graph = GraphWriter(size, seed)
    x = graph.prelu(graph.conv(graph.input, 3, 64, 3, 2), 64)
    x = graph.prelu(graph.conv(x, 64, 64, 3, group=64), 64)
    channels = 64
    for inner, outer, stride, count in ((128, 64, 2, 5), (256, 128, 2, 7), (256, 128, 2, 3)):
        for block in range(count):
            y = graph.prelu(graph.conv(x, channels, inner, 1), inner)
            y = graph.prelu(graph.conv(y, inner, inner, 3, stride if block == 0 else 1, group=inner), inner)
            y = graph.conv(y, inner, outer, 1)
            x, channels = (graph.node("Add", x, y) if block else y), outer
    x = graph.prelu(graph.conv(x, channels, EMBEDDING, 1), EMBEDDING)
    x = graph.conv(x, EMBEDDING, EMBEDDING, size // 16, group=EMBEDDING, padding=0)
    x = graph.node("Flatten", x, axis=1)
    return graph.save(path, graph.batch_norm(graph.gemm(x, EMBEDDING, EMBEDDING), EMBEDDING))


def save_se_recogniser(path: Path, size: int = 112, seed: int = 0, mxnet: bool = False) -> Path:
    """A small one with squeeze-and-excitation blocks and the odd ends of several exporters: uneven and automatic padding,
    a pooled shortcut, a shape that is reckoned in the graph, normalisation at the end.

    mxnet: the graph begins with its own Sub and Mul, from which insightface concludes that it takes raw pixels.
    """
    graph = GraphWriter(size, seed)
    x = graph.input
    if mxnet:
        x = graph.node("Sub", x, graph.constant(np.float32(MXNET_MEAN)), name="_minusscalar0")
        x = graph.node("Mul", x, graph.constant(np.float32(MXNET_SCALE)), name="_mulscalar0")
    x = graph.node("HardSwish", graph.conv(x, 3, 16, 3, 2, pads=[0, 0, 1, 1]))
    gate = graph.node("GlobalAveragePool", x)
    gate = graph.node("Relu", graph.conv(gate, 16, 4, 1))
    gate = graph.node("HardSigmoid", graph.conv(gate, 4, 16, 1), alpha=1 / 6, beta=0.5)
    x = graph.node("Mul", x, gate)
    y = graph.node("LeakyRelu", graph.conv(x, 16, 24, 5, 2, auto_pad="SAME_UPPER"), alpha=0.1)
    pooled = graph.node("AveragePool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    x = graph.node("Concat", y, pooled, axis=1)
    x = graph.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1])
    x = graph.node("Clip", x, graph.constant(np.float32(0)), graph.constant(np.float32(6)))
    batch = graph.node("Gather", graph.node("Shape", x), graph.constant(np.int64(0)), axis=0)
    rows = graph.node("Unsqueeze", batch, graph.constant(np.array([0])))
    shape = graph.node("Concat", rows, graph.constant(np.array([-1])), axis=0)
    x = graph.node("Dropout", graph.node("Reshape", x, shape))
    x = graph.gemm(x, 40 * (size // 8) ** 2, 128)
    return graph.save(path, graph.node("Div", x, graph.node("ReduceL2", x, axes=[1], keepdims=1)))


def save_detector(path: Path, size: int | None = None, ballast: int = 0) -> Path:
    """A detector of SCRFD's shape (nine outputs, strides 8, 16, 32) that takes a pure green square for a face.

    It fires where the square measures 1.5 to 2 cells of stride 32 at its analysis size, so that pictures can be made in which
    only a smaller analysis size, or a border around the picture, finds anything. size: a fixed analysis size, free if None.
    ballast: convolutions of 64 channels at a quarter of the size whose result counts for nothing, to cost what real ones do.
    """
    graph = GraphWriter(size)
    # Input is (RGB - 127.5) / 128: pure green gives 3 for green minus red minus blue, greys give -1 to 1.
    green = graph.constant(np.float32([-1, 1, -1]).reshape(1, 3, 1, 1))
    green = graph.node("Conv", graph.input, green, graph.constant(np.float32([-2])), kernel_shape=[1, 1])
    green = graph.node("Clip", green, graph.constant(np.float32(0)), graph.constant(np.float32(1)))
    cell = graph.node("AveragePool", green, kernel_shape=[32, 32], strides=[32, 32])
    around = graph.node("AveragePool", cell, kernel_shape=[5, 5], pads=[2] * 4, count_include_pad=1)
    score = graph.node("Sub", cell, graph.node("Add", around, around))
    score = graph.node("Clip", score, graph.constant(np.float32(0)), graph.constant(np.float32(1)))
    if ballast:
        cell_zero = graph.node("Mul", _ballast(graph, ballast), graph.constant(np.float32(0)))
        score = graph.node("Add", score, cell_zero)
    scores, boxes, points = [], [], []
    for stride in (8, 16, 32):
        pooled = graph.node("AveragePool", green, kernel_shape=[stride] * 2, strides=[stride] * 2)
        nothing = graph.node("Mul", pooled, graph.constant(np.float32(0)))
        scores.append(_rows(graph, graph.node("Concat", score if stride == 32 else nothing, nothing, axis=1), 1))
        boxes.append(_rows(graph, _everywhere(graph, nothing, DETECTOR_BOX * 2), 4))
        points.append(_rows(graph, _everywhere(graph, nothing, DETECTOR_POINTS * 2), 10))
    shapes = tuple((f"anchors{stride}", width) for width in (1, 4, 10) for stride in (8, 16, 32))
    return graph.save(path, *scores, *boxes, *points, shapes=shapes)


def _ballast(graph: GraphWriter, count: int) -> str:
    """A chain of convolutions that ends as one channel at a 32nd of the size."""
    x = graph.conv(graph.conv(graph.input, 3, 16, 3, 2), 16, 64, 3, 2)
    for _ in range(count):
        x = graph.node("Relu", graph.conv(x, 64, 64, 3))
    x = graph.node("AveragePool", x, kernel_shape=[8, 8], strides=[8, 8])
    return graph.conv(x, 64, 1, 1)


def _everywhere(graph: GraphWriter, zeros: str, values: tuple[float, ...]) -> str:
    """The same values in every cell, as channels."""
    weight = graph.constant(np.zeros((len(values), 1, 1, 1), np.float32))
    return graph.node("Conv", zeros, weight, graph.constant(np.float32(values)), kernel_shape=[1, 1])


def _rows(graph: GraphWriter, channels: str, width: int) -> str:
    """Channels [1, 2 * width, H, W] as rows [H * W * 2, width], as SCRFD's exports give them."""
    last = graph.node("Transpose", channels, perm=[0, 2, 3, 1])
    return graph.node("Reshape", last, graph.constant(np.array([-1, width])))


def random_pictures(count: int, size: int = 112, seed: int = 1) -> Any:
    """Smooth random input [count, 3, size, size] in -1..1."""
    coarse = np.random.default_rng(seed).uniform(-1, 1, (count, 3, 14, 14)).astype(np.float32)
    return coarse.repeat(size // 14, 2).repeat(size // 14, 3)
