"""An ONNX file as a PyTorch module, so that gradients pass through networks that people own.

The file is read with the `onnx` package and its nodes are carried out one by one (`onnx_ops.py`); no code is generated, and
nothing of the file is executed. It covers what face recognisers and other convolutional encoders are made of; anything else is
an error that names operator and node when the file is loaded, not in the middle of a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .onnx_ops import OPERATORS
from .onnx_shape_ops import Attributes

_DOMAINS = ("", "ai.onnx")
_READ_AGAIN = "get the file again"


class OnnxError(ValueError):
    """The file is no network that this module can carry out; the message names the file, and the operator and node."""


@dataclass(frozen=True)
class _Node:
    label: str  # for messages
    operator: str
    inputs: tuple[str, ...]  # "" for one that is left out
    outputs: tuple[str, ...]
    attributes: Attributes
    last_used: tuple[str, ...]  # values that no later node reads


class OnnxModule(nn.Module):
    """The network of an ONNX file with one picture input and frozen weights.

    Weights are buffers, so `.to()` and `.double()` move them; whole-number tensors are shapes and indices and stay on the CPU.
    They are made outside inference mode whatever the caller's mode is: a module that was loaded by a node in inference mode can
    take part in autograd later. input_shape: of the file's input, None where it is free. input_name, output_names: as in the
    file. Raises OnnxError for a file that is damaged, not ONNX, or holds an operator that is not covered.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        path = Path(path)
        graph, opset = _read(path)
        self.name = path.name
        self._integers: dict[str, Tensor] = {}
        self._weights: dict[str, str] = {}
        self._keep_constants(graph, path)
        given = [value for value in graph.input if value.name not in self._weights and value.name not in self._integers]
        if len(given) != 1:
            raise OnnxError(f"{path.name}: takes {len(given)} inputs, expected one picture")
        self.input_name: str = given[0].name
        self.input_shape = _shape(given[0])
        self.output_names = tuple(value.name for value in graph.output)
        self._nodes = _plan(graph, opset, path.name, self.output_names)

    def forward(self, pixels: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Output of the network for its input; a tuple where the file has several outputs."""
        weights = {name: getattr(self, key) for name, key in self._weights.items()}
        like = next(iter(weights.values()), pixels)
        values: dict[str, Tensor] = {**self._integers, **weights, self.input_name: pixels.to(like)}
        for node in self._nodes:
            arguments = [values[name] if name else None for name in node.inputs]
            try:
                results = OPERATORS[node.operator](arguments, node.attributes)
            except (RuntimeError, ValueError, IndexError, TypeError, NotImplementedError) as error:
                raise OnnxError(f"{self.name}: {node.label} failed ({_first_line(error)})") from error
            for name, result in zip(node.outputs, results if isinstance(results, tuple) else (results,), strict=False):
                values[name] = result
            for name in node.last_used:
                del values[name]
        outputs = tuple(values[name] for name in self.output_names)
        return outputs[0] if len(outputs) == 1 else outputs

    def _keep_constants(self, graph: Any, path: Path) -> None:
        """Keep the initializers and the values of Constant nodes: floating ones as buffers, the others beside them."""
        from onnx import numpy_helper

        found = {entry.name: entry for entry in graph.initializer}
        found |= {node.output[0]: node for node in graph.node if node.op_type == "Constant"}
        for number, (name, entry) in enumerate(found.items()):
            try:
                tensor = _tensor(_constant(entry) if hasattr(entry, "op_type") else numpy_helper.to_array(entry))
            except (ValueError, TypeError) as error:
                raise OnnxError(f"{path.name}: the constant '{name}' cannot be read ({_first_line(error)})") from error
            if tensor.is_floating_point():
                self._weights[name] = f"weight_{number}"
                self.register_buffer(f"weight_{number}", tensor)
            else:
                self._integers[name] = tensor


def _read(path: Path) -> tuple[Any, int]:
    """The file's graph and the version of its operator set."""
    try:
        import onnx
    except ImportError as error:
        raise OnnxError(
            f"{path.name}: reading it needs the package onnx, which insightface installs; run: pip install onnx"
        ) from error
    try:
        model = onnx.load(str(path))
    # onnx raises protobuf's own types for what is no ONNX file, and its checker's for weights in another file.
    except Exception as error:
        raise OnnxError(f"{path.name}: cannot be read as an ONNX network ({_first_line(error)}); {_READ_AGAIN}") from error
    if not model.graph.node:
        raise OnnxError(f"{path.name}: holds no network (its graph has no nodes); {_READ_AGAIN}")
    _unpack(model.graph, path)
    versions = [entry.version for entry in model.opset_import if entry.domain in _DOMAINS]
    return model.graph, max(versions, default=1)


def read_graph(path: Path) -> Any:
    """The graph of an ONNX file, its weights unpacked; raises OnnxError for a file that is none."""
    return _read(path)[0]


def _unpack(graph: Any, path: Path) -> None:
    """Replace weights that are stored as whole numbers with scales (DequantizeLinear) by what they stand for."""
    from onnx import numpy_helper

    constants = {weight.name: weight for weight in graph.initializer}
    unpacked: set[str] = set()
    for node in [node for node in graph.node if node.op_type == "DequantizeLinear" and node.input[0] in constants]:
        try:
            packed, *rest = (numpy_helper.to_array(constants[name]).astype(np.float32) for name in node.input if name)
            axis = next((entry.i for entry in node.attribute if entry.name == "axis"), 1)
            scale, zero = ([value.reshape(-1) for value in rest] + [np.zeros(1, np.float32)])[:2]
            shape = [-1 if place == axis % packed.ndim else 1 for place in range(packed.ndim)]
            values = (packed - zero.reshape(shape)) * scale.reshape(shape)
        except (KeyError, ValueError) as error:
            raise OnnxError(f"{path.name}: the weight '{node.output[0]}' cannot be unpacked ({_first_line(error)})") from error
        graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), node.output[0]))
        graph.node.remove(node)
        unpacked |= set(node.input)
    for name in unpacked - {name for node in graph.node for name in node.input} - {""}:
        graph.initializer.remove(constants[name])


def _plan(graph: Any, opset: int, file: str, outputs: Sequence[str]) -> tuple[_Node, ...]:
    """The nodes in the file's order, which ONNX requires to be one they can run in."""
    from onnx import helper, numpy_helper

    last_reader = {name: number for number, node in enumerate(graph.node) for name in node.input if name}
    plan = []
    for number, node in enumerate(graph.node):
        if node.op_type == "Constant":
            continue
        label = f"node {number} ({node.op_type}{f' {node.name!r}' if node.name else ''})"
        if node.domain not in _DOMAINS or node.op_type not in OPERATORS:
            operator = node.op_type if node.domain in _DOMAINS else f"{node.domain}.{node.op_type}"
            raise OnnxError(
                f"{file}: {label}: the operator {operator} is not among those that can be carried out with gradients here; "
                "export the network with standard operators of a convolutional encoder"
            )
        values = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
        tensors = {key: _tensor(numpy_helper.to_array(value)) for key, value in values.items() if hasattr(value, "raw_data")}
        done = tuple(name for name in dict.fromkeys(node.input) if last_reader.get(name) == number and name not in outputs)
        attributes = Attributes(opset, {**values, **tensors})
        plan.append(_Node(label, node.op_type, tuple(node.input), tuple(node.output), attributes, done))
    return tuple(plan)


def _constant(node: Any) -> np.ndarray:
    from onnx import helper, numpy_helper

    (attribute,) = node.attribute
    value = helper.get_attribute_value(attribute)
    return numpy_helper.to_array(value) if attribute.name == "value" else np.array(value)


def _tensor(array: np.ndarray) -> Tensor:
    """A tensor of its own memory, made outside inference mode: floats become float32, whole numbers int64."""
    with torch.inference_mode(False):
        if array.dtype == np.bool_:
            return torch.from_numpy(array.copy())
        if np.issubdtype(array.dtype, np.floating):
            return torch.from_numpy(array.astype(np.float32))
        if not np.issubdtype(array.dtype, np.integer):
            raise ValueError(f"numbers of the type {array.dtype}")
        return torch.from_numpy(array.astype(np.int64))


def _shape(value: Any) -> tuple[int | None, ...]:
    return tuple(axis.dim_value or None for axis in value.type.tensor_type.shape.dim)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
