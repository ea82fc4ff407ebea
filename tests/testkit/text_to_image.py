"""A text-to-image checkpoint of random weights, which the host takes for Stable Diffusion 1.5: its scenes are noise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sfsr_model.network.layout import UNetConfig


def save_text_to_image(path: Path, unet: UNetConfig | None = None) -> None:
    """Save UNet, text encoder and autoencoder in half precision: 2 GB, or 0.3 GB more than the given UNet takes.

    unet: in place of the full size; the host tells the version by its 320 channels and its text width of 768. The text
    encoder is CLIP ViT-L/14's, at its full size because the host knows no other; the autoencoder has TAESD's layout.
    """
    import torch
    from safetensors.torch import save_file
    from transformers import CLIPTextConfig, CLIPTextModel

    from sfsr_model.network.layout import HOST_FACTOR, LATENT_CHANNELS, SD15_INPAINTING, taesd_shapes, unet_shapes
    from sfsr_model.network.untrained import random_state

    sizes = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
    with torch.device("meta"):
        text_encoder = CLIPTextModel(CLIPTextConfig(**sizes)).state_dict()
    shapes = {
        "model.diffusion_model": unet_shapes(unet or replace(SD15_INPAINTING, in_channels=LATENT_CHANNELS)),
        "cond_stage_model.transformer.text_model": {
            key.removeprefix("text_model."): tuple(value.shape) for key, value in text_encoder.items()
        },
        "first_stage_model": taesd_shapes(),
    }
    weights = {}
    for part, own in shapes.items():
        weights |= {f"{part}.{key}": value.half() for key, value in random_state(own, seed=0).items()}
    weights["first_stage_model.vae_scale"].fill_(HOST_FACTOR)
    weights["first_stage_model.vae_shift"].fill_(0.0)
    save_file(weights, path)
