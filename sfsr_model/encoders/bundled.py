"""The encoders that come with the pack: a recogniser, a detector, an expression encoder, and the two that only judge."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..bundled import BUNDLED, BUNDLED_NAME, ORIGIN, Weights, restorable
from ..files import state_of
from .detection import Detection, find_candidates
from .expression import ExpressionReader, load_expression_reader
from .expression_photos import PhotoReader
from .norm_floor import NormFloor
from .onnx_about import origins
from .pack import load_detector, load_recogniser, space_of
from .points import PointsReader, load_points_reader
from .recogniser import InsightFaceEncoder
from .runtime import RuntimeProblem

# The cosine that one in a hundred pairs of different people reaches on photos, to one decimal: docs/models.md has the figure
# and its command.
THRESHOLD = 0.3
# Of photos nobody trained on, at the true points, one in a thousand is no longer than the second. The first lies below whatever
# the detector's own points make of them; what is no face was taught to have short embeddings.
FLOOR = NormFloor(pattern=14.0, face=15.0)


# How much nearer one person's photos must lie on average than the nearest of a hundred strangers.
_TELLS = 0.1
LIKENESS = ("no", "partly", "yes")


@dataclass(frozen=True)
class Reach:
    """What a recogniser's cosines of photos are to be compared with, measured by `python -m sfsr_model.evaluation encoders
    --labelled` on people nobody trained on.

    strangers: the cosine that one in a hundred pairs of different people reaches. same_person: the mean cosine of two photos of
    one person.
    """

    strangers: float
    same_person: float

    @property
    def tells(self) -> bool:
        """Whether one person's photos lie so much nearer to each other than strangers' that a single cosine says something."""
        return self.same_person - self.strangers >= _TELLS

    def likeness(self, cosine: float) -> str:
        """In a word of LIKENESS, whether a face looks like the person: the bounds are `strangers` and the middle of both."""
        return LIKENESS[(cosine >= self.strangers) + (cosine >= (self.strangers + self.same_person) / 2)]


# Of the people of the split val of lfw, at most 10 pictures each.
REACH = Reach(strangers=0.296, same_person=0.536)
JUDGE_REACH = Reach(strangers=0.624, same_person=0.668)
# Pixels from which a face's points are nearer in the next smaller look.
_LARGEST_FACE = 300.0


@dataclass(frozen=True)
class BundledEncoder(InsightFaceEncoder):
    """A recogniser behind the bundled detector, which is small: where it finds no face, the carried detector looks as well.

    floor: below which length its embeddings are of no face, where that was measured apart.
    """

    floor: NormFloor | None = None

    def detect(self, image: Tensor | np.ndarray) -> list[Detection] | None:
        """As the pack's own detector finds them, or else the carried one; both are looked at a second time.

        Doubtful finds of both are kept as refused.
        """
        picture = image if isinstance(image, np.ndarray) else self.prepare(image)
        found = super().detect(picture) or []
        if any(one.refused is None for one in found):
            return found
        return found + self.look_again(picture, find_candidates(torch.from_numpy(picture[..., ::-1].copy())))


def load_bundled_encoder(provider: str = "auto", weights: Weights = BUNDLED) -> BundledEncoder:
    """Detector and recogniser as one, under BUNDLED_NAME.

    Raises FileNotFoundError or DamagedFileError naming a file, RuntimeProblem as `load_recogniser` does.
    """
    found_by, points, file = weights.id_encoder
    weights.require("encoder", found_by, points, file)
    with restorable():
        loaded, detector = load_recogniser(file, provider), load_detector(found_by, provider)
        closely = _load_points_once(points, state_of(points))
        origin = origins(dict.fromkeys((file, found_by, points), ORIGIN))
    note = "\n".join(dict.fromkeys([*loaded.note.splitlines(), *origin.splitlines()]))  # what a file says is noted already
    values = {field.name: getattr(loaded, field.name) for field in fields(loaded)}
    values |= {"name": BUNDLED_NAME, "note": note, "threshold": THRESHOLD, "floor": FLOOR}
    return BundledEncoder(**values | {"detector": replace(detector, largest=_LARGEST_FACE, closely=closely)})


def bundled_space(weights: Weights = BUNDLED) -> str | None:
    """Tag of the embeddings that the bundled encoder makes; None where its recogniser's file is missing."""
    return _space(weights.recogniser)


def reach_of(space: str, weights: Weights = BUNDLED) -> Reach | None:
    """What cosines in the space of a bundled recogniser reach on photos; None for any other."""
    measured = ((weights.recogniser, REACH), (weights.judge_recogniser, JUDGE_REACH))
    return next((reach for file, reach in measured if space == _space(file)), None)


def load_bundled_photo_reader(weights: Weights = BUNDLED) -> PhotoReader:
    """The bundled expression encoder, behind the bundled detector where that is there and behind the carried one elsewhere.

    Raises FileNotFoundError or DamagedFileError naming a file.
    """
    weights.require("encoder", weights.expression)
    with restorable():
        reader = load_expression_reader(weights.expression)
    try:
        finder = load_bundled_encoder(weights=weights)
    except (FileNotFoundError, RuntimeProblem):
        finder = None
    files = (weights.expression,) if finder is None else (weights.expression, weights.detector, weights.points)
    return PhotoReader(BUNDLED_NAME, origins(dict.fromkeys(files, ORIGIN)), reader, finder)


def load_judge_recogniser(weights: Weights = BUNDLED) -> InsightFaceEncoder:
    """The recogniser that conditions nothing, under its file's name.

    Raises FileNotFoundError or DamagedFileError naming the file, RuntimeProblem as `load_recogniser` does.
    """
    file = weights.judge_recogniser
    weights.require("judge", file)
    with restorable():
        loaded = load_recogniser(file, "CPU")
        return replace(loaded, name=file.name, note=origins({file: ORIGIN}))


def load_judge_reader(weights: Weights = BUNDLED) -> PhotoReader:
    """The expression encoder that conditions nothing, under its file's name; loaded once while the file stays as it is.

    Raises FileNotFoundError or DamagedFileError naming the file.
    """
    file = weights.judge_expression
    weights.require("judge", file)
    with restorable():
        reader = _load_reader_once(file, state_of(file))
        return PhotoReader(file.name, origins({file: ORIGIN}), reader)


def _space(file: Path) -> str | None:
    return space_of(file) if file.is_file() else None


@lru_cache(maxsize=1)
def _load_points_once(path: Path, state: tuple) -> PointsReader:
    return load_points_reader(path)


@lru_cache(maxsize=1)
def _load_reader_once(path: Path, state: tuple) -> ExpressionReader:
    return load_expression_reader(path)
