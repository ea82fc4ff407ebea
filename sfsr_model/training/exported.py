"""Taking over the weights of an exported encoder, so that it can be trained on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..encoders.onnx_torch import OnnxError, read_graph
from .settings import SettingsError

# The operator that stands for a layer, and the layer's weights in the order of its inputs.
_LAYERS: dict[type[nn.Module], tuple[str, tuple[str, ...]]] = {
    nn.Conv2d: ("Conv", ("weight", "bias")),
    nn.PReLU: ("PRelu", ("weight",)),
    nn.Linear: ("Gemm", ("weight", "bias")),
    nn.BatchNorm1d: ("BatchNormalization", ("weight", "bias", "running_mean", "running_var")),
}
_OPERATORS = {operator for operator, _ in _LAYERS.values()}


@torch.no_grad()
def take_over(network: nn.Module, path: Path, faces: Tensor) -> None:
    """Put the weights of an ONNX file that `export_onnx` wrote of such a network back into it.

    The normalisation after a convolution was folded into it. It is unfolded by what comes out of the convolution for faces
    [N, 3, side, side] in -1..1: whole networks, normalising by what they see, then give what the file does. Raises
    SettingsError naming the file where it is none, or of a network of other layers.
    """
    found = _weights(path)
    shift: Tensor | None = None
    folded: list[nn.BatchNorm2d] = []
    for layer in _in_order(network, faces[:2]):
        if isinstance(layer, nn.BatchNorm2d):
            if shift is None:
                raise _unlike(path, "a normalisation without a convolution")
            _set(layer, path, weight=torch.ones_like(shift), bias=shift, running_mean=torch.zeros_like(shift),
                 running_var=torch.ones_like(shift))  # fmt: skip
            folded.append(layer)
            shift = None
            continue
        if type(layer) not in _LAYERS:
            continue
        kind, names = _LAYERS[type(layer)]
        operator, values = next(found, ("nothing", []))
        if operator != kind:
            raise _unlike(path, f"{operator} where {kind} is expected")
        if len(values) != len(names):
            raise _unlike(path, f"{operator} with {len(values)} weights where {len(names)} are expected")
        given = dict(zip(names, values, strict=True))
        if isinstance(layer, nn.Conv2d) and layer.bias is None:
            shift = given.pop("bias")
        _set(layer, path, **given)
    if next(found, None) is not None:
        raise _unlike(path, "more layers")
    _unfold(network, folded, faces)


def _weights(path: Path) -> Iterator[tuple[str, list[Tensor]]]:
    """Operator and weights of each layer of the file, in the order in which it is carried out."""
    try:
        graph = read_graph(path)
    except OnnxError as error:
        raise SettingsError(f"encoder.initial: {error}") from error
    from onnx import numpy_helper

    constants: dict[str, Any] = {weight.name: numpy_helper.to_array(weight) for weight in graph.initializer}
    for node in graph.node:
        # The exporter writes equal weights once.
        if node.op_type in ("Cast", "Identity") and node.input[0] in constants:
            constants[node.output[0]] = constants[node.input[0]]
        if node.op_type in _OPERATORS:
            values = [constants[name] for name in node.input if name in constants]
            yield node.op_type, [torch.from_numpy(value.copy()).float() for value in values]


def _in_order(network: nn.Module, faces: Tensor) -> list[nn.Module]:
    """The layers in the order in which they work."""
    seen: list[nn.Module] = []
    leaves = [module for module in network.modules() if not list(module.children())]
    hooks = [leaf.register_forward_hook(lambda layer, _, __: seen.append(layer)) for leaf in leaves]
    network.eval()(faces)
    for hook in hooks:
        hook.remove()
    return seen


def _set(layer: nn.Module, path: Path, **values: Tensor) -> None:
    for name, value in values.items():
        place = getattr(layer, name)
        # A slope of PReLU is stored with the picture's axes.
        if place is None or place.numel() != value.numel() or (place.ndim > 1 and place.shape != value.shape):
            raise _unlike(path, f"{name} of {list(value.shape)} for a layer {layer}")
        place.copy_(value.reshape(place.shape))


def _unfold(network: nn.Module, folded: list[nn.BatchNorm2d], faces: Tensor) -> None:
    measured: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def measure(layer: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        measured[layer] = arguments[0].mean((0, 2, 3)), arguments[0].var((0, 2, 3), unbiased=False)

    hooks = [layer.register_forward_pre_hook(measure) for layer in folded]
    network.eval()(faces)
    for hook in hooks:
        hook.remove()
    for layer in folded:
        mean, variance = measured[layer]
        layer.running_mean, layer.running_var = mean, variance
        layer.weight.copy_((variance + layer.eps).sqrt())
        layer.bias.add_(mean)
    network.train()


def _unlike(path: Path, found: str) -> SettingsError:
    return SettingsError(
        f"encoder.initial: {path} is of a network of other layers ({found}); set encoder.architecture and task as it was made"
    )
