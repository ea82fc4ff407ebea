"""The LoRA inside a FaceID file, for a LoRA loader."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from .adapter import Adapter
from .layers import AttentionLayer


def lora_state(adapter: Adapter, layers: Sequence[AttentionLayer]) -> dict[str, Tensor]:
    """Its state under the names that ComfyUI's loader knows: `lora_unet_` and diffusers' module path with underscores.

    Each weight becomes W + up @ down: the files give no alpha, so a loader scales by its strength alone. Empty for an adapter
    that has none. The adapter must fit the layers.
    """
    state = {}
    for layer in layers:
        for number, name in ((layer.number - 1, self_attention(layer)), (layer.number, layer.name)):
            for part, (down, up) in adapter.lora.get(number, {}).items():
                prefix = "lora_unet_" + f"{name}.{part}".replace(".", "_")
                state[f"{prefix}.lora_down.weight"] = down
                state[f"{prefix}.lora_up.weight"] = up
    return state


def self_attention(layer: AttentionLayer) -> str:
    """Diffusers' module path of the self-attention in the transformer of a cross-attention."""
    return layer.name.removesuffix("attn2") + "attn1"
