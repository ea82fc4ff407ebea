"""Who is seen in the pictures, by one judge: the person asked for, or one who only lent the scene or the expression."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..encoders.recognisers import unit_vectors
from ..metrics import Figure, cosines, figure, retrieved
from .cast import OWN, SWAPS
from .gathered import Gathered
from .judges import IdentityJudge

Figures = dict[str, Figure]
_VECTOR = "vector"


@dataclass(frozen=True)
class Levels:
    """Mean cosines of a judge: two pictures of the same person, and of strangers. Of photos, a source's people with their photo
    that is kept apart, and the targets, which show others."""

    same: float
    strangers: float

    def share(self, cosine: float) -> float:
        """How far a cosine is on the way from strangers to the same person; NaN where this judge cannot tell the two apart."""
        reach = self.same - self.strangers
        return (cosine - self.strangers) / reach if reach > 0 else math.nan


class SeenBy:
    """A judge's view of the cast. levels: by source."""

    def __init__(self, gathered: Gathered, judge: IdentityJudge) -> None:
        self._gathered, self._judge, self._cast = gathered, judge, gathered.cast
        self._people = gathered.of_photos(judge.label, _VECTOR, self._cast.gallery)
        self._gallery = self._unit(self._people)
        self.levels = self._levels()

    def _unit(self, raw: Tensor) -> Tensor:
        return unit_vectors(self._judge.encoder, raw, self._people).double()

    def _photos(self, rows: list[int]) -> Tensor:
        return self._unit(self._gathered.of_photos(self._judge.label, _VECTOR, rows))

    def _levels(self) -> dict[str, Levels]:
        cases = [case for some in self._cast.cases.values() for case in some]
        shown: dict[int, set[int]] = {}
        for case in cases:
            shown.setdefault(case.apart, set()).add(case.reference)
        targets = sorted({case.target for case in self._cast.cases[SWAPS]})
        scenes, whose = self._photos(targets), [self._cast.person(row) for row in targets]
        same: dict[str, list[Tensor]] = {}
        strangers: dict[str, list[Tensor]] = {}
        for apart, references in shown.items():
            person, own = self._cast.person(apart), self._photos([apart])[0]
            others = torch.tensor([other != person for other in whose])
            same.setdefault(person[0], []).append((self._photos(sorted(references)) @ own).mean())
            strangers.setdefault(person[0], []).append((scenes[others] @ own).mean())
        return {source: Levels(*(float(torch.stack(part[source]).nanmean()) for part in (same, strangers))) for source in same}

    def carried(self, maker: str, kind: str) -> Tensor:
        """Of the way from a stranger to another photo of the person, the share [N] that each picture goes; NaN where this judge
        cannot tell the two apart."""
        return self._share(self._cosines(maker, kind), kind)

    def _share(self, similar: Tensor, kind: str) -> Tensor:
        levels = [self.levels[self._cast.person(case.apart)[0]] for case in self._cast.cases[kind]]
        shares = [one.share(cosine) for one, cosine in zip(levels, similar.tolist(), strict=True)]
        return torch.tensor(shares, dtype=torch.float64)

    def _cosines(self, maker: str, kind: str) -> Tensor:
        apart = self._photos([case.apart for case in self._cast.cases[kind]])
        return cosines(self._unit(self._gathered.of(maker, kind, self._judge.label, _VECTOR)), apart)

    def figures(self, maker: str, kind: str, members: Tensor | None = None) -> Figures:
        """Of pictures whose expression is a photo's; members: bool [N], the cases that are averaged over."""
        cases = self._cast.cases[kind]
        chosen = torch.ones(len(cases), dtype=torch.bool) if members is None else members
        owners, sources = self._cast.owners(cases), [self._cast.person(case.apart)[0] for case in cases]

        def mean(values: Tensor, some: Tensor | None = None) -> Figure:
            rows = chosen if some is None else chosen & some
            return figure(values.double()[rows], owners[rows])

        similar = self._cosines(maker, kind)
        share = self._share(similar, kind)
        found = {"carried": mean(share)}
        for source in sorted(set(sources)):
            found[f"carried_{source}"] = mean(share, torch.tensor([one == source for one in sources]))
        found["cosine"] = mean(similar)
        found["retrieved"] = mean(self._found(maker, kind, [case.apart for case in cases]))
        if kind != OWN:
            people = len(self._gallery)
            found["target_instead"] = mean(people * self._found(maker, kind, [case.target for case in cases]))
            found["source_instead"] = mean(people * self._found(maker, kind, [int(case.expression) for case in cases]))
        return found

    def _found(self, maker: str, kind: str, rows: list[int]) -> Tensor:
        """Whether the person of a row is nearest in the gallery to each picture: 0 or 1 [N]; NaN where the person asked for is
        not in it."""
        cases = self._cast.cases[kind]
        wanted, known = self._cast.numbers(rows), self._cast.numbers([case.apart for case in cases]) >= 0
        shown = self._unit(self._gathered.of(maker, kind, self._judge.label, _VECTOR))
        hits = retrieved(shown, self._gallery, wanted.clamp_min(0))
        return torch.where(known, hits.double(), torch.nan)
