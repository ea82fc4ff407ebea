"""The measurement: photos read, pairs moved, wanted coefficients read back, tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from ...bundled import BUNDLED
from ...drawing.face_points import FacePoints, load_face_points
from ...drawing.head import Head, head_of
from ...landmarker import FaceLandmarker, load_landmarker
from ...landmarker.landmarker import MIN_PRESENCE
from ...landmarker.regions import regions_around
from ...training.labelled import LabelledPhotos, load_labelled
from ..markdown import table
from ..metrics import Figure, plain, shown
from ..store import out_folder, write_text
from .moved import AREAS, changing_pairs, pair_errors, ratio_figure
from .readings import single_figures, word_figure


@dataclass(frozen=True)
class Plan:
    """What is measured, and where the results go."""

    photos: Path
    landmarker: Path
    out: Path
    sources: tuple[str, ...]
    split: str
    faces: int
    seed: int
    face_points: Path | None = None


def measure_drawing(plan: Plan) -> str:
    """Measure, write drawing.json and drawing.md, and return the tables. Raises ValueError for photos without pairs."""
    if plan.faces < 3:
        raise ValueError(f"faces: {plan.faces}; expected at least 3, for a correlation")
    out_folder(plan.out)
    points = load_face_points(plan.face_points or BUNDLED.face_points)
    landmarker = load_landmarker(plan.landmarker)
    photos = load_labelled(plan.photos).chosen(plan.split, plan.sources)
    photos, heads, coefficients = _seen(photos, landmarker, points)
    ratios = {}
    for source in plan.sources:
        rows = [row for row, one in enumerate(photos.sources) if one == source]
        ratios[source] = _ratios([photos.people[row] for row in rows], [heads[row] for row in rows], coefficients[rows], points)
    singles = single_figures(heads, landmarker, points, plan.faces, plan.seed)
    in_words = word_figure(heads, landmarker, points, plan.seed)
    text = "\n".join([*_moved_table(ratios), "", *_read_table(singles, in_words)])
    report = {
        "plan": {name: str(value) for name, value in asdict(plan).items()},
        "photos": len(photos),
        "moved": {source: plain(figures) for source, figures in ratios.items()},
        "read": plain(singles),
        "read_words": asdict(in_words),
    }
    write_text(plan.out / "drawing.json", json.dumps(report, indent=1) + "\n")
    write_text(plan.out / "drawing.md", text + "\n")
    return text


@torch.no_grad()
def _seen(photos: LabelledPhotos, landmarker: FaceLandmarker, points: FacePoints) -> tuple[LabelledPhotos, list[Head], Tensor]:
    """The photos in whose labelled place a face is seen, their heads, and their coefficients [N, 52]."""
    from tqdm import trange

    heads, coefficients, kept = [], [], []
    for row in trange(len(photos), desc="landmarks", unit="photo"):
        read = landmarker.measure(photos.picture(row)[None], regions_around(photos.points[row][None]))
        if float(read.presence[0]) >= MIN_PRESENCE:
            kept.append(row)
            coefficients.append(read.coefficients[0].clamp(0, 1))
            heads.append(head_of(read.landmarks[0], coefficients[-1], points))
    if not kept:
        raise ValueError(f"photos: the landmarker sees no face at the labelled points of {photos.folder}; check --landmarker")
    return photos.rows(kept), heads, torch.stack(coefficients)


def _ratios(people: Sequence[str], heads: Sequence[Head], coefficients: Tensor, points: FacePoints) -> dict[str, Figure]:
    pairs = changing_pairs(people, coefficients)
    if not pairs:
        raise ValueError("photos: no person has two photos whose expressions differ; choose another --source or --split")
    moved, still = pair_errors(heads, coefficients, pairs, points)
    numbers = {person: number for number, person in enumerate(dict.fromkeys(people))}
    owners = torch.tensor([numbers[people[start]] for start, _ in pairs])
    return {name: ratio_figure(moved[name], still[name], owners) for name in AREAS}


def _moved_table(ratios: dict[str, dict[str, Figure]]) -> list[str]:
    first = next(iter(ratios.values()))
    heads = [f"{source} ({next(iter(figures.values())).count} pairs)" for source, figures in ratios.items()]
    rows = [[name, *(shown(figures[name], "{:.2f}".format) for figures in ratios.values())] for name in first]
    return table(["error of moving over error of not moving", *heads], rows)


def _read_table(singles: dict[str, Figure], in_words: Figure) -> list[str]:
    values = [one.value for one in singles.values() if one.value is not None]
    rows = [[name, shown(one, "{:.2f}".format)] for name, one in singles.items()]
    rows += [[f"mean of {len(values)}", f"{sum(values) / len(values):.2f}"], ["all words", shown(in_words, "{:.2f}".format)]]
    return table(["coefficient", "correlation of wanted and read"], rows)
