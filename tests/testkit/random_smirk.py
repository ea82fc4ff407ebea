"""A SMIRK file of the true layout with random weights: what it says of a face means nothing, but it is alive and repeatable."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from sfsr_model.encoders.smirk import PREFIXES, SmirkNetwork


def random_state(seed: int = 0, prefix: str = PREFIXES[0]) -> dict[str, Tensor]:
    """Tensors by the file's keys, and one of the file's other networks. Activations keep their size from layer to layer."""
    generator = torch.Generator().manual_seed(seed)
    state = {prefix + key: value for key, value in _filled(SmirkNetwork().state_dict(), generator)}
    return state | {"smirk_generator.conv.weight": torch.zeros(2, 2)}


def write_smirk(path: Path, seed: int = 0) -> Path:
    """Write it as the published file is: a PyTorch file of a flat dictionary."""
    torch.save(random_state(seed), path)
    return path


def _filled(state: dict[str, Tensor], generator: torch.Generator) -> Iterator[tuple[str, Tensor]]:
    for key, value in state.items():
        if not value.is_floating_point():
            yield key, value
        elif key.endswith("running_var"):
            yield key, torch.rand(value.shape, generator=generator) + 0.5
        elif value.ndim == 1 and key.endswith(".weight"):
            yield key, torch.rand(value.shape, generator=generator) * 0.4 + 0.8
        else:
            fan = value[0].numel() if value.ndim > 1 else 25
            yield key, torch.randn(value.shape, generator=generator) * (1.6 / fan**0.5 if value.ndim > 1 else 0.2)
