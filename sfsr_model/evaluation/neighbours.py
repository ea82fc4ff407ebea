"""What a set of vectors tells of its labels: confusion between classes, and nearest neighbours."""

from __future__ import annotations

import torch
from torch import Tensor

_BOOTSTRAPS = 1000


def leave_out_confusion(features: Tensor, labels: Tensor, groups: Tensor, classes: int) -> Tensor:
    """Counts [C, C], row the label, column the class whose mean is nearest (Euclidean).

    features: [N, D]. labels, groups: integers [N], labels below C. A vector is compared with the means of all groups but its
    own, so that what its group has in common helps nobody. Raises ValueError where a class then has no vector.
    """
    sums = features.new_zeros(classes, features.shape[1], dtype=torch.float64)
    sums.index_add_(0, labels, features.double())
    amounts = torch.bincount(labels, minlength=classes).double()
    counts = torch.zeros(classes, classes, dtype=torch.long)
    for group in groups.unique():
        own = groups == group
        rest = sums.index_add(0, labels[own], features[own].double(), alpha=-1)
        left = amounts - torch.bincount(labels[own], minlength=classes)
        if (left == 0).any():
            raise ValueError(f"class {int(left.argmin())} has vectors of group {int(group)} only; expected two groups or more")
        guess = torch.cdist(features[own].double(), rest / left[:, None]).argmin(1)
        counts.index_put_((labels[own], guess), torch.ones(len(guess), dtype=torch.long), accumulate=True)
    return counts


def nearest_neighbour_hits(features: Tensor, labels: Tensor) -> Tensor:
    """Whether the nearest other vector (Euclidean) has the same label: bool [N] for features [N, D], labels [N]."""
    distances = torch.cdist(features.double(), features.double())
    distances.fill_diagonal_(torch.inf)
    return labels[distances.argmin(1)] == labels


def chance_of_hit(labels: Tensor) -> float:
    """The share of hits when the neighbour is anyone else, drawn at random."""
    amounts = torch.bincount(labels).double()
    return float((amounts * (amounts - 1)).sum() / (len(labels) * (len(labels) - 1)))


def bootstrap_interval(hits: Tensor, groups: Tensor, seed: int = 0) -> tuple[float, float]:
    """The 2.5 % and 97.5 % quantiles of the mean of hits [N] when whole groups [N] are drawn again with replacement."""
    _, members = groups.unique(return_inverse=True)
    total = torch.zeros(int(members.max()) + 1, dtype=torch.float64).index_add_(0, members, hits.double())
    amount = torch.bincount(members).double()
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(len(total), (_BOOTSTRAPS, len(total)), generator=generator)
    means = total[drawn].sum(1) / amount[drawn].sum(1)
    low, high = torch.quantile(means, torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return low, high


def explained_variance(features: Tensor, targets: Tensor, groups: Tensor, ridge: float = 1.0, folds: int = 5) -> Tensor:
    """R squared [T] of ridge regression from features [N, D] to targets [N, T], on groups [N] left out of the fit.

    Groups are dealt to the folds in order of first appearance; ridge is added to the Gram matrix of standardised features.
    Targets that never change get NaN.
    """
    _, members = groups.unique(return_inverse=True)
    fold = members % folds
    x, y = features.double(), targets.double()
    predicted = torch.empty_like(y)
    for number in range(folds):
        train, test = fold != number, fold == number
        mean, scale = x[train].mean(0), x[train].std(0).clamp_min(1e-9)
        centre = y[train].mean(0)
        inputs = (x[train] - mean) / scale
        gram = inputs.T @ inputs + ridge * torch.eye(x.shape[1], dtype=torch.float64)
        weights = torch.linalg.solve(gram, inputs.T @ (y[train] - centre))
        predicted[test] = (x[test] - mean) / scale @ weights + centre
    spread = ((y - y.mean(0)) ** 2).sum(0)
    return torch.where(spread > 0, 1 - ((y - predicted) ** 2).sum(0) / spread, torch.nan)
