"""The figures of encoders as JSON and as Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ...landmarker import BLIND
from ..metrics import Figure, shown
from .measure import Figures

REST = "a face at rest, whatever is shown"
_TITLES = {
    "auc": "verification: area under the ROC curve",
    "tar_permille": "verification: true accepts at 0.1 % false ones",
    "from_permille": "verification: the cosine that at most 0.1 % of false ones reach",
    "tar_percent": "verification: true accepts at 1 % false ones",
    "from_percent": "verification: the cosine that at most 1 % of false ones reach",
    "retrieved": "the reference is found first among all people",
    "face_before_head": "nearer to the person than to the own head with another face",
    "cosine_same": "cosine: same person",
    "cosine_others": "cosine: other people, mean",
    "cosine_same_head": "cosine: same head, another face",
    "read": "faces read",
    "error_active": "error of coefficients above 0.05",
    "error_all": "error of all coefficients",
    "correlation": "correlation, mean of coefficients",
    "pose": "pose: mean error in degrees",
    "pitch": "pose: pitch",
    "yaw": "pose: yaw",
    "roll": "pose: roll",
    "recall": "faces found (overlap 0.5)",
    "points": "points: error in shares of the eyes' distance",
    "false": "false finds a picture",
    "found": "photos with a face",
    "several": "photos with several faces",
}
_SHARES = ("tar_permille", "tar_percent", "retrieved", "face_before_head", "read", "recall", "points", "found", "several")
_DEGREES = ("pose", "pitch", "yaw", "roll", "false")


@dataclass(frozen=True)
class Results:
    """Figures by encoder. detectors and photos: by detector, then by kind of picture. by_name: by coefficient."""

    recognisers: dict[str, Figures] = field(default_factory=dict)
    expressions: dict[str, Figures] = field(default_factory=dict)
    by_name: dict[str, dict[str, Figures]] = field(default_factory=dict)
    detectors: dict[str, Figures] = field(default_factory=dict)
    photos: dict[str, Figures] = field(default_factory=dict)


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
    ):
        if figures:
            lines += ["", f"## {title}", "", *_table(figures)]
    if results.by_name:
        lines += ["", "## Coefficients", "", *_coefficients(results.by_name)]
    return "\n".join(lines) + "\n"


def _table(encoders: Mapping[str, Figures]) -> list[str]:
    names = [name for name in _TITLES if any(name in figures for figures in encoders.values())]
    rows = [
        [_TITLES[name], *(_shown(name, figures[name]) if name in figures else "-" for figures in encoders.values())]
        for name in names
    ]
    return _rows(["", *encoders], rows)


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
            row += [_shown(kind, figures[name][kind]) for kind in ("error_active", "correlation")]
        rows.append(row)
    return _rows(header, rows)


def _rows(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]


def _shown(name: str, figure: Figure) -> str:
    form = ".1%" if name in _SHARES else ".2f" if name in _DEGREES else ".3f"
    return shown(figure, lambda number: format(number, form))
