"""The figures as JSON and as Markdown."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ..markdown import table
from .expression_figures import WORN
from .goals import GOALS, MAKERS, NOTHING, OWN_TARGET, TITLES, range_text, written
from .painters import CHECKPOINT, TARGET
from .summary import BINNED, ByMaker, Results

_BINS = {
    "yaw": ("By how far the target's head is turned", "degrees"),
    "light": ("By how differently the light falls on reference and target", "stops between the cheeks"),
    "tone": ("By the tone of the person's skin", "L*"),
    "target_tone": ("By the tone of the target's skin", "L*"),
}
"""Heading and unit."""


def as_json(run: Mapping[str, Any], results: Results) -> str:
    """The whole result; the same figures always give the same text."""
    goals = {
        name: {kind: [end if math.isfinite(end) else None for end in ends] for kind, ends in vars(goal).items()}
        for name, goal in GOALS.items()
    }
    return json.dumps({"run": run, "goals": goals, **asdict(results)}, indent=2) + "\n"


def as_markdown(run: Mapping[str, Any], notes: Sequence[str], who: str | None, what: str | None, results: Results) -> str:
    """Tables for people. who, what: the headline judges of identity and expression, None where they are not at hand."""
    lines = ["# Photos", "", *(f"- {name}: {value}" for name, value in run.items()), "", *(f"> {note}\n" for note in notes)]
    judges = f"Identity by {who or 'dlib, which is not at hand'}, expression by {what or 'MediaPipe, which is not at hand'}."
    lines += ["## Another's picture, a third one's expression", "", judges, "", *_headline(results.headline)]
    for label, makers in results.identity.items():
        levels = "; ".join(
            f"{source}: {one.same:.3f} the same person, {one.strangers:.3f} strangers"
            for source, one in results.levels[label].items()
        )
        lines += ["", f"## Identity by {label}", "", f"Mean cosines of photos: {levels}.", "", *_figures(makers)]
    for label, makers in results.expression.items():
        lines += ["", f"## Expression by {label}", "", *_figures(makers)]
    if results.own:
        lines += ["", "## A person's own other photo and its expression", "", judges, "", *_figures(results.own, OWN_TARGET)]
    for name, parts in results.bins.items():
        columns = list(results.headline)
        rows = [
            [part.label, str(part.count), TITLES[figure], *(written(figure, part.figures[maker][figure]) for maker in columns)]
            for part in parts
            for figure in BINNED
        ]
        heading, unit = _BINS[name]
        header = [unit, "cases", "figure", *(MAKERS[maker] for maker in columns)]
        lines += ["", f"## {heading}", "", *table(header, rows)]
    return "\n".join(lines) + "\n"


def _headline(makers: ByMaker) -> list[str]:
    rows = []
    for name, first in makers[CHECKPOINT].items():
        goal = GOALS.get(name)
        ends = ["", ""] if goal is None else [range_text(name, end) for end in (goal.floor, goal.target)]
        reached = "" if goal is None else goal.reached(first.value)
        cells = [written(name, figures[name]) for figures in makers.values()]
        rows.append([TITLES[name], *ends, reached, *cells, str(first.count)])
    return table(["figure", "floor", "target", "reached", *(MAKERS[maker] for maker in makers), "cases"], rows)


def _figures(makers: ByMaker, target: str = MAKERS[TARGET]) -> list[str]:
    titles = MAKERS | {TARGET: target, WORN: "the renders that wear the words"}
    names = [name for name in TITLES if any(name in figures for figures in makers.values())]
    rows = [[TITLES[name], *(written(name, figures.get(name, NOTHING)) for figures in makers.values())] for name in names]
    return table(["figure", *(titles[maker] for maker in makers)], rows)
