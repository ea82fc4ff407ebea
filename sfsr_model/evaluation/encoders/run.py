"""Carrying the command out: load and check everything, render, measure, write."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ...synthetic.model import FaceModel
from ...synthetic.render import check_size
from ...training.teachers import FaceTeacher
from ..cases import check_seed
from ..expression_judges import ExpressionJudge, load_expression_judge
from ..store import digest, out_folder, write_text
from .finders import FaceFinder, is_pack, load_finder
from .labelled_run import LabelledInput, LabelledPlan, load_labelled_input, measure_labelled
from .measure import measure_detector, measure_expressions, measure_recogniser
from .people import SMALL, People, join, render_people, render_scene, smaller
from .photos import Finder, find_in_photos, measure_faces, measure_photos
from .recognisers import load_recogniser_of
from .tables import REST, Results, as_json, as_markdown

_BATCH = 16
_CARRIED = "the carried detector"
_PACK = "the pack"
_T = TypeVar("_T")


@dataclass(frozen=True)
class Plan:
    """What is measured. recognisers: as `load_recogniser_of` takes them; expressions: ONNX files or .task files; detectors: as
    `load_finder` takes them. people: how many, of `seed`. size: pixels of an aligned picture, scene: of one with a face to
    find. max_yaw: in radians. photos: a folder of a user's own, or None; labelled: labelled photos, or None."""

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
    labelled: LabelledPlan | None = None


@dataclass(frozen=True)
class _Loaded:
    recognisers: dict[str, FaceTeacher]
    expressions: dict[str, ExpressionJudge]
    detectors: dict[str, FaceFinder]
    model: FaceModel | None
    labelled: LabelledInput | None


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
    if loaded.labelled is not None:
        finders = {name: (path, loaded.detectors[name]) for name, path in zip(loaded.detectors, plan.detectors, strict=True)}
        results.labelled.update(measure_labelled(loaded.labelled, finders, loaded.recognisers, loaded.expressions))
    facts = _facts(plan, loaded)
    table = as_markdown(facts, results)
    write_text(plan.out / "encoders.json", as_json(facts, results))
    write_text(plan.out / "encoders.md", table)
    return table


def _load(plan: Plan) -> _Loaded:
    check_seed(plan.seed)
    for size in (plan.size, plan.scene):
        check_size(size)
    if plan.people < 2:
        raise ValueError(f"people: expected at least 2, found {plan.people}")
    if not (plan.recognisers or plan.expressions or plan.detectors):
        raise ValueError("encoders: nothing to measure; give --recogniser, --expression or --detector")
    if plan.cache is None and plan.photos is None and plan.labelled is None:
        raise ValueError(
            "encoders: nothing to look at; give --cache for rendered people, --photos for a folder, --labelled for labelled "
            "photos, or several of them"
        )
    if plan.photos is not None and not plan.photos.is_dir():
        raise ValueError(f"photos: {plan.photos} is no folder; give the folder that holds the photos")
    for path in plan.expressions:
        if not path.exists():
            raise ValueError(f"expression: {path} does not exist; give an expression encoder's .onnx or a .task")
    return _Loaded(
        _by_name(plan.recognisers, [load_recogniser_of(path) for path in plan.recognisers]),
        _by_name(plan.expressions, [load_expression_judge(path) for path in plan.expressions]),
        _by_name(plan.detectors, [load_finder(path) for path in plan.detectors]),
        None if plan.cache is None else FaceModel.load(plan.cache),
        None if plan.labelled is None else load_labelled_input(plan.labelled),
    )


def _by_name(paths: tuple[Path, ...], loaded: list[_T]) -> dict[str, _T]:
    """By the files' names, or their paths where names are the same; a folder of this pack's weights is the pack."""
    names = [_PACK if is_pack(path) else path.name for path in paths]
    rows = zip(names, paths, loaded, strict=True)
    return {name if names.count(name) == 1 else str(path): one for name, path, one in rows}


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
        **({} if loaded.labelled is None else _labelled_facts(loaded.labelled)),
        **{name: digest(path) for name, path in files.items()},
    }


def _labelled_facts(given: LabelledInput) -> dict[str, Any]:
    plan, sources = given.plan, given.photos.sources
    drawn = {source: sources.count(source) for source in sorted(set(sources))}
    witnesses = {f"witness {path.name}": digest(path) for path in plan.witnesses}
    return {
        "labelled": f"split {plan.split}, {', '.join(f'{count} of {source}' for source, count in drawn.items())}",
        "labelled seed": plan.seed,
        "landmarker": digest(plan.landmarker),
        **witnesses,
    }
