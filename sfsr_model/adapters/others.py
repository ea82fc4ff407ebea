"""What a file is that is no adapter for faces, told by its entries, and where it belongs."""

from __future__ import annotations

import re
from collections.abc import Iterable

TEXT_ENCODER = "a text encoder"

# The first that matches; what holds parts of another stands before it.
_OTHERS: tuple[tuple[str, str, str], ...] = (
    (
        r"lora_unet_.*|lora_te.*|.*[._]lora[._](down|up|A|B)\b.*|.*\.lora_(down|up|A|B)\b.*",
        "a LoRA",
        "a FaceID adapter has its LoRA inside; choose the adapter's own file, and load any other LoRA with Load LoRA",
    ),
    (
        r"control_model\..*|controlnet_.*|input_hint_block\..*|zero_convs\..*",
        "a ControlNet",
        "load it with Load ControlNet Model",
    ),
    (
        r"model\.diffusion_model\..*|first_stage_model\..*|cond_stage_model\..*|conditioner\..*",
        "a whole checkpoint",
        "load it with Load Checkpoint, and choose the adapter's own file here",
    ),
    (r"smirk_encoder\..*|smirk_generator\..*", "SMIRK's encoder", "load it with Load Expression Encoder"),
    (r"(id_adapter|id_encoder|pulid_\w+|id_adapter_attn_layers)\..*", "a PuLID adapter", "PuLID is not supported"),
    (
        r"conv_in\.weight|(input_blocks|middle_block|output_blocks|down_blocks|up_blocks|mid_block)\..*",
        "a diffusion model (UNet)",
        "load it with Load Diffusion Model, and choose the adapter's own file here",
    ),
    (r"(.*\.)?text_model\..*", TEXT_ENCODER, "load it with Load CLIP"),
    (r"(.*\.)?vision_model\..*", "a picture encoder", "load it with Load CLIP Vision"),
    (r"(encoder|decoder|taesd_\w+)\..*", "an autoencoder", "load it with Load VAE"),
)


def what_it_is(keys: Iterable[str]) -> tuple[str, str]:
    """What a file with these entries is, and what to do with it."""
    keys = list(keys)
    if not keys:
        return "holds no tensors", "get the file again"
    for pattern, what, advice in _OTHERS:
        if any(re.fullmatch(pattern, key) for key in keys):
            return what, advice
    return f"an unknown file (its first entries: {', '.join(keys[:3])})", "choose another file"
