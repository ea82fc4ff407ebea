"""The estimators side by side on one picture whose truth is known: itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..schedule import midpoint_sigma
from .midpoint import Denoiser, Level
from .variants import ESTIMATORS, Noisy


@dataclass(frozen=True, eq=False)
class StudyRow:
    """What the estimators make of one noise level.

    estimates: x0* [B, C, h, w] by the estimator's name. inside: mean squared error in the hole, overall: everywhere, both means
    over the batch.
    """

    sigma: float
    sigma_mid: float
    estimates: dict[str, Tensor]
    inside: dict[str, float]
    overall: dict[str, float]


def study(
    denoise: Denoiser,
    clean: Tensor,
    hole: Tensor | None,
    levels: Iterable[float],
    seed: int,
    location: str = "half time",
) -> list[StudyRow]:
    """Add noise to clean latents [B, C, h, w] and estimate them back, a row for each noise level.

    hole: [B or 1, 1 or C, h, w] in 0..1, 1 where the face is made; without one the estimator that needs the background is left
    out. Noise depends on the seed and on the level's place in the list. location: of the second look, as `midpoint_sigma` has
    it. Every estimator looks first at the same noisy latent, so that look is taken once: 7 evaluations a level.
    Raises ValueError for an estimate that is not finite.
    """
    rows = []
    for place, sigma in enumerate(levels):
        generator = torch.Generator(device="cpu").manual_seed((seed + place) % 2**63)
        noise, fresh = (torch.randn(clean.shape, generator=generator).to(clean) for _ in range(2))
        noisy = Noisy(
            x=clean + sigma * noise,
            sigma=sigma,
            sigma_mid=midpoint_sigma(sigma, 0.0, location),
            background=None if hole is None else clean,
            hole=hole,
            truth=clean,
            noise=fresh,
        )
        rows.append(_row(remembering(denoise, noisy), noisy, clean, hole))
    return rows


def remembering(denoise: Denoiser, noisy: Noisy) -> Denoiser:
    """The same denoiser, which looks at the noisy latent itself once, however many estimators ask for it."""
    first: list[Tensor] = []

    def look(x: Tensor, sigma: Level) -> Tensor:
        if x is not noisy.x:
            return denoise(x, sigma)
        if not first:
            first.append(denoise(x, sigma))
        return first[0]

    return look


def _row(denoise: Denoiser, noisy: Noisy, clean: Tensor, hole: Tensor | None) -> StudyRow:
    estimates, inside, overall = {}, {}, {}
    for name, estimator in ESTIMATORS.items():
        if any(getattr(noisy, field) is None for field in estimator.needs):
            continue
        x0 = estimator(denoise, noisy).x0
        if not torch.isfinite(x0).all():
            raise ValueError(
                f"model: the estimate '{name}' at noise level {noisy.sigma:.4g} is not finite; check the checkpoint, or run "
                "the model in float32"
            )
        squared = (x0.float() - clean.float()) ** 2
        share = torch.ones_like(squared) if hole is None else hole.to(squared).expand_as(squared)
        estimates[name] = x0
        overall[name] = squared.mean().item()
        inside[name] = ((squared * share).sum() / share.sum().clamp_min(1e-6)).item()
    assert isinstance(noisy.sigma, float)
    assert isinstance(noisy.sigma_mid, float)
    return StudyRow(noisy.sigma, noisy.sigma_mid, estimates, inside, overall)


def figures(rows: list[StudyRow], **about: object) -> dict[str, object]:
    """The study as plain values for JSON; `about` is put in front."""
    return {
        **about,
        "estimators": {
            name: {
                "about": ESTIMATORS[name].about,
                "evaluations": ESTIMATORS[name].evaluations,
                "bound": ESTIMATORS[name].bound,
            }
            for name in (rows[0].estimates if rows else {})
        },
        "levels": [
            {"sigma": row.sigma, "sigma_mid": row.sigma_mid, "mse_in_mask": row.inside, "mse_overall": row.overall}
            for row in rows
        ],
    }
