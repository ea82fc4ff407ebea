"""ONNX operators that move, cut and join tensors and reckon with shapes, and what all operators here share.

After the operator descriptions of the ONNX standard, opsets 7 to 22. Shapes and indices are int64 tensors on the CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

Inputs = Sequence[Any]
Operator = Callable[[Inputs, "Attributes"], Any]

# TensorProto.DataType of whole numbers and truth values; all other types here are floating.
_WHOLE, _BOOL = frozenset((2, 3, 4, 5, 6, 7, 12, 13)), 9


@dataclass(frozen=True)
class Attributes:
    """A node's attributes, and the version of the operator set, which some operators' meaning depends on."""

    opset: int
    values: dict[str, Any]

    def get(self, name: str, default: Any = None) -> Any:
        return self.values.get(name, default)

    def text(self, name: str, default: str) -> str:
        value = self.values.get(name, default)
        return value.decode() if isinstance(value, bytes) else value


def numbers(inputs: Inputs, position: int, attributes: Attributes, name: str) -> list[int] | None:
    """Whole numbers that newer operator sets pass as an input and older ones as an attribute; None where left out."""
    if len(inputs) > position and inputs[position] is not None:
        return [int(number) for number in inputs[position].reshape(-1).tolist()]
    found = attributes.get(name)
    return None if found is None else [int(number) for number in (found if isinstance(found, Sequence) else [found])]


def pad(x: Tensor, margins: Sequence[int], value: float = 0.0, mode: str = "constant") -> Tensor:
    """Pad the last len(margins) / 2 axes; ONNX lists starts then ends, PyTorch pairs from the last axis."""
    axes = len(margins) // 2
    pairs = [margin for axis in reversed(range(axes)) for margin in (margins[axis], margins[axis + axes])]
    if not any(pairs):
        return x
    return F.pad(x, pairs, mode=mode, value=value) if mode == "constant" else F.pad(x, pairs, mode=mode)


def _flatten(inputs: Inputs, attributes: Attributes) -> Tensor:
    (x,) = inputs
    return x.reshape(math.prod(x.shape[: attributes.get("axis", 1)]), -1)


def _reshape(inputs: Inputs, attributes: Attributes) -> Tensor:
    sides = numbers(inputs, 1, attributes, "shape") or []
    if not attributes.get("allowzero", 0):
        sides = [inputs[0].shape[axis] if side == 0 else side for axis, side in enumerate(sides)]
    return inputs[0].reshape(sides)


def _squeeze(inputs: Inputs, attributes: Attributes) -> Tensor:
    axes = numbers(inputs, 1, attributes, "axes")
    return inputs[0].squeeze() if axes is None else inputs[0].squeeze(tuple(axes))


def _unsqueeze(inputs: Inputs, attributes: Attributes) -> Tensor:
    x = inputs[0]
    axes = numbers(inputs, 1, attributes, "axes") or []
    for axis in sorted(axis % (x.ndim + len(axes)) for axis in axes):
        x = x.unsqueeze(axis)
    return x


def _slice(inputs: Inputs, attributes: Attributes) -> Tensor:
    x = inputs[0]
    starts, ends = numbers(inputs, 1, attributes, "starts") or [], numbers(inputs, 2, attributes, "ends") or []
    axes = numbers(inputs, 3, attributes, "axes") or list(range(len(starts)))
    steps = numbers(inputs, 4, attributes, "steps") or [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        places = range(x.shape[axis])[start:end:step]
        x = x.index_select(axis, torch.tensor(list(places), dtype=torch.int64, device=x.device))
    return x


def _pad_node(inputs: Inputs, attributes: Attributes) -> Tensor:
    x, mode = inputs[0], attributes.text("mode", "constant")
    margins = numbers(inputs, 1, attributes, "pads") or []
    value = attributes.get("value", 0.0) if len(inputs) < 3 or inputs[2] is None else float(inputs[2])
    axes = numbers(inputs, 3, attributes, "axes")
    if axes is not None:
        full = [0] * 2 * x.ndim
        for number, axis in enumerate(axes):
            full[axis % x.ndim] = margins[number]
            full[axis % x.ndim + x.ndim] = margins[number + len(axes)]
        margins = full
    if mode != "constant":
        # PyTorch's other modes take no batch and channel axes, whose margins are 0 in every such export.
        if any(margins[axis] or margins[axis + x.ndim] for axis in (0, 1)):
            raise ValueError(f"padding of the mode '{mode}' across pictures or channels")
        margins = margins[2 : x.ndim] + margins[x.ndim + 2 :]
    return pad(x, margins, value, {"constant": "constant", "reflect": "reflect", "edge": "replicate"}[mode])


def _gather(inputs: Inputs, attributes: Attributes) -> Tensor:
    x, places = inputs
    axis = attributes.get("axis", 0) % x.ndim
    places = torch.where(places < 0, places + x.shape[axis], places).to(x.device)
    picked = x.index_select(axis, places.reshape(-1))
    return picked.reshape(x.shape[:axis] + places.shape + x.shape[axis + 1 :])


def _cast(inputs: Inputs, attributes: Attributes) -> Tensor:
    """To a floating type means to the precision the network is run in, whatever the file names."""
    (x,) = inputs
    target = attributes.get("to")
    if target in _WHOLE:
        return x.to(torch.int64)
    if target == _BOOL:
        return x.to(torch.bool)
    return x if x.is_floating_point() else x.to(torch.get_default_dtype())


def _constant_of_shape(inputs: Inputs, attributes: Attributes) -> Tensor:
    value = attributes.get("value", torch.zeros(1))
    return value.reshape(()).expand([int(side) for side in inputs[0].tolist()])


def _expand(inputs: Inputs, _: Attributes) -> Tensor:
    x, sides = inputs
    return x.expand(torch.broadcast_shapes(x.shape, tuple(int(side) for side in sides.tolist())))


def _split(inputs: Inputs, attributes: Attributes) -> tuple[Tensor, ...]:
    axis, x = attributes.get("axis", 0), inputs[0]
    sides = numbers(inputs, 1, attributes, "split")
    return x.split(sides or -(-x.shape[axis] // attributes.get("num_outputs", 2)), axis)


SHAPE_OPERATORS: dict[str, Operator] = {
    "Identity": lambda i, _: i[0],
    "ConstantOfShape": _constant_of_shape,
    "Shape": lambda i, a: torch.tensor(i[0].shape[a.get("start", 0) : a.get("end")], dtype=torch.int64),
    "Cast": _cast,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Transpose": lambda i, a: i[0].permute(a.get("perm", list(reversed(range(i[0].ndim))))),
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Concat": lambda i, a: torch.cat(list(i), a.get("axis")),
    "Split": _split,
    "Slice": _slice,
    "Gather": _gather,
    "Expand": _expand,
    "Pad": _pad_node,
    "Where": lambda i, _: torch.where(*i),
    "Equal": lambda i, _: torch.eq(*i),
}
