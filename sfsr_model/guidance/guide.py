"""The step that moves x0* down the energies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..schedule import ScaledLinearSchedule

Energy = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Guide:
    """Guidance of x0* over a part of the run.

    decode: latents [B, C, h, w] to pictures [B, H, W, 3] in 0..1, differentiable. terms: a scale and an energy [B] of pictures
    for each thing to guide by. start, end: shares of the run, 0 is pure noise and 1 the finished picture, measured in the
    model's timesteps as SFSR Conditioning's are.

    With g_k the gradient of energy E_k with respect to x0*, inside the hole, a step adds

        - tau(sigma) sum_k scale_k E_k g_k / rms(g_k),    tau(sigma) = sigma / sqrt(1 + sigma^2).

    tau is the deviation of x0 that noise of level sigma leaves open where data have unit deviation (1 / (1 + 1 / sigma^2) is
    the variance of that Gaussian posterior), and rms runs over the hole's values. So a scale of 1 moves the hole's latents, in
    the root mean square, by the share E_k of what is still open, whatever the resolution, the networks' gains and the energy's
    steepness; the step ends where the energy does. Normalised gradients of energies on x0*: Bansal et al. 2023 ("Universal
    Guidance for Diffusion Models") and Chung et al. 2023 ("Diffusion Posterior Sampling"), who scale them otherwise.
    One pass through the decoder and, for each term, one back.
    """

    decode: Callable[[Tensor], Tensor]
    terms: Sequence[tuple[float, Energy]]
    start: float = 0.0
    end: float = 1.0
    schedule: ScaledLinearSchedule = field(default_factory=ScaledLinearSchedule)

    def acts(self, sigma: float) -> bool:
        """Whether the noise level lies in the part of the run."""
        share = 1.0 - self.schedule.timestep(sigma) / (self.schedule.timesteps - 1)
        return self.start <= share <= self.end

    def __call__(self, x0: Tensor, sigma: float, hole: Tensor | None = None) -> Tensor:
        """x0* [B, C, h, w] after the step; x0* itself outside the part of the run.

        hole: [B or 1, 1 or C, h, w], 1 where the face is made; without one everything is guided. Works inside inference mode.
        Raises ValueError for a gradient that is not finite.
        """
        if not self.acts(sigma):
            return x0
        scales = [scale for scale, _ in self.terms]
        values, gradients = self._gradients(x0)
        inside = torch.ones_like(x0) if hole is None else hole.to(x0).expand_as(x0)
        tau = sigma / (1.0 + sigma**2) ** 0.5
        for scale, value, gradient in zip(scales, values, gradients, strict=True):
            held = gradient * inside
            if not torch.isfinite(held).all() or not torch.isfinite(value).all():
                raise ValueError(
                    f"guidance: the gradient at noise level {sigma:.4g} is not finite; start later or use a smaller scale"
                )
            mean_square = held.pow(2).sum((1, 2, 3)) / inside.sum((1, 2, 3)).clamp_min(1.0)
            # Where nothing can be changed (no hole, a saturated picture) there is no direction, and no step.
            length = scale * tau * value * torch.where(mean_square > 0, mean_square, 1.0).rsqrt()
            x0 = x0 - length[:, None, None, None] * held
        return x0

    def _gradients(self, x0: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Each energy [B] at x0*, and its gradient there, in the dtype of x0*."""
        with torch.inference_mode(False), torch.enable_grad():
            latents = x0.detach().clone().requires_grad_()
            pictures = self.decode(latents)
            values = [energy(pictures) for _, energy in self.terms]
            last = len(values) - 1
            found = [
                torch.autograd.grad(value.sum(), latents, retain_graph=number < last)[0] for number, value in enumerate(values)
            ]
            return [value.detach().to(x0) for value in values], found
