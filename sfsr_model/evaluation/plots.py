"""Plots of figures, as PNG files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..files import whole_file
from .metrics import Figure
from .pictures import KINDS
from .summary import Figures
from .tables import KIND_TITLES, SHARES

_COLOURS = {"generated": "#d1495b", "answer": "#30638e", "round_trip": "#8d99ae"}
_SHOWN = {
    "identity_cosine": "identity cosine",
    "identity_retrieval": "retrieved",
    "expression_error": "expression error",
    "expression_correlation": "expression correlation",
    "primaries_recognised": "primary recognised",
    "source_leakage": "source leaks",
    "target_leakage": "target leaks",
    "identity_moved_by_expression": "identity moved\nby expression",
    "expression_moved_by_identity": "expression moved\nby person",
}
_BINNED = ("identity_cosine", "identity_retrieval", "expression_error", "expression_correlation")
_AXES = {"yaw": "head turned, degrees", "light": "difference of the lights, stops"}


def plotting() -> Any:
    """matplotlib's pyplot without a screen. Raises ImportError that says what to install."""
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError(f"plots need matplotlib ({error}); install it with `pip install matplotlib`") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def plot_metrics(figures: Figures, path: Path) -> None:
    """Bars with intervals: the main metrics, of each kind."""
    pyplot = plotting()
    names = [name for name in _SHOWN if name in figures]
    drawn, axes = pyplot.subplots(figsize=(1.5 * len(names) + 1, 4.2))
    for place, kind in enumerate(KINDS):
        offsets = [number + 0.27 * (place - 1) for number in range(len(names))]
        bars(axes, offsets, [figures[name][kind] for name in names], KIND_TITLES[kind], _COLOURS[kind])
    axes.set_xticks(range(len(names)), [_SHOWN[name] for name in names], rotation=20)
    axes.axhline(0, color="black", linewidth=0.6)
    axes.legend()
    axes.set_title("means and 95 % intervals; shares from 0 to 1")
    save(drawn, path)


def plot_bins(binned: Mapping[str, Sequence[tuple[str, int, Figures]]], path: Path) -> None:
    """A row for each way of binning, a column for each of the metrics."""
    pyplot = plotting()
    drawn, grid = pyplot.subplots(
        len(binned), len(_BINNED), figsize=(4 * len(_BINNED), 3.2 * len(binned)), squeeze=False, layout="constrained"
    )
    for row, (name, parts) in zip(grid, binned.items(), strict=True):
        for axes, metric in zip(row, _BINNED, strict=True):
            for place, kind in enumerate(KINDS):
                offsets = [number + 0.27 * (place - 1) for number in range(len(parts))]
                bars(axes, offsets, [one[metric][kind] for _, _, one in parts], KIND_TITLES[kind], _COLOURS[kind])
            axes.set_xticks(range(len(parts)), [f"{label}\n(n={count})" for label, count, _ in parts], fontsize=8)
            axes.set_xlim(-0.6, len(parts) - 0.4)
            axes.set_xlabel(_AXES[name])
            axes.set_title(_SHOWN[metric])
            if metric in SHARES:
                axes.set_ylim(0, 1)
    grid[0][0].legend()
    save(drawn, path)


def save(drawn: Any, path: Path) -> None:
    """Write a figure as PNG, whole or not at all, and close it."""
    with whole_file(path) as partial:
        drawn.savefig(partial, format="png", dpi=110, bbox_inches="tight")
    plotting().close(drawn)


def bars(axes: Any, offsets: Sequence[float], figures: Sequence[Figure], label: str, colour: str, width: float = 0.25) -> None:
    """Bars with intervals at offsets; a figure that was not measured has none."""
    known = [
        (offset, one.value, one.value - one.low, one.high - one.value)
        for offset, one in zip(offsets, figures, strict=True)
        if one.value is not None and one.low is not None and one.high is not None
    ]
    if known:
        places, values, below, above = zip(*known, strict=True)
        # A skewed statistic may lie outside its own bootstrap interval.
        errors = [[max(0.0, length) for length in side] for side in (below, above)]
        axes.bar(places, values, width=width, yerr=errors, capsize=2, label=label, color=colour)
