"""The measurements themselves, on vectors and pictures: who is shown, what the face does, and what else has changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from .neighbours import bootstrap_interval

ACTIVE = 0.1
"""From here on a wanted coefficient counts as active."""
_VARIES = 0.05
_BOOTSTRAPS = 1000


@dataclass(frozen=True)
class Figure:
    """A mean over `count` samples and its bootstrap interval (2.5 % to 97.5 %); all None where nothing could be measured."""

    value: float | None
    low: float | None
    high: float | None
    count: int


def shown(one: Figure, number: Callable[[float], str]) -> str:
    """A figure with its interval where it has one, such as "0.412 (0.380 to 0.441)"; a dash where nothing was measured."""
    if one.value is None:
        return "-"
    if one.low is None or one.high is None:
        return number(one.value)
    return f"{number(one.value)} ({number(one.low)} to {number(one.high)})"


def plain(figures: Mapping[str, Figure]) -> dict[str, Any]:
    """Figures by name as JSON takes them."""
    return {name: asdict(one) for name, one in figures.items()}


def figure(values: Tensor, owners: Tensor | None = None) -> Figure:
    """The mean of values [N] of as many people, or of owners [N]; NaN stands for what was not measured and is left out."""
    values, owners = _measured(values, owners)
    if not len(values):
        return Figure(None, None, None, 0)
    low, high = bootstrap_interval(values, owners)
    return Figure(float(values.mean()), low, high, len(values))


def _measured(values: Tensor, owners: Tensor | None) -> tuple[Tensor, Tensor]:
    """The values [N] that are not NaN, float64, and whose they are; each of a person of its own without owners."""
    values = values.double()
    owners = torch.arange(len(values)) if owners is None else owners
    known = ~values.isnan()
    return values[known], owners[known]


def quantile_figure(values: Tensor, share: float, owners: Tensor | None = None, seed: int = 0) -> Figure:
    """The value that a share of values [N] do not exceed, and its interval over as many people, or over owners [N].

    It is always one of the values: the lowest at which the share is reached. NaN is left out.
    """
    values, owners = _measured(values, owners)
    if not len(values):
        return Figure(None, None, None, 0)
    values, order = values.sort()
    people, members = owners[order].unique(return_inverse=True)
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(len(people), (_BOOTSTRAPS, len(people)), generator=generator)
    times = torch.zeros(drawn.shape, dtype=torch.float64).scatter_add_(1, drawn, torch.ones_like(drawn).double())
    times = torch.cat((torch.ones(1, len(values), dtype=torch.float64), times[:, members]))
    reached = times.cumsum(1) >= share * times.sum(1, keepdim=True) - 1e-9
    found = values[reached.int().argmax(1)]
    low, high = torch.quantile(found[1:], torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return Figure(float(found[0]), low, high, len(values))


def cosines(ones: Tensor, others: Tensor) -> Tensor:
    """Cosines [N] of embeddings [N, D] and [N, D], in [-1, 1]."""
    return F.cosine_similarity(ones.double(), others.double(), dim=-1)


def retrieved(queries: Tensor, gallery: Tensor, wanted: Tensor) -> Tensor:
    """Whether entry `wanted` [N] of the gallery [M, D] has the highest cosine to its query [N, D]; bool [N].

    A tie is lost: whoever is nobody's nearest alone is not retrieved.
    """
    similar = F.normalize(queries.double(), dim=-1) @ F.normalize(gallery.double(), dim=-1).T
    own = similar.gather(1, wanted[:, None])
    others = similar.scatter(1, wanted[:, None], -torch.inf)
    return own[:, 0] > others.amax(1)


def active_errors(read: Tensor, wanted: Tensor, readable: Tensor) -> Tensor:
    """Mean absolute difference [N] of coefficients [N, C] over those that are readable [C] and wanted from ACTIVE on.

    NaN for a sample without any.
    """
    active = (wanted >= ACTIVE) & readable
    difference = torch.where(active, (read - wanted).abs(), 0.0).double().sum(1)
    return difference / active.sum(1)


def correlation_figure(read: Tensor, wanted: Tensor, readable: Tensor, seed: int = 0, owners: Tensor | None = None) -> Figure:
    """Pearson's correlation over the samples, the mean of the readable coefficients [C] that vary in what is wanted [N, C].

    A coefficient that never changes in what is read counts as 0. The interval is that of samples drawn anew, or of owners [N].
    """
    count = len(wanted)
    varies = readable & (wanted.double().std(0) >= _VARIES) if count > 1 else torch.zeros_like(readable)
    if not varies.any():
        return Figure(None, None, None, 0)
    x, y = read[:, varies].double(), wanted[:, varies].double()
    people, members = (torch.arange(count) if owners is None else owners).unique(return_inverse=True)
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(len(people), (_BOOTSTRAPS, len(people)), generator=generator)
    times = torch.zeros(drawn.shape, dtype=torch.float64).scatter_add_(1, drawn, torch.ones_like(drawn).double())[:, members]
    value = float(_correlations(x, y, torch.ones(1, count, dtype=torch.float64)))
    low, high = torch.quantile(_correlations(x, y, times), torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return Figure(value, low, high, count)


def _correlations(x: Tensor, y: Tensor, times: Tensor) -> Tensor:
    """Mean over the columns of the correlations of x and y [N, C], for each row [N] of how often a sample counts."""
    share = times / times.sum(1, keepdim=True)
    # About the means of all samples, so that nothing is lost where these are large beside the spread.
    x, y = x - x.mean(0), y - y.mean(0)
    mean_x, mean_y = share @ x, share @ y
    both = (share @ (x * y)) - mean_x * mean_y
    spread = ((share @ x.square() - mean_x**2).clamp_min(0) * (share @ y.square() - mean_y**2).clamp_min(0)).sqrt()
    return torch.where(spread > 1e-9, both / spread.clamp_min(1e-9), 0.0).mean(1)


def pose_errors(read: Tensor, true: Tensor) -> Tensor:
    """Mean absolute difference [N] in degrees over pitch, yaw and roll [N, 3] in radians."""
    return torch.rad2deg((read - true).double().abs().mean(1))


def recognised(
    read: Tensor, labels: Tensor, owners: Tensor, known: Tensor, known_labels: Tensor, known_owners: Tensor
) -> Tensor:
    """Whether the class whose mean is nearest (Euclidean) is the right one: bool [N] for vectors [N, D].

    The means are of known vectors [M, D] with labels and owners [M]; the ones of the sample's own owner are left out of them.
    Raises ValueError where a class then has no vector.
    """
    classes = int(torch.cat((labels, known_labels)).max()) + 1
    hits = torch.zeros(len(read), dtype=torch.bool)
    for owner in owners.unique():
        own, rest = owners == owner, known_owners != owner
        amounts = torch.bincount(known_labels[rest], minlength=classes)
        if (amounts == 0).any():
            raise ValueError(
                f"class {int(amounts.argmin())} is known from person {int(owner)} alone; expected two people or more"
            )
        sums = known.new_zeros(classes, known.shape[1], dtype=torch.float64)
        means = sums.index_add(0, known_labels[rest], known[rest].double()) / amounts[:, None]
        hits[own] = torch.cdist(read[own].double(), means).argmin(1) == labels[own]
    return hits


def outside_differences(pictures: Tensor, targets: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Largest and mean absolute difference [N], [N] of uint8 pictures [N, H, W, 3] where masks [N, H, W] are 0."""
    outside = (masks == 0)[..., None]
    difference = (pictures.int() - targets.int()).abs() * outside
    pixels = outside.sum((1, 2, 3)) * pictures.shape[-1]
    return difference.amax((1, 2, 3)).double(), difference.sum((1, 2, 3)).double() / pixels.clamp_min(1)


def inside_differences(pictures: Tensor, answers: Tensor, masks: Tensor) -> Tensor:
    """Mean absolute difference [N] of uint8 pictures [N, H, W, 3], weighted by masks [N, H, W]."""
    weights = masks.double()[..., None]
    difference = ((pictures.int() - answers.int()).abs() * weights).sum((1, 2, 3))
    return difference / (weights.sum((1, 2, 3)) * pictures.shape[-1]).clamp_min(1e-9)


def bins(values: Tensor, edges: tuple[float, ...]) -> list[tuple[str, Tensor]]:
    """Labels and members (bool [N]) of the bins from each edge up to the next one; the last one is open."""
    ends = (*edges[1:], float("inf"))
    return [
        (f"{low:g} to {high:g}" if high < float("inf") else f"{low:g} and more", (values >= low) & (values < high))
        for low, high in zip(edges, ends, strict=True)
    ]
