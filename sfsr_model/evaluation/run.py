"""The command `run`: make the pictures of all cases, judge them, write the figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..encoders.recogniser import InsightFaceEncoder
from ..naming import naming
from .cases import Case, check_seed, plan_cases
from .expression_judges import ExpressionJudge, load_expression_judge
from .generate import Sampling
from .identities import RENDERED, load_judge
from .pictures import make_pictures
from .plots import plot_bins, plot_metrics, plotting
from .readings import Measured, join, read_part
from .sheet import COLUMNS, draw_sheet
from .store import Arrays, RunFolder, digest, write_text
from .subject import Subject, load_subject
from .summary import by_bin, summarise
from .tables import as_json, as_markdown


@dataclass(frozen=True)
class Plan:
    """An evaluation. recogniser: a path, or "rendered" for the renderer's own vectors. judge: a recogniser's path, None for
    the one that conditions. expression_judge: a face_landmarker.task, or the project's own
    expression encoder. size: of the pictures, None for the checkpoint's own.
    max_yaw: in radians."""

    checkpoint: Path
    cache: Path
    out: Path
    recogniser: str
    judge: Path | None
    expression_judge: Path | None
    people: int
    primary_people: int
    seed: int
    max_yaw: float
    size: int | None
    batch: int
    sheet_rows: int
    sampling: Sampling
    device: str


@dataclass(frozen=True)
class _Loaded:
    """What a plan names, loaded and checked."""

    subject: Subject
    judge: InsightFaceEncoder
    expressions: ExpressionJudge | None
    notes: tuple[str, ...]


def run(plan: Plan) -> str:
    """Carry out a plan, or go on with it where its folder has begun it; returns the tables.

    Everything is checked before the first picture. Raises ValueError, OSError or ImportError naming what is wrong.
    """
    plotting()
    check_seed(plan.seed)
    if plan.batch < 1:
        raise ValueError(f"batch: expected at least 1, found {plan.batch}")
    cases = plan_cases(plan.people, plan.primary_people)
    loaded = _load(plan)
    fingerprint = _fingerprint(plan, loaded.subject)
    folder = RunFolder(plan.out, fingerprint)
    measured, rows = _measure(plan, loaded, cases, folder)
    figures, binned = summarise(cases, measured), by_bin(cases, measured)
    facts = _facts(plan, loaded, fingerprint)
    table = as_markdown(facts, loaded.notes, figures, binned)
    write_text(plan.out / "metrics.json", as_json(facts | {"notes": list(loaded.notes)}, figures, binned))
    write_text(plan.out / "tables.md", table)
    plot_metrics(figures, plan.out / "metrics.png")
    plot_bins(binned, plan.out / "bins.png")
    if rows:
        draw_sheet(rows, plan.out / "sheet.jpg")
    return table


def _load(plan: Plan) -> _Loaded:
    if plan.judge is None and plan.recogniser == RENDERED:
        raise ValueError("judge: the renderer's own vectors cannot judge pictures; give a recogniser's ONNX file as --judge")
    subject = load_subject(plan.checkpoint, plan.cache, plan.recogniser, plan.seed, plan.size, plan.device)
    judge = subject.encoder if plan.judge is None else load_judge(plan.judge)
    assert judge is not None
    with naming("expression-judge"):
        expressions = None if plan.expression_judge is None else load_expression_judge(plan.expression_judge)
    return _Loaded(subject, judge, expressions, (subject.held_out, *_notes(subject, judge, expressions)))


def _notes(subject: Subject, judge: InsightFaceEncoder, expressions: ExpressionJudge | None) -> list[str]:
    notes, metadata, encoder = [], subject.network.metadata, subject.encoder
    if judge.space in (metadata.identity_space, encoder.space if encoder else None):
        notes.append("identity is judged by the recogniser that the network is conditioned on, so its figures flatter")
    if expressions is None:
        notes.append("no expression judge was given, so expression and pose were not measured")
    if not metadata.trained:
        notes.append("the checkpoint says that its weights are untrained")
    return notes


def _measure(plan: Plan, loaded: _Loaded, cases: Sequence[Case], folder: RunFolder) -> tuple[Measured, list[Arrays]]:
    """What the judges read, and the rows of the sheet."""
    from tqdm import tqdm

    readings: list[Measured] = []
    rows: list[Arrays] = []
    with tqdm(total=len(cases), unit="picture") as bar:
        for first in range(0, len(cases), plan.batch):
            chosen = cases[first : first + plan.batch]
            arrays = folder.part(first // plan.batch, partial(_make, plan, loaded, chosen, first))
            readings.append(read_part(arrays, loaded.judge, loaded.expressions))
            wanted = range(min(len(chosen), plan.sheet_rows - len(rows)))
            rows += [{name: arrays[name][place] for name in COLUMNS} for place in wanted]
            bar.update(len(chosen))
    return join(readings), rows


def _make(plan: Plan, loaded: _Loaded, cases: Sequence[Case], first: int) -> Arrays:
    one = loaded.subject
    return make_pictures(one.network, one.model, one.encoder, cases, first, plan.seed, one.size, plan.sampling, plan.max_yaw)


def _fingerprint(plan: Plan, subject: Subject) -> dict[str, Any]:
    """What the pictures depend on; the judges are free to change."""
    return {
        "checkpoint": digest(plan.checkpoint),
        "faces": digest(plan.cache),
        "identities": plan.recogniser if subject.encoder is None else subject.encoder.space,
        "people": plan.people,
        "primary_people": plan.primary_people,
        "seed": plan.seed,
        "max_yaw": plan.max_yaw,
        "size": subject.size,
        "batch": plan.batch,
        "sampling": asdict(plan.sampling),
    }


def _facts(plan: Plan, loaded: _Loaded, fingerprint: dict[str, Any]) -> dict[str, Any]:
    network, encoder, judge = loaded.subject.network, loaded.subject.encoder, loaded.judge
    return {
        "checkpoint": f"{network.name} ({fingerprint['checkpoint']})",
        "training data": network.metadata.training_data,
        "faces": fingerprint["faces"],
        "conditioned on": plan.recogniser if encoder is None else f"{encoder.name} ({encoder.space})",
        "judge of identity": f"{judge.name} ({judge.space})",
        "judge of expression": None if loaded.expressions is None else loaded.expressions.name,
        "people": plan.people,
        "people with primaries": plan.primary_people,
        "seed": plan.seed,
        "size": fingerprint["size"],
        "sampling": fingerprint["sampling"],
    }
