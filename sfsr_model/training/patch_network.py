"""A second kind of network for encoders, which judges what the first kind conditions: patches mixed by matrices alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

PATCH, WIDTH, BLOCKS = 16, 256, 4
_PLACES_INSIDE, _CHANNELS_INSIDE = 64, 512


class PatchNetwork(nn.Module):
    """Pictures [N, 3, side, side] in -1..1 to vectors [N, outputs]; side is a multiple of PATCH.

    An MLP-Mixer (Tolstikhin et al. 2021): a picture is cut into patches, and each block mixes first the patches of every
    channel, then the channels of every patch. It shares neither convolutions nor batch statistics with `FaceNetwork`, so its
    mistakes are others. The last patches are summed with one learned weight for each place and channel, as there. Under 1.6
    million parameters, and a third of the work.
    """

    def __init__(self, side: int, outputs: int, width: int = WIDTH, blocks: int = BLOCKS) -> None:
        super().__init__()
        if side % PATCH:
            raise ValueError(f"side: found {side}, expected a multiple of {PATCH}")
        self.side = side
        places = (side // PATCH) ** 2
        self.embed = nn.Conv2d(3, width, PATCH, PATCH)
        self.blocks = nn.Sequential(*(_Block(places, width) for _ in range(blocks)))
        self.last = nn.LayerNorm(width)
        self.weights = nn.Parameter(torch.full((places, width), 1 / places) + torch.randn(places, width) * 0.5 / places)
        self.head = nn.Linear(width, outputs)

    def forward(self, faces: Tensor) -> Tensor:
        patches = self.blocks(self.embed(faces).flatten(2).transpose(1, 2))
        return self.head((self.last(patches) * self.weights).sum(1))


class _Block(nn.Module):
    def __init__(self, places: int, width: int) -> None:
        super().__init__()
        self.between = nn.LayerNorm(width)
        self.mix_places = _two_layers(places, _PLACES_INSIDE)
        self.within = nn.LayerNorm(width)
        self.mix_channels = _two_layers(width, _CHANNELS_INSIDE)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.mix_places(self.between(x).transpose(1, 2)).transpose(1, 2)
        return x + self.mix_channels(self.within(x))


def _two_layers(width: int, inside: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, inside), nn.GELU(), nn.Linear(inside, width))
