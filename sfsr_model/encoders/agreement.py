"""Whether several embeddings are of one person, and which are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from .identity import weighted_mean

# Cosine below which two embeddings are taken for two people, where a recogniser says nothing else. ArcFace-type ones of real
# people put different people about 0 and one person's photos at 0.3 and more; published thresholds for few false matches lie
# between 0.2 and 0.4.
DEFAULT_THRESHOLD = 0.25


@dataclass(frozen=True)
class Agreement:
    """What `compare` found.

    kept, left_out: numbers of the embeddings, ascending. cosines: of each to the mean of the others that are kept, None where
    there is no other. doubts: pairs of kept ones (number, number, cosine) below the threshold, the least alike first.
    """

    kept: tuple[int, ...]
    left_out: tuple[int, ...]
    cosines: tuple[float | None, ...]
    doubts: tuple[tuple[int, int, float], ...]


def compare(embeddings: Tensor, quality: Sequence[float], threshold: float = DEFAULT_THRESHOLD) -> Agreement:
    """Find the outliers among unit embeddings [N, D].

    One at a time, the embedding least like the mean of the others is left out while its cosine to that mean is below the
    threshold, as long as at least half are kept. Of two that disagree neither is left out: nothing says which is right.
    """
    kept = list(range(len(embeddings)))
    while len(kept) > 2 and 2 * (len(kept) - 1) >= len(embeddings):
        cosines = {number: _to_the_rest(embeddings, quality, number, kept) for number in kept}
        worst = min(kept, key=lambda number: cosines[number] or 0.0)
        if (cosines[worst] or 0.0) >= threshold:
            break
        kept.remove(worst)
    pairs = embeddings @ embeddings.mT
    doubts = [(a, b, float(pairs[a, b])) for a in kept for b in kept if a < b and pairs[a, b] < threshold]
    return Agreement(
        tuple(kept),
        tuple(number for number in range(len(embeddings)) if number not in kept),
        tuple(_to_the_rest(embeddings, quality, number, kept) for number in range(len(embeddings))),
        tuple(sorted(doubts, key=lambda pair: pair[2])),
    )


def _to_the_rest(embeddings: Tensor, quality: Sequence[float], number: int, kept: Sequence[int]) -> float | None:
    others = [other for other in kept if other != number]
    if not others:
        return None
    return float(embeddings[number] @ weighted_mean(embeddings[others], [quality[other] for other in others]))
