"""Losses on the decoded x0*: who it is, what the face does, and how it looks."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def identity_loss(embedding: Tensor, wanted: Tensor) -> Tensor:
    """1 - cos of embeddings [B, D] and [B, D], one value for each, 0 to 2."""
    return 1.0 - nn.functional.cosine_similarity(embedding.float(), wanted.float(), dim=-1)


def expression_loss(read: Tensor, wanted: Tensor, readable: Tensor | None = None) -> Tensor:
    """Mean absolute difference [B] of coefficients [B, N], over the readable ones alone where a mask [N] is given."""
    difference = (read.float() - wanted.float()).abs()
    if readable is None:
        return difference.mean(dim=-1)
    share = readable.to(difference)
    return (difference * share).sum(dim=-1) / share.sum().clamp_min(1.0)


def pyramid_loss(image: Tensor, wanted: Tensor, levels: int = 4, region: Tensor | None = None) -> Tensor:
    """Laplacian-pyramid L1 [B] of pictures [B, C, H, W]: the sum over the bands of the mean absolute difference.

    Bojanowski et al. 2018 ("Optimizing the Latent Space of Generative Networks"; their factor 4^level undoes that they sum
    over a band's pixels), with box filters. region: [B, 1, H, W] weights the difference before it is split into bands.
    """
    difference = image.float() - wanted.float()
    if region is not None:
        difference = difference * region
    total = difference.new_zeros(len(difference))
    for level in range(levels):
        last = level == levels - 1 or min(difference.shape[-2:]) < 4
        coarse = difference if last else nn.functional.avg_pool2d(difference, 2)
        band = (
            difference if last else difference - nn.functional.interpolate(coarse, size=difference.shape[-2:], mode="nearest")
        )
        total = total + band.abs().mean(dim=(1, 2, 3))
        if last:
            break
        difference = coarse
    return total


def colour_loss(image: Tensor, wanted: Tensor, side: int = 8) -> Tensor:
    """Mean absolute difference [B] of the opponent colours, red - green and yellow - blue, of pictures [B, 3, H, W].

    Taken over squares of `side` pixels: a wrong hue is plain to the eye there, yet small in every channel.
    """
    difference = nn.functional.avg_pool2d(image.float() - wanted.float(), side)
    red, green, blue = difference.unbind(1)
    return torch.stack((red - green, (red + green) / 2 - blue), 1).abs().mean(dim=(1, 2, 3))


def background_loss(image: Tensor, wanted: Tensor, hole: Tensor) -> Tensor:
    """Mean absolute difference [B] of pictures [B, C, H, W] beyond a hole [B, 1, H, W]; 0 where nothing lies beyond."""
    outside = 1.0 - hole
    total = ((image.float() - wanted.float()).abs() * outside).sum(dim=(1, 2, 3))
    return total / (outside.sum(dim=(1, 2, 3)) * image.shape[1]).clamp_min(1.0)


def time_gate(sigma: Tensor, highest: float) -> Tensor:
    """1.0 for noise levels [B] up to `highest`, above which x0* shows too little to judge, else 0.0."""
    return (sigma <= highest).to(torch.float32)
