"""Table 1 of the paper: what each estimator is worth as the losses' x0*, over fine-tunes of several seeds."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..metrics import Figure, plain, shown
from ..plots import plotting, save
from ..store import out_folder, write_text

VARIANTS = ("none", "one_step", "midpoint", "improved_midpoint")
"""The paper's rows: without the losses, and with them on the x0* of each estimator."""
PAPER = {"none": (67.5, 0.71), "one_step": (83.1, 0.62), "midpoint": (74.0, 0.70), "improved_midpoint": (87.0, 0.63)}
"""ID (higher is better) and Exp. (lower is better) there, both times 100, of networks and people that are not ours."""
_METRICS = {
    "identity_cosine": "identity cosine",
    "identity_retrieval": "identity retrieved",
    "expression_error": "expression error",
}
_SAME = ("judge of identity", "judge of expression", "people", "seed", "size", "sampling", "faces", "conditioned on")
_BASE = "improved_midpoint"
_LEVEL = 0.975


@dataclass(frozen=True)
class Finished:
    """A finished evaluation of one fine-tune: its folder, variant and seed, and metrics.json."""

    folder: Path
    variant: str
    seed: int
    document: Mapping[str, Any]

    def figure(self, metric: str) -> Figure:
        """Of what was generated."""
        return Figure(**self.document["metrics"][metric]["generated"])


def variant_and_seed(name: str) -> tuple[str, int]:
    """What a name such as "one_step-seed2" says; raises ValueError for another one."""
    found = re.fullmatch(r"(.+?)[-_ ]seed[-_ ]?(\d+)", name)
    if found is None:
        raise ValueError(f"{name}: expected a name such as one_step-seed0: the variant, then the seed")
    return found[1], int(found[2])


def read_results(folder: Path) -> Mapping[str, Any]:
    """metrics.json of a finished evaluation; raises ValueError where the folder holds none."""
    path = folder / "metrics.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if not {"run", "metrics"} <= document.keys():
            raise ValueError("it lacks run or metrics")
    except (OSError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{path} is not the result of an evaluation ({error}); finish it with the command run first"
        ) from error
    return document


def finished_runs(folders: Sequence[Path]) -> list[Finished]:
    """Evaluations by their folders' names. Raises ValueError for names that do not tell, twins, and unlike settings."""
    found: list[Finished] = []
    for folder in folders:
        one = Finished(folder, *variant_and_seed(folder.name), read_results(folder))
        for other in found:
            if (other.variant, other.seed) == (one.variant, one.seed):
                raise ValueError(f"{other.folder} and {folder}: both are of {one.variant}, seed {one.seed}; give one of them")
        for entry in _SAME:
            before, now = (run.document["run"].get(entry) for run in (found[0] if found else one, one))
            if before != now:
                raise ValueError(
                    f"{folder}: cannot be compared with {found[0].folder} ({entry}: {now} here, {before} there); "
                    "evaluate them alike"
                )
        found.append(one)
    return found


def over_seeds(values: Sequence[Figure]) -> Figure:
    """The mean of one figure for each seed, with Student's 95 % interval; of a single seed, that evaluation's own figure."""
    known = [one.value for one in values if one.value is not None]
    if len(known) < 2:
        return next((one for one in values if one.value is not None), Figure(None, None, None, 0))
    from scipy.stats import t

    mean = sum(known) / len(known)
    deviation = (sum((value - mean) ** 2 for value in known) / (len(known) - 1)) ** 0.5
    reach = float(t.ppf(_LEVEL, len(known) - 1)) * deviation / len(known) ** 0.5
    return Figure(mean, mean - reach, mean + reach, len(known))


def ablation(folders: Sequence[Path], out: Path) -> str:
    """Write ablation.json, ablation.md and ablation.png of finished evaluations in folders named VARIANT-seedNUMBER.

    Returns the table; raises ValueError or OSError naming what is wrong.
    """
    plotting()
    runs = finished_runs(folders)
    if not runs:
        raise ValueError("ablation: expected finished evaluations, found none")
    out_folder(out)
    others = sorted({run.variant for run in runs} - set(VARIANTS))
    names = [name for name in (*VARIANTS, *others) if any(run.variant == name for run in runs)]
    rows = {name: [run for run in runs if run.variant == name] for name in names}
    figures = {
        name: {metric: over_seeds([run.figure(metric) for run in found]) for metric in _METRICS} for name, found in rows.items()
    }
    beside = {name: _differences(rows[name], rows[_BASE]) for name in names if name != _BASE and _BASE in rows}
    table = _table(rows, figures, beside)
    document = {
        "variants": {
            name: {"seeds": [run.seed for run in found], "paper": _paper(name), **plain(figures[name])}
            for name, found in rows.items()
        },
        "improved_midpoint_minus": {name: plain(ones) for name, ones in beside.items()},
        "run": {entry: runs[0].document["run"].get(entry) for entry in _SAME},
    }
    write_text(out / "ablation.json", json.dumps(document, indent=2) + "\n")
    write_text(out / "ablation.md", table)
    _plot(rows, figures, out / "ablation.png")
    return table


def _differences(others: Sequence[Finished], base: Sequence[Finished]) -> dict[str, Figure]:
    """What the improved midpoint has more than another variant, seed by seed, which share data order and noise."""
    pairs = [(one, other) for one in base for other in others if one.seed == other.seed]
    found = {}
    for metric in _METRICS:
        values = [(one.figure(metric).value, other.figure(metric).value) for one, other in pairs]
        known = [mine - theirs for mine, theirs in values if mine is not None and theirs is not None]
        # One seed alone gives no interval.
        found[metric] = over_seeds([Figure(value, None, None, 1) for value in known])
    return found


def _paper(name: str) -> dict[str, float] | None:
    return {"ID": PAPER[name][0], "Exp": PAPER[name][1]} if name in PAPER else None


def _table(
    rows: Mapping[str, Sequence[Finished]],
    figures: Mapping[str, Mapping[str, Figure]],
    beside: Mapping[str, Mapping[str, Figure]],
) -> str:
    lines = ["# Ablation of the estimator", "", "All times 100; means over the seeds with Student's 95 % intervals.", ""]
    titles = list(_METRICS.values())
    lines += [f"| variant | seeds | {' | '.join(titles)} | the paper's ID | the paper's Exp. |", "|---" * 7 + "|"]
    for name, found in rows.items():
        cells = [_times_100(figures[name][metric]) for metric in _METRICS]
        paper = [str(value) for value in PAPER[name]] if name in PAPER else ["-", "-"]
        lines.append(f"| {name} | {', '.join(str(run.seed) for run in found)} | {' | '.join([*cells, *paper])} |")
    lines.append("")
    for metric, down in (("identity_cosine", True), ("identity_retrieval", True), ("expression_error", False)):
        lines.append(
            f"- Order here by {_METRICS[metric]}: {_order({n: one[metric].value for n, one in figures.items()}, down)}"
        )
    lines.append(f"- Order in the paper by ID: {_order({name: PAPER[name][0] for name in PAPER}, True)}")
    lines.append(f"- Order in the paper by Exp.: {_order({name: PAPER[name][1] for name in PAPER}, False)}")
    if beside:
        lines += ["", f"What {_BASE} has more, on the same seeds:", "", f"| than | {' | '.join(titles)} |", "|---" * 4 + "|"]
        lines += [f"| {name} | {' | '.join(_times_100(one[metric]) for metric in _METRICS)} |" for name, one in beside.items()]
    lines += ["", "Networks, people and judges are not the paper's: compare the orders, not the numbers."]
    return "\n".join(lines) + "\n"


def _order(values: Mapping[str, float | None], falling: bool) -> str:
    known = {name: value for name, value in values.items() if value is not None}
    return (" > " if falling else " < ").join(sorted(known, key=lambda name: known[name], reverse=falling)) or "not measured"


def _times_100(one: Figure) -> str:
    return shown(one, lambda number: f"{100 * number:.2f}")


def _plot(rows: Mapping[str, Sequence[Finished]], figures: Mapping[str, Mapping[str, Figure]], path: Path) -> None:
    pyplot = plotting()
    drawn, grid = pyplot.subplots(1, len(_METRICS), figsize=(4.2 * len(_METRICS), 3.8), layout="constrained")
    for axes, (metric, title) in zip(grid, _METRICS.items(), strict=True):
        for place, (name, found) in enumerate(rows.items()):
            mean = figures[name][metric]
            single = [run.figure(metric).value for run in found]
            dots = [100 * value for value in single if value is not None]
            axes.plot([place] * len(dots), dots, "o", color="#8d99ae", markersize=4)
            if mean.value is not None and mean.low is not None and mean.high is not None:
                reach = [[100 * (mean.value - mean.low)], [100 * (mean.high - mean.value)]]
                axes.errorbar([place], [100 * mean.value], yerr=reach, fmt="_", capsize=4, markersize=14, color="#d1495b")
        axes.set_xticks(range(len(rows)), list(rows), rotation=20, fontsize=8)
        axes.set_xlim(-0.6, len(rows) - 0.4)
        axes.set_title(f"{title}, times 100")
    save(drawn, path)
