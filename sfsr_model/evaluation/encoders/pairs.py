"""Verification: can one similarity tell pairs of one person from pairs of two?"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..metrics import Figure

FALSE_ACCEPTS = {"permille": 1e-3, "percent": 1e-2}
"""The false accept rates at which true accepts are counted, by what the figures are called."""
_FIGURES = ("auc", *(f"{kind}_{rate}" for rate in FALSE_ACCEPTS for kind in ("tar", "from")))
_BOOTSTRAPS = 1000


def verification(similar: Tensor, same: Tensor, owners: Tensor, seed: int = 0) -> dict[str, Figure]:
    """Area under the ROC curve, and true accept rates at FALSE_ACCEPTS, of pairs with a similarity [P].

    Beside each stands the similarity from which on pairs are accepted, the lowest seen that keeps the rate; it has no value
    where the most similar pairs of all break the rate already.

    same: bool [P]. owners [P, 2]: the two people of each pair, whole numbers. Ties count half in the area; the accepted pairs
    are those from a similarity on, so that ties are accepted or refused together. The intervals are those of people drawn anew,
    a pair counting as often as its people were drawn. Figures without a value where there are not both kinds of pairs.
    """
    if same.all() or not same.any():
        return nothing_verified()
    levels, level = similar.double().unique(return_inverse=True)
    level = len(levels) - 1 - level  # the most similar first
    people, owners = owners.unique(return_inverse=True)
    own, other = owners.unbind(1)

    def measured(times: Tensor) -> list[float]:
        weight = times[own] * torch.where(own == other, 1.0, times[other])
        accepted, mistaken = (
            torch.zeros(len(levels), dtype=torch.float64).index_add_(0, level[kind], weight[kind]) for kind in (same, ~same)
        )
        true, false = accepted.cumsum(0) / accepted.sum(), mistaken.cumsum(0) / mistaken.sum()
        area = ((true - accepted / accepted.sum() / 2) * mistaken / mistaken.sum()).sum()
        found = [float(area)]
        for rate in FALSE_ACCEPTS.values():
            allowed = int((false <= rate + 1e-12).sum())
            found += [float(true[allowed - 1]), float(levels[-allowed])] if allowed else [0.0, math.nan]
        return found

    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(len(people), (_BOOTSTRAPS, len(people)), generator=generator)
    found = torch.tensor([measured(torch.bincount(row, minlength=len(people)).double()) for row in drawn], dtype=torch.float64)
    # People drawn so few that one kind of pairs is missing tell nothing.
    low, high = found.nanquantile(torch.tensor([0.025, 0.975], dtype=torch.float64), dim=0)
    values = measured(torch.ones(len(people), dtype=torch.float64))
    rows = zip(_FIGURES, values, low.tolist(), high.tolist(), strict=True)
    count = int(same.sum())
    return {
        name: Figure(None, None, None, 0) if math.isnan(value) else Figure(value, lowest, highest, count)
        for name, value, lowest, highest in rows
    }


def nothing_verified() -> dict[str, Figure]:
    """The figures of `verification` where there is nothing to measure."""
    return {name: Figure(None, None, None, 0) for name in _FIGURES}


def all_pairs(embeddings: Tensor, people: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Similarities, sameness and owners, as `verification` takes them, of every two of unit embeddings [N, D] of people [N]."""
    one, other = torch.triu_indices(len(embeddings), len(embeddings), 1)
    owners = torch.stack((people[one], people[other]), 1)
    return (embeddings[one] * embeddings[other]).sum(1), owners[:, 0] == owners[:, 1], owners


def matched_pairs(queries: Tensor, gallery: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same of every query with every entry, unit vectors [N, D] each, where the n-th of both are of one person."""
    count = len(queries)
    numbers = torch.arange(count)
    owners = torch.stack((numbers.repeat_interleave(count), numbers.repeat(count)), 1)
    return (queries @ gallery.T).flatten(), owners[:, 0] == owners[:, 1], owners
