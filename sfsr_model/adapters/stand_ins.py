"""Files of random weights in an adapter's true layout, for networks of any size, so that all runs without the real ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ..files import whole_file
from ..network.layout import Shape
from ..network.untrained import random_state
from .files import companion
from .kinds import FACEID, FACEID_PLUS, FINEFACE, FLAME_EXPRESSION, INSTANTID, KINDS, PICTURE_WIDTH, PORTRAIT, PORTRAIT_UNNORM
from .layers import AttentionLayer, attention_layers
from .projections import HEAD_CHANNELS, ActionUnitProjection, PictureProjection, Projection, QueryProjection, VectorProjection

_TOKENS = {FACEID: 4, FACEID_PLUS: 4, FLAME_EXPRESSION: 4, PORTRAIT: 16, PORTRAIT_UNNORM: 16, INSTANTID: 16}
_PUBLISHED_IN_HALVES = (FACEID, FACEID_PLUS, PORTRAIT, PORTRAIT_UNNORM)
_PUBLISHED_CONTEXTS = (768, 2048)
_LORA_RANK, _SLIM_LORA_RANK = 128, 8
_QUERY_WIDTH = 1280
_DEPTH = 4
_UNIT_ENCODER = "au_encoder.weight", "au_encoder.bias"


def write_stand_in(
    kind: str, path: Path, config: Mapping[str, Any], seed: int = 0, dtype: torch.dtype | None = None
) -> tuple[Path, ...]:
    """Write a file of random weights for a network, as those of this kind are published; returns what was written.

    path: .safetensors has the entries flat, any other suffix is a PyTorch file with them nested. FineFace is two PyTorch
    files, so `path` must name one of them (`companion`), or one safetensors file with both. config: the network's
    (`attention_layers`), and its context_dim; sizes are the published ones for SD 1.5 and SDXL, else smaller. dtype: left out,
    as published.
    """
    layers, context_dim = attention_layers(config), config["context_dim"]
    dtype = dtype or (torch.float16 if kind in _PUBLISHED_IN_HALVES else torch.float32)
    shapes = stand_in_shapes(kind, layers, context_dim)
    tensors = {key: tensor.to(dtype) for key, tensor in random_tensors(shapes, seed).items()}
    if path.suffix == ".safetensors":
        with whole_file(path) as partial:
            save_file(tensors, partial)
        return (path,)
    if kind != FINEFACE:
        _save(path, {part: _below(tensors, f"{part}.") for part in ("image_proj", "ip_adapter")})
        return (path,)
    other = companion(path.name)
    if other is None:
        raise ValueError(f"{path.name}: FineFace's files are two; expected a name with au_encoder or attn_processors in it")
    encoder = {key: tensors.pop(key) for key in _UNIT_ENCODER}
    both = (path, path.with_name(other))
    for one in both:
        _save(one, encoder if "au_encoder" in one.name else tensors)
    return both


def stand_in_shapes(kind: str, layers: tuple[AttentionLayer, ...], context_dim: int) -> dict[str, Shape]:
    """Every entry of a file of a kind, flat."""
    with torch.device("meta"):
        projection = _projection(kind, context_dim).state_dict()
    prefix = "" if kind == FINEFACE else "image_proj."
    shapes = {f"{prefix}{key}": tuple(value.shape) for key, value in projection.items()}
    for layer in layers:
        for part in "kv":
            entry = f"{layer.name}.processor.au_to_{part}" if kind == FINEFACE else f"ip_adapter.{layer.number}.to_{part}_ip"
            shapes[f"{entry}.weight"] = (layer.channels, context_dim)
    if kind in (FACEID, FACEID_PLUS):
        for layer in layers:
            shapes |= _lora_shapes(layer, context_dim)
    return shapes


def _projection(kind: str, context_dim: int) -> Projection:
    inputs = KINDS[kind].inputs
    if kind == FINEFACE:
        return ActionUnitProjection(inputs, context_dim, nn)
    tokens = _TOKENS[kind]
    if kind in (PORTRAIT_UNNORM, INSTANTID):
        width = _QUERY_WIDTH if context_dim in _PUBLISHED_CONTEXTS else context_dim
        return QueryProjection(inputs, tokens, width, context_dim, _DEPTH, _heads(width), nn)
    if kind == FACEID_PLUS:
        return PictureProjection(inputs, 2 * inputs, tokens, context_dim, PICTURE_WIDTH, _DEPTH, _heads(context_dim), nn)
    return VectorProjection(inputs, 2 * inputs, tokens, context_dim, nn)


def _heads(width: int) -> int:
    return max(1, width // HEAD_CHANNELS)


def _lora_shapes(layer: AttentionLayer, context_dim: int) -> dict[str, Shape]:
    rank = _LORA_RANK if context_dim in _PUBLISHED_CONTEXTS else _SLIM_LORA_RANK
    shapes: dict[str, Shape] = {}
    for number, given in ((layer.number - 1, layer.channels), (layer.number, context_dim)):
        for part, inputs in (("q", layer.channels), ("k", given), ("v", given), ("out", layer.channels)):
            shapes[f"ip_adapter.{number}.to_{part}_lora.down.weight"] = (rank, inputs)
            shapes[f"ip_adapter.{number}.to_{part}_lora.up.weight"] = (layer.channels, rank)
    return shapes


def random_tensors(shapes: Mapping[str, Shape], seed: int) -> dict[str, Tensor]:
    """As any untrained network's, but with biases and norms that are not all alike, so that each of them matters, and with a
    LoRA that changes a weight by a part of its size."""
    state = random_state(dict(shapes), seed)
    spread = random_state({f"{key}/spread": shape for key, shape in shapes.items() if len(shape) == 1}, seed)
    for key, tensor in state.items():
        if tensor.ndim == 1:
            state[key] = tensor + 0.1 * spread[f"{key}/spread"]
        elif key.endswith("_lora.up.weight"):
            state[key] = 0.25 * tensor
    return state


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}


def _save(path: Path, content: dict[str, Any]) -> None:
    with whole_file(path) as partial:
        torch.save(content, partial)
