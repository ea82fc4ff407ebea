"""The command's part on labelled photos, from rows to tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ...landmarker import ExpressionEncoder, load_expression_encoder
from ...naming import naming
from ...training.labelled import LabelledPhotos, load_labelled
from ...training.teachers import FaceTeacher
from ..expression_judges import ExpressionJudge
from .faceless import backdrop, patches
from .finders import FaceFinder, LandmarkerFinder, load_finder
from .labelled_faces import FRAMES, LONDON, LabelledFaces, limited, see, spread
from .measure import Figures
from .photo_detection import Witnesses, measure_faceless, measure_groups, measure_moved
from .photo_expressions import measure_photo_expressions, read_all
from .photo_recognition import Mistaken, measure_recognition
from .speed import PICTURES as TIMED
from .speed import Timed, measure_speed

MOVED, PATCHES, BACKDROPS = 200, 1000, 500
"""Rows that are turned and resized, pieces of photos and backdrops without a face."""
Sections = dict[str, dict[str, Figures]]
_PIECES, _BEHIND = "false_patches", "false_backdrops"


@dataclass(frozen=True)
class LabelledPlan:
    """folder: of labelled photos. landmarker: the .task that says where faces are. witnesses: detectors whose finds count as
    faces too. limit: rows of each source, and of everything else that is drawn, or None. size: pixels of a backdrop."""

    folder: Path
    landmarker: Path
    witnesses: tuple[Path, ...]
    split: str
    limit: int | None
    seed: int
    size: int
    speed: bool

    def at_most(self, count: int) -> int:
        """A number of things to draw, within the limit."""
        return count if self.limit is None else min(count, self.limit)


@dataclass(frozen=True, eq=False)
class LabelledInput:
    """A plan's photos and networks, loaded."""

    plan: LabelledPlan
    photos: LabelledPhotos
    mediapipe: ExpressionEncoder
    witnesses: dict[Path, FaceFinder]


def load_labelled_input(plan: LabelledPlan) -> LabelledInput:
    """Everything that the plan names; raises ValueError or OSError naming the option at fault."""
    if plan.limit is not None and plan.limit < 1:
        raise ValueError(f"limit: expected at least 1, found {plan.limit}")
    with naming("labelled"):
        photos = limited(load_labelled(plan.folder).chosen(plan.split), plan.seed, plan.limit)
    with naming("landmarker"):
        mediapipe = load_expression_encoder(plan.landmarker)
    return LabelledInput(plan, photos, mediapipe, {path: load_finder(path, "witness") for path in plan.witnesses})


def measure_labelled(
    given: LabelledInput,
    finders: Mapping[str, tuple[Path, FaceFinder]],
    recognisers: Mapping[str, FaceTeacher],
    expressions: Mapping[str, ExpressionJudge],
) -> Sections:
    """The tables by their titles. finders: file and detector by name."""
    plan, faces = given.plan, see(given.photos, given.mediapipe.landmarker)
    witnesses = _witnesses(given, finders)
    looking = {name: finder for name, (_, finder) in finders.items()}
    moved = spread(faces.groups, plan.at_most(MOVED), plan.seed)
    pieces = []
    if looking or recognisers:
        pieces = patches(faces, faces.rows(FRAMES), witnesses.faces, plan.at_most(PATCHES), plan.seed)
    sections: Sections = {}
    if looking:
        sections |= _detection(plan, looking, faces, moved, witnesses, pieces)
    if recognisers:
        sections |= _recognition(recognisers, faces, Mistaken(pieces, moved), plan.seed)
    for name, judge in expressions.items():
        for group, figures in measure_photo_expressions(*read_all(judge, faces, name), faces).items():
            sections.setdefault(f"Expression encoders on photos: {group}", {})[name] = figures
    if plan.speed:
        rows = spread(faces.groups, plan.at_most(TIMED), plan.seed)
        times = measure_speed(Timed(looking, recognisers, expressions), given.mediapipe, faces, rows)
        sections |= {f"Time on one core: {kind}": by_name for kind, by_name in times.items()}
    return sections


def _detection(
    plan: LabelledPlan,
    finders: Mapping[str, FaceFinder],
    faces: LabelledFaces,
    moved: list[int],
    witnesses: Witnesses,
    pieces: list[Tensor],
) -> Sections:
    count = plan.at_most(BACKDROPS)
    behind = (backdrop(plan.seed, number, plan.size) for number in range(count))
    nobody = {_PIECES: (pieces, len(pieces)), _BEHIND: (behind, count)}
    groups = measure_groups(finders, faces, witnesses)
    return {
        **{f"Detectors on photos: {group}": by_detector for group, by_detector in groups.items()},
        "Detectors on photos: turned and resized": measure_moved(finders, faces, moved, witnesses, plan.seed),
        "Detectors on pictures without a face": measure_faceless(finders, nobody, witnesses, _PIECES),
    }


def _witnesses(given: LabelledInput, finders: Mapping[str, tuple[Path, FaceFinder]]) -> Witnesses:
    """MediaPipe and the plan's witnesses, under the names of the detectors that are measured where they are among them."""
    files = {given.plan.landmarker: LandmarkerFinder(given.mediapipe), **given.witnesses}
    names = {path.resolve(): name for name, (path, _) in finders.items()}
    return Witnesses({names.get(path.resolve(), str(path)): finder for path, finder in files.items()})


def _recognition(recognisers: Mapping[str, FaceTeacher], faces: LabelledFaces, mistaken: Mistaken, seed: int) -> Sections:
    titles = (
        f"Recognisers on photos: {FRAMES}",
        f"Recognisers on photos: smiling people among neutral ones, {LONDON}",
        "Recognisers on photos: the length of embeddings",
    )
    sections: Sections = {title: {} for title in titles}
    for name, encoder in recognisers.items():
        for title, figures in zip(titles, measure_recognition(encoder, faces, mistaken, seed, name), strict=True):
            sections[title][name] = figures
    return sections
