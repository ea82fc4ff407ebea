"""The target without its face: what the network knows of the scene, in training and in use alike."""

from __future__ import annotations

from torch import Tensor

GREY = 0.5


def without_face(image: Tensor, mask: Tensor) -> Tensor:
    """The image [B, H, W, 3] in 0..1, mid-grey where the rounded mask [B or 1, H, W] is 1: removed before it is encoded."""
    outside = 1.0 - mask.round()[..., None]
    return (image - GREY) * outside + GREY
