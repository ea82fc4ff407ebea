"""Who judges: recognisers that say who somebody is, and networks that say what a face does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...encoders.expression import ExpressionReader, load_expression_reader
from ...face import five_points
from ...landmarker import ExpressionEncoder, load_expression_encoder
from ...landmarker.landmarker import MIN_PRESENCE
from ...landmarker.regions import regions_around
from ...naming import naming
from ...training.teachers import DlibRecogniser, FaceTeacher
from ..encoders.recognisers import load_recogniser_of, vectors
from ..expression_judges import READABLE
from ..store import Arrays, digest
from .readers import Shown, in_floats


@dataclass(frozen=True, eq=False)
class IdentityJudge:
    """Says who it is, at the points: vector [N, D]. label: its file's name."""

    path: Path
    encoder: FaceTeacher

    @property
    def label(self) -> str:
        return self.path.name

    @property
    def settings(self) -> dict[str, Any]:
        return {"judge": digest(self.path)}

    @property
    def headline(self) -> bool:
        """Whether it is dlib's, whose figures have floors and targets."""
        return isinstance(self.encoder, DlibRecogniser)

    def read(self, shown: Shown) -> Arrays:
        """As Reader's."""
        return {"vector": vectors(self.encoder, in_floats(shown.pictures), shown.points).numpy()}


@dataclass(frozen=True, eq=False)
class ReaderJudge:
    """The project's own expression encoder, at the points: coefficients [N, 52], pose [N, 3]. It takes anything for a face."""

    path: Path
    reader: ExpressionReader
    headline = False
    sees = False

    @property
    def label(self) -> str:
        return self.path.name

    @property
    def settings(self) -> dict[str, Any]:
        return {"judge": digest(self.path)}

    @property
    def readable(self) -> Tensor:
        """bool [52]: what it can read."""
        return torch.ones_like(READABLE)

    def read(self, shown: Shown) -> Arrays:
        """As Reader's."""
        pairs = zip(in_floats(shown.pictures), shown.points, strict=True)
        read = [self.reader.read(picture[None], points[None]) for picture, points in pairs]
        coefficients, pose = (torch.cat(parts).numpy() for parts in zip(*read, strict=True))
        return {"coefficients": coefficients, "pose": pose}


@dataclass(frozen=True, eq=False)
class LandmarkerJudge:
    """MediaPipe's landmarker: coefficients [N, 52], pose [N, 3] and the eyes' centres [N, 2, 2] in pixels, read at the points
    whether there is a face or not; seen [N]: whether it finds one there by itself."""

    path: Path
    encoder: ExpressionEncoder
    headline = True
    sees = True

    @property
    def label(self) -> str:
        return self.path.name

    @property
    def settings(self) -> dict[str, Any]:
        return {"judge": digest(self.path)}

    @property
    def readable(self) -> Tensor:
        """bool [52]: what it can read."""
        return READABLE

    @torch.no_grad()
    def read(self, shown: Shown) -> Arrays:
        """As Reader's."""
        rows = [self._one(picture, points) for picture, points in zip(in_floats(shown.pictures), shown.points, strict=True)]
        return {name: np.stack([row[name] for row in rows]) for name in rows[0]}

    def _one(self, picture: Tensor, points: Tensor) -> Arrays:
        read = self.encoder.landmarker.measure(picture[None], regions_around(points[None]))
        seen = float(read.presence[0]) >= MIN_PRESENCE and self.encoder.read_at(picture, points) is not None
        return {
            "coefficients": read.coefficients[0].clamp(0, 1).numpy(),
            "pose": read.pose[0].numpy(),
            "eyes": five_points(read.landmarks)[0, :2].numpy(),
            "seen": np.array(seen),
        }


ExpressionJudge = ReaderJudge | LandmarkerJudge


def load_identity_judge(path: Path) -> IdentityJudge:
    """A recogniser's ONNX file, pack or dlib's .dat; raises ValueError naming the option for anything else."""
    return IdentityJudge(path, load_recogniser_of(path, "judge"))


def load_expression_judge(path: Path) -> ReaderJudge:
    """The project's own expression encoder; raises ExpressionFileError for anything else."""
    return ReaderJudge(path, load_expression_reader(path))


def load_landmarker_judge(path: Path) -> LandmarkerJudge:
    """A face_landmarker.task; raises ValueError naming the option for anything else."""
    with naming("landmarker"):
        return LandmarkerJudge(path, load_expression_encoder(path))
