"""Small ONNX networks of random weights in the shapes that insightface tells models apart by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np


def save_recogniser(
    path: Path, dim: int = 512, size: int = 112, outputs: int = 1, seed: int = 0, scale: float = 1.0,
    offsets: Sequence[float] | None = None,
) -> Path:  # fmt: skip
    """A recogniser's shape: [N, 3, size, size] in, [N, dim] out (a pooled linear map); `outputs` copies of it.

    scale: standard deviation of the map's weights. offsets: what is added to each of the outputs.
    """
    from onnx import TensorProto, helper, numpy_helper, save

    pool = size // 8
    weight = (scale * np.random.default_rng(seed).standard_normal((3 * 8 * 8, dim))).astype(np.float32)
    nodes = [
        helper.make_node("AveragePool", ["input.1"], ["pooled"], kernel_shape=[pool, pool], strides=[pool, pool]),
        helper.make_node("Flatten", ["pooled"], ["flat"], axis=1),
        *(helper.make_node("Gemm", ["flat", "weight", "offsets"], [f"embedding{number}"]) for number in range(outputs)),
    ]
    added = np.zeros(dim, np.float32) if offsets is None else np.asarray(offsets, np.float32)
    graph = helper.make_graph(
        nodes,
        "recogniser",
        [helper.make_tensor_value_info("input.1", TensorProto.FLOAT, ["N", 3, size, size])],
        [helper.make_tensor_value_info(f"embedding{n}", TensorProto.FLOAT, ["N", dim]) for n in range(outputs)],
        [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(added, "offsets")],
    )
    # An opset and IR that every onnxruntime since 1.17 reads.
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path
