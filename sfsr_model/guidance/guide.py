"""The step that moves x0* down the energies."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..schedule import NoisePath, ScaledLinearSchedule
from .views import PLAIN, View, some_views

Energy = Callable[..., Tensor]
STEP_SIZES = ("what is open", "classifier-free correction")


def stable_diffusion_level(share: float) -> float:
    """The noise level after this share of a run in Stable Diffusion 1.x's timesteps, as the host's own rule has it."""
    if not 0.0 < share < 1.0:
        return math.inf if share <= 0.0 else 0.0
    schedule = ScaledLinearSchedule()
    return schedule.sigma((1.0 - share) * (schedule.timesteps - 1))


@dataclass(frozen=True, eq=False)
class Term:
    """An energy [B] of pictures [B, H, W, 3] in 0..1 (and of a view, where there are several), and its scale.

    enough: a picture whose energy is this low is left alone by this term.
    """

    scale: float
    energy: Energy
    enough: float = 0.0


@dataclass(frozen=True, eq=False)
class Guide:
    """Guidance of x0* over a part of the run.

    decode: latents [B, C, ..., h, w] to pictures [B, H, W, 3] in 0..1, differentiable. start, end: shares of the run, 0 is pure
    noise and 1 the finished picture; level: the noise level at a share, the host's percent_to_sigma. path: how x is made of
    data and noise. rounds: how often each step in this part of the run is made. views: how many looks at the face each gradient
    is the mean of: the face as it is, and random small crops, half of them mirrored.

    With g_k the gradient of energy E_k with respect to x0*, inside the hole, and rms over the hole's values, a step adds

        - sum_k scale_k s_k g_k / rms(g_k).

    step_size "what is open": s_k = E_k tau(sigma), tau(sigma) = sigma / sqrt(signal^2 + sigma^2), the deviation of x0 that
    noise of this level leaves open where data have unit deviation. So a scale of 1 moves the hole's latents, in the root mean
    square, by the share E_k of what is still open, whatever the resolution, the networks' gains and the energy's steepness; the
    step ends where the energy does.

    step_size "classifier-free correction": s_k = rms(cfg (D_cond - D_uncond)), D the two predictions of x0: a scale of 1 moves
    x0* as far as classifier-free guidance does at this step, at every noise level, in every model. Yu et al. 2023 ("FreeDoM")
    and He et al. 2024 ("Manifold Preserving Guided Diffusion") have this rule for Stable Diffusion in eps, where the correction
    is larger by the factor signal / sigma; FreeDoM takes 0.08 to 0.2 of it. Neither has a factor E_k.

    Gradients of energies on x0* itself need no pass back through the network: Bansal et al. 2023 ("Universal Guidance for
    Diffusion Models", backward guidance), He et al. One pass through the decoder and, for each term, one back.
    """

    decode: Callable[[Tensor], Tensor]
    terms: Sequence[Term]
    start: float = 0.0
    end: float = 1.0
    level: Callable[[float], float] = stable_diffusion_level
    path: NoisePath = field(default_factory=NoisePath)
    step_size: str = STEP_SIZES[0]
    rounds: int = 1
    views: int = 1

    def __post_init__(self) -> None:
        if self.step_size not in STEP_SIZES:
            raise ValueError(f"step_size: expected {' or '.join(STEP_SIZES)}, found '{self.step_size}'")

    def acts(self, sigma: float) -> bool:
        """Whether the noise level lies in the part of the run."""
        # A level on the edge counts, whatever the last bit of the two says.
        return self.level(self.end) * (1 - 1e-6) <= sigma <= self.level(self.start) * (1 + 1e-6)

    def __call__(self, x0: Tensor, sigma: float, hole: Tensor | None = None, correction: Tensor | None = None) -> Tensor:
        """x0* after one step; x0* itself outside the part of the run. Arguments as for `step`."""
        return self.step(x0, sigma, hole, correction)[0] if self.acts(sigma) else x0

    def step(
        self,
        x0: Tensor,
        sigma: float,
        hole: Tensor | None = None,
        correction: Tensor | None = None,
        views: Sequence[View] = (PLAIN,),
    ) -> tuple[Tensor, list[Tensor]]:
        """x0* [B, C, ..., h, w] after the step, and each energy [B] before it. Works inside inference mode.

        hole: like x0* or of one where that repeats, 1 where the face is made; without one everything is guided. correction:
        cfg (D_cond - D_uncond), like x0*, which only the step size of that name needs. views: the looks whose gradients are
        averaged; the energies themselves are those of the first.
        Raises ValueError for a gradient that is not finite, and where a correction is needed and none was made.
        """
        values, gradients = self._gradients(x0, views)
        inside = torch.ones_like(x0) if hole is None else hole.to(x0).expand_as(x0)
        whole = tuple(range(1, x0.ndim))
        count = inside.sum(whole).clamp_min(1.0)
        size: Tensor | float
        if self.step_size == STEP_SIZES[1]:
            size = (self._made(correction).to(x0) * inside).square().sum(whole).div(count).sqrt()
        else:
            size = self.path.left_open(sigma)
        for term, value, gradient in zip(self.terms, values, gradients, strict=True):
            held = gradient * inside
            if not torch.isfinite(held).all() or not torch.isfinite(value).all():
                raise ValueError(
                    f"guidance: the gradient at noise level {sigma:.4g} is not finite; start later or use a smaller scale"
                )
            mean_square = held.square().sum(whole) / count
            # Where nothing can be changed (no hole, a saturated picture) there is no direction, and no step.
            length = term.scale * size * torch.where(mean_square > 0, mean_square, 1.0).rsqrt() * (value > term.enough)
            if self.step_size == STEP_SIZES[0]:
                length = length * value
            x0 = x0 - length.reshape(-1, *[1] * (x0.ndim - 1)) * held
        return x0, values

    @staticmethod
    def _made(correction: Tensor | None) -> Tensor:
        if correction is None:
            raise ValueError(
                f"step_size: found '{STEP_SIZES[1]}', but this run makes no negative prediction (its cfg is 1), so there is no "
                f"correction; use a cfg above 1, or the step size '{STEP_SIZES[0]}'"
            )
        return correction

    def _gradients(self, x0: Tensor, views: Sequence[View]) -> tuple[list[Tensor], list[Tensor]]:
        """Each energy [B] at x0* in the first view, and the gradient there of its mean over all, in the dtype of x0*."""
        with torch.inference_mode(False), torch.enable_grad():
            latents = x0.detach().clone().requires_grad_()
            pictures = self.decode(latents)
            shown = pictures.detach().requires_grad_()
            values, gradients = [], []
            for number, term in enumerate(self.terms):
                slope = torch.zeros_like(shown)
                for view in views:
                    value = term.energy(shown) if view is PLAIN else term.energy(shown, view)
                    slope += torch.autograd.grad(value.sum(), shown)[0] / len(views)
                    if view is views[0]:
                        values.append(value.detach().to(x0))
                last = number == len(self.terms) - 1
                gradients.append(torch.autograd.grad(pictures, latents, slope, retain_graph=not last)[0])
            return values, gradients


class GuidedRun:
    """The guidance of one run, with what it must remember from step to step. It is over where every energy is low enough.

    correction: gives cfg (D_cond - D_uncond) of the step that is being made, or None; seed: of the random views.
    """

    def __init__(self, guide: Guide, correction: Callable[[], Tensor | None] = lambda: None, seed: int = 0) -> None:
        self.guide, self.agreed = guide, False
        self._correction, self._generator = correction, torch.Generator().manual_seed(seed)

    def __call__(self, x0: Tensor, sigma: float, hole: Tensor | None = None) -> Tensor:
        """x0* after the guidance at a noise level, as `sample_improved_midpoint` asks."""
        # Asked in every step, so that none is left for the next one.
        correction = self._correction()
        if self.agreed or not self.guide.acts(sigma):
            return x0
        moved, values = self.guide.step(x0, sigma, hole, correction, some_views(self.guide.views, self._generator))
        self.agreed = all(bool((value <= term.enough).all()) for term, value in zip(self.guide.terms, values, strict=True))
        return moved

    def rounds(self, sigma: float) -> int:
        """How often the step at a noise level is made."""
        return self.guide.rounds if not self.agreed and self.guide.acts(sigma) else 1
