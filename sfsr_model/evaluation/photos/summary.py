"""From readings to figures: all cases together, each judge alone, a person's own photos, and bins of the swaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from ..metrics import bins, figure
from .cast import OWN, SWAPS, WORDS
from .expression_figures import WORN, expression_figures, words_told_apart
from .gathered import Gathered
from .goals import NOTHING
from .identity_figures import Figures, Levels, SeenBy
from .judges import ExpressionJudge, IdentityJudge
from .readers import Appearance, Looks

YAW_EDGES = (0.0, 15.0, 30.0)
"""Degrees that the target's head is turned."""
LIGHT_EDGES = (0.0, 0.4, 0.8)
"""Stops between what the light makes of the cheeks of reference and target."""
BINNED = ("carried", "retrieved", "target_instead", "correlation", "seen", "eyes", "sharpness", "step")
_HEADLINE = ("carried", "retrieved", "target_instead", "correlation", "error_active", "words", "source_instead", "pose", "seen",
             "eyes", "sharpness", "step", "worst_step")  # fmt: skip
_OWN = ("carried", "retrieved", "correlation", "error_active", "pose", "seen", "eyes", "sharpness", "step", "worst_step",
        "difference")  # fmt: skip
ByMaker = dict[str, Figures]
_Judge = TypeVar("_Judge", IdentityJudge, ExpressionJudge)


@dataclass(frozen=True)
class Bin:
    """label: what its `count` cases have in common."""

    label: str
    count: int
    figures: ByMaker


@dataclass(frozen=True)
class Results:
    """headline, own: figures of the headline judges, where another's picture and where the person's own is the target.
    identity, expression: by judge. levels: by judge of identity and source. bins: by what they part."""

    headline: ByMaker
    own: ByMaker
    identity: dict[str, ByMaker]
    expression: dict[str, ByMaker]
    levels: dict[str, dict[str, Levels]]
    bins: dict[str, list[Bin]]


class Judging:
    """The judges over all that was read."""

    def __init__(self, gathered: Gathered, identity: Sequence[IdentityJudge], expression: Sequence[ExpressionJudge]) -> None:
        self.gathered, self._expression = gathered, {judge.label: judge for judge in expression}
        self.faces = {judge.label: SeenBy(gathered, judge) for judge in identity}
        self.who, self.what = _headline(identity), _headline(expression)

    def results(self) -> Results:
        """Every figure."""
        swaps = self.gathered.makers(SWAPS)
        return Results(
            headline={maker: self._swaps(maker) for maker in swaps},
            own={maker: self._own(maker) for maker in self.gathered.makers(OWN)} if self.gathered.cast.cases[OWN] else {},
            identity={label: {maker: seen.figures(maker, SWAPS) for maker in swaps} for label, seen in self.faces.items()},
            expression={label: self._expressions(judge) for label, judge in self._expression.items()},
            levels={label: seen.levels for label, seen in self.faces.items()},
            bins={name: self._bins(parts) for name, parts in self._parts().items()},
        )

    def _figures(self, maker: str, kind: str, members: Tensor | None = None) -> Figures:
        """By the headline judges; what they would say is missing where they are not at hand."""
        found = self._looks(maker, kind, members)
        if self.who is not None:
            found |= self.faces[self.who.label].figures(maker, kind, members)
        if self.what is not None:
            found |= expression_figures(self.gathered, self.what, maker, kind, members)
        return found

    def _swaps(self, maker: str) -> Figures:
        found = self._figures(maker, SWAPS)
        if self.what is not None and maker in self.gathered.makers(WORDS):
            found["words"] = words_told_apart(self.gathered, self.what, maker)
        return _chosen(found, _HEADLINE)

    def _own(self, maker: str) -> Figures:
        return _chosen(self._figures(maker, OWN), _OWN)

    def _looks(self, maker: str, kind: str, members: Tensor | None) -> Figures:
        cases = self.gathered.cast.cases[kind]
        chosen = torch.ones(len(cases), dtype=torch.bool) if members is None else members
        owners = self.gathered.cast.owners(cases)[chosen]
        return {name: figure(self.gathered.of(maker, kind, Looks.label, name)[chosen], owners) for name in Looks.names}

    def _expressions(self, judge: ExpressionJudge) -> ByMaker:
        found = {maker: expression_figures(self.gathered, judge, maker, SWAPS) for maker in self.gathered.makers(SWAPS)}
        if judge.label in self.gathered.renders:
            for maker in self.gathered.makers(WORDS):
                found.setdefault(maker, {})["words"] = words_told_apart(self.gathered, judge, maker)
            found[WORN] = {"words": words_told_apart(self.gathered, judge, WORN)}
        return found

    def _parts(self) -> dict[str, list[tuple[str, Tensor]]]:
        """The swaps' bins: labels and members."""
        cases, gathered = self.gathered.cast.cases[SWAPS], self.gathered

        def of(name: str, rows: list[int]) -> Tensor:
            return gathered.of_photos(Appearance.label, name, rows)

        references, targets = [case.reference for case in cases], [case.target for case in cases]
        return {
            "yaw": bins(torch.rad2deg(of("yaw", targets).abs()), YAW_EDGES),
            "light": bins((of("light", references) - of("light", targets)).abs(), LIGHT_EDGES),
            "tone": thirds(self._tones([case.apart for case in cases])),
            "target_tone": thirds(of("lightness", targets)),
        }

    def _tones(self, rows: list[int]) -> Tensor:
        """L* of the skin of each row's person: the mean of all their photos that play a part."""
        cast = self.gathered.cast
        own: dict[tuple[str, str], list[int]] = {}
        for row in cast.rows():
            own.setdefault(cast.person(row), []).append(row)
        tone = {one: self.gathered.of_photos(Appearance.label, "lightness", some).mean() for one, some in own.items()}
        return torch.stack([tone[cast.person(row)] for row in rows])

    def _bins(self, parts: list[tuple[str, Tensor]]) -> list[Bin]:
        makers = self.gathered.makers(SWAPS)
        return [
            Bin(label, int(some.sum()), {one: _chosen(self._figures(one, SWAPS, some), BINNED) for one in makers})
            for label, some in parts
            if some.any()
        ]


def thirds(values: Tensor) -> list[tuple[str, Tensor]]:
    """Bins of values [N] from 0 on that are about equally full; their borders are whole numbers."""
    borders = values.quantile(torch.tensor([1 / 3, 2 / 3], dtype=values.dtype)).round().tolist()
    return bins(values, tuple(dict.fromkeys((0.0, *borders))))


def _headline(judges: Sequence[_Judge]) -> _Judge | None:
    return next((judge for judge in judges if judge.headline), None)


def _chosen(found: Figures, names: Sequence[str]) -> Figures:
    return {name: found.get(name, NOTHING) for name in names}
