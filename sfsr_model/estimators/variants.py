"""Estimators of x0* from a noisy latent, with one signature: what trains identity and expression, and what is compared.

DiffSFSR's improved midpoint is not public. These are the readings that its evidence leaves open, each under the name of what
it does; `midpoint` and `improved_midpoint` say which of them stand for the paper's baseline and for its own method here. That
choice is a reconstruction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from .midpoint import Denoiser, Estimate, Level, beside, one_step, walk

GRADIENTS = ("full", "last")


@dataclass(frozen=True, eq=False)
class Noisy:
    """A noisy latent and what an estimator may know beside it.

    x: [B, C, H, W] = x0 + sigma eps. sigma, sigma_mid: a number or [B], 0 < sigma_mid < sigma. background, hole: the clean
    latent and a mask [B, 1, H, W] or [1, 1, H, W], 1 where it is not known; or both None. truth: x0 itself, for the bound
    alone. noise: fresh unit noise like x, for the estimator that draws some.
    """

    x: Tensor
    sigma: Level
    sigma_mid: Level
    background: Tensor | None = None
    hole: Tensor | None = None
    truth: Tensor | None = None
    noise: Tensor | None = None


@dataclass(frozen=True)
class Estimator:
    """An estimator. evaluations: of the denoiser. needs: fields of Noisy it cannot do without. bound: it looks at the truth,
    so it can be plotted but not used. Called as estimator(denoise, noisy, gradient).

    gradient: "full" sends gradients through all evaluations, "last" through the last alone, which keeps one graph in memory.
    """

    name: str
    about: str
    evaluations: int
    compute: Callable[[Denoiser, Noisy, Callable[[Tensor], Tensor]], Tensor]
    needs: tuple[str, ...] = ()
    bound: bool = False

    def __call__(self, denoise: Denoiser, noisy: Noisy, gradient: str = "full") -> Estimate:
        """Raises ValueError for an unknown gradient policy or a field that is missing."""
        if gradient not in GRADIENTS:
            raise ValueError(f"gradient: expected {' or '.join(GRADIENTS)}, found '{gradient}'")
        missing = [field for field in self.needs if getattr(noisy, field) is None]
        if missing:
            raise ValueError(f"estimator {self.name}: needs {', '.join(missing)}, which was not given")
        early = partial(_without_gradient, denoise) if gradient == "last" else denoise
        return Estimate(self.compute(denoise, noisy, lambda x: early(x, noisy.sigma)), self.evaluations)


def _without_gradient(denoise: Denoiser, x: Tensor, sigma: Level) -> Tensor:
    with torch.no_grad():
        return denoise(x, sigma)


# Each takes the denoiser, the noisy latent and the first evaluation at sigma, which the gradient policy may have cut off.
_First = Callable[[Tensor], Tensor]


def _one_step(denoise: Denoiser, noisy: Noisy, _first: _First) -> Tensor:
    return one_step(denoise, noisy.x, noisy.sigma).x0


def _ddim(denoise: Denoiser, noisy: Noisy, first: _First) -> Tensor:
    middle = walk(noisy.x, first(noisy.x), noisy.sigma, noisy.sigma_mid)
    return denoise(middle, noisy.sigma_mid)


def _fresh_noise(denoise: Denoiser, noisy: Noisy, first: _First) -> Tensor:
    assert noisy.noise is not None
    middle = first(noisy.x) + beside(noisy.sigma_mid, noisy.x) * noisy.noise
    return denoise(middle, noisy.sigma_mid)


def _explicit(denoise: Denoiser, noisy: Noisy, first: _First) -> Tensor:
    middle = walk(noisy.x, first(noisy.x), noisy.sigma, noisy.sigma_mid)
    slope = (middle - denoise(middle, noisy.sigma_mid)) / beside(noisy.sigma_mid, noisy.x)
    return noisy.x - beside(noisy.sigma, noisy.x) * slope


def _mean(denoise: Denoiser, noisy: Noisy, first: _First) -> Tensor:
    early = first(noisy.x)
    return (early + denoise(walk(noisy.x, early, noisy.sigma, noisy.sigma_mid), noisy.sigma_mid)) / 2


def _background(denoise: Denoiser, noisy: Noisy, first: _First) -> Tensor:
    assert noisy.background is not None
    assert noisy.hole is not None
    anchored = torch.lerp(noisy.background, first(noisy.x), noisy.hole)
    middle = walk(noisy.x, anchored, noisy.sigma, noisy.sigma_mid)
    return torch.lerp(noisy.background, denoise(middle, noisy.sigma_mid), noisy.hole)


def _truth(denoise: Denoiser, noisy: Noisy, _first: _First) -> Tensor:
    assert noisy.truth is not None
    return denoise(walk(noisy.x, noisy.truth, noisy.sigma, noisy.sigma_mid), noisy.sigma_mid)


_ALL = (
    Estimator("one_step", "the denoiser's answer at sigma", 1, _one_step),
    Estimator("ddim", "walk to sigma_mid along the first answer, keeping the noise of x, and look again", 2, _ddim),
    Estimator("fresh_noise", "noise the first answer anew at sigma_mid and look again: x itself is forgotten", 2, _fresh_noise,
              needs=("noise",)),
    Estimator("explicit", "the noise seen at sigma_mid, taken off x at sigma: the textbook midpoint rule", 2, _explicit),
    Estimator("mean", "the mean of the answers at sigma and at sigma_mid", 2, _mean),
    Estimator("background", "as ddim, with the known background put back after each answer", 2, _background,
              needs=("background", "hole")),
    Estimator("truth", "look at sigma_mid on the way to the truth: a bound, not a method", 1, _truth, needs=("truth",),
              bound=True),
)  # fmt: skip
ESTIMATORS: dict[str, Estimator] = {estimator.name: estimator for estimator in _ALL}
# What the paper's names stand for here, until its own study on a trained network says otherwise.
ROLES = {"midpoint": "fresh_noise", "improved_midpoint": "ddim"}


def estimator(name: str) -> Estimator:
    """An estimator by its own name or by the paper's; raises ValueError listing the names."""
    found = ESTIMATORS.get(ROLES.get(name, name))
    if found is None:
        raise ValueError(f"estimator: expected one of {', '.join([*ESTIMATORS, *ROLES])}; found '{name}'")
    return found
