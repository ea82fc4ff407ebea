"""Figures as JSON and as Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from .markdown import table
from .metrics import Figure, plain, shown
from .pictures import KINDS
from .summary import Figures

KIND_TITLES = {"generated": "generated", "answer": "right answer", "round_trip": "its round trip"}
# Title, digits, whether it is a share.
TITLES = {
    "identity_cosine": "identity: cosine to the reference",
    "identity_retrieval": "identity: retrieved first among all people",
    "expression_error": "expression: mean error of active coefficients",
    "expression_correlation": "expression: correlation, mean of coefficients",
    "primaries_recognised": "expression: primary emotion recognised",
    "face_seen": "expression: a face is seen",
    "pose_error": "pose: mean error in degrees",
    "source_leakage": "leakage: expression source's person retrieved",
    "source_leakage_times_chance": "leakage: the same, times chance",
    "target_leakage": "leakage: target's person retrieved",
    "target_leakage_times_chance": "leakage: the same, times chance",
    "identity_moved_by_expression": "independence: identity moved (1 - cosine) by another expression",
    "identity_moved_beyond_answer": "independence: the same, beyond the right answers",
    "expression_moved_by_identity": "independence: coefficients moved by another person",
    "expression_moved_beyond_answer": "independence: the same, beyond the right answers",
    "expression_error_change": "independence: change of the expression's error with another person",
    "identity_moved_by_identity": "for comparison: identity moved by another person",
    "inside_difference": "picture: mean difference to the answer inside the mask, grey levels",
    "outside_before_paste": "picture: mean difference outside the mask before pasting, grey levels",
    "outside_largest": "picture: largest difference outside the mask after pasting, grey levels",
}
SHARES = ("identity_retrieval", "primaries_recognised", "face_seen", "source_leakage", "target_leakage")
_LEVELS = ("pose_error", "source_leakage_times_chance", "target_leakage_times_chance", "inside_difference",
           "outside_before_paste", "outside_largest")  # fmt: skip
_BINNED = ("identity_cosine", "identity_retrieval", "expression_error", "expression_correlation", "pose_error")
_BIN_TITLES = {"yaw": "target's head turned, degrees", "light": "difference of the lights, stops"}


def as_json(run: Mapping[str, Any], figures: Figures, binned: Mapping[str, Sequence[tuple[str, int, Figures]]]) -> str:
    """The whole result; the same figures always give the same text."""
    document = {
        "run": run,
        "metrics": _plain(figures),
        "bins": {
            name: [{"label": label, "count": count, "metrics": _plain(one)} for label, count, one in parts]
            for name, parts in binned.items()
        },
    }
    return json.dumps(document, indent=2) + "\n"


def _told(value: Any) -> str:
    """A fact about a run; one of several entries as a list of them."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_told(one)}" for name, one in value.items())
    return str(value)


def as_markdown(
    run: Mapping[str, Any],
    notes: Sequence[str],
    figures: Figures,
    binned: Mapping[str, Sequence[tuple[str, int, Figures]]],
) -> str:
    """Tables for people: what was run, all metrics, then the bins."""
    facts = [f"- {name}: {_told(value)}" for name, value in run.items()]
    lines = ["# Evaluation", "", *facts, "", *(f"> {note}\n" for note in notes)]
    lines += table(
        ["metric", *(KIND_TITLES[kind] for kind in KINDS), "samples"],
        [
            [title, *(formatted(name, figures[name][kind]) for kind in KINDS), str(figures[name]["generated"].count)]
            for name, title in TITLES.items()
            if name in figures
        ],
    )
    for name, parts in binned.items():
        rows = [
            [label, str(count), TITLES[metric], *(formatted(metric, one[metric][kind]) for kind in KINDS)]
            for label, count, one in parts
            for metric in _BINNED
        ]
        header = [_BIN_TITLES[name], "samples", "metric", *(KIND_TITLES[kind] for kind in KINDS)]
        lines += ["", f"## By {name}", "", *table(header, rows)]
    return "\n".join(lines) + "\n"


def formatted(name: str, figure: Figure) -> str:
    """A figure with its interval, such as "0.412 (0.380 to 0.441)"; a dash where nothing was measured."""
    form = ".1%" if name in SHARES else ".2f" if name in _LEVELS else ".3f"
    return shown(figure, lambda number: format(number, form))


def _plain(figures: Figures) -> dict[str, dict[str, Any]]:
    return {name: plain(kinds) for name, kinds in figures.items()}
