"""Text-to-image networks of random weights, which the host takes for Stable Diffusion 1.5, SDXL or 3: they draw noise."""

from __future__ import annotations

import itertools
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
SD3_FACTOR, SD3_SHIFT, SD3_CHANNELS = 1.5305, 0.0609, 16
"""Of SD3's latents."""
FLUX_FACTOR, FLUX_SHIFT = 0.3611, 0.1159
"""Of Flux's latents, which have as many channels."""

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


def save_control_net(path: Path, unet: Mapping[str, Shape]) -> None:
    """Save a ControlNet for the UNet of these shapes: its way down and its middle, and what they add to the UNet's own."""
    _write(path, _random("control_model.", control_net_shapes(unet)))


def save_lora(path: Path, unet: Mapping[str, Shape], rank: int = 4) -> None:
    """Save a LoRA of every layer that makes queries in the UNet of these shapes, in the names of most LoRA files."""
    shapes = {}
    for key, (outputs, inputs) in ((key, shape) for key, shape in unet.items() if key.endswith(".to_q.weight")):
        name = f"lora_unet_{key.removesuffix('.weight').replace('.', '_')}"
        shapes |= {f"{name}.lora_up.weight": (outputs, rank), f"{name}.lora_down.weight": (rank, inputs)}
    _write(path, _random("", shapes))


def save_clip_vision(path: Path) -> None:
    """Save CLIP ViT-H/14's picture encoder, for Load CLIP Vision: 1.3 GB, because the host knows no slim one."""
    _write(path, _random("", clip_h_vision_shapes()))


def save_sd3(path: Path, blocks: int = 2) -> None:
    """Save a network that the host takes for SD3, a flow over patches of 16 channels, for Load Diffusion Model: 2 MB.

    The host tells the width by the number of blocks. Its text and the size of its pooled text are those of CLIP ViT-L/14 alone.
    """
    _write(path, _random("", sd3_shapes(blocks)))


def save_flux(path: Path) -> None:
    """Save a network that the host takes for Flux, for Load Diffusion Model: 2 MB, with one block of either kind.

    Its text is as that of `save_sd3`.
    """
    _write(path, _random("", flux_shapes()))


def save_tiny_decoder(path: Path, channels: int = LATENT_CHANNELS) -> None:
    """Save TAESD's decoder alone, as the host looks for it below vae_approx."""
    prefix = "taesd_decoder."
    decoder = {key.removeprefix(prefix): shape for key, shape in taesd_shapes(channels).items() if key.startswith(prefix)}
    _write(path, _random("", decoder))


def save_text_encoder(path: Path) -> None:
    """Save CLIP ViT-L/14's text encoder, for Load CLIP: 0.25 GB."""
    _write(path, _random("text_model.", clip_l_shapes()))


def save_autoencoder(path: Path, factor: float = HOST_FACTOR, shift: float = 0.0, channels: int = LATENT_CHANNELS) -> None:
    """Save an autoencoder of TAESD's layout, for Load VAE."""
    _write(path, _autoencoder("", factor, shift, channels))


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


def clip_h_vision_shapes() -> dict[str, Shape]:
    """Of CLIP ViT-H/14's picture encoder, in the names of transformers."""
    import torch
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    sizes = {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 16}
    with torch.device("meta"):
        state = CLIPVisionModelWithProjection(CLIPVisionConfig(**sizes, patch_size=14, projection_dim=1024)).state_dict()
    return {key: tuple(value.shape) for key, value in state.items() if not key.endswith("position_ids")}


def control_net_shapes(unet: Mapping[str, Shape]) -> dict[str, Shape]:
    """Every parameter of a ControlNet that looks at pictures of three channels, for a UNet of these shapes."""
    parts = ("time_embed.", "label_emb.", "input_blocks.", "middle_block.")
    shapes = {key: shape for key, shape in unet.items() if key.startswith(parts)}
    width = unet["input_blocks.0.0.weight"][0]

    def convolution(name: str, inputs: int, outputs: int, kernel: int) -> None:
        shapes.update({f"{name}.weight": (outputs, inputs, kernel, kernel), f"{name}.bias": (outputs,)})

    seen = 3, 16, 16, 32, 32, 96, 96, 256, width
    for index, (inputs, outputs) in enumerate(itertools.pairwise(seen)):
        convolution(f"input_hint_block.{2 * index}", inputs, outputs, 3)
    for block in range(1 + max(int(key.split(".")[1]) for key in unet if key.startswith("input_blocks."))):
        start = f"input_blocks.{block}.0"
        ends = (f"{start}.bias", f"{start}.op.bias", f"{start}.out_layers.3.bias")  # the first layer, a halving, any other
        (width,) = next(unet[key] for key in ends if key in unet)
        convolution(f"zero_convs.{block}.0", width, width, 1)
    convolution("middle_block_out.0", width, width, 1)
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


def sd3_shapes(blocks: int) -> dict[str, Shape]:
    """Every parameter of SD3's MMDiT of so many blocks, whose last one hands on no text."""
    width, text, patch = 64 * blocks, _CLIP_L["hidden_size"], 2
    shapes: dict[str, Shape] = {"x_embedder.proj.weight": (width, SD3_CHANNELS, patch, patch), "x_embedder.proj.bias": (width,)}

    def layer(name: str, outputs: int, inputs: int) -> None:
        shapes.update({f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)})

    for name, given in (("t_embedder", 256), ("y_embedder", text)):
        layer(f"{name}.mlp.0", width, given)
        layer(f"{name}.mlp.2", width, width)
    layer("context_embedder", width, text)
    for index in range(blocks):
        for part in ("x_block", "context_block"):
            block, last = f"joint_blocks.{index}.{part}", part == "context_block" and index == blocks - 1
            layer(f"{block}.attn.qkv", 3 * width, width)
            layer(f"{block}.adaLN_modulation.1", (2 if last else 6) * width, width)
            if not last:
                layer(f"{block}.attn.proj", width, width)
                layer(f"{block}.mlp.fc1", 4 * width, width)
                layer(f"{block}.mlp.fc2", width, 4 * width)
    layer("final_layer.linear", patch**2 * SD3_CHANNELS, width)
    layer("final_layer.adaLN_modulation.1", 2 * width, width)
    return shapes


def flux_shapes() -> dict[str, Shape]:
    """Every parameter of Flux's network with one double and one single block of one head."""
    width, text, patches = 128, _CLIP_L["hidden_size"], 2**2 * SD3_CHANNELS
    double, single, final = "double_blocks.0", "single_blocks.0", "final_layer"
    layers = {
        "img_in": (width, patches), "txt_in": (width, text), f"{final}.linear": (patches, width),
        f"{final}.adaLN_modulation.1": (2 * width, width), f"{single}.modulation.lin": (3 * width, width),
        f"{single}.linear1": (7 * width, width), f"{single}.linear2": (width, 5 * width),
    }  # fmt: skip
    for name, given in (("time_in", 256), ("guidance_in", 256), ("vector_in", text)):
        layers |= {f"{name}.in_layer": (width, given), f"{name}.out_layer": (width, width)}
    norms = [f"{single}.norm"]
    for part in (f"{double}.img", f"{double}.txt"):
        layers |= {f"{part}_mod.lin": (6 * width, width), f"{part}_attn.qkv": (3 * width, width)}
        layers |= {
            f"{part}_attn.proj": (width, width),
            f"{part}_mlp.0": (4 * width, width),
            f"{part}_mlp.2": (width, 4 * width),
        }
        norms.append(f"{part}_attn.norm")
    shapes: dict[str, Shape] = {f"{norm}.{which}_norm.scale": (width,) for norm in norms for which in ("query", "key")}
    for name, (outputs, inputs) in layers.items():
        shapes |= {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}
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


def _autoencoder(prefix: str, factor: float, shift: float = 0.0, channels: int = LATENT_CHANNELS) -> dict[str, Tensor]:
    weights = _random(prefix, taesd_shapes(channels))
    weights[f"{prefix}vae_scale"].fill_(factor)
    weights[f"{prefix}vae_shift"].fill_(shift)
    return weights


def _random(prefix: str, shapes: Mapping[str, Shape]) -> dict[str, Tensor]:
    from sfsr_model.network.untrained import random_state

    # One after the other, so that no more than one is there in full precision.
    return {f"{prefix}{key}": random_state({key: shape}, seed=0)[key].half() for key, shape in shapes.items()}


def _write(path: Path, weights: dict[str, Tensor]) -> None:
    from safetensors.torch import save_file

    save_file(weights, path)
