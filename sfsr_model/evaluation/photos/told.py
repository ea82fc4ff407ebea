"""What a run was made of, and who learned from whom: what networks that condition and that judge say of data and teachers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...encoders.onnx_about import read_about
from ...training.teachers import DLIB_SUFFIX
from ..store import digest
from .cast import SWAPS
from .places import Places
from .plan import Loaded, Plan

_MEDIAPIPE, _TASK = "MediaPipe", ".task"


def facts_of(plan: Plan, loaded: Loaded, places: Places) -> dict[str, Any]:
    """What was measured, of how much and on what, by what is said of it."""
    facts: dict[str, Any] = {}
    for name, one in loaded.networks.items():
        network, recogniser = one.network, one.recogniser.name
        facts[name] = (
            f"{network.name} ({digest(one.checkpoint)}), {network.metadata.resolution} pixels, conditioned on {recogniser}, "
            f"trained on {network.metadata.training_data}"
        )
    cast = loaded.cast
    asked = {cast.person(case.apart) for case in cast.cases[SWAPS]}
    found = "at their labelled points"
    if plan.detector is not None:
        found = f"where {plan.detector.name} finds them, at their labelled points in the {places.missed} where it does not"
    return facts | {
        "expressions of photos by": plan.expression.name,
        "photos": f"{len(cast.rows())} of split {plan.split}, cut out {found}",
        "people": f"{len(cast.gallery)} to be told from each other, {len(asked)} asked for",
        "cases": ", ".join(f"{len(cases)} {kind}" for kind, cases in cast.cases.items()),
        "seed": plan.seed,
        "sampling": asdict(plan.sampling),
    }


def notes_of(plan: Plan, loaded: Loaded) -> list[str]:
    """Who learned from whom, whose figures flatter, and what was not measured."""
    conditioning = [*dict.fromkeys(one.recogniser for one in loaded.networks.values()), plan.expression]
    notes = [told_of_judge(judge.path, conditioning) for judge in (*loaded.identity, *loaded.expression)]
    spaces = {one.encoder.space for one in loaded.networks.values()}
    for judge in loaded.identity:
        if getattr(judge.encoder, "space", None) in spaces:
            notes.append(f"{judge.label} conditions a network as well, so its figures flatter")
    if plan.cache is None:
        notes.append("the renderer's cache was not given, so the words were not measured")
    return notes


def told_of_judge(path: Path, conditioning: Sequence[Path]) -> str:
    """A line on a judge: what it learned from, and which of the networks that condition it has taught."""
    if path.suffix.lower() == DLIB_SUFFIX:
        origin, name = "dlib's ResNet (King 2017)", "dlib"
    elif path.suffix.lower() == _TASK:
        origin, name = f"{_MEDIAPIPE}'s landmarker, which labelled the photos as well", _MEDIAPIPE
    else:
        origin, name = _about(path) or "its file says nothing of what it learned from", path.stem
    taught = [one.name for one in conditioning if name.lower() in _about(one).lower()]
    others = " nor ".join(one.name for one in conditioning)
    learned = f"it taught {' and '.join(taught)}" if taught else f"by what their files say it taught neither {others}"
    return f"judge {path.name}: {origin}; {learned}"


def _about(path: Path) -> str:
    """What an ONNX file of this project says of its data and teachers, "" for any other file."""
    found = read_about(path) if path.suffix.lower() == ".onnx" else None
    return "" if found is None else found.about
