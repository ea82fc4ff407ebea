"""Figure 1 of the paper: how far every estimator's x0* is from the truth, from checkpoint to checkpoint of one training."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ...estimators import ESTIMATORS
from ...estimators.variants import ROLES
from ...network import load_checkpoint
from ..estimator_errors import BACKGROUND, MEASURED, MEASURES, TITLES, measure, summary
from ..metrics import Figure
from ..plots import plotting, save
from ..store import RunFolder, digest, out_folder, write_text
from ..study import Samples, Study

METHODS = tuple(name for name, one in ESTIMATORS.items() if not one.bound)
"""Estimators that need no ground truth."""


@dataclass(frozen=True)
class Point:
    """One checkpoint of the training: its name, its step, and the figures of `estimator_errors.summary`."""

    name: str
    step: int
    estimators: dict[str, Any]


def training_step(path: Path) -> int:
    """The training step of a checkpoint: what it says of itself, or the last number in its file's name.

    Raises ValueError where there is neither.
    """
    told = load_checkpoint(path).metadata.step
    if told is not None:
        return told
    numbers = re.findall(r"\d+", path.stem)
    if not numbers:
        raise ValueError(
            f"checkpoints: {path.name} names no training step; rename it to end in one, such as step-2000.safetensors"
        )
    return int(numbers[-1])


def training_steps(paths: Sequence[Path]) -> list[int]:
    """The steps of checkpoints; raises ValueError unless they rise."""
    steps = [training_step(path) for path in paths]
    for before, after, one, other in zip(steps, steps[1:], paths, paths[1:], strict=False):
        if after <= before:
            raise ValueError(
                f"checkpoints: expected them in the order of training, found {other.name} (step {after}) after {one.name} "
                f"(step {before})"
            )
    return steps


def curve(study: Study, checkpoints: Sequence[Path], put_back: bool, rendered: Path, out: Path) -> str:
    """Measure all checkpoints on the same triplets and noise, going on where it was stopped; returns the table.

    study: its own checkpoint is not looked at. rendered: folder that keeps the triplets. Writes curve.json, curve.md,
    curve.png over all timesteps and one plot by timestep for each measure. Raises ValueError or OSError naming what is wrong.
    """
    plotting()
    steps = training_steps(checkpoints)
    out_folder(out)
    points, note = [], ""
    for path, step in zip(checkpoints, steps, strict=True):
        samples = Samples(replace(study, checkpoint=path), rendered)
        kept = RunFolder(out / "kept" / digest(path), _fingerprint(samples, put_back), "errors")
        points.append(Point(path.name, step, summary(measure(samples, put_back, kept))))
        note = samples.note
    run = {"samples": study.samples, "seed": study.seed, "timesteps": list(study.timesteps),
           "background": BACKGROUND[put_back], "note": note}  # fmt: skip
    best = {kind: lowest(points, kind) for kind in MEASURES}
    document = {"run": run, "lowest": best, "checkpoints": [asdict(point) for point in points]}
    table = _table(points, best, run)
    write_text(out / "curve.json", json.dumps(document, indent=2, default=asdict) + "\n")
    write_text(out / "curve.md", table)
    _plot(points, out / "curve.png")
    for kind in MEASURES:
        _plot_timesteps(points, kind, study.timesteps, out / f"curve_{kind}.png")
    return table


def lowest(points: Sequence[Point], kind: str) -> dict[str, int]:
    """Of how many checkpoints an estimator that needs no ground truth has the smallest mean error; those with any."""
    winners = [min(METHODS, key=lambda name: _mean(point, name, kind)) for point in points]
    return {name: winners.count(name) for name in METHODS if name in winners}


def _fingerprint(samples: Samples, put_back: bool) -> dict[str, Any]:
    return samples.settings() | {
        "pose": samples.study.pose,
        "timesteps": samples.study.timesteps,
        "put_back": put_back,
        "estimators": MEASURED,
        "measures": MEASURES,
    }


def _mean(point: Point, name: str, kind: str) -> float:
    return point.estimators[name][kind]["mean"].value


def _title(name: str) -> str:
    roles = [role.replace("_", " ") for role, meant in ROLES.items() if meant == name]
    bound = name in ESTIMATORS and ESTIMATORS[name].bound
    return name + "".join(f" (the paper's {role} here)" for role in roles) + (" (a bound)" if bound else "")


def _table(points: Sequence[Point], best: dict[str, dict[str, int]], run: dict[str, Any]) -> str:
    lines = ["# Mean squared error of x0* over the training", "", *(f"- {name}: {value}" for name, value in run.items())]
    for kind in MEASURES:
        lines += ["", f"## {TITLES[kind]}", "", f"| step | {' | '.join(_title(name) for name in MEASURED)} |"]
        lines.append("|---" * (1 + len(MEASURED)) + "|")
        for point in points:
            values = " | ".join(f"{_mean(point, name, kind):.4g}" for name in MEASURED)
            lines.append(f"| {point.step} | {values} |")
        told = ", ".join(f"{name} at {count}" for name, count in best[kind].items())
        lines += ["", f"Smallest of {len(points)} checkpoints, estimators without the truth: {told}."]
    lines += ["", "The paper: its improved midpoint is smallest throughout the training."]
    return "\n".join(lines) + "\n"


def _plot(points: Sequence[Point], path: Path) -> None:
    pyplot = plotting()
    drawn, grid = pyplot.subplots(1, len(MEASURES), figsize=(4.2 * len(MEASURES), 4), layout="constrained")
    for axes, kind in zip(grid, MEASURES, strict=True):
        _lines(axes, points, {name: [point.estimators[name][kind]["mean"] for point in points] for name in MEASURED})
        axes.set_title(TITLES[kind])
    grid[0].set_ylabel("mean squared error")
    grid[-1].legend(fontsize=8)
    save(drawn, path)


def _plot_timesteps(points: Sequence[Point], kind: str, times: Sequence[int], path: Path) -> None:
    pyplot = plotting()
    columns = min(3, len(times))
    rows = -(-len(times) // columns)
    drawn, grid = pyplot.subplots(rows, columns, figsize=(4 * columns, 3.2 * rows), squeeze=False, layout="constrained")
    for axes in grid.flat[len(times) :]:
        axes.set_axis_off()
    for axes, time in zip(grid.flat, sorted(times), strict=False):
        figures = {name: [point.estimators[name][kind]["by_timestep"][str(time)] for point in points] for name in MEASURED}
        _lines(axes, points, figures)
        axes.set_title(f"{TITLES[kind]}, timestep {time}", fontsize=9)
    grid[0][0].legend(fontsize=7)
    save(drawn, path)


def _lines(axes: Any, points: Sequence[Point], figures: dict[str, list[Figure]]) -> None:
    for name, values in figures.items():
        style = "-" if name in METHODS else ":"
        axes.plot([point.step for point in points], [one.value for one in values], style, marker=".", label=name)
    axes.set_xlabel("training step")
    axes.set_yscale("log")
