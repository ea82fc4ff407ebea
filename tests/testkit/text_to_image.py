"""Text-to-image checkpoints of random weights, which the host takes for Stable Diffusion 1.5 or SDXL: they draw noise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfsr_model.network.layout import (
    HOST_FACTOR,
    LATENT_CHANNELS,
    SD15_INPAINTING,
    Shape,
    UNetConfig,
    taesd_shapes,
    unet_shapes,
)

if TYPE_CHECKING:
    from torch import Tensor

SLIM_SD15 = UNetConfig(
    model_channels=320, channel_mult=(1, 1), num_res_blocks=1, attention=(False, True), context_dim=768, num_heads=8,
    in_channels=LATENT_CHANNELS,
)  # fmt: skip
"""What the host still takes for Stable Diffusion 1.5: it tells the version by 320 channels and a text width of 768."""
SLIM_SDXL: Mapping[str, Any] = {
    "in_channels": LATENT_CHANNELS, "out_channels": LATENT_CHANNELS, "model_channels": 320, "channel_mult": [1, 1, 1],
    "num_res_blocks": [2, 2, 2], "transformer_depth": [0, 0, 2, 2, 10, 10],
    "transformer_depth_output": [0, 0, 0, 0, 0, 1, 0, 0, 1], "transformer_depth_middle": 1, "context_dim": 2048,
    "use_linear_in_transformer": True, "adm_in_channels": 2816,
}  # fmt: skip
"""What the host still takes for SDXL, in the names of the latent diffusion UNetModel: it tells the version by the channels, the
transformers on the way down, the text's width and that of the size's condition, not by what stands in the middle and on the
way up, nor by how the channels grow."""
SDXL_FACTOR = 0.13025
"""HOST_FACTOR of SDXL."""

_TEXT = "cond_stage_model.transformer.text_model"
_TEXTS_OF_SDXL = "conditioner.embedders.0.transformer.text_model", "conditioner.embedders.1.model"
_CLIP_L = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
_CLIP_G_WIDTH, _CLIP_G_LAYERS, _NORMS = 1280, 32, ("ln_1", "ln_2")


def save_text_to_image(path: Path, unet: UNetConfig | None = None) -> None:
    """Save UNet, text encoder and autoencoder in half precision: 2 GB, or 0.3 GB more than the given UNet takes.

    unet: in place of the full size, such as SLIM_SD15. The text encoder is CLIP ViT-L/14's, at its full size because the host
    knows no other; the autoencoder has TAESD's layout.
    """
    unet = unet or replace(SD15_INPAINTING, in_channels=LATENT_CHANNELS)
    _save(path, {"model.diffusion_model": unet_shapes(unet), _TEXT: clip_l_shapes()}, HOST_FACTOR)


def save_sdxl(path: Path) -> None:
    """Save a checkpoint around SLIM_SDXL, as `save_text_to_image` does: 2 GB, nearly all of them both text encoders'."""
    clip_l, clip_g = _TEXTS_OF_SDXL
    parts = {"model.diffusion_model": sdxl_shapes(SLIM_SDXL), clip_l: clip_l_shapes(), clip_g: clip_g_shapes()}
    _save(path, parts, SDXL_FACTOR)


def save_network(path: Path, unet: UNetConfig) -> None:
    """Save a UNet alone, for Load Diffusion Model."""
    _write(path, _random("", unet_shapes(unet)))


def save_text_encoder(path: Path) -> None:
    """Save CLIP ViT-L/14's text encoder, for Load CLIP: 0.25 GB."""
    _write(path, _random("text_model.", clip_l_shapes()))


def save_autoencoder(path: Path, factor: float = HOST_FACTOR) -> None:
    """Save an autoencoder of TAESD's layout, for Load VAE."""
    _write(path, _autoencoder("", factor))


def clip_l_shapes() -> dict[str, Shape]:
    """Of CLIP ViT-L/14's text encoder, below text_model."""
    import torch
    from transformers import CLIPTextConfig, CLIPTextModel

    with torch.device("meta"):
        state = CLIPTextModel(CLIPTextConfig(**_CLIP_L)).state_dict()
    return {key.removeprefix("text_model."): tuple(value.shape) for key, value in state.items()}


def clip_g_shapes() -> dict[str, Shape]:
    """Of OpenCLIP ViT-bigG/14's text encoder, in OpenCLIP's names."""
    width = _CLIP_G_WIDTH
    shapes: dict[str, Shape] = {
        "token_embedding.weight": (49408, width), "positional_embedding": (77, width), "text_projection": (width, width),
    }  # fmt: skip
    for name in ("ln_final", *(f"transformer.resblocks.{layer}.{norm}" for layer in range(_CLIP_G_LAYERS) for norm in _NORMS)):
        shapes |= {f"{name}.weight": (width,), f"{name}.bias": (width,)}
    for layer in range(_CLIP_G_LAYERS):
        block = f"transformer.resblocks.{layer}"
        shapes |= {f"{block}.attn.in_proj_weight": (3 * width, width), f"{block}.attn.in_proj_bias": (3 * width,)}
        for name, outputs, inputs in (("attn.out_proj", 1, 1), ("mlp.c_fc", 4, 1), ("mlp.c_proj", 1, 4)):
            shapes[f"{block}.{name}.weight"] = (outputs * width, inputs * width)
            shapes[f"{block}.{name}.bias"] = (outputs * width,)
    return shapes


def sdxl_shapes(config: Mapping[str, Any]) -> dict[str, Shape]:
    """Every parameter of a network whose levels are all as wide as SLIM_SDXL's."""
    width, embedding, context = config["model_channels"], 4 * config["model_channels"], config["context_dim"]
    shapes: dict[str, Shape] = {}

    def layer(name: str, outputs: int, inputs: int, kernel: int = 0, bias: bool = True) -> None:
        shapes[f"{name}.weight"] = (outputs, inputs, *(kernel, kernel)[: 2 * bool(kernel)])
        if bias:
            shapes[f"{name}.bias"] = (outputs,)

    def norm(name: str, channels: int = width) -> None:
        shapes.update({f"{name}.{part}": (channels,) for part in ("weight", "bias")})

    def residual(name: str, inputs: int = width) -> None:
        norm(f"{name}.in_layers.0", inputs)
        layer(f"{name}.in_layers.2", width, inputs, 3)
        layer(f"{name}.emb_layers.1", width, embedding)
        norm(f"{name}.out_layers.0")
        layer(f"{name}.out_layers.3", width, width, 3)
        if inputs != width:
            layer(f"{name}.skip_connection", width, inputs, 1)

    def transformers(name: str, depth: int) -> None:
        if not depth:
            return
        norm(f"{name}.norm")
        for projection in ("proj_in", "proj_out"):
            layer(f"{name}.{projection}", width, width)
        for block in (f"{name}.transformer_blocks.{index}" for index in range(depth)):
            for attention, given in (("attn1", width), ("attn2", context)):
                for part, inputs in (("to_q", width), ("to_k", given), ("to_v", given)):
                    layer(f"{block}.{attention}.{part}", width, inputs, bias=False)
                layer(f"{block}.{attention}.to_out.0", width, width)
            layer(f"{block}.ff.net.0.proj", 8 * width, width)
            layer(f"{block}.ff.net.2", width, 4 * width)
            for index in (1, 2, 3):
                norm(f"{block}.norm{index}")

    layer("time_embed.0", embedding, width)
    layer("time_embed.2", embedding, embedding)
    layer("label_emb.0.0", embedding, config["adm_in_channels"])
    layer("label_emb.0.2", embedding, embedding)
    layer("input_blocks.0.0", width, config["in_channels"], 3)
    for block, depth in _down(config):
        if depth is None:
            layer(f"{block}.0.op", width, width, 3)
        else:
            residual(f"{block}.0")
            transformers(f"{block}.1", depth)
    residual("middle_block.0")
    transformers("middle_block.1", config["transformer_depth_middle"])
    residual("middle_block.2")
    for block, depth, doubles in _up(config):
        residual(f"{block}.0", 2 * width)
        transformers(f"{block}.1", depth)
        if doubles:
            layer(f"{block}.{2 if depth else 1}.conv", width, width, 3)
    norm("out.0")
    layer("out.2", config["out_channels"], width, 3)
    return shapes


def _down(config: Mapping[str, Any]) -> Iterator[tuple[str, int | None]]:
    """Blocks on the way down, each with its number of transformers, None for one that halves."""
    depths, block = iter(config["transformer_depth"]), 1
    for level, count in enumerate(config["num_res_blocks"]):
        for depth in ([None] if level else []) + [next(depths) for _ in range(count)]:
            yield f"input_blocks.{block}", depth
            block += 1


def _up(config: Mapping[str, Any]) -> Iterator[tuple[str, int, bool]]:
    """Blocks on the way up, each with its number of transformers, and whether it ends a level but for the last one."""
    depths, block = list(config["transformer_depth_output"]), 0
    for level, count in reversed(list(enumerate(config["num_res_blocks"]))):
        for index in range(count + 1):
            yield f"output_blocks.{block}", depths.pop(), index == count and level > 0
            block += 1


def _save(path: Path, parts: Mapping[str, Mapping[str, Shape]], factor: float) -> None:
    weights = _autoencoder("first_stage_model.", factor)
    for part, shapes in parts.items():
        weights |= _random(f"{part}.", shapes)
    _write(path, weights)


def _autoencoder(prefix: str, factor: float) -> dict[str, Tensor]:
    weights = _random(prefix, taesd_shapes())
    weights[f"{prefix}vae_scale"].fill_(factor)
    weights[f"{prefix}vae_shift"].fill_(0.0)
    return weights


def _random(prefix: str, shapes: Mapping[str, Shape]) -> dict[str, Tensor]:
    from sfsr_model.network.untrained import random_state

    return {f"{prefix}{key}": value.half() for key, value in random_state(dict(shapes), seed=0).items()}


def _write(path: Path, weights: dict[str, Tensor]) -> None:
    from safetensors.torch import save_file

    save_file(weights, path)
