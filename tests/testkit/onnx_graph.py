"""Writing small ONNX networks node by node, with random weights of a scale that keeps the signal alive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

# An opset and IR that every onnxruntime since 1.17 reads.
OPSET, IR_VERSION = 17, 8


class GraphWriter:
    """Collects nodes; every method appends one and returns the name of what it gives. `input` is the picture [N, 3, S, S]."""

    def __init__(self, size: int | None, seed: int = 0, opset: int = OPSET) -> None:
        self.input = "input.1"
        self.size, self.opset = size, opset
        self.random = np.random.default_rng(seed)
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def node(self, operator: str, *inputs: str, name: str = "", outputs: int = 1, **attributes: Any) -> Any:
        from onnx import helper

        made = [f"v{len(self.nodes)}_{number}" for number in range(outputs)]
        self.nodes.append(helper.make_node(operator, list(inputs), made, name=name, **attributes))
        return made[0] if outputs == 1 else made

    def constant(self, values: Any) -> str:
        from onnx import numpy_helper

        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def normal(self, *shape: int, scale: float = 1.0, mean: float = 0.0) -> str:
        return self.constant((mean + scale * self.random.standard_normal(shape)).astype(np.float32))

    def conv(
        self, x: str, inputs: int, outputs: int, kernel: int, stride: int = 1, group: int = 1, padding: int | None = None,
        **attributes: Any,
    ) -> str:  # fmt: skip
        """A convolution with bias; padding keeps the size unless `pads` or `auto_pad` say otherwise."""
        fan_in = inputs // group * kernel**2
        weight = self.normal(outputs, inputs // group, kernel, kernel, scale=(1.6 / fan_in) ** 0.5)
        if not {"pads", "auto_pad"} & attributes.keys():
            attributes["pads"] = [kernel // 2 if padding is None else padding] * 4
        bias = self.normal(outputs, scale=0.1)
        return self.node("Conv", x, weight, bias, kernel_shape=[kernel] * 2, strides=[stride] * 2, group=group, **attributes)

    def prelu(self, x: str, channels: int) -> str:
        return self.node("PRelu", x, self.normal(channels, 1, 1, scale=0.05, mean=0.25))

    def batch_norm(self, x: str, channels: int, shared: bool = False) -> str:
        """shared: scale and variance are one initializer, passed through an Identity node."""
        scale = self.constant((1 + 0.1 * self.random.uniform(size=channels)).astype(np.float32))
        variance = self.node("Identity", scale) if shared else self.constant(np.full(channels, 1.2, np.float32))
        shift, mean = self.normal(channels, scale=0.1), self.normal(channels, scale=0.1)
        return self.node("BatchNormalization", x, scale, shift, mean, variance, epsilon=1e-5)

    def gemm(self, x: str, inputs: int, outputs: int) -> str:
        weight, bias = self.normal(outputs, inputs, scale=inputs**-0.5), self.normal(outputs, scale=0.1)
        return self.node("Gemm", x, weight, bias, transB=1)

    def save(self, path: Path, *outputs: str, shapes: tuple[tuple[Any, ...], ...] | None = None) -> Path:
        """Write the file. shapes: of the outputs; [N, D] with D unknown to the file's reader where left out."""
        from onnx import TensorProto, helper, save, shape_inference

        side = ["H", "W"] if self.size is None else [self.size, self.size]
        picture = helper.make_tensor_value_info(self.input, TensorProto.FLOAT, ["N", 3, *side])
        given = shapes or (None,) * len(outputs)
        results = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in zip(outputs, given, strict=True)
        ]
        graph = helper.make_graph(self.nodes, "network", [picture], results, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=IR_VERSION)
        save(model if shapes else shape_inference.infer_shapes(model), path)
        return path
