"""The expression of a chosen face in photos."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from ..encoders.detection import Detection, order_faces
from ..encoders.expression_photos import MIN_WIDTH, Reading, wanted_face, with_flame
from ..encoders.smirk import SmirkReader, square_around
from ..expressions import Expression, concatenate
from ..face.landmarks import five_points
from .landmarker import MIN_PRESENCE, FaceLandmarker, FaceReading, load_landmarker
from .regions import regions_around, views

BLIND = ("cheekPuff", "cheekSquintLeft", "cheekSquintRight", "noseSneerLeft", "noseSneerRight", "jawForward")
"""Coefficients that this network hardly ever raises, whatever the face does."""
UNREAD = (*BLIND, "tongueOut")
"""Those that it cannot see."""


class _RegionReading(Reading):
    def __init__(self, landmarker: FaceLandmarker) -> None:
        super().__init__()
        # A copy: the loaded one is shared with nodes that read photos, and this one may move to another device.
        self.landmarker = copy.deepcopy(landmarker).requires_grad_(False)
        self.register_buffer("known", landmarker.known.clone())

    def forward(self, pictures: Tensor, points: Tensor) -> Tensor:
        return self.landmarker.measure(pictures, regions_around(points)).coefficients


@dataclass(frozen=True, eq=False)
class ExpressionEncoder:
    """A file's landmarker under its name; made by `load_expression_encoder`."""

    name: str
    landmarker: FaceLandmarker = field(repr=False)
    note: str = "MediaPipe's own file is under the Apache License 2.0"
    blind: tuple[str, ...] = BLIND
    unread: tuple[str, ...] = UNREAD
    smirk: SmirkReader | None = None

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
        """As `PhotoEncoder.read`."""
        rows = []
        for number, picture in enumerate(pictures):
            found, reading, refused = self.faces(picture)
            place = wanted_face(picture, number, found, refused, order, index)
            assert reading is not None
            rows.append(self._expression(picture, reading, place))
        return concatenate(rows)

    @torch.no_grad()
    def read_every(self, picture: Tensor) -> list[tuple[Detection, Expression]]:
        """As `PhotoEncoder.read_every`."""
        found, reading, _ = self.faces(picture)
        if reading is None:
            return []
        faces = [(face, self._expression(picture, reading, place)) for place, face in enumerate(found)]
        return sorted(faces, key=lambda pair: order_faces(found).index(pair[0]))

    def read_at(self, picture: Tensor, points: Tensor) -> Expression | None:
        """As `PhotoEncoder.read_at`: the nearest face counts, where its points lie on average within an eye's distance."""
        found, reading, _ = self.faces(picture)
        if reading is None:
            return None
        points = points.to(found[0].points)
        distances = [(one.points - points).norm(dim=-1).mean().item() for one in found]
        place = min(range(len(found)), key=lambda number: distances[number])
        if distances[place] > (points[1] - points[0]).norm().item():
            return None
        return self._expression(picture, reading, place)

    def differentiable(self) -> Reading:
        """As `PhotoEncoder.differentiable`."""
        with torch.inference_mode(False):
            return _RegionReading(self.landmarker)

    def _expression(self, picture: Tensor, reading: FaceReading, place: int) -> Expression:
        """One face of a reading."""
        row = slice(place, place + 1)
        expression = Expression(reading.coefficients[row].float().cpu().clamp(0, 1), reading.pose[row].float().cpu())
        return with_flame(expression, self.smirk, picture, lambda: square_around(reading.landmarks[place]))


def load_expression_encoder(path: Path) -> ExpressionEncoder:
    """The encoder of a face_landmarker.task; raises LandmarkerFileError for a file that is none."""
    return ExpressionEncoder(path.name, load_landmarker(path))


def _rows(reading: FaceReading, kept: Tensor) -> FaceReading:
    return FaceReading(reading.landmarks[kept], reading.presence[kept], reading.coefficients[kept], reading.pose[kept])
