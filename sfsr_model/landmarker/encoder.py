"""The expression of a chosen face in photos."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from ..encoders.detection import Detection, choose_face
from ..expressions import Expression, concatenate
from ..face.landmarks import five_points
from .landmarker import MIN_PRESENCE, FaceLandmarker, FaceReading, load_landmarker
from .regions import views

MIN_WIDTH = 32.0
"""Least width of a face in pixels, brow to chin and ear to ear, from which an expression can be read."""
BLIND = ("cheekPuff", "cheekSquintLeft", "cheekSquintRight", "noseSneerLeft", "noseSneerRight", "jawForward")
"""Coefficients that this network hardly ever raises, whatever the face does."""
_ADVICE = "Use a picture in which the face is closer, larger and seen from the front"


class NoExpressionError(ValueError):
    """A picture without the wanted face; the message gives the picture's number in its batch and its size."""


@dataclass(frozen=True, eq=False)
class ExpressionEncoder:
    """A file's landmarker under its name; made by `load_expression_encoder`."""

    name: str
    landmarker: FaceLandmarker = field(repr=False)
    note: str = "MediaPipe's own file is under the Apache License 2.0"

    @torch.no_grad()
    def faces(self, picture: Tensor) -> tuple[list[Detection], FaceReading | None, str]:
        """All faces of a picture [H, W, 3] in one order: boxes and five points, readings, and why others were refused.

        The picture is searched whole, then as if it were further away, then in parts, until there is a face.
        """
        refused = ""
        pictures = picture[None]
        for view in range(len(views(*picture.shape[:2]))):
            regions, scores = self.landmarker.find(pictures, view)[0]
            if not len(regions):
                continue
            reading = self.landmarker.measure(pictures, regions, torch.zeros(len(regions), dtype=torch.long))
            low, high = reading.landmarks[..., :2].amin(1), reading.landmarks[..., :2].amax(1)
            sure, wide = reading.presence >= MIN_PRESENCE, (high - low)[:, 0] >= MIN_WIDTH
            kept = (sure & wide & low.isfinite().all(1)).nonzero()[:, 0]
            if len(kept):
                boxes = torch.cat((low, high), 1)[kept].double().cpu()
                points = five_points(reading.landmarks[kept])
                found = [
                    Detection(box, five, float(score))
                    for box, five, score in zip(boxes, points, scores[kept.cpu()], strict=True)
                ]
                return found, _rows(reading, kept), ""
            widest = float((high - low)[:, 0][sure].max()) if bool(sure.any()) else 0.0
            refused = f"a face of {widest:.0f} pixels is too small" if widest else "a doubtful one is no face seen closely"
        return [], None, refused

    def read(self, pictures: Tensor, order: str = "largest first", index: int = 0) -> Expression:
        """One expression with its head pose for each picture of a batch [N, H, W, 3], float RGB in 0..1.

        Face number `index` in the given order. Raises NoExpressionError naming a picture without such a face.
        """
        rows = []
        for number, picture in enumerate(pictures):
            found, reading, refused = self.faces(picture)
            label = f"picture {number} ({picture.shape[1]} x {picture.shape[0]} pixels)"
            if reading is None:
                reason = f"no face found; {refused}" if refused else "no face found"
                raise NoExpressionError(f"{label}: {reason}. {_ADVICE}.")
            try:
                place = next(i for i, one in enumerate(found) if one is choose_face(found, order, index))
            except ValueError as error:
                raise NoExpressionError(f"{label}: {error}") from error
            coefficients = reading.coefficients[place : place + 1].float().cpu().clamp(0, 1)
            rows.append(Expression(coefficients, reading.pose[place : place + 1].float().cpu()))
        return concatenate(rows)


def load_expression_encoder(path: Path) -> ExpressionEncoder:
    """The encoder of a face_landmarker.task; raises LandmarkerFileError for a file that is none."""
    return ExpressionEncoder(path.name, load_landmarker(path))


def _rows(reading: FaceReading, kept: Tensor) -> FaceReading:
    return FaceReading(reading.landmarks[kept], reading.presence[kept], reading.coefficients[kept], reading.pose[kept])
