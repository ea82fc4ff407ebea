"""Detectors on labelled photos: faces found, their points, whatever else is taken for a face."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from ...encoders.detection import Detection, accepted
from ...face.crop import apply_affine
from ..metrics import figure
from .finders import FaceFinder
from .finds import Found, by_yaw, look_at, shares
from .labelled_faces import FRAMES, LabelledFaces
from .measure import Figures
from .moved import Moved, sized, turned

TURNS = (15, 30, 45, 90, 180)
"""Degrees by which pictures are turned."""
SIZES = (24, 48, 300, 900)
"""Longer sides in pixels that faces' boxes are brought to. Frames, whose faces are small, are not enlarged to the last."""
FAR = 0.1
"""Points further off than this share of the eyes' distance are counted."""
_OWN = 0.3
# How far off points may be on average, in eyes' distances. Imagined upright ones are further off from a turn of 30 degrees on.
_RIGHT = 0.25


@dataclass(frozen=True, eq=False)
class Witnesses:
    """Detectors whose finds, doubtful ones included, count as faces; none of them is asked for its own false finds."""

    finders: Mapping[str, FaceFinder]

    def faces(self, picture: Tensor) -> list[Tensor]:
        """The boxes [4] of all that they take for faces in a picture [H, W, 3]."""
        return [one.box.double() for finder in self.finders.values() for one in finder.detect(picture) or []]


def measure_groups(
    finders: Mapping[str, FaceFinder], faces: LabelledFaces, witnesses: Witnesses
) -> dict[str, dict[str, Figures]]:
    """By group and detector: faces found at OVERLAP, points, and false finds a picture, which overlap no face of anyone's."""
    from tqdm import tqdm

    results: dict[str, dict[str, Figures]] = {}
    for group in faces.kinds():
        rows = faces.rows(group)
        errors: dict[str, list[float]] = {name: [] for name in finders}
        false: dict[str, list[float]] = {name: [] for name in finders}
        for row in tqdm(rows, desc=f"detectors, {group}", unit="photo"):
            scene = faces.scene(row)
            known = [scene.box, *witnesses.faces(scene.picture)]
            for name, finder in finders.items():
                found = look_at(finder, scene)
                errors[name].append(found.error)
                false[name].append(math.nan if name in witnesses.finders else float(_false(found.rest, known)))
        results[group] = {
            name: {**_point_figures(errors[name], faces, rows), "false": figure(torch.tensor(false[name]), faces.owners[rows])}
            for name in finders
        }
    return results


def _point_figures(found: Sequence[float], faces: LabelledFaces, rows: Sequence[int]) -> Figures:
    errors, owners = torch.tensor(found, dtype=torch.float64), faces.owners[list(rows)]
    far = torch.where(errors.isnan(), torch.nan, (errors > FAR).double())
    return {
        "recall": figure((~errors.isnan()).double(), owners),
        "points": figure(errors, owners),
        "points_far": figure(far, owners),
        **by_yaw(errors, faces.pose[list(rows), 1], owners),
    }


def _false(finds: Sequence[Detection], known: Sequence[Tensor]) -> int:
    """How many finds overlap none of the known faces."""
    best = [max(some) for some in zip(*(shares(finds, box) for box in known), strict=True)]
    return sum(overlap < _OWN for overlap in best)


def measure_moved(
    finders: Mapping[str, FaceFinder], faces: LabelledFaces, rows: Sequence[int], witnesses: Witnesses, seed: int
) -> dict[str, Figures]:
    """By detector, of rows turned by TURNS and at SIZES: the share found with points that are right, and the share of pictures
    in which nothing wrong was accepted.

    Finds whose middle lies in another face that a witness sees in the upright picture are no mistake.
    """
    from tqdm import tqdm

    drawn = torch.Generator().manual_seed(seed)
    kinds: dict[str, Callable[[int], Moved]] = {
        **{f"turned_{degrees}": partial(turned, faces, degrees=degrees) for degrees in TURNS},
        **{f"sized_{side}": partial(sized, faces, side=side, generator=drawn) for side in SIZES},
    }
    crops = [row for row in rows if faces.groups[row] != FRAMES]
    shown = {kind: crops if kind == f"sized_{SIZES[-1]}" else list(rows) for kind in kinds}
    verdicts: dict[str, dict[str, list[tuple[bool, bool]]]] = {name: {kind: [] for kind in kinds} for name in finders}
    for row in tqdm(rows, desc="detectors, turned and resized", unit="photo"):
        box = faces.box(row)
        others = [one for one in witnesses.faces(faces.photos.picture(row)) if not _middle_in(one, box)]
        for kind, move in kinds.items():
            if row not in shown[kind]:
                continue
            moved = move(row)
            for name, finder in finders.items():
                verdicts[name][kind].append(_verdict(look_at(finder, moved.scene), moved.back, others))
    results: dict[str, Figures] = {name: {} for name in finders}
    for name, by_kind in verdicts.items():
        for kind, some in by_kind.items():
            right, clean = torch.tensor(some, dtype=torch.float64).reshape(-1, 2).unbind(1)
            owners = faces.owners[shown[kind]]
            results[name] |= {kind: figure(right, owners), f"{kind}_clean": figure(clean, owners)}
    return results


def _verdict(found: Found, back: Tensor, others: Sequence[Tensor]) -> tuple[bool, bool]:
    """Whether the face was found and its points are right, and whether every accepted find is of a face, and right."""
    hit = found.best is not None and found.error < _RIGHT
    rest = [one for one in found.rest if not any(_middle_in(one.box, box, back) for box in others)]
    return hit, (hit or found.best is None) and not rest


def _middle_in(box: Tensor, other: Tensor, back: Tensor | None = None) -> bool:
    """Whether a box's middle lies in another; back [2, 3]: to the other's pixels."""
    middle = (box.double().reshape(2, 2).mean(0))[None]
    middle = (middle if back is None else apply_affine(back, middle))[0]
    return bool(((middle >= other[:2]) & (middle <= other[2:])).all())


def measure_faceless(
    finders: Mapping[str, FaceFinder], kinds: Mapping[str, tuple[Iterable[Tensor], int]], witnesses: Witnesses, unasked: str
) -> dict[str, Figures]:
    """By detector: accepted finds a picture, of each kind of picture without a face. kinds: pictures, and how many there are.
    unasked: the kind that the witnesses chose, of which their own figure would say nothing."""
    from tqdm import tqdm

    counts: dict[str, dict[str, list[float]]] = {name: {kind: [] for kind in kinds} for name in finders}
    for kind, (pictures, count) in kinds.items():
        for picture in tqdm(pictures, desc="detectors, no face", unit="picture", total=count):
            for name, finder in finders.items():
                nothing = kind == unasked and name in witnesses.finders
                counts[name][kind].append(math.nan if nothing else float(len(accepted(finder.detect(picture) or []))))
    return {name: {kind: figure(torch.tensor(some)) for kind, some in found.items()} for name, found in counts.items()}
