"""The operators of a TensorFlow Lite plan as PyTorch modules; the file's batch of 1 becomes N everywhere.

Meaning of every operator: TensorFlow Lite's reference kernels.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from .convolution import Conv, MaxPool, Prelu
from .step import Step, activation_of, axis_of, needed, wrong
from .tflite import Graph, Operation, TfliteError

_WIDEST = 4096  # of what PAD adds


class _Join(Step):
    """ADD, SUB, MUL, DIV, SQUARED_DIFFERENCE of two values, or of a value and a constant on either side."""

    constant: Tensor | None

    def __init__(self, operation: Operation, graph: Graph) -> None:
        super().__init__(operation, graph)
        self.function = _JOINS[operation.kind]
        self.activation = activation_of(operation, graph)
        constants = [graph.constants.get(number) for number in operation.inputs]
        if len(constants) != 2 or (constants[0] is not None and constants[1] is not None):
            raise wrong(graph, operation, f"{len(constants)} inputs")
        self.constant_first = constants[0] is not None
        self.register_buffer("constant", constants[0] if self.constant_first else constants[1])

    def forward(self, *values: Tensor) -> Tensor:
        if self.constant is not None:
            values = (self.constant, values[0]) if self.constant_first else (values[0], self.constant)
        return self.activation(self.function(values[0], values[1]))


class _Plain(Step):
    """An operator without weights, as a function of its values."""

    def __init__(self, operation: Operation, graph: Graph, function: Callable[..., Tensor]) -> None:
        super().__init__(operation, graph)
        self.function = function

    def forward(self, *values: Tensor) -> Tensor:
        return self.function(*values)


class _Concatenation(Step):
    def __init__(self, operation: Operation, graph: Graph) -> None:
        super().__init__(operation, graph)
        self.axis = axis_of(operation.options["axis"], operation, graph)
        self.activation = activation_of(operation, graph)
        self.fixed = [number in graph.constants for number in operation.inputs]
        for place, number in enumerate(operation.inputs):
            if self.fixed[place]:
                self.register_buffer(f"part_{place}", graph.constants[number])

    def forward(self, *values: Tensor) -> Tensor:
        batch, rest = values[0].shape[0], iter(values)
        parts = []
        for place, fixed in enumerate(self.fixed):
            parts.append(getattr(self, f"part_{place}").expand(batch, -1, -1, -1) if fixed else next(rest))
        return self.activation(torch.cat(parts, self.axis))


def _reshape(operation: Operation, graph: Graph) -> Step:
    shape = graph.shapes[operation.outputs[0]]
    if not shape or shape[0] != 1 or min(shape) < 1:
        raise wrong(graph, operation, f"a new shape {list(shape)} that does not keep the batch")
    return _Plain(operation, graph, lambda value: value.reshape(value.shape[0], *shape[1:]))


def _transpose(operation: Operation, graph: Graph) -> Step:
    order = tuple(needed(graph, operation, 1, 1).tolist())
    if sorted(order) != list(range(len(order))) or order[0] != 0:
        raise wrong(graph, operation, f"the order {order}")
    return _Plain(operation, graph, lambda value: value.permute(order))


def _reduction(operation: Operation, graph: Graph) -> Step:
    axes = tuple(axis_of(int(axis), operation, graph) for axis in needed(graph, operation, 1, None).reshape(-1).tolist())
    keep = bool(operation.options["keep_dims"])
    reduce = torch.mean if operation.kind == "MEAN" else torch.sum
    return _Plain(operation, graph, lambda value: reduce(value, axes, keepdim=keep))


def _pad(operation: Operation, graph: Graph) -> Step:
    pairs = needed(graph, operation, 1, 2).tolist()
    if any(pairs[0]) or not all(0 <= width <= _WIDEST for pair in pairs for width in pair):
        raise wrong(graph, operation, f"the widths {pairs}")
    widths = [width for pair in reversed(pairs[1:]) for width in pair]
    return _Plain(operation, graph, lambda value: F.pad(value, widths))


def _strided_slice(operation: Operation, graph: Graph) -> Step:
    """A cut along the axes after the batch's; an index into the batch of 1 is left out, so that N rows come through."""
    options = operation.options
    begins, ends, strides = (needed(graph, operation, place, 1).tolist() for place in (1, 2, 3))
    shape = graph.shapes[operation.inputs[0]]
    if options["ellipsis"] or options["new_axis"] or any(stride < 1 for stride in strides) or len(begins) > len(shape):
        raise wrong(graph, operation, "a cut with a new axis, an ellipsis or a step below 1")
    cuts: list[slice | int] = [slice(None)]
    for axis in range(1, len(begins)):
        bit = 1 << axis
        if options["shrink"] & bit:
            cuts.append(begins[axis])
            continue
        begin = None if options["begin"] & bit else begins[axis]
        cuts.append(slice(begin, None if options["end"] & bit else ends[axis], strides[axis]))
    if not options["begin"] & 1 and begins[0] != 0:
        raise wrong(graph, operation, "a cut through the batch")
    index = tuple(cuts)
    return _Plain(operation, graph, lambda value: value[index])


_JOINS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "ADD": torch.add,
    "SUB": torch.sub,
    "MUL": torch.mul,
    "DIV": torch.div,
    "SQUARED_DIFFERENCE": lambda first, second: (first - second).square(),
}
_POINTWISE: dict[str, Callable[[Tensor], Tensor]] = {
    "LOGISTIC": torch.sigmoid,
    "NEG": torch.neg,
    "RELU": torch.relu,
    "RELU6": F.relu6,
    "RSQRT": torch.rsqrt,
    "SQRT": torch.sqrt,
}
_MAKERS: dict[str, Callable[[Operation, Graph], Step]] = {
    "CONCATENATION": _Concatenation,
    "CONV_2D": Conv,
    "DEPTHWISE_CONV_2D": Conv,
    "MAX_POOL_2D": MaxPool,
    "MEAN": _reduction,
    "PAD": _pad,
    "PRELU": Prelu,
    "RESHAPE": _reshape,
    "STRIDED_SLICE": _strided_slice,
    "SUM": _reduction,
    "TRANSPOSE": _transpose,
    **dict.fromkeys(_JOINS, _Join),
}


def make_step(operation: Operation, graph: Graph) -> Step:
    """The module of one operation; raises TfliteError naming an operator that is not covered."""
    if len(operation.outputs) != 1:
        raise wrong(graph, operation, f"{len(operation.outputs)} results")
    if operation.kind in _POINTWISE:
        return _Plain(operation, graph, _POINTWISE[operation.kind])
    if operation.kind not in _MAKERS:
        raise TfliteError(
            f"{graph.name}: the operator {operation.kind} is not among those that can be carried out here; "
            "expected the networks of MediaPipe's face_landmarker.task"
        )
    try:
        return _MAKERS[operation.kind](operation, graph)
    except (ValueError, IndexError, KeyError, TypeError, RuntimeError, ZeroDivisionError) as error:
        if isinstance(error, TfliteError):
            raise
        # Shapes and constants of a damaged file that do not fit each other.
        raise wrong(graph, operation, f"inputs that do not fit ({error})") from error
