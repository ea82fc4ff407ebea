"""An adversarial loss on latents: what no true picture says of a face that nobody has, a critic learns to say.

Goodfellow et al. 2014, with the hinge of Lim and Ye 2017 and a layer that turns gradients round (Ganin and Lempitsky 2015), so
that one loss and one optimiser train the critic and what it judges against each other.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import Conv2d
from torch.nn.utils.parametrizations import spectral_norm

_WIDTH = 96


class LatentCritic(nn.Module):
    """How true latents look, place by place: from latents [N, C, h, w] and a hole [N, 1, h, w] to [N, h / 2, w / 2].

    Spectrally normalised (Miyato et al. 2018), so that it cannot answer steeply.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        sizes = [(channels + 1, _WIDTH, 1), (_WIDTH, _WIDTH, 1), (_WIDTH, 2 * _WIDTH, 2), (2 * _WIDTH, 2 * _WIDTH, 1)]
        layers: list[nn.Module] = []
        for before, after, stride in sizes:
            layers += [spectral_norm(Conv2d(before, after, 3, stride, padding=1)), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, spectral_norm(Conv2d(2 * _WIDTH, 1, 1)))

    def forward(self, latents: Tensor, hole: Tensor) -> Tensor:
        found: Tensor = self.layers(torch.cat((latents, hole), 1))
        return found[:, 0]


class _TurnedRound(torch.autograd.Function):
    @staticmethod
    def forward(_: Any, value: Tensor) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> Tensor:
        return -gradients[0]


def realism_loss(critic: nn.Module, made: Tensor, true: Tensor, hole: Tensor) -> Tensor:
    """How well the critic tells latents that were made [N, C, h, w] from true ones, a scalar from 0 (always) on; 2 is guessing.

    Lowering it teaches the critic; what made the latents gets the opposite gradient, and learns to be taken for true.
    """
    found = critic(torch.cat((true, _TurnedRound.apply(made))), torch.cat((hole, hole))).float()
    real, fake = found.chunk(2)
    return nn.functional.relu(1 - real).mean() + nn.functional.relu(1 + fake).mean()
