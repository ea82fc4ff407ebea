"""Networks as ONNX files with weights in 8 bits."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..files import whole_file

_WORTH_PACKING = 256  # numbers in a weight; small ones, such as biases, are better kept


def write_onnx(network: nn.Module, example: Tensor, path: Path, outputs: Sequence[str], free: Mapping[str, Any]) -> None:
    """Write a network of one input, "input.1", its normalisation folded into the convolutions; atomically.

    example: what it takes. free: axes of any length, by the name of an input or output, with a name each.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as partial, warnings.catch_warnings():
        # The newer exporter needs one more package and folds less.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            network.eval().cpu(), (example,), str(partial), dynamo=False, opset_version=17, input_names=["input.1"],
            output_names=list(outputs), dynamic_axes=dict(free),
        )  # fmt: skip
        _pack_weights(partial)


def _pack_weights(path: Path) -> None:
    """Keep matrices and convolutions of an ONNX file in 8 bits, a scale for each output, and vectors in half precision.

    A fourth and a half of the size. They are brought back before they are used, so nothing is computed in less precision.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(str(path))
    graph = model.graph
    brought_back, scales = [], []
    for weight in graph.initializer:
        if weight.data_type != TensorProto.FLOAT or math.prod(weight.dims) < _WORTH_PACKING:
            continue
        values, name = numpy_helper.to_array(weight), weight.name
        if values.ndim == 1:
            weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
            brought_back.append(helper.make_node("Cast", [weight.name], [name], to=TensorProto.FLOAT))
            continue
        packed, scale = in_8_bits(values)
        weight.CopyFrom(numpy_helper.from_array(packed, f"{name}.packed"))
        scales.append(numpy_helper.from_array(scale, f"{name}.scale"))
        brought_back.append(helper.make_node("DequantizeLinear", [weight.name, f"{name}.scale"], [name], axis=0))
    graph.initializer.extend(scales)
    nodes = [*brought_back, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.save(model, str(path))


def in_8_bits(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers of -127..127 and the scale [N] of each row of values [N, ...], whose product is nearest to them."""
    scale = np.abs(values).reshape(len(values), -1).max(1) / 127
    scale = np.where(scale > 0, scale, 1.0).astype(np.float32)
    return np.round(values / scale.reshape(-1, *[1] * (values.ndim - 1))).astype(np.int8), scale
