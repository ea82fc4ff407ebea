"""Expression encoders on labelled photos, at the labelled points: beside MediaPipe's readings, and whether smiles are seen."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...expressions import ARKIT_INDEX
from ...landmarker.regions import regions_around
from ..expression_judges import ExpressionJudge, LandmarkerJudge, nothing_read
from ..metrics import Figure, correlation_figure, figure, pose_errors
from .labelled_faces import LONDON, LabelledFaces, smiling_pairs
from .measure import Figures

TOGETHER = "all photos"
_SMILE = [ARKIT_INDEX["mouthSmileLeft"], ARKIT_INDEX["mouthSmileRight"]]
_BATCH = 16


def read_at_points(judge: ExpressionJudge, pictures: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Coefficients [N, 52] and pose [N, 3] of the faces with five points [N, 5, 2] in pictures [N, H, W, 3]; nobody looks for
    a face."""
    places = regions_around(points) if isinstance(judge, LandmarkerJudge) else points
    return judge.read(pictures, places)[:2]


@torch.no_grad()
def read_all(judge: ExpressionJudge, faces: LabelledFaces, name: str) -> tuple[Tensor, Tensor]:
    """Coefficients [N, 52] and pose [N, 3] of all photos."""
    from tqdm import tqdm

    coefficients, pose, _ = nothing_read(len(faces))
    with tqdm(total=len(faces), desc=f"expressions, {name}", unit="photo") as bar:
        for group in faces.kinds():
            rows = faces.rows(group)
            for first in range(0, len(rows), _BATCH):
                some = rows[first : first + _BATCH]
                for part in _of_one_size([faces.photos.picture(row) for row in some], some):
                    numbers = [row for row, _ in part]
                    pictures = torch.stack([picture for _, picture in part])
                    coefficients[numbers], pose[numbers] = read_at_points(judge, pictures, faces.photos.points[numbers])
                bar.update(len(some))
    return coefficients, pose


def _of_one_size(pictures: Sequence[Tensor], rows: Sequence[int]) -> list[list[tuple[int, Tensor]]]:
    parts: dict[torch.Size, list[tuple[int, Tensor]]] = {}
    for row, picture in zip(rows, pictures, strict=True):
        parts.setdefault(picture.shape, []).append((row, picture))
    return list(parts.values())


def measure_photo_expressions(coefficients: Tensor, pose: Tensor, faces: LabelledFaces) -> dict[str, Figures]:
    """By group, and of all together: how near readings [N, 52] and poses [N, 3] are to the labels and to MediaPipe's pose."""
    results = {}
    for group in (*faces.kinds(), TOGETHER):
        rows = list(range(len(faces))) if group == TOGETHER else faces.rows(group)
        read, wanted = coefficients[rows], faces.photos.coefficients[rows]
        owners, turned, true = faces.owners[rows], pose[rows], faces.pose[rows]
        smiles = read[:, _SMILE].mean(1, keepdim=True), wanted[:, _SMILE].mean(1, keepdim=True)
        results[group] = {
            "correlation": _correlation(read, wanted, owners),
            "correlation_smile": _correlation(*smiles, owners),
            "pose": figure(pose_errors(turned, true), owners),
            **{
                name: figure(torch.rad2deg((turned - true)[:, place].abs()), owners)
                for place, name in enumerate(("pitch", "yaw", "roll"))
            },
        }
        if group == LONDON:
            results[group]["smiles_more"] = _smiles_more(coefficients, faces)
    return results


def _correlation(read: Tensor, wanted: Tensor, owners: Tensor) -> Figure:
    return correlation_figure(read, wanted, torch.ones(wanted.shape[1], dtype=torch.bool), owners=owners)


def _smiles_more(coefficients: Tensor, faces: LabelledFaces) -> Figure:
    smile = coefficients[:, _SMILE].mean(1)
    pairs = torch.tensor(smiling_pairs(faces.photos, faces.rows(LONDON)), dtype=torch.long).reshape(-1, 2)
    return figure((smile[pairs[:, 1]] > smile[pairs[:, 0]]).double())
