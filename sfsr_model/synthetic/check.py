"""The truth against networks that this project did not train: YuNet's detections, MediaPipe's blendshapes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ..expressions import ARKIT_NAMES, MOVEMENTS
from .errors import AssetError
from .model import FaceModel
from .packages import optional
from .render import Picture, check_size, render
from .sample import EXPRESSION, generator, sample_parts, sample_picture

FRONTAL = np.radians(30.0)
_SCORE = 0.6
SERIES = 24
_BOOTSTRAPS = 400
# Truth and opinion [52] of one face; None where no face was found.
Opinion = tuple[np.ndarray, np.ndarray] | None


def detection_table(model: FaceModel, weights: Path, seed: int, count: int, size: int) -> list[str]:
    """How many samples YuNet finds, and how far its five points lie from the truth, in Markdown lines."""
    cv2 = optional("cv2")
    _require(weights, count, size)
    try:
        detector = cv2.FaceDetectorYN.create(str(weights), "", (size, size), _SCORE)
        detector.detect(np.zeros((size, size, 3), np.uint8))
    except cv2.error as fault:
        raise AssetError(f"{weights}: OpenCV cannot use it as YuNet ({fault.err}); give YuNet's ONNX file") from None
    bands = {"frontal, up to 30 degrees": (0.0, FRONTAL), "turned, 30 to 60 degrees": (FRONTAL, np.pi)}
    results: dict[str, list[tuple[bool, float]]] = {name: [] for name in bands}
    for number in range(count):
        picture = sample_picture(model, seed, number, size)
        faces = detector.detect(np.ascontiguousarray(picture.image[..., ::-1]))[1]
        found, distance = _nearest(faces, picture)
        for name, (low, high) in bands.items():
            if low <= abs(picture.pose[1]) < high:
                results[name].append((found, distance))
    lines = ["| yaw | samples | found by YuNet | mean distance of its five points, % of the eyes' |", "|---|---|---|---|"]
    return [*lines, *(detection_line(name, rows) for name, rows in results.items() if rows)]


def detection_line(name: str, rows: list[tuple[bool, float]]) -> str:
    """A row of the table: how many of the samples were found, and the mean distance among these; "-" where none was."""
    errors = [error for found, error in rows if found]
    distance = f"{100 * np.mean(errors):.1f}" if errors else "-"
    return f"| {name} | {len(rows)} | {100 * len(errors) / len(rows):.1f} % | {distance} |"


def _nearest(faces: np.ndarray | None, picture: Picture) -> tuple[bool, float]:
    five = picture.five
    span = max(float(np.linalg.norm(five[1] - five[0])), 0.3 * float(np.linalg.norm(five[3:].mean(0) - five[:2].mean(0))))
    best = np.inf
    for face in [] if faces is None else faces:
        best = min(best, float(np.linalg.norm(face[4:14].reshape(5, 2) - five, axis=1).mean()) / span)
    return best < 0.5, best


def blendshape_table(model: FaceModel, task: Path, seed: int, count: int, size: int) -> list[str]:
    """Pearson's r of each coefficient with MediaPipe's on frontal faces without spectacles, in Markdown lines.

    First r: over `count` random samples, with the 5 % and 95 % quantiles of a bootstrap over them. Second r: over a series
    for each movement, in which SERIES people make it at strengths spread evenly over 0..1, both sides together, each beside
    one other movement. Compared by name: MediaPipe's `_neutral` has
    no partner among ARKit's, ARKit's tongueOut none there.
    """
    try:
        from mediapipe.tasks.python import BaseOptions, vision
    except ImportError as error:
        raise ImportError("the blendshape check needs mediapipe; install it with `pip install mediapipe`") from error
    _require(task, count, size)
    options = vision.FaceLandmarkerOptions(base_options=BaseOptions(str(task)), output_face_blendshapes=True)
    try:
        opened = vision.FaceLandmarker.create_from_options(options)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise AssetError(f"{task}: mediapipe cannot use it ({reason}); give its face_landmarker task file") from None
    with opened as landmarker:
        wild = [_ask(model, landmarker, seed, number, size, None) for number in range(count)]
        series: dict[int, str] = {}
        for movement in MOVEMENTS:
            values = [_strength(seed, movement, place) for place in range(SERIES)]
            answers = [_ask(model, landmarker, seed + 1, place, size, value) for place, value in enumerate(values)]
            series |= {index: _correlation(answers, index) for index in movement}
    found = sum(row is not None for row in wild)
    lines = [
        f"faces found by MediaPipe: {found} of {count}",
        "",
        "| coefficient | r, random samples | 90 % interval | r, series |",
    ]
    rows = [f"| {name} | {_correlation(wild, i)} | {_interval(wild, i)} | {series[i]} |" for i, name in enumerate(ARKIT_NAMES)]
    return [*lines, "|---|---|---|---|", *rows]


def _strength(seed: int, movement: tuple[int, ...], place: int) -> np.ndarray:
    """Coefficients [52] of one face of a series."""
    rng = generator(seed, place, movement[0], EXPRESSION)
    values = np.zeros(len(ARKIT_NAMES), np.float32)
    values[list(MOVEMENTS[rng.integers(len(MOVEMENTS))])] = rng.uniform(0, 0.7)
    values[list(movement)] = place / (SERIES - 1)
    return values


def _ask(model: FaceModel, landmarker: object, seed: int, number: int, size: int, coefficients: np.ndarray | None) -> Opinion:
    """Truth and opinion [52] for one face, None where none is found; coefficients None takes the sample's own."""
    import mediapipe

    identity, own, look, scene = sample_parts(model, seed, number, max_yaw=float(FRONTAL), finish_strength=0.3)
    look, scene = replace(look, glasses=None), replace(scene, occluder=None)
    picture = render(model, identity, own if coefficients is None else coefficients, look, scene, size)
    shown = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=picture.image)
    faces = landmarker.detect(shown).face_blendshapes  # type: ignore[attr-defined]
    if not faces:
        return None
    scores = {entry.category_name: entry.score for entry in faces[0]}
    return picture.coefficients, np.array([scores.get(name, np.nan) for name in ARKIT_NAMES])


def _correlation(rows: list[Opinion], index: int) -> str:
    pairs = _pairs(rows, index)
    return "-" if pairs is None else f"{np.corrcoef(pairs.T)[0, 1]:.2f}"


def _interval(rows: list[Opinion], index: int) -> str:
    pairs = _pairs(rows, index)
    if pairs is None:
        return "-"
    rng = np.random.default_rng(0)
    values = [np.corrcoef(pairs[rng.integers(len(pairs), size=len(pairs))].T)[0, 1] for _ in range(_BOOTSTRAPS)]
    low, high = np.nanquantile(values, (0.05, 0.95))
    return f"{low:.2f} to {high:.2f}"


def _pairs(rows: list[Opinion], index: int) -> np.ndarray | None:
    """Truth and opinion [N, 2] of one coefficient; None where no correlation can be told."""
    pairs = np.array([(truth[index], opinion[index]) for truth, opinion in filter(None, rows)])
    return None if not len(pairs) or np.isnan(pairs).any() or (pairs.std(0) == 0).any() else pairs


def _require(path: Path, count: int, size: int) -> None:
    if count < 1:
        raise ValueError(f"count: expected at least 1, got {count}")
    check_size(size)
    if not path.is_file():
        raise AssetError(f"{path}: no such file; give the path of the network's file")
