"""Decoupled cross-attention: what a stream adds to each cross-attention of a network that was never trained for it.

Per layer, before the output projection: Attn(q, K, V) + sum over streams of scale * Attn(q, K_stream, V_stream), with the keys
and values that a stream's own weights make of its tokens (IP-Adapter, Ye et al. 2023, eq. 5). The keys and values travel with
the condition that they belong to, so timed parts, areas, guiders of three conditions and batches in which each picture has a
person of its own all get theirs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import comfy.patcher_extension
import comfy.utils
import torch
from comfy.conds import CONDRegular
from comfy.ldm.modules import attention
from torch import Tensor
from torch.nn import functional as F

from ...sfsr_model.adapters.layers import AttentionLayer

KEY = "sfsr_streams"
"""Of what conditions carry: among what reaches the network, then in its transformer options."""
Patch = Callable[[Tensor, Tensor, Tensor, dict[str, Any]], Tensor]
Slot = tuple[str, int] | tuple[str, int, int]
_ALWAYS = float("inf")


@dataclass(frozen=True, eq=False)
class Attended:
    """What one stream adds in one condition. keys_values: by layer number, each [B or 1, T, C]. scale: how loudly."""

    keys_values: Mapping[int, tuple[Tensor, Tensor]]
    scale: float

    @property
    def tokens(self) -> int:
        key, _ = next(iter(self.keys_values.values()))
        return key.shape[1]

    def of(self, layer: int, count: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of a layer for so many rows, of the device and kind of `like`."""
        key, value = (comfy.utils.repeat_to_batch_size(part.to(like), count) for part in self.keys_values[layer])
        return key, value


@dataclass(frozen=True, eq=False)
class Rows:
    """So many rows of a batch that one condition's streams are added to. region: [B or 1, h, w] in 0..1, where they act, as
    large as the rows' latent; None is everywhere."""

    streams: tuple[Attended, ...]
    count: int = 1
    region: Tensor | None = None


class StreamsCond(CONDRegular):
    """The streams of a condition, as the host batches what conditions carry. cond: a tuple of Rows."""

    cond: tuple[Rows, ...]

    def process_cond(self, batch_size: int, area: Sequence[int] | None = None, **_: Any) -> StreamsCond:
        """Those of a batch of so many pictures, of which only `area` (sizes, then offsets, in latent pixels) is looked at."""
        (rows,) = self.cond
        region = rows.region
        if region is not None and area is not None:
            for axis in range(2):
                region = region.narrow(axis - 2, area[axis + 2], area[axis])
        return StreamsCond((Rows(rows.streams, batch_size, region),))

    def can_concat(self, other: CONDRegular) -> bool:
        return isinstance(other, StreamsCond)

    def concat(self, others: Sequence[StreamsCond]) -> tuple[Rows, ...]:
        return tuple(rows for one in (self, *others) for rows in one.cond)

    def size(self) -> list[int]:
        return [1]


class DecoupledAttention:
    """A patch in place of one cross-attention: what it would give, and what the streams of each row add.

    base: the patch that was there before. Others join by `add`, as the packs for IP-Adapters agree: the object that is found in
    a slot is asked to add a callback.
    """

    def __init__(self, layer: int, base: Patch | None = None) -> None:
        self._layer, self._base = layer, base
        self._added: list[tuple[Callable[..., Tensor], dict[str, Any]]] = []

    def add(self, callback: Callable[..., Tensor], **arguments: Any) -> None:
        """Another's addition: callback(out, q, k, v, extra_options, **arguments), between sigma_start and sigma_end of them."""
        self._added.append((callback, arguments))

    def copy(self) -> DecoupledAttention:
        """One to which others may add without this one changing."""
        copied = DecoupledAttention(self._layer, self._base)
        copied._added[:] = self._added
        return copied

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, extra_options: dict[str, Any]) -> Tensor:
        """q, k, v: [N, L or T, C], projected. Returns [N, L, C]."""

        def attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
            return attention.optimized_attention(
                queries, keys, values, extra_options["n_heads"], attn_precision=extra_options.get("attn_precision")
            )

        out = attend(q, k, v) if self._base is None else self._base(q, k, v, extra_options)
        first = 0
        for group in _together(extra_options.get(KEY, ())):
            last = first + sum(rows.count for rows in group)
            for streams in zip(*(rows.streams for rows in group), strict=True):
                told = [stream.of(self._layer, rows.count, q) for stream, rows in zip(streams, group, strict=True)]
                keys, values = (torch.cat(parts) for parts in zip(*told, strict=True))
                added = streams[0].scale * attend(q[first:last], keys, values)
                if group[0].region is not None:
                    added = added * _on_tokens(group[0].region, q.shape[1], extra_options["original_shape"], added)
                out[first:last] += added
            first = last
        sigma = float(extra_options["sigmas"][0]) if "sigmas" in extra_options else _ALWAYS
        for callback, arguments in self._added:
            if arguments.get("sigma_end", -_ALWAYS) <= sigma <= arguments.get("sigma_start", _ALWAYS):
                out = out + callback(out, q, k, v, extra_options, **arguments)
        return out.to(q)


def _together(parts: Sequence[Rows]) -> Iterator[Sequence[Rows]]:
    """Rows one after the other whose streams are of the same sizes and loudness, in one region: one attention serves them."""

    def kind(rows: Rows) -> tuple:
        return id(rows.region), *((stream.scale, stream.tokens) for stream in rows.streams)

    for _, group in itertools.groupby(parts, kind):
        yield tuple(group)


def install(model: Any, layers: Sequence[AttentionLayer]) -> None:
    """Give a cloned model the patches of these layers, around those that it has. model: a patcher."""
    options = model.model_options["transformer_options"]
    found = dict(options.get("patches_replace", {}).get("attn2", {}))
    for layer in layers:
        alone = sum(one.block == layer.block for one in layers) == 1
        pair, triple = layer.block, (*layer.block, layer.index)
        # The host asks for the exact place first. Other packs name a block of one transformer by the block alone.
        slot: Slot = pair if alone and triple not in found else triple
        there = found.get(triple, found.get(pair))
        # One of ours gives the streams of whatever conditions it meets, so a second around it would give them twice.
        patch = there.copy() if isinstance(there, DecoupledAttention) else DecoupledAttention(layer.number, there)
        model.set_model_attn2_replace(patch, *layer.block, None if slot == pair else layer.index)
    wrappers = comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL
    model.remove_wrappers_with_key(wrappers, KEY)
    model.add_wrapper_with_key(wrappers, KEY, _hand_on)
    cloned = comfy.patcher_extension.CallbacksMP.ON_CLONE
    model.remove_callbacks_with_key(cloned, KEY)
    model.add_callback_with_key(cloned, KEY, _with_patches_of_its_own)


def _with_patches_of_its_own(_: Any, clone: Any) -> None:
    """For a clone's patches. The host lets clones share them, and what a pack behind would add to one would stay in the model
    that the graph keeps for its next run."""
    slots = clone.model_options["transformer_options"].get("patches_replace", {}).get("attn2", {})
    slots.update({slot: patch.copy() for slot, patch in slots.items() if isinstance(patch, DecoupledAttention)})


def is_installed(model_options: dict[str, Any]) -> bool:
    """Whether the model of a sampling run has the patches."""
    wrappers = comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL
    return bool(comfy.patcher_extension.get_wrappers_with_key(wrappers, KEY, model_options, is_model_options=True))


def _hand_on(
    executor: Callable[..., Tensor],
    x: Tensor,
    timesteps: Tensor | None = None,
    context: Tensor | None = None,
    y: Tensor | None = None,
    control: Any = None,
    transformer_options: Mapping[str, Any] | None = None,
    **others: Any,
) -> Tensor:
    """Puts what the conditions carry where the patches find it."""
    options = {**(transformer_options or {}), KEY: others.pop(KEY, ())}
    return executor(x, timesteps, context, y, control, options, **others)


def _on_tokens(region: Tensor, tokens: int, shape: Sequence[int], like: Tensor) -> Tensor:
    """A region [B or 1, h, w] of a latent of this shape [N, C, H, W], for as many tokens [B or 1, tokens, 1] of a layer."""
    height, width = shape[-2:]
    halvings = 0
    while -(-height // 2**halvings) * -(-width // 2**halvings) > tokens:
        halvings += 1
    size = -(-height // 2**halvings), -(-width // 2**halvings)
    return F.interpolate(region[:, None].to(like), size, mode="bilinear", antialias=True).flatten(1)[..., None]
