"""Ridge regression with bias from 52 coefficients to SMIRK's 55 numbers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..expressions import FlameMap, clamp_flame
from .faces import Readings

HELD_OUT = 5
"""One of so many faces is kept from the fit to test it: the last ones, so that a folder's last people are strangers to it."""
LEAST_FACES = 50
STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
_STANDS_STILL = 1e-6


@dataclass(frozen=True, eq=False)
class Fit:
    """A map, the strength of its ridge, and how many faces its correlations were not fitted on."""

    flame_map: FlameMap
    strength: float
    held_out: int


def fit_map(readings: Readings, smirk: str, faces: str) -> Fit:
    """The map of all faces; its correlations are those of a map of the others on the faces that were held out.

    smirk, faces: as `FlameMap`. Raises ValueError for fewer than LEAST_FACES faces.
    """
    count = len(readings.coefficients)
    if count < LEAST_FACES:
        raise ValueError(f"{count} faces; expected at least {LEAST_FACES} to measure a map with, better a thousand and more")
    known, wanted = readings.coefficients.double(), readings.numbers.double()
    held_out = count // HELD_OUT
    strength = _strength(known[:-held_out], wanted[:-held_out])
    weights, bias = _ridge(known[:-held_out], wanted[:-held_out], strength)
    found = correlations(clamp_flame(known[-held_out:] @ weights + bias), wanted[-held_out:])
    weights, bias = _ridge(known, wanted, strength)
    return Fit(FlameMap(weights.float(), bias.float(), found.float(), smirk, faces), strength, held_out)


def correlations(found: Tensor, wanted: Tensor) -> Tensor:
    """Pearson's, of each column of two tensors [N, D]; 0 where a column of either stands still."""
    found, wanted = found - found.mean(0), wanted - wanted.mean(0)
    lengths = found.norm(dim=0) * wanted.norm(dim=0)
    still = (found.norm(dim=0) < _STANDS_STILL) | (wanted.norm(dim=0) < _STANDS_STILL)
    return torch.where(still, 0.0, (found * wanted).sum(0) / lengths.clamp_min(_STANDS_STILL**2))


def _ridge(known: Tensor, wanted: Tensor, strength: float) -> tuple[Tensor, Tensor]:
    """Weights and bias with the least squares, and `strength` times the weights' squares for each face."""
    middle, level = known.mean(0), wanted.mean(0)
    left, scale, right = torch.linalg.svd(known - middle, full_matrices=False)
    shrunk = scale / (scale**2 + strength * len(known))
    weights = (right.T * shrunk) @ (left.T @ (wanted - level))
    return weights, level - middle @ weights


def _strength(known: Tensor, wanted: Tensor) -> float:
    """The strength by which each face is told best from all others: leave-one-out, which for a ridge has a closed form."""
    centred, spread = wanted - wanted.mean(0), wanted.std(0)
    moving = spread > _STANDS_STILL
    if not bool(moving.any()):
        return STRENGTHS[-1]
    left, scale, _ = torch.linalg.svd(known - known.mean(0), full_matrices=False)

    def error(strength: float) -> float:
        kept = scale**2 / (scale**2 + strength * len(known))
        own = (left**2) @ kept + 1 / len(known)
        missed = (centred - left @ (kept[:, None] * (left.T @ centred))) / (1 - own).clamp_min(_STANDS_STILL)[:, None]
        return ((missed[:, moving] / spread[moving]) ** 2).mean().item()

    return min(STRENGTHS, key=error)
