"""How long encoders take on one core, beside MediaPipe's landmarker in the same run."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from ...encoders.detector import FaceDetector
from ...encoders.recogniser import InsightFaceEncoder
from ...landmarker import ExpressionEncoder
from ...landmarker.regions import regions_around
from ...training.teachers import FaceTeacher
from ..expression_judges import ExpressionJudge
from ..metrics import quantile_figure
from .finders import FaceFinder, LandmarkerFinder
from .labelled_faces import LabelledFaces
from .measure import Figures
from .photo_expressions import read_at_points

PICTURES = 40
_WARM = 3
FIND, READ = "MediaPipe, finding and reading faces", "MediaPipe, reading a face at known points"
DETECTORS, RECOGNISERS, EXPRESSIONS = "detectors, a picture", "recognisers, a face", "expression encoders, a face"
_Timed = Callable[[Tensor, Tensor], object]
_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Timed:
    """What is timed, by name: detectors by picture, the others by face."""

    finders: Mapping[str, FaceFinder]
    recognisers: Mapping[str, FaceTeacher]
    expressions: Mapping[str, ExpressionJudge]


@torch.no_grad()
def measure_speed(
    timed: Timed, mediapipe: ExpressionEncoder, faces: LabelledFaces, rows: list[int]
) -> dict[str, dict[str, Figures]]:
    """By kind and network: medians over the rows' pictures of the milliseconds of one core, and as a share of MediaPipe's for
    the same picture.

    Detectors are compared with MediaPipe finding and reading faces, the others with its reading of a face at known points. All
    take their turn at each picture, and only the processor's time counts, so that other work on the machine disturbs little.
    """
    from tqdm import tqdm

    tasks = _tasks(timed, mediapipe)
    spent: dict[tuple[str, str], list[float]] = {key: [] for key in tasks}
    with one_core():
        for number, row in enumerate(tqdm([*rows[:1] * _WARM, *rows], desc="speed", unit="picture")):
            picture, points = faces.photos.picture(row), faces.photos.points[row]
            for key, task in tasks.items():
                start = time.process_time()
                task(picture, points)
                if number >= _WARM:
                    spent[key].append(1000 * (time.process_time() - start))
    results: dict[str, dict[str, Figures]] = {}
    for (kind, name), some in spent.items():
        taken = torch.tensor(some, dtype=torch.float64)
        beside = torch.tensor(spent[kind, FIND if kind == DETECTORS else READ], dtype=torch.float64)
        results.setdefault(kind, {})[name] = {
            "milliseconds": quantile_figure(taken, 0.5), "times_mediapipe": quantile_figure(taken / beside, 0.5)
        }  # fmt: skip
    return results


def _tasks(timed: Timed, mediapipe: ExpressionEncoder) -> dict[tuple[str, str], _Timed]:
    """What is carried out, by kind and name; the first of each kind is MediaPipe's."""

    def known(picture: Tensor, points: Tensor) -> object:
        return mediapipe.landmarker.measure(picture[None], regions_around(points[None]))

    found: dict[str, _Timed] = {FIND: _finding(LandmarkerFinder(mediapipe))} | {
        name: _finding(_alone(finder)) for name, finder in timed.finders.items()
    }
    embedded: dict[str, _Timed] = {READ: known} | {name: _alone(encoder).embed for name, encoder in timed.recognisers.items()}
    read: dict[str, _Timed] = {READ: known} | {name: _reading(judge) for name, judge in timed.expressions.items()}
    kinds = {DETECTORS: found, RECOGNISERS: embedded, EXPRESSIONS: read}
    return {(kind, name): task for kind, tasks in kinds.items() if len(tasks) > 1 for name, task in tasks.items()}


def _finding(finder: FaceFinder) -> _Timed:
    return lambda picture, points: finder.detect(picture)


def _reading(judge: ExpressionJudge) -> _Timed:
    return lambda picture, points: read_at_points(judge, picture[None], points[None])


@contextmanager
def one_core() -> Iterator[None]:
    """PyTorch and OpenCV with a single thread within the block."""
    import cv2

    before, others = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        cv2.setNumThreads(others)


def _alone(encoder: _T) -> _T:
    """The same with ONNX Runtime on one thread; others come back as they are."""
    if isinstance(encoder, InsightFaceEncoder):
        detector = None if encoder.detector is None else _alone(encoder.detector)
        return replace(encoder, recogniser=_single(encoder.recogniser), detector=detector)
    if isinstance(encoder, FaceDetector):
        return replace(encoder, model=_single(encoder.model))
    return encoder


def _single(model: Any) -> Any:
    """insightface's model with a session of one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    single = copy.copy(model)
    single.session = onnxruntime.InferenceSession(model.model_file, options, providers=["CPUExecutionProvider"])
    return single
