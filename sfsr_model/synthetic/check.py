"""The truth against networks that this project did not train: YuNet's detections, MediaPipe's blendshapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..expressions import ARKIT_NAMES
from .errors import AssetError
from .model import FaceModel
from .render import Picture
from .sample import sample_picture

FRONTAL = np.radians(30.0)
_SCORE = 0.6


def detection_table(model: FaceModel, weights: Path, seed: int, count: int, size: int) -> list[str]:
    """How many samples YuNet finds, and how far its five points lie from the truth, in Markdown lines."""
    import cv2

    _require(weights)
    detector = cv2.FaceDetectorYN.create(str(weights), "", (size, size), _SCORE)
    bands = {"frontal, up to 30 degrees": (0.0, FRONTAL), "turned, 30 to 60 degrees": (FRONTAL, np.pi)}
    results: dict[str, list[tuple[bool, float]]] = {name: [] for name in bands}
    for number in range(count):
        picture = sample_picture(model, seed, number, size)
        faces = detector.detect(np.ascontiguousarray(picture.image[..., ::-1]))[1]
        found, error = _nearest(faces, picture)
        for name, (low, high) in bands.items():
            if low <= abs(picture.pose[1]) < high:
                results[name].append((found, error))
    lines = ["| yaw | samples | found by YuNet | mean distance of its five points, % of the eyes' |", "|---|---|---|---|"]
    for name, rows in results.items():
        if rows:
            errors = [error for found, error in rows if found]
            rate = 100 * np.mean([found for found, _ in rows])
            lines.append(f"| {name} | {len(rows)} | {rate:.1f} % | {100 * np.mean(errors):.1f} |")
    return lines


def _nearest(faces: np.ndarray | None, picture: Picture) -> tuple[bool, float]:
    five = picture.five
    span = max(float(np.linalg.norm(five[1] - five[0])), 0.3 * float(np.linalg.norm(five[3:].mean(0) - five[:2].mean(0))))
    best = np.inf
    for face in [] if faces is None else faces:
        best = min(best, float(np.linalg.norm(face[4:14].reshape(5, 2) - five, axis=1).mean()) / span)
    return best < 0.5, best


def blendshape_table(model: FaceModel, task: Path, seed: int, count: int, size: int) -> list[str]:
    """Pearson's r of each coefficient with MediaPipe's on frontal samples, in Markdown lines.

    Compared by name: MediaPipe's `_neutral` has no partner among ARKit's, ARKit's tongueOut has none there.
    """
    try:
        import mediapipe
        from mediapipe.tasks.python import BaseOptions, vision
    except ImportError as error:
        raise ImportError("the blendshape check needs mediapipe; install it with `pip install mediapipe`") from error
    _require(task)
    base = BaseOptions(model_asset_path=str(task))
    truth, opinion = [], []
    with vision.FaceLandmarker.create_from_options(
        vision.FaceLandmarkerOptions(base_options=base, output_face_blendshapes=True)
    ) as landmarker:
        for number in range(count):
            picture = sample_picture(model, seed, number, size, max_yaw=float(FRONTAL), finish_strength=0.3)
            shown = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=picture.image)
            found = landmarker.detect(shown).face_blendshapes
            if found:
                scores = {entry.category_name: entry.score for entry in found[0]}
                truth.append(picture.coefficients)
                opinion.append([scores.get(name, np.nan) for name in ARKIT_NAMES])
    a, b = np.array(truth), np.array(opinion)
    lines = [f"faces found by MediaPipe: {len(truth)} of {count}", "", "| coefficient | r |", "|---|---|"]
    for column, name in enumerate(ARKIT_NAMES):
        if not np.isnan(b[:, column]).any() and a[:, column].std() > 0 and b[:, column].std() > 0:
            lines.append(f"| {name} | {np.corrcoef(a[:, column], b[:, column])[0, 1]:.2f} |")
        else:
            lines.append(f"| {name} | no partner |")
    return lines


def _require(path: Path) -> None:
    if not path.is_file():
        raise AssetError(f"{path}: no such file; give the path of the network's file")
