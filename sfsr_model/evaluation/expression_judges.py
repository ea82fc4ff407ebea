"""Who judges expression and pose: MediaPipe's landmarker, or the project's own encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from ..encoders.expression import load_expression_reader
from ..expressions import ARKIT_NAMES
from ..landmarker import UNREAD, load_landmarker
from ..landmarker.regions import REGION, views

READABLE = torch.tensor([name not in UNREAD for name in ARKIT_NAMES])
"""Coefficients that the landmarker can read: bool [52]."""


class ExpressionJudge(Protocol):
    """name: of its file. readable: bool [52], the coefficients that it can read."""

    @property
    def name(self) -> str: ...
    @property
    def readable(self) -> Tensor: ...

    def places(self, pictures: Tensor, points: Tensor) -> Tensor:
        """Where it will look in each picture [N, H, W, 3] in 0..1 with five points [N, 5, 2]; NaN where it finds no face."""
        ...

    def read(self, pictures: Tensor, places: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Coefficients [N, 52], pose [N, 3] and presence [N] of the faces at the places; NaN for what it cannot tell."""
        ...


class LandmarkerJudge:
    """MediaPipe's landmarker from a face_landmarker.task; it finds faces itself."""

    readable = READABLE

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._landmarker = load_landmarker(path)

    @torch.no_grad()
    def places(self, pictures: Tensor, points: Tensor) -> Tensor:
        """The region [N, 5] of the best face of each picture."""
        found = torch.full((len(pictures), len(REGION)), torch.nan)
        for view in range(len(views(*pictures.shape[1:3]))):
            open_ = found[:, 0].isnan().nonzero()[:, 0]
            if not len(open_):
                break
            for number, (regions, _) in zip(open_.tolist(), self._landmarker.find(pictures[open_], view), strict=True):
                if len(regions):
                    found[number] = regions[0]
        return found

    @torch.no_grad()
    def read(self, pictures: Tensor, places: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        coefficients, pose, presence = nothing_read(len(pictures))
        known = ~places[:, 0].isnan()
        if known.any():
            reading = self._landmarker.measure(pictures[known], places[known])
            coefficients[known], pose[known] = reading.coefficients.clamp(0, 1), reading.pose
            presence[known] = reading.presence
        return coefficients, pose, presence


class ReaderJudge:
    """The project's own expression encoder from its ONNX file. It takes what is at the points for a face."""

    readable = torch.ones(len(ARKIT_NAMES), dtype=torch.bool)

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._reader = load_expression_reader(path)

    def places(self, pictures: Tensor, points: Tensor) -> Tensor:
        """The points [N, 5, 2] as they are."""
        return points

    def read(self, pictures: Tensor, places: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return *self._reader.read(pictures, places), torch.full((len(pictures),), torch.nan)


def load_expression_judge(path: Path) -> ExpressionJudge:
    """The judge of a file: the project's own encoder if it ends in .onnx, else the landmarker.

    Raises ExpressionFileError or LandmarkerFileError for a file that is none.
    """
    return ReaderJudge(path) if path.suffix.lower() == ".onnx" else LandmarkerJudge(path)


def nothing_read(count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Coefficients, pose and presence of so many pictures in which nothing was read: NaN."""
    return torch.full((count, len(ARKIT_NAMES)), torch.nan), torch.full((count, 3), torch.nan), torch.full((count,), torch.nan)
