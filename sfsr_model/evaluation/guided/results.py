"""What a study of guidance comes to: figures, the table and the plot."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ..metrics import Figure, figure, plain, shown
from ..plots import plotting, save
from ..store import write_text
from ..tables import table
from .runs import Setting

MEASURES = ("judge_cosine", "judge_expression_error", "guide_cosine", "seconds", "guidance_seconds")
_TITLES = {
    "judge_cosine": "judge's cosine",
    "judge_expression_error": "judge's expression error",
    "guide_cosine": "guide's cosine",
    "seconds": "CPU seconds a picture",
    "guidance_seconds": "of these guidance",
}
_OURS = "improved_midpoint"

Values = dict[str, Tensor]
"""MEASURES of every picture, [5, N], by the setting's name."""


def write_results(values: Values, settings: Sequence[Setting], facts: Mapping[str, Any], out: Path) -> str:
    """Write guidance.json, guidance.md and guidance.png; returns the table."""
    figures = {name: {kind: figure(row) for kind, row in zip(MEASURES, found, strict=True)} for name, found in values.items()}
    gains = {one.name: _gains(values, one) for one in settings if one.guided}
    document = {
        "run": dict(facts),
        "settings": [
            {"estimate": one.estimate, "steps": one.steps, "evaluations": one.evaluations, "guided": one.guided,
             **plain(figures[one.name]), "gained": plain(gains.get(one.name, {}))}
            for one in settings
        ],
    }  # fmt: skip
    text = _table(figures, gains, settings, facts)
    write_text(out / "guidance.json", json.dumps(document, indent=2) + "\n")
    write_text(out / "guidance.md", text)
    _plot(figures, settings, out / "guidance.png")
    return text


def _gains(values: Values, setting: Setting) -> dict[str, Figure]:
    """What the judges find better than with no guided step, picture by picture: cosine gained, share of the error lost."""
    before, after = values[Setting(setting.estimate, setting.steps, 0).name], values[setting.name]
    return {
        "judge_cosine": figure(after[0] - before[0]),
        "judge_expression_error": figure((before[1] - after[1]) / before[1].nanmean()),
    }


def _table(
    figures: Mapping[str, Mapping[str, Figure]],
    gains: Mapping[str, Mapping[str, Figure]],
    settings: Sequence[Setting],
    facts: Mapping[str, Any],
) -> str:
    rows = []
    for one in settings:
        gained = gains.get(one.name)
        cells = [shown(figures[one.name][kind], "{:.3f}".format) for kind in MEASURES[:3]]
        cells += [f"{figures[one.name][kind].value:.2f}" for kind in MEASURES[3:]]
        more = ["-", "-"]
        if gained is not None:
            more = [shown(gained["judge_cosine"], "{:+.3f}".format), shown(gained["judge_expression_error"], "{:.0%}".format)]
        rows.append([one.estimate, str(one.steps), str(one.evaluations), str(one.guided), *cells, *more])
    header = ["estimate", "steps", "evaluations", "guided steps", *_TITLES.values(), "cosine gained", "error less by"]
    facts_told = [f"- {name}: {value}" for name, value in facts.items()]
    return "\n".join(["# Guidance of x0*", "", *facts_told, "", *table(header, rows)]) + "\n"


def _plot(figures: Mapping[str, Mapping[str, Figure]], settings: Sequence[Setting], path: Path) -> None:
    pyplot = plotting()
    drawn, grid = pyplot.subplots(1, 3, figsize=(13, 4), layout="constrained")
    main = max(one.steps for one in settings if one.estimate == _OURS)
    for axes, kind in zip(grid, ("judge_cosine", "judge_expression_error", "seconds"), strict=True):
        for estimate in dict.fromkeys(one.estimate for one in settings):
            rows = sorted((one.guided, one.name) for one in settings if one.estimate == estimate and (
                estimate != _OURS or one.steps == main))  # fmt: skip
            found = [figures[name][kind] for _, name in rows]
            # None, where nothing could be measured, becomes no point.
            means, low, high = np.array([(one.value, one.low, one.high) for one in found], float).T
            axes.errorbar(
                [count for count, _ in rows], means, (means - low, high - means), marker="o", capsize=3, label=estimate
            )
        axes.set_xlabel("guided steps")
        axes.set_title(_TITLES[kind], fontsize=10)
    grid[0].legend(fontsize=8)
    save(drawn, path)
