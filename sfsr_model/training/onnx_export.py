"""Networks as ONNX files with weights in half precision."""

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

_WORTH_HALVING = 256  # numbers in a weight; small ones, such as biases, are better kept


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
        _halve_weights(partial)


def _halve_weights(path: Path) -> None:
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
