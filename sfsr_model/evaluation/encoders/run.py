"""Carrying the command out: load and check everything, render, measure, write."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ...encoders.detector import FaceDetector
from ...encoders.recogniser import InsightFaceEncoder
from ...synthetic.model import FaceModel
from ...synthetic.render import check_size
from ..cases import check_seed
from ..expression_judges import ExpressionJudge, load_expression_judge
from ..identities import load_judge
from ..store import digest, out_folder, write_text
from .measure import measure_detector, measure_expressions, measure_recogniser
from .people import SMALL, People, join, render_people, render_scene, smaller
from .photos import Finder, find_in_photos, measure_faces, measure_photos
from .tables import REST, Results, as_json, as_markdown

_BATCH = 16
_CARRIED = "the carried detector"
_T = TypeVar("_T")


@dataclass(frozen=True)
class Plan:
    """What is measured. recognisers: ONNX files or packs; expressions: ONNX files or .task files; detectors: ONNX files or
    packs. people: how many, of `seed`. size: pixels of an aligned picture, scene: of one with a face to find. max_yaw: in
    radians. photos: a folder of a user's own, or None."""

    out: Path
    recognisers: tuple[Path, ...]
    expressions: tuple[Path, ...]
    detectors: tuple[Path, ...]
    cache: Path | None
    people: int
    seed: int
    size: int
    scene: int
    max_yaw: float
    photos: Path | None


@dataclass(frozen=True)
class _Loaded:
    recognisers: dict[str, InsightFaceEncoder]
    expressions: dict[str, ExpressionJudge]
    detectors: dict[str, FaceDetector]
    model: FaceModel | None


def measure_encoders(plan: Plan) -> str:
    """Carry out a plan: encoders.json and encoders.md in its folder; returns the tables.

    Everything is loaded and checked before the first picture. Raises ValueError, OSError or ImportError naming what is wrong.
    """
    loaded = _load(plan)
    out_folder(plan.out)
    results = Results()
    if loaded.model is not None:
        _measure_rendered(plan, loaded, loaded.model, results)
    if plan.photos is not None:
        _measure_photos(plan.photos, loaded, results)
    facts = _facts(plan, loaded)
    table = as_markdown(facts, results)
    write_text(plan.out / "encoders.json", as_json(facts, results))
    write_text(plan.out / "encoders.md", table)
    return table


def _load(plan: Plan) -> _Loaded:
    from ...encoders.pack import load_detector

    check_seed(plan.seed)
    for size in (plan.size, plan.scene):
        check_size(size)
    if plan.people < 2:
        raise ValueError(f"people: expected at least 2, found {plan.people}")
    if not (plan.recognisers or plan.expressions or plan.detectors):
        raise ValueError("encoders: nothing to measure; give --recogniser, --expression or --detector")
    if plan.cache is None and plan.photos is None:
        raise ValueError("encoders: nothing to look at; give --cache for rendered people, --photos for a folder, or both")
    if plan.photos is not None and not plan.photos.is_dir():
        raise ValueError(f"photos: {plan.photos} is no folder; give the folder that holds the photos")
    for path in (*plan.expressions, *plan.detectors):
        if not path.exists():
            raise ValueError(f"encoders: {path} does not exist; check --expression and --detector")
    return _Loaded(
        _by_name(plan.recognisers, [load_judge(path, "recogniser") for path in plan.recognisers]),
        _by_name(plan.expressions, [load_expression_judge(path) for path in plan.expressions]),
        _by_name(plan.detectors, [load_detector(path, "CPU") for path in plan.detectors]),
        None if plan.cache is None else FaceModel.load(plan.cache),
    )


def _by_name(paths: tuple[Path, ...], loaded: list[_T]) -> dict[str, _T]:
    """By the files' names, or their paths where names are the same."""
    names = [path.name for path in paths]
    return {path.name if names.count(path.name) == 1 else str(path): one for path, one in zip(paths, loaded, strict=True)}


def _measure_rendered(plan: Plan, loaded: _Loaded, model: FaceModel, results: Results) -> None:
    if loaded.recognisers or loaded.expressions:
        people = _people(plan, model)
        for name, encoder in loaded.recognisers.items():
            results.recognisers[name] = measure_recogniser(encoder, people)
        judges: dict[str, ExpressionJudge | None] = {**loaded.expressions, REST: None} if loaded.expressions else {}
        for name, judge in judges.items():
            results.expressions[name], results.by_name[name] = measure_expressions(judge, people)
    if loaded.detectors:
        scenes = [render_scene(model, plan.seed, number, plan.scene, plan.max_yaw) for number in _bar(plan.people, "scene")]
        small = [smaller(scene, number) for number, scene in enumerate(scenes)]
        for name, detector in loaded.detectors.items():
            results.detectors[f"{name}, portraits"] = measure_detector(detector, scenes)
            results.detectors[f"{name}, {SMALL} times smaller"] = measure_detector(detector, small)


def _people(plan: Plan, model: FaceModel) -> People:
    from tqdm import tqdm

    parts = []
    with tqdm(total=plan.people, unit="person") as bar:
        for first in range(0, plan.people, _BATCH):
            last = min(first + _BATCH, plan.people)
            parts.append(render_people(model, plan.seed, first, last, plan.size, plan.max_yaw))
            bar.update(last - first)
    return join(parts)


def _bar(count: int, unit: str) -> Any:
    from tqdm import trange

    return trange(count, unit=unit)


def _measure_photos(folder: Path, loaded: _Loaded, results: Results) -> None:
    """Every detector looks; the recognisers read the faces that the first one found, or the carried one without any."""
    finders: dict[str, Finder | None] = {name: one.detect for name, one in loaded.detectors.items()} or {_CARRIED: None}
    for number, (name, find) in enumerate(finders.items()):
        faces = find_in_photos(folder, find)
        results.photos[name] = measure_faces(faces)
        if number == 0:
            results.photos.update({name: measure_photos(one, faces) for name, one in loaded.recognisers.items()})


def _facts(plan: Plan, loaded: _Loaded) -> dict[str, Any]:
    rendered = {
        "faces": None if plan.cache is None else digest(plan.cache),
        "people": plan.people,
        "seed": plan.seed,
        "size": plan.size,
        "scene": plan.scene,
    }
    files = {
        **dict(zip(loaded.recognisers, plan.recognisers, strict=True)),
        **dict(zip(loaded.expressions, plan.expressions, strict=True)),
        **dict(zip(loaded.detectors, plan.detectors, strict=True)),
    }
    return {
        **({} if plan.cache is None else rendered),
        **({} if plan.photos is None else {"photos": str(plan.photos)}),
        **{name: digest(path) for name, path in files.items()},
    }
