"""The same networks under the names of diffusers, which trains them: UNet2DConditionModel and AutoencoderTiny."""

from __future__ import annotations

import re
from typing import Any

from torch import Tensor

from .layout import TAESD_WIDTH, UNetConfig, unet_shapes

_RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
_OUTSIDE = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}
# The host's decoder counts the clamp before its first convolution, diffusers' does not.
_DECODER_SHIFT = 1
_SCALARS = ("vae_scale", "vae_shift")


def unet_arguments(config: UNetConfig) -> dict[str, Any]:
    """Arguments of diffusers' UNet2DConditionModel for a config, whose first level must have the base width."""
    widths = [factor * config.model_channels for factor in config.channel_mult]
    kinds = ["CrossAttn" if attention else "" for attention in config.attention]
    return {
        "in_channels": config.in_channels,
        "out_channels": config.out_channels,
        "block_out_channels": tuple(widths),
        "layers_per_block": config.num_res_blocks,
        "down_block_types": tuple(f"{kind}DownBlock2D" for kind in kinds),
        "up_block_types": tuple(f"{kind}UpBlock2D" for kind in reversed(kinds)),
        "mid_block_type": "UNetMidBlock2DCrossAttn",
        "cross_attention_dim": config.context_dim,
        # By diffusers' own account this argument counts heads.
        "attention_head_dim": tuple(
            config.num_heads if config.num_heads != -1 else width // config.head_channels for width in widths
        ),
    }


def autoencoder_arguments(channels: int) -> dict[str, Any]:
    """Arguments of diffusers' AutoencoderTiny for TAESD's layout; channels: of the latents."""
    widths = (TAESD_WIDTH,) * 4
    return {
        "latent_channels": channels,
        "encoder_block_out_channels": widths,
        "decoder_block_out_channels": widths,
        "num_encoder_blocks": (1, 3, 3, 3),
        "num_decoder_blocks": (3, 3, 3, 1),
    }


def unet_names(config: UNetConfig) -> dict[str, str]:
    """Diffusers' name of each parameter, by its name in SD 1.x's layout."""
    blocks = _block_names(config)
    names = {}
    for name in unet_shapes(config):
        module, _, leaf = name.rpartition(".")
        if module in _OUTSIDE:
            names[name] = f"{_OUTSIDE[module]}.{leaf}"
            continue
        block = max((prefix for prefix in blocks if name.startswith(prefix + ".")), key=len)
        rest = module[len(block) + 1 :]
        names[name] = ".".join(filter(None, (blocks[block], _RESNET.get(rest, rest), leaf)))
    return names


def _block_names(config: UNetConfig) -> dict[str, str]:
    """Diffusers' name of each residual block, transformer and resampling step, by the prefix of its parameters."""
    last, layers = len(config.channel_mult) - 1, config.num_res_blocks
    blocks = {
        "middle_block.0": "mid_block.resnets.0",
        "middle_block.1": "mid_block.attentions.0",
        "middle_block.2": "mid_block.resnets.1",
    }
    for level in range(last + 1):
        for layer in range(layers):
            place = 1 + level * (layers + 1) + layer
            blocks[f"input_blocks.{place}.0"] = f"down_blocks.{level}.resnets.{layer}"
            if config.attention[level]:
                blocks[f"input_blocks.{place}.1"] = f"down_blocks.{level}.attentions.{layer}"
        if level != last:
            blocks[f"input_blocks.{(level + 1) * (layers + 1)}.0.op"] = f"down_blocks.{level}.downsamplers.0.conv"
    for step, level in enumerate(range(last, -1, -1)):
        for layer in range(layers + 1):
            place = step * (layers + 1) + layer
            blocks[f"output_blocks.{place}.0"] = f"up_blocks.{step}.resnets.{layer}"
            if config.attention[level]:
                blocks[f"output_blocks.{place}.1"] = f"up_blocks.{step}.attentions.{layer}"
            if level and layer == layers:
                upsample = 2 if config.attention[level] else 1
                blocks[f"output_blocks.{place}.{upsample}.conv"] = f"up_blocks.{step}.upsamplers.0.conv"
    return blocks


def unet_to_diffusers(state: dict[str, Tensor], config: UNetConfig) -> dict[str, Tensor]:
    """A UNet's state in SD 1.x's names to diffusers'."""
    return {there: state[here] for here, there in unet_names(config).items()}


def unet_from_diffusers(state: dict[str, Tensor], config: UNetConfig) -> dict[str, Tensor]:
    """A UNet's state in diffusers' names to SD 1.x's."""
    return {here: state[there] for here, there in unet_names(config).items()}


def autoencoder_to_diffusers(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """TAESD's state in the host's names to diffusers'; the latents' scale and shift have no place there."""
    result = {}
    for name, tensor in state.items():
        if name not in _SCALARS:
            part, number, rest = _taesd_name(name)
            result[f"{part}.layers.{number - (_DECODER_SHIFT if part == 'decoder' else 0)}.{rest}"] = tensor
    return result


def autoencoder_from_diffusers(state: dict[str, Tensor], scale: Tensor, shift: Tensor) -> dict[str, Tensor]:
    """TAESD's state in diffusers' names to the host's, with the latents' scale and shift beside it."""
    result = {"vae_scale": scale, "vae_shift": shift}
    for name, tensor in state.items():
        part, _, number, rest = name.split(".", 3)
        result[f"taesd_{part}.{int(number) + (_DECODER_SHIFT if part == 'decoder' else 0)}.{rest}"] = tensor
    return result


def _taesd_name(name: str) -> tuple[str, int, str]:
    match = re.fullmatch(r"taesd_(encoder|decoder)\.(\d+)\.(.+)", name)
    if match is None:
        raise ValueError(f"autoencoder: unexpected entry '{name}'; expected TAESD's layout (taesd_encoder.*, taesd_decoder.*)")
    return match[1], int(match[2]), match[3]
