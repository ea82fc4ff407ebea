"""From readings to figures: every metric on what was generated, on the answer, and on the answer's round trip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from .cases import MAIN, NEW_EXPRESSION, NEW_PERSON, PRIMARIES, PRIMARY, Case
from .metrics import (
    Figure,
    active_errors,
    bins,
    correlation_figure,
    cosines,
    figure,
    pose_errors,
    recognised,
    retrieved,
)
from .pictures import KINDS
from .readings import Measured, Reading

YAW_EDGES = (0.0, 15.0, 30.0)
"""Degrees that the target's head is turned."""
LIGHT_EDGES = (0.0, 0.4, 0.7)
"""Stops between the reference's and the target's light."""

Figures = dict[str, dict[str, Figure]]
"""By metric, then by kind."""


def summarise(cases: Sequence[Case], measured: Measured) -> Figures:
    """All metrics over all cases."""
    kinds = [case.kind for case in cases]
    main, moved_expression, moved_person = (_rows(measured, kinds, kind) for kind in (MAIN, NEW_EXPRESSION, NEW_PERSON))
    return _of_triplets(main) | _independence(main, moved_expression, moved_person) | _primaries(cases, measured)


def by_bin(cases: Sequence[Case], measured: Measured) -> dict[str, list[tuple[str, int, Figures]]]:
    """The triplets' metrics by how far the head is turned and how different the lights are: label, samples, figures."""
    main = _rows(measured, [case.kind for case in cases], MAIN)
    yaw = torch.rad2deg(main.pose[:, 1].abs())
    split = {"yaw": bins(yaw, YAW_EDGES), "light": bins(main.light, LIGHT_EDGES)}
    return {
        name: [(label, int(members.sum()), _of_triplets(main, members)) for label, members in parts if members.any()]
        for name, parts in split.items()
    }


def _of_triplets(main: Measured, members: Tensor | None = None) -> Figures:
    """members: bool [N], the triplets that are averaged over; people are always looked for among all."""
    numbers = torch.arange(len(main.wanted))
    chosen = numbers if members is None else numbers[members]
    figures: Figures = {}
    for kind, reading in main.kinds.items():
        found = retrieved(reading.embedding, main.reference, numbers)
        leaked = retrieved(reading.embedding, main.source, numbers)
        kept = retrieved(reading.embedding, main.target, numbers)
        values = {
            "identity_cosine": cosines(reading.embedding, main.reference),
            "identity_retrieval": found,
            "expression_error": active_errors(reading.coefficients, main.wanted, main.readable),
            "pose_error": pose_errors(reading.pose, main.pose),
            "face_seen": _seen(reading),
            "source_leakage": leaked,
            "source_leakage_times_chance": leaked.double() * len(numbers),
            "target_leakage": kept,
            "target_leakage_times_chance": kept.double() * len(numbers),
            "outside_largest": reading.outside_largest,
            "outside_before_paste": reading.outside_before_paste,
            "inside_difference": reading.inside,
        }
        for name, value in values.items():
            figures.setdefault(name, {})[kind] = figure(value.double()[chosen])
        figures.setdefault("expression_correlation", {})[kind] = _correlation(reading, main, chosen)
    return figures


def _independence(main: Measured, moved_expression: Measured, moved_person: Measured) -> Figures:
    figures: Figures = {}
    truth: dict[str, Tensor] = {}
    for kind in ("answer", *(kind for kind in KINDS if kind != "answer")):
        before, after, other = (one.kinds[kind] for one in (main, moved_expression, moved_person))
        identity = 1 - cosines(before.embedding, after.embedding)
        expression = (before.coefficients - other.coefficients).abs()[:, main.readable].double().mean(1)
        error = active_errors(other.coefficients, moved_person.wanted, main.readable)
        values = {
            "identity_moved_by_expression": identity,
            "expression_moved_by_identity": expression,
            "expression_error_change": error - active_errors(before.coefficients, main.wanted, main.readable),
            "identity_moved_by_identity": 1 - cosines(before.embedding, other.embedding),
        }
        truth = truth or values
        values["identity_moved_beyond_answer"] = identity - truth["identity_moved_by_expression"]
        values["expression_moved_beyond_answer"] = expression - truth["expression_moved_by_identity"]
        for name, value in values.items():
            figures.setdefault(name, {})[kind] = figure(value)
    return {name: {kind: kinds[kind] for kind in KINDS} for name, kinds in figures.items()}


def _primaries(cases: Sequence[Case], measured: Measured) -> Figures:
    """Classes are learnt from the answers' readings of the other people, and every kind is recognised by those."""
    chosen = [case for case in cases if case.kind == PRIMARY]
    rows = _rows(measured, [case.kind for case in cases], PRIMARY)
    labels = torch.tensor([PRIMARIES.index(str(case.expression)) for case in chosen], dtype=torch.long)
    owners = torch.tensor([case.person for case in chosen], dtype=torch.long)
    known = ~rows.kinds["answer"].coefficients.isnan().any(1)
    return {
        "primaries_recognised": {
            kind: _recognised(reading, rows.kinds["answer"], labels, owners, known, rows.readable)
            for kind, reading in rows.kinds.items()
        }
    }


def _recognised(reading: Reading, answer: Reading, labels: Tensor, owners: Tensor, known: Tensor, readable: Tensor) -> Figure:
    if not known.any():
        return figure(torch.full((len(labels),), torch.nan))
    seen = answer.coefficients[known][:, readable]
    try:
        hits = recognised(
            reading.coefficients[known][:, readable], labels[known], owners[known], seen, labels[known], owners[known]
        )
    except ValueError:  # too few faces were seen to learn the classes from
        return figure(torch.full((len(labels),), torch.nan))
    return figure(hits, owners[known])


def _correlation(reading: Reading, main: Measured, chosen: Tensor) -> Figure:
    seen = chosen[~reading.coefficients[chosen].isnan().any(1)]
    return correlation_figure(reading.coefficients[seen], main.wanted[seen], main.readable)


def _seen(reading: Reading) -> Tensor:
    return torch.where(reading.presence.isnan(), torch.nan, (reading.presence >= 0.5).double())


def _rows(measured: Measured, kinds: Sequence[str], kind: str) -> Measured:
    rows = torch.tensor([place for place, found in enumerate(kinds) if found == kind], dtype=torch.long)
    readings = {
        name: Reading(**{field: value[rows] for field, value in vars(reading).items()})
        for name, reading in measured.kinds.items()
    }
    rest = {name: value[rows] for name, value in vars(measured).items() if name not in ("kinds", "readable")}
    return replace(measured, kinds=readings, **rest)
