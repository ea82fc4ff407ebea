"""The target without its face: what the network knows of the scene, in training and in use alike."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

GREY = 0.5


def without_face(image: Tensor, mask: Tensor) -> Tensor:
    """The image [B, H, W, 3] in 0..1, mid-grey where the rounded mask [B or 1, H, W] is 1: removed before it is encoded."""
    outside = 1.0 - mask.round()[..., None]
    return (image - GREY) * outside + GREY


def soft_latent_mask(mask: Tensor, height: int, width: int) -> Tensor:
    """The mask [B, H, W] at the latents' size [B, 1, height, width], bilinear without a filter, as ComfyUI resizes masks."""
    return F.interpolate(mask[:, None], size=(height, width), mode="bilinear")


def latent_mask(mask: Tensor, height: int, width: int) -> Tensor:
    """The same rounded, 0 or 1.

    That is what ComfyUI does with the mask of its inpainting models (`concat_cond` in comfy/model_base.py).
    """
    return soft_latent_mask(mask, height, width).round()
