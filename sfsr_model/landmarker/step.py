"""What every step of a network shares: where its values come from, padding, activations, messages."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .tflite import ACTIVATIONS, PADDINGS, Graph, Operation, TfliteError

LARGEST_STEP = 64
"""Of strides, windows and the like; what exceeds it comes from a damaged file and would run for very long."""
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "NONE": lambda value: value,
    "RELU": torch.relu,
    "RELU6": F.relu6,
    "TANH": torch.tanh,
}


class Step(nn.Module):
    """One operation. sources: numbers of the tensors it takes; target: of the one it makes; last: values nobody reads later."""

    def __init__(self, operation: Operation, graph: Graph) -> None:
        super().__init__()
        self.kind = operation.kind
        self.target = operation.outputs[0]
        self.sources = tuple(number for number in operation.inputs if number >= 0 and number not in graph.constants)
        self.last: tuple[int, ...] = ()


def wrong(graph: Graph, operation: Operation, what: str) -> TfliteError:
    return TfliteError(f"{graph.name}: {operation.kind} with {what} cannot be carried out here; expected MediaPipe's own file")


def needed(graph: Graph, operation: Operation, place: int, dimensions: int | None) -> Tensor:
    """The constant at a place among the inputs; raises TfliteError when there is none, or one of other dimensions."""
    number = operation.inputs[place] if place < len(operation.inputs) else -1
    found = graph.constants.get(number)
    if found is None or (dimensions is not None and found.ndim != dimensions):
        shape = "none" if found is None else list(found.shape)
        raise wrong(graph, operation, f"a fixed input {place} of shape {shape}")
    return found


def axis_of(axis: int, operation: Operation, graph: Graph) -> int:
    """An axis counted from the front; raises TfliteError for the batch's and for one that is not there."""
    count = len(graph.shapes[operation.inputs[-1] if operation.kind == "CONCATENATION" else operation.inputs[0]])
    front = axis + count if axis < 0 else axis
    if not 0 < front < count:
        raise wrong(graph, operation, f"the axis {axis} of {count}")
    return front


def activation_of(operation: Operation, graph: Graph) -> Callable[[Tensor], Tensor]:
    code = operation.options.get("activation", 0)
    name = ACTIVATIONS[code] if 0 <= code < len(ACTIVATIONS) else str(code)
    if name not in _ACTIVATIONS:
        raise wrong(graph, operation, f"the activation {name}")
    return _ACTIVATIONS[name]


def padding_of(
    operation: Operation, graph: Graph, size: tuple[int, ...], stride: tuple[int, int], dilation: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Left, right, top, bottom. SAME pads to ceil(side / stride) results, the odd pixel at the end."""
    code = operation.options["padding"]
    if not 0 <= code < len(PADDINGS):
        raise wrong(graph, operation, f"the padding {code}")
    if PADDINGS[code] == "VALID":
        return (0, 0, 0, 0)
    _, height, width, _ = graph.shapes[operation.inputs[0]]
    pads: list[int] = []
    for side, window, step, gap in zip((width, height), size[::-1], stride[::-1], dilation[::-1], strict=True):
        total = max((-(-side // step) - 1) * step + (window - 1) * gap + 1 - side, 0)
        pads += [total // 2, total - total // 2]
    return pads[0], pads[1], pads[2], pads[3]
