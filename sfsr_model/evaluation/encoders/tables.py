"""The figures of encoders as JSON and as Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ...landmarker import BLIND
from ..markdown import table
from .measure import Figures
from .titles import TITLES, written

REST = "a face at rest, whatever is shown"


@dataclass(frozen=True)
class Results:
    """Figures by encoder. detectors and photos: by detector, then by kind of picture. by_name: by coefficient. labelled: by
    the table's title first."""

    recognisers: dict[str, Figures] = field(default_factory=dict)
    expressions: dict[str, Figures] = field(default_factory=dict)
    by_name: dict[str, dict[str, Figures]] = field(default_factory=dict)
    detectors: dict[str, Figures] = field(default_factory=dict)
    photos: dict[str, Figures] = field(default_factory=dict)
    labelled: dict[str, dict[str, Figures]] = field(default_factory=dict)


def as_json(run: Mapping[str, Any], results: Results) -> str:
    """The whole result."""
    return json.dumps({"run": run, **asdict(results)}, indent=2) + "\n"


def as_markdown(run: Mapping[str, Any], results: Results) -> str:
    """Tables for people."""
    lines = ["# Encoders", "", *(f"- {name}: {value}" for name, value in run.items())]
    for title, figures in (
        ("Recognisers", results.recognisers),
        ("Expression encoders", results.expressions),
        ("Detectors", results.detectors),
        ("Photos", results.photos),
        *results.labelled.items(),
    ):
        if figures:
            lines += ["", f"## {title}", "", *_table(figures)]
    if results.by_name:
        lines += ["", "## Coefficients", "", *_coefficients(results.by_name)]
    return "\n".join(lines) + "\n"


def _table(encoders: Mapping[str, Figures]) -> list[str]:
    names = [name for name in TITLES if any(name in figures for figures in encoders.values())]
    rows = [
        [TITLES[name], *(written(name, figures[name]) if name in figures else "-" for figures in encoders.values())]
        for name in names
    ]
    return table(["", *encoders], rows)


def _coefficients(encoders: Mapping[str, Mapping[str, Figures]]) -> list[str]:
    """Error where it is active, and correlation; those that MediaPipe hardly raises come first."""
    coefficients = next(iter(encoders.values()))
    order = [*(name for name in coefficients if name in BLIND), *(name for name in coefficients if name not in BLIND)]
    header = ["coefficient", "active in"]
    for encoder in encoders:
        header += [f"{encoder}: error", "correlation"]
    rows = []
    for name in order:
        marked = f"{name} (MediaPipe: hardly)" if name in BLIND else name
        row = [marked, str(coefficients[name]["error_active"].count)]
        for figures in encoders.values():
            row += [written(kind, figures[name][kind]) for kind in ("error_active", "correlation")]
        rows.append(row)
    return table(header, rows)
