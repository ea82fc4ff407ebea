"""The headline figures as bars beside their floors and targets."""

from __future__ import annotations

import math
from pathlib import Path

from ..plots import bars, plotting, save
from .goals import GOALS, MAKERS, TITLES
from .painters import CHECKPOINT, FORERUNNER, ROUND_TRIP, TARGET, WARPED
from .summary import ByMaker

_COLOURS = {CHECKPOINT: "#d1495b", FORERUNNER: "#edae49", WARPED: "#66a182", TARGET: "#8d99ae", ROUND_TRIP: "#30638e"}
_ACROSS, _WRAP = 5, 30


def plot_headline(makers: ByMaker, path: Path) -> None:
    """A PNG with a panel for each figure that has a floor: a bar for everyone's, its floor dashed, its target drawn through."""
    from textwrap import fill

    pyplot = plotting()
    drawn, grid = pyplot.subplots(
        math.ceil(len(GOALS) / _ACROSS), _ACROSS, figsize=(3 * _ACROSS, 6), squeeze=False, layout="constrained"
    )
    for axes, (name, goal) in zip(grid.flat, GOALS.items(), strict=False):
        for place, (maker, figures) in enumerate(makers.items()):
            bars(axes, [place], [figures[name]], MAKERS[maker], _COLOURS[maker], 0.8)
        for style, ends in (("--", goal.floor), ("-", goal.target)):
            for end in ends:
                if math.isfinite(end):
                    axes.axhline(end, color="black", linewidth=0.8, linestyle=style)
        axes.set_xticks([])
        axes.set_xlim(-0.6, len(makers) - 0.4)
        axes.set_title(fill(TITLES[name], _WRAP), fontsize=8)
    for axes in list(grid.flat)[len(GOALS) :]:
        axes.axis("off")
    handles = [pyplot.Rectangle((0, 0), 1, 1, color=_COLOURS[maker]) for maker in makers]
    drawn.legend(handles, [MAKERS[maker] for maker in makers], loc="outside lower center", ncols=len(makers), fontsize=8)
    drawn.suptitle("means and 95 % intervals over people; dashed: floor, drawn through: target", fontsize=9)
    save(drawn, path)
