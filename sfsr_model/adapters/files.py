"""Reading an adapter: what its tensors are is told by their names and shapes, never by the file's name where they can tell."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..files import flat_tensors
from .adapter import Adapter, AdapterError, LoraPair
from .kinds import (
    FACEID,
    FACEID_PLUS,
    FINEFACE,
    FLAME_EXPRESSION,
    FLAME_WIDTH,
    IDENTITY_WIDTH,
    INSTANTID,
    KINDS,
    PICTURE_WIDTH,
    PORTRAIT,
    PORTRAIT_UNNORM,
    default_raw_kind,
)
from .layers import in_file_order
from .others import what_it_is
from .projections import check_projection

_PARTS = {"to_q": "to_q", "to_k": "to_k", "to_v": "to_v", "to_out": "to_out.0"}
"""The parts of an attention that a LoRA changes: in FaceID files, and in diffusers' modules."""
_UNITS = "au_encoder."
_UNIT_LAYER = re.compile(r"(?:.*\.)?((?:down_blocks|up_blocks|mid_block)\..+\.attn2)\.processor\.au_to_([kv])\.weight")
_FINEFACE_FILES = ("au_encoder", "attn_processors")


def read_adapter(tensors: Mapping[str, Any], name: str, kind: str | None = None) -> Adapter:
    """An adapter of the tensors that its file holds, nested as PyTorch's files have them, or flat with dots in the names.

    FineFace comes as two files, given here in one mapping. name: the file's, for messages. kind: of "unnorm portrait" and
    "instantid", whose files have the same entries; left out, the name decides (`default_raw_kind`).

    Raises AdapterError for whatever is no whole adapter for faces, saying what it is, what was expected and what to do.
    """
    flat = dict(flat_tensors(tensors))
    projection, layers = _below(flat, "image_proj."), _below(flat, "ip_adapter.")
    if projection and layers:
        adapter = _ip_adapter(projection, layers, name, kind)
    elif projection or layers:
        missing = "ip_adapter" if projection else "image_proj"
        raise AdapterError(f"{name}: an IP-Adapter without entries under {missing}; the file is cut off: get it again")
    elif any(_UNIT_LAYER.fullmatch(key) or _UNITS in key for key in flat):
        adapter = _fineface(flat, name)
    else:
        what, advice = what_it_is(flat)
        raise AdapterError(
            f"{name}: {what}; expected an adapter for faces (entries under image_proj and ip_adapter, or FineFace's two "
            f"files); {advice}"
        )
    _check_values(flat, name)
    if kind is not None and adapter.kind != kind:
        raise AdapterError(f"{name}: {adapter.facts.title}, expected {KINDS[kind].title}; choose another file, or its own kind")
    return adapter


def companion(name: str) -> str | None:
    """The name of FineFace's other file, for that of one of its two; None for any other name."""
    for one, other in (_FINEFACE_FILES, _FINEFACE_FILES[::-1]):
        if one in name:
            return name.replace(one, other)
    return None


def _below(flat: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): tensor for key, tensor in flat.items() if key.startswith(prefix)}


def _check_values(flat: Mapping[str, Tensor], name: str) -> None:
    for key, tensor in flat.items():
        # PyTorch looks for infinities in types of two bytes and more.
        seen = tensor.float() if tensor.is_floating_point() and tensor.element_size() == 1 else tensor
        if not torch.isfinite(seen).all():
            raise AdapterError(f"{name}: {key} holds values that are not finite; the file is damaged: get it again")


def _ip_adapter(projection: dict[str, Tensor], layers: dict[str, Tensor], name: str, kind: str | None) -> Adapter:
    lora = _lora(layers, name)
    found = _projection_kind(projection, bool(lora), name, kind)
    module = check_projection(projection, found, name)
    if module.inputs != KINDS[found].inputs:
        raise AdapterError(f"{name}: {_unknown_width(module.inputs)}")
    keys_values = _keys_values(layers, name)
    for number, weights in keys_values.items():
        if any(weight.shape[1] != module.context_dim for weight in weights):
            raise AdapterError(
                f"{name}: its layer {number} takes tokens of width {weights[0].shape[1]}, and its projection makes tokens of "
                f"width {module.context_dim}; the file is put together from two: get it again"
            )
    if lora:
        _check_lora(lora, keys_values, name)
    return Adapter(name, found, module.context_dim, module.tokens, projection, keys_values, lora=lora)


def _projection_kind(projection: Mapping[str, Tensor], lora: bool, name: str, kind: str | None) -> str:
    if "perceiver_resampler.proj_in.weight" in projection:
        width = projection["perceiver_resampler.proj_in.weight"].shape[-1]
        if width != PICTURE_WIDTH:
            raise AdapterError(
                f"{name}: an IP-Adapter FaceID plus for picture features of width {width}, expected {PICTURE_WIDTH} (CLIP "
                "ViT-H/14); it belongs to another family of models: choose a file for SD 1.5 or SDXL"
            )
        return FACEID_PLUS
    if {"norm.weight", "proj.0.weight"} <= projection.keys() and "proj.3.weight" not in projection:
        inputs = projection["proj.0.weight"].shape[-1]
        if inputs == FLAME_WIDTH:
            return FLAME_EXPRESSION
        if inputs == IDENTITY_WIDTH:
            return FACEID if lora else PORTRAIT
        raise AdapterError(f"{name}: {_unknown_width(inputs)}")
    if "latents" in projection and projection.get("proj_in.weight", torch.empty(0)).shape[-1] == IDENTITY_WIDTH:
        return kind if kind in (INSTANTID, PORTRAIT_UNNORM) else default_raw_kind(name)
    raise AdapterError(
        f"{name}: an IP-Adapter for pictures (CLIP alone) or of a kind that is not known here; expected one for the embeddings "
        "of faces (FaceID, portrait, InstantID) or for expressions: choose such a file"
    )


def _unknown_width(inputs: int) -> str:
    return (
        f"an IP-Adapter for vectors of {inputs} numbers; expected {IDENTITY_WIDTH} (a person) or {FLAME_WIDTH} (an "
        "expression): choose another file"
    )


def _keys_values(layers: Mapping[str, Tensor], name: str) -> dict[int, tuple[Tensor, Tensor]]:
    found: dict[int, dict[str, Tensor]] = {}
    for key, tensor in layers.items():
        if match := re.fullmatch(r"(\d+)\.to_([kv])_ip\.weight", key):
            found.setdefault(int(match[1]), {})[match[2]] = tensor
        elif not re.fullmatch(r"\d+\.to_(q|k|v|out)_lora\.(down|up)\.weight", key):
            raise AdapterError(
                f"{name}: holds an unexpected entry ip_adapter.{key}; its kind is not known here: choose another"
            )
    return _whole(found, name)


def _whole(found: Mapping[int, Mapping[str, Tensor]], name: str) -> dict[int, tuple[Tensor, Tensor]]:
    """Keys and values by layer, in the layers' order, none left out."""
    result = {}
    for number in _odd(len(found)):
        pair = found.get(number, {})
        if pair.keys() != {"k", "v"}:
            raise AdapterError(
                f"{name}: its layer {number} has {' and '.join(sorted(pair)) or 'nothing'}, expected keys (k) and values (v) "
                f"in each of {len(found)}; the file is cut off: get it again"
            )
        if pair["k"].ndim != 2 or pair["k"].shape != pair["v"].shape:
            raise AdapterError(
                f"{name}: its layer {number} has keys of shape {tuple(pair['k'].shape)} and values of "
                f"{tuple(pair['v'].shape)}, expected two of one shape [channels, context]; the file is damaged: get it again"
            )
        result[number] = (pair["k"], pair["v"])
    return result


def _odd(layers: int) -> range:
    """The numbers of cross-attentions; self-attentions have the even ones."""
    return range(1, 2 * layers, 2)


def _lora(layers: Mapping[str, Tensor], name: str) -> dict[int, dict[str, LoraPair]]:
    result: dict[int, dict[str, LoraPair]] = {}
    for number in sorted({int(key.partition(".")[0]) for key in layers if "_lora." in key and key[0].isdigit()}):
        parts = result[number] = {}
        for theirs, part in _PARTS.items():
            pair = [layers.get(f"{number}.{theirs}_lora.{side}.weight") for side in ("down", "up")]
            down, up = pair
            if down is None or up is None or down.ndim != 2 or up.ndim != 2 or down.shape[0] != up.shape[1]:
                raise AdapterError(
                    f"{name}: its LoRA of attention {number}, {theirs}, is not whole; expected down [rank, inputs] and up "
                    "[outputs, rank]: get the file again"
                )
            parts[part] = (down, up)
    return result


def _check_lora(
    lora: Mapping[int, Mapping[str, LoraPair]], keys_values: Mapping[int, tuple[Tensor, Tensor]], name: str
) -> None:
    if lora.keys() != set(range(2 * len(keys_values))):
        raise AdapterError(
            f"{name}: its LoRA is of {len(lora)} attentions, expected {2 * len(keys_values)}, two for each layer; "
            "the file is cut off: get it again"
        )
    for number, parts in lora.items():
        channels, context_dim = keys_values[number | 1][0].shape
        for part, (down, up) in parts.items():
            # Of a cross-attention the keys and values are made of the context.
            inputs = context_dim if number % 2 and part in ("to_k", "to_v") else channels
            if (up.shape[0], down.shape[1]) != (channels, inputs):
                raise AdapterError(
                    f"{name}: its LoRA of attention {number}, {part}, makes {up.shape[0]} channels of {down.shape[1]}, "
                    f"expected {channels} of {inputs}; the file is damaged: get it again"
                )


def _fineface(flat: Mapping[str, Tensor], name: str) -> Adapter:
    encoder = {"au_encoder." + key.rpartition(_UNITS)[2]: tensor for key, tensor in flat.items() if _UNITS in key}
    found: dict[str, dict[str, Tensor]] = {}
    for key, tensor in flat.items():
        if match := _UNIT_LAYER.fullmatch(key):
            found.setdefault(match[1], {})[match[2]] = tensor
    if not encoder or not found:
        here, other = _FINEFACE_FILES if encoder else _FINEFACE_FILES[::-1]
        raise AdapterError(
            f"{name}: FineFace's {here} without its {other}; it comes as two files: put both into one folder, named as "
            "published, sd15_au_encoder.ckpt and sd15_attn_processors.ckpt"
        )
    module = check_projection(encoder, FINEFACE, name)
    names = dict(zip(_odd(len(found)), sorted(found, key=in_file_order), strict=True))
    keys_values = _whole({number: found[path] for number, path in names.items()}, name)
    width = keys_values[1][0].shape[1]
    if module.inputs != KINDS[FINEFACE].inputs or module.context_dim != width:
        raise AdapterError(
            f"{name}: FineFace with {module.inputs} action units and tokens of width {module.context_dim} for layers of "
            f"context {width}; expected {KINDS[FINEFACE].inputs} units and equal widths: choose its files for SD 1.5, not for "
            "SD 2.1"
        )
    return Adapter(name, FINEFACE, module.context_dim, module.tokens, encoder, keys_values, names)
