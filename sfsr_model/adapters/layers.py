"""The cross-attention layers of a latent diffusion network, as IP-Adapter files, ComfyUI and diffusers count them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Block = tuple[str, int]

MIDDLE: Block = ("middle", 0)
"""ComfyUI counts the middle block from 0. At ("middle", 1) nothing is ever called: 1 of SD 1.5's 16 layers, 10 of SDXL's 70."""

_PLACES = ("down_blocks", "up_blocks", "mid_block")


@dataclass(frozen=True)
class AttentionLayer:
    """One cross-attention.

    number: its number in IP-Adapter files, odd (each transformer's self-attention has the even number before it); block: as
    ComfyUI's patches name it; index: the transformer's place in that block; name: diffusers' module path; channels: its width.
    """

    number: int
    block: Block
    index: int
    name: str
    channels: int


def attention_layers(config: Mapping[str, Any]) -> tuple[AttentionLayer, ...]:
    """Every cross-attention in the order of IP-Adapter files: down, up, middle.

    That is the order in which diffusers lists its attention processors, which such files are numbered by. config: the
    arguments of the latent diffusion UNetModel, which are ComfyUI's `unet_config`.
    """
    transformers = [*_down(config), *_up(config), *_middle(config)]
    places = [(block, index, path, channels) for block, path, channels, depth in transformers for index in range(depth)]
    return tuple(
        AttentionLayer(2 * place + 1, block, index, f"{path}.transformer_blocks.{index}.attn2", channels)
        for place, (block, index, path, channels) in enumerate(places)
    )


def in_file_order(name: str) -> tuple[int, ...]:
    """Sorts diffusers' module paths as IP-Adapter files count them: down, up, middle, each by its numbers."""
    return _PLACES.index(name.partition(".")[0]), *map(int, re.findall(r"(?<=\.)\d+(?=\.)", name))


_Transformer = tuple[Block, str, int, int]
"""ComfyUI's block, diffusers' path, channels, how many transformers."""


def _down(config: Mapping[str, Any]) -> Iterator[_Transformer]:
    depths = iter(config["transformer_depth"])
    block = 1  # after the first convolution
    for level, residuals in enumerate(_residual_blocks(config)):
        for place in range(residuals):
            yield ("input", block), f"down_blocks.{level}.attentions.{place}", _channels(config, level), next(depths)
            block += 1
        block += 1  # the halving; after the last level there is none, and no block either


def _up(config: Mapping[str, Any]) -> Iterator[_Transformer]:
    # Listed from the last block to the first, as the network consumes it.
    depths = reversed(config["transformer_depth_output"])
    residuals = _residual_blocks(config)
    block = 0
    for step, level in enumerate(reversed(range(len(residuals)))):
        for place in range(residuals[level] + 1):
            yield ("output", block), f"up_blocks.{step}.attentions.{place}", _channels(config, level), next(depths)
            block += 1


def _middle(config: Mapping[str, Any]) -> Iterator[_Transformer]:
    # Below zero: a middle block without transformers (-1), or none at all (-2).
    yield MIDDLE, "mid_block.attentions.0", _channels(config, -1), max(0, config["transformer_depth_middle"])


def _residual_blocks(config: Mapping[str, Any]) -> list[int]:
    count = config["num_res_blocks"]
    return [count] * len(config["channel_mult"]) if isinstance(count, int) else list(count)


def _channels(config: Mapping[str, Any], level: int) -> int:
    return config["model_channels"] * config["channel_mult"][level]
