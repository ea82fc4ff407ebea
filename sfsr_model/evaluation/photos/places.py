"""Where the faces of the photos are cut out: at their labelled points, or where a detector finds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...encoders.detection import accepted
from ...training.labelled import LabelledPhotos
from ..encoders.finders import FaceFinder
from ..store import Arrays

MISSED = "missed"


@dataclass(frozen=True, eq=False)
class Places:
    """points [N, 5, 2]: of the faces of all photos, float64 in pixels. missed: in how many the detector found no face, so that
    their labelled points serve; None where nobody looked."""

    points: Tensor
    missed: int | None = None


def find_places(photos: LabelledPhotos, rows: Sequence[int], finder: FaceFinder) -> Arrays:
    """points [R, 5, 2] of some rows by a detector, and missed, bool [R].

    Of several finds the one nearest to the labelled points counts, if its points lie on average within an eye distance of them.
    """
    found, missed = [], []
    for row in rows:
        labelled = photos.points[row]
        finds = [one.points.double() for one in accepted(finder.detect(photos.picture(row)) or [])]
        distances = [float((points - labelled).norm(dim=1).mean()) for points in finds]
        place = min(range(len(finds)), key=lambda number: distances[number], default=-1)
        missed.append(place < 0 or distances[place] > float((labelled[1] - labelled[0]).norm()))
        found.append(labelled if missed[-1] else finds[place])
    return {"points": torch.stack(found).numpy(), MISSED: np.array(missed)}


def placed(photos: LabelledPhotos, rows: Sequence[int], found: Arrays) -> Places:
    """All photos' places, those of the rows as `find_places` found them."""
    points = photos.points.clone()
    points[list(rows)] = torch.from_numpy(found["points"])
    return Places(points, int(found[MISSED].sum()))
