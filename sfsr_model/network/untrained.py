"""A checkpoint of random weights: everything runs end to end on it, and what it makes is noise."""

from __future__ import annotations

import math
import zlib

import torch
from torch import Tensor

from ..compound import CompoundConfig, CompoundEncoder
from .checkpoint import Checkpoint, Metadata
from .layout import HOST_FACTOR, Shape, UNetConfig, taesd_shapes, unet_shapes

UNTRAINED = "untrained (random weights)"


def untrained_checkpoint(seed: int = 0, unet: UNetConfig | None = None, base: str = "demo") -> Checkpoint:
    """A network of the given sizes (the demo's if left out), its weights drawn from `seed`; the same on every machine."""
    unet = unet or UNetConfig()
    compound = CompoundConfig(context_dim=unet.context_dim)
    with torch.device("meta"):
        compound_shapes = {key: tuple(value.shape) for key, value in CompoundEncoder(compound).state_dict().items()}
    autoencoder = random_state(taesd_shapes(unet.latent_channels), seed)
    autoencoder["vae_scale"] = torch.tensor(HOST_FACTOR)
    autoencoder["vae_shift"] = torch.tensor(0.0)
    # Quiet residual branches and a quiet last layer around mid grey: the noise then stays within what a picture can show.
    for key in autoencoder:
        if key.endswith("conv.4.weight"):
            autoencoder[key] *= 0.2
    autoencoder["taesd_decoder.19.weight"] *= 0.15
    autoencoder["taesd_decoder.19.bias"] += 0.5
    return Checkpoint(
        name=UNTRAINED,
        unet=random_state(unet_shapes(unet), seed),
        autoencoder=autoencoder,
        compound=random_state(compound_shapes, seed),
        metadata=Metadata(unet=unet, compound=compound, base=base, training_data="none: weights are random"),
    )


def random_state(shapes: dict[str, Shape], seed: int) -> dict[str, Tensor]:
    """Weights by name: fan-in scaled normals (He et al. 2015), norms at one, biases at zero, all float32.

    Each tensor has a generator of its own, seeded by its name, so neither order nor neighbours matter.
    """
    return {name: _draw(name, shape, seed) for name, shape in shapes.items()}


def _draw(name: str, shape: Shape, seed: int) -> Tensor:
    if name.endswith(".bias"):
        return torch.zeros(shape)
    if name.endswith(".weight") and len(shape) == 1:
        return torch.ones(shape)
    generator = torch.Generator().manual_seed(zlib.crc32(f"{seed}/{name}".encode()))
    fan_in = math.prod(shape[1:]) if len(shape) > 1 else 1
    return torch.randn(shape, generator=generator) * (2.0 / max(fan_in, 1)) ** 0.5
