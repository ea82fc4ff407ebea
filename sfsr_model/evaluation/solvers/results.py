"""What a comparison of solvers comes to: figures, the table, who wins where, and the plot."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from ..metrics import Figure, figure, plain, shown
from ..plots import plotting, save
from ..store import write_text

EXACT = "exact"
MEASURES = ("latents_rms", "pixels_rms", "identity_cosine", "expression_error")
_TITLES = {
    "latents_rms": "distance in latents, RMS",
    "pixels_rms": "distance in pixels, RMS in grey levels",
    "identity_cosine": "identity cosine",
    "expression_error": "expression error",
}
_DIGITS = {"latents_rms": 4, "pixels_rms": 2, "identity_cosine": 4, "expression_error": 4}
_RISING = ("identity_cosine",)
"""More is better."""

Values = dict[str, Tensor]
"""MEASURES of every sample, [4, N], by row."""
Rows = Mapping[str, tuple[str, int, int, int]]
"""By row: the solver, its budget, its steps, the evaluations these take."""


def write_results(values: Values, rows: Rows, ours: Sequence[str], facts: Mapping[str, Any], out: Path) -> str:
    """Write solvers.json, solvers.md and solvers.png; returns the table. ours: solvers that the rest is compared with."""
    figures = {name: {kind: figure(one) for kind, one in zip(MEASURES, found, strict=True)} for name, found in values.items()}
    winners = {
        kind: {budget: duel(values, rows, ours, kind, budget) for budget in sorted({row[1] for row in rows.values()})}
        for kind in MEASURES
        if figures[EXACT][kind].value is not None
    }
    table = _table(figures, rows, winners, facts)
    document = {
        "run": dict(facts),
        EXACT: plain(figures[EXACT]),
        "solvers": [
            {"solver": solver, "budget": budget, "steps": steps, "evaluations": used, **plain(figures[name])}
            for name, (solver, budget, steps, used) in rows.items()
        ],
        "best": {kind: {str(budget): one for budget, one in found.items()} for kind, found in winners.items()},
    }
    write_text(out / "solvers.json", json.dumps(document, indent=2, default=asdict) + "\n")
    write_text(out / "solvers.md", table)
    _plot(figures, rows, ours, list(winners), out / "solvers.png")
    return table


def duel(values: Values, rows: Rows, ours: Sequence[str], kind: str, budget: int) -> dict[str, Any]:
    """The best of our solvers and the best of the others within a budget, and by how much ours is better, sample by sample.

    better: positive where ours wins, whatever the measure; its interval tells whether that is more than chance.
    """
    place, sign = MEASURES.index(kind), 1 if kind in _RISING else -1

    def best(among: Sequence[str]) -> str:
        return max(among, key=lambda name: sign * float(values[name][place].nanmean()))

    mine = best([name for name, row in rows.items() if row[1] == budget and row[0] in ours])
    theirs = best([name for name, row in rows.items() if row[1] == budget and row[0] not in ours])
    better = figure(sign * (values[mine][place] - values[theirs][place]))
    return {"ours": rows[mine][0], "stock": rows[theirs][0], "better": better}


def verdict(one: Mapping[str, Any]) -> str:
    """A duel in words."""
    better = one["better"]
    if better.low > 0:
        return f"{one['ours']} beats {one['stock']}, the best stock sampler"
    if better.high < 0:
        return f"the stock sampler {one['stock']} beats {one['ours']}"
    return f"{one['ours']} and {one['stock']}, the best stock sampler, cannot be told apart"


def _table(
    figures: Mapping[str, Mapping[str, Figure]], rows: Rows, winners: Mapping[str, Any], facts: Mapping[str, Any]
) -> str:
    lines = ["# Solvers at equal numbers of evaluations", "", *(f"- {name}: {value}" for name, value in facts.items()), ""]
    lines += [f"| solver | budget | evaluations | {' | '.join(_TITLES.values())} |", "|---" * (3 + len(MEASURES)) + "|"]
    for name, (solver, budget, _, used) in sorted(rows.items(), key=lambda row: row[1][1]):
        cells = " | ".join(_formatted(kind, figures[name][kind]) for kind in MEASURES)
        lines.append(f"| {solver} | {budget} | {used} | {cells} |")
    cells = " | ".join("-" if kind.endswith("_rms") else _formatted(kind, figures[EXACT][kind]) for kind in MEASURES)
    lines += [f"| {facts['exact solution']} | - | - | {cells} |", ""]
    for kind, found in winners.items():
        lines += [f"## {_TITLES[kind]}", "", *(f"- {budget} evaluations: {verdict(one)}" for budget, one in found.items()), ""]
    return "\n".join(lines)


def _formatted(kind: str, one: Figure) -> str:
    return shown(one, lambda number: f"{number:.{_DIGITS[kind]}f}")


def _plot(
    figures: Mapping[str, Mapping[str, Figure]], rows: Rows, ours: Sequence[str], kinds: Sequence[str], path: Path
) -> None:
    pyplot = plotting()
    drawn, grid = pyplot.subplots(1, len(kinds), figsize=(4.4 * len(kinds), 4), squeeze=False, layout="constrained")
    for axes, kind in zip(grid[0], kinds, strict=True):
        for solver in dict.fromkeys(row[0] for row in rows.values()):
            own = sorted((used, name) for name, (one, _, _, used) in rows.items() if one == solver)
            points = [figures[name][kind].value for _, name in own]
            axes.plot([used for used, _ in own], points, "o-" if solver in ours else ".--", label=solver)
        if kind.endswith("_rms"):
            axes.set_yscale("log")
        else:
            axes.axhline(figures[EXACT][kind].value, color="black", linewidth=0.8, label="exact solution")
        axes.set_xlabel("evaluations of the network")
        axes.set_title(_TITLES[kind], fontsize=10)
    grid[0][-1].legend(fontsize=8)
    save(drawn, path)
