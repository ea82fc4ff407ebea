"""A TensorFlow Lite plan as a PyTorch module, so that gradients pass through it."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .step import Step
from .steps import make_step
from .tflite import Graph, TfliteError


class Network(nn.Module):
    """One network with one input and frozen float32 weights; it runs on N rows what the file describes for one.

    Weights are buffers and made outside inference mode, whatever the caller's mode is: a network loaded by a node can take
    part in autograd later. input_shape, output_shapes: as in the file, batch 1 included.
    Raises TfliteError for an operator that is not covered.
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        if len(graph.inputs) != 1 or any(not shape or shape[0] != 1 for shape in [graph.shapes[graph.inputs[0]]]):
            raise TfliteError(f"{graph.name}: expected one input with a batch of 1")
        self.name = graph.name
        self.input_shape = graph.shapes[graph.inputs[0]]
        self.output_shapes = tuple(graph.shapes[number] for number in graph.outputs)
        self._input, self._outputs = graph.inputs[0], graph.outputs
        with torch.inference_mode(False), torch.no_grad():
            self._steps = _steps(graph)
            self.held = nn.ModuleList(self._steps)
            self._try_out()

    def forward(self, value: Tensor) -> tuple[Tensor, ...]:
        """Outputs [N, ...] in the file's order for a value [N, ...] of the input's shape."""
        if tuple(value.shape[1:]) != self.input_shape[1:]:
            raise ValueError(f"{self.name}: takes [N, {list(self.input_shape[1:])}], found shape {list(value.shape)}")
        values = {self._input: value}
        for step in self._steps:
            # Calling the method, not the module, saves the hooks' bookkeeping some hundred times a picture.
            values[step.target] = step.forward(*[values[number] for number in step.sources])
            for number in step.last:
                del values[number]
        return tuple(values[number] for number in self._outputs)

    def _try_out(self) -> None:
        """Run once, so that a file whose parts do not fit is found when it is loaded."""
        try:
            outputs = self(torch.zeros(self.input_shape))
        except (ValueError, IndexError, KeyError, TypeError, RuntimeError) as error:
            raise TfliteError(f"{self.name}: its operations do not fit each other ({error}); get the file again") from error
        for output, shape in zip(outputs, self.output_shapes, strict=True):
            if output.numel() != math.prod(shape):
                raise TfliteError(f"{self.name}: gives {list(output.shape)}, not {list(shape)} as it says; get the file again")


def _steps(graph: Graph) -> list[Step]:
    """The operations in order, each with the values that nobody reads after it."""
    steps = [make_step(operation, graph) for operation in graph.operations]
    last_reader = {number: place for place, step in enumerate(steps) for number in step.sources}
    for number, place in last_reader.items():
        if number not in graph.outputs:
            steps[place].last = (*steps[place].last, number)
    return steps
