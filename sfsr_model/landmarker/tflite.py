"""A TensorFlow Lite file as a plan: operations in order, constants as tensors, nothing executed.

Field numbers, operator codes and enumerations: TensorFlow's tensorflow/compiler/mlir/lite/schema/schema.fbs, version 3
(Apache-2.0). A field's number is its position in its table there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from .flatbuffer import FlatbufferError, Table

_IDENTIFIER = b"TFL3"
_LARGEST = 1 << 24  # entries of one tensor
_FLOATS = {0: np.float32, 1: np.float16}
_DTYPES = {**_FLOATS, 2: np.int32, 3: np.uint8, 4: np.int64, 6: np.bool_, 9: np.int8}

OPERATORS: Mapping[int, str] = MappingProxyType(
    {
        0: "ADD", 1: "AVERAGE_POOL_2D", 2: "CONCATENATION", 3: "CONV_2D", 4: "DEPTHWISE_CONV_2D", 5: "DEPTH_TO_SPACE",
        6: "DEQUANTIZE", 9: "FULLY_CONNECTED", 14: "LOGISTIC", 17: "MAX_POOL_2D", 18: "MUL", 19: "RELU", 21: "RELU6",
        22: "RESHAPE", 23: "RESIZE_BILINEAR", 25: "SOFTMAX", 28: "TANH", 34: "PAD", 39: "TRANSPOSE", 40: "MEAN", 41: "SUB",
        42: "DIV", 43: "SQUEEZE", 45: "STRIDED_SLICE", 54: "PRELU", 59: "NEG", 67: "TRANSPOSE_CONV", 74: "SUM", 75: "SQRT",
        76: "RSQRT", 99: "SQUARED_DIFFERENCE", 117: "HARD_SWISH", 124: "DENSIFY",
    }
)  # fmt: skip
"""Names of operator codes, for the plan and for messages; the ones that can be carried out are in `steps.py`."""

ACTIVATIONS = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT")
PADDINGS = ("SAME", "VALID")

# For each table of options: name -> (field number, struct format, default).
_WINDOW = {"padding": (0, "b", 0), "stride_w": (1, "i", 0), "stride_h": (2, "i", 0)}
_POOL = {**_WINDOW, "filter_w": (3, "i", 0), "filter_h": (4, "i", 0), "activation": (5, "b", 0)}
_ACTIVATION = {"activation": (0, "b", 0)}
_REDUCTION = {"keep_dims": (0, "?", 0)}
_OPTIONS: dict[str, dict[str, tuple[int, str, int]]] = {
    "CONV_2D": {**_WINDOW, "activation": (3, "b", 0), "dilation_w": (4, "i", 1), "dilation_h": (5, "i", 1)},
    "DEPTHWISE_CONV_2D": {
        **_WINDOW, "multiplier": (3, "i", 0), "activation": (4, "b", 0), "dilation_w": (5, "i", 1), "dilation_h": (6, "i", 1),
    },
    "AVERAGE_POOL_2D": _POOL,
    "MAX_POOL_2D": _POOL,
    "CONCATENATION": {"axis": (0, "i", 0), "activation": (1, "b", 0)},
    "FULLY_CONNECTED": {"activation": (0, "b", 0), "weights_format": (1, "b", 0), "keep_dims": (2, "?", 0)},
    "STRIDED_SLICE": {name: (number, "i", 0) for number, name in enumerate(("begin", "end", "ellipsis", "new_axis", "shrink"))},
    **dict.fromkeys(("ADD", "SUB", "MUL", "DIV"), _ACTIVATION),
    **dict.fromkeys(("MEAN", "SUM"), _REDUCTION),
}  # fmt: skip


class TfliteError(ValueError):
    """The file is no network that can be carried out here; the message names the file and the operator or tensor."""


@dataclass(frozen=True)
class Operation:
    """One operator: tensor numbers of inputs (-1: left out) and outputs, and its options by name."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class Graph:
    """One network. shapes: of every tensor, as in the file, batch axis 1 included; constants: by tensor number, floats as
    float32 (half precision is widened), integers as they are."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    shapes: tuple[tuple[int, ...], ...]
    operations: tuple[Operation, ...]
    constants: dict[int, Tensor] = field(repr=False)


def read_graph(data: bytes, name: str) -> Graph:
    """Read the first network of a file's bytes; raises TfliteError for what is damaged or quantised."""
    try:
        model = Table.root(data, _IDENTIFIER)
        codes = [_operator(entry) for entry in model.tables(1)]
        subgraphs, buffers = model.tables(2), model.tables(4)
        if not subgraphs:
            raise TfliteError(f"{name}: holds no network; get the file again")
        graph = subgraphs[0]
        tensors = graph.tables(0)
        shapes = tuple(tensor.integers(0) for tensor in tensors)
        for number, shape in enumerate(shapes):
            if min(shape, default=1) < 0 or math.prod(shape) > _LARGEST:
                raise TfliteError(f"{name}: tensor {number} has the shape {list(shape)}; get the file again")
        constants = {}
        for number, tensor in enumerate(tensors):
            value = _constant(tensor, buffers, f"{name}: tensor {number} ({tensor.text(3) or 'no name'})")
            if value is not None:
                constants[number] = value
        operations = [_operation(entry, codes, len(tensors), name) for entry in graph.tables(3)]
        read = Graph(name, graph.integers(1), graph.integers(2), shapes, tuple(operations), constants)
    except FlatbufferError as error:
        raise TfliteError(f"{name}: cannot be read as a TensorFlow Lite network ({error}); get the file again") from error
    _check_order(read)
    return _folded(read)


def _operator(entry: Table) -> int:
    # Codes below 127 stand in a byte that older files have alone; newer ones repeat or replace it in a wider field.
    return max(entry.integer(0, "b"), entry.integer(3, "i"))


def _operation(entry: Table, codes: list[int], tensors: int, name: str) -> Operation:
    index = entry.integer(0, "I")
    if not 0 <= index < len(codes):
        raise TfliteError(f"{name}: an operation has the code number {index} of {len(codes)}; get the file again")
    kind = OPERATORS.get(codes[index], f"operator {codes[index]}")
    inputs, outputs = entry.integers(1), entry.integers(2)
    if not all(-1 <= number < tensors for number in (*inputs, *outputs)) or -1 in outputs:
        raise TfliteError(f"{name}: {kind} reads or writes a tensor that is not there; get the file again")
    table = entry.table(4)
    options = {
        key: default if table is None else table.integer(place, form, default)
        for key, (place, form, default) in _OPTIONS.get(kind, {}).items()
    }
    return Operation(kind, inputs, outputs, MappingProxyType(options))


def _constant(tensor: Table, buffers: tuple[Table, ...], label: str) -> Tensor | None:
    index = tensor.integer(2, "I")
    content = buffers[index].blob(0) if 0 <= index < len(buffers) else b""
    if not content:
        return None
    kind, shape = tensor.integer(1, "b"), tensor.integers(0)
    if kind not in _DTYPES:
        raise TfliteError(f"{label}: values of type {kind} cannot be used here; expected floats or integers")
    if kind in (3, 9):
        raise TfliteError(f"{label}: its weights are quantised to 8 bits; use the float16 or float32 file")
    dtype = np.dtype(_DTYPES[kind])
    count = int(np.prod(shape, dtype=np.int64)) if all(side >= 0 for side in shape) else -1
    if count * dtype.itemsize != len(content):
        raise TfliteError(f"{label}: {len(content)} bytes do not fit its shape {list(shape)}; get the file again")
    values = np.frombuffer(content, dtype.newbyteorder("<")).reshape(shape)
    return torch.from_numpy(values.astype(np.float32 if kind in _FLOATS else np.int64))


def _check_order(graph: Graph) -> None:
    """Every input of an operation must be there before it runs."""
    known = {*graph.inputs, *graph.constants, -1}
    for operation in graph.operations:
        missing = [number for number in operation.inputs if number not in known]
        if missing:
            raise TfliteError(f"{graph.name}: {operation.kind} reads tensor {missing[0]} before it is made; get the file again")
        known.update(operation.outputs)
    if not graph.inputs or not graph.outputs or not known.issuperset(graph.outputs):
        raise TfliteError(f"{graph.name}: an output of the network is never made; get the file again")


def _folded(graph: Graph) -> Graph:
    """Half-precision weights pass through DEQUANTIZE in the file; here they are wide already, so it is a renaming."""
    constants, kept = dict(graph.constants), []
    for operation in graph.operations:
        if operation.kind == "DEQUANTIZE" and operation.inputs and operation.inputs[0] in constants:
            constants[operation.outputs[0]] = constants[operation.inputs[0]]
        else:
            kept.append(operation)
    return Graph(graph.name, graph.inputs, graph.outputs, graph.shapes, tuple(kept), constants)
