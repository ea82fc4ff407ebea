"""Recognisers on labelled photos: who is told from whom, and what the length of an embedding says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...encoders.norm_floor import NormFloor, norm_floor
from ...encoders.recogniser import InsightFaceEncoder
from ...face.crop import template
from ...training.teachers import FaceTeacher
from ..metrics import Figure, figure, quantile_figure, retrieved
from .labelled_faces import FRAMES, LONDON, LabelledFaces, limited, smiling_pairs
from .measure import Figures
from .pairs import all_pairs, nothing_verified, verification
from .recognisers import unit_vectors, vectors

PICTURES = 10
"""Of one person no more pictures than this are compared."""
_SHORT = {"norm_permille": 1e-3, "norm_percent": 1e-2}


@dataclass(frozen=True, eq=False)
class Mistaken:
    """What is no face though a recogniser is told so: pictures without any, and rows with points half a face too low."""

    patches: Sequence[Tensor]
    low: Sequence[int]


def measure_recognition(
    encoder: FaceTeacher, faces: LabelledFaces, mistaken: Mistaken, seed: int, name: str = ""
) -> tuple[Figures, Figures, Figures]:
    """Of one recogniser at the labelled points: verification among FRAMES, smiling people found by their neutral picture, and
    lengths of embeddings. name: for the progress."""
    from tqdm import trange

    rows = trange(len(faces), desc=f"recognisers, {name}", unit="photo")
    raw = vectors(encoder, map(faces.photos.picture, rows), faces.photos.points)
    unit = unit_vectors(encoder, raw)
    return _verified(unit, faces, seed), _smiling(unit, faces), _lengths(encoder, raw, faces, mistaken)


def _verified(unit: Tensor, faces: LabelledFaces, seed: int) -> Figures:
    rows = _few_a_person(faces, seed)
    if len(rows) < 2:
        return nothing_verified()
    unit, owners = unit[rows].double(), faces.owners[rows]
    similar = unit @ unit.T
    same = owners[:, None] == owners
    alike = same & ~torch.eye(len(rows), dtype=torch.bool)
    return {
        **verification(*all_pairs(unit, owners)),
        "cosine_same": figure((similar * alike).sum(1) / alike.sum(1), owners),
        "cosine_others": figure((similar * ~same).sum(1) / (~same).sum(1), owners),
    }


def _few_a_person(faces: LabelledFaces, seed: int) -> list[int]:
    """Rows of FRAMES, of each person no more than PICTURES."""
    numbers = {file: row for row, file in enumerate(faces.photos.files)}
    rows = faces.rows(FRAMES)
    return [numbers[file] for file in limited(faces.photos.rows(rows), seed, pictures=PICTURES).files] if rows else []


def _smiling(unit: Tensor, faces: LabelledFaces) -> Figures:
    pairs = smiling_pairs(faces.photos, faces.rows(LONDON))
    if len(pairs) < 2:
        return {"retrieved": Figure(None, None, None, 0)}
    neutral, smiling = unit[[one for one, _ in pairs]], unit[[other for _, other in pairs]]
    return {"retrieved": figure(retrieved(smiling, neutral, torch.arange(len(pairs))).double())}


def _lengths(encoder: FaceTeacher, raw: Tensor, faces: LabelledFaces, mistaken: Mistaken) -> Figures:
    lengths = raw.norm(dim=1)
    short = {name: quantile_figure(lengths, share, faces.owners) for name, share in _SHORT.items()}
    floor = norm_floor(encoder) if isinstance(encoder, InsightFaceEncoder) else None
    if floor is None:
        return short
    sides = torch.tensor([piece.shape[0] for piece in mistaken.patches], dtype=torch.float64)
    # As if a face filled the piece by the one crop rule.
    middle = template() * sides[:, None, None] - 0.5
    low = list(mistaken.low)
    shown = [faces.photos.picture(row) for row in low]
    down = torch.tensor([float(box[3] - box[1]) / 2 for box in map(faces.box, low)], dtype=torch.float64)
    points = faces.photos.points[low] + torch.stack((torch.zeros_like(down), down), 1)[:, None]
    return {
        **short,
        "norm_floor": Figure(floor.pattern, None, None, len(lengths)),
        "refused_faces": figure(_refused(floor, lengths), faces.owners),
        "refused_patches": figure(_refused(floor, _norms(encoder, mistaken.patches, middle))),
        "refused_low": figure(_refused(floor, _norms(encoder, shown, points)), faces.owners[low]),
    }


def _norms(encoder: FaceTeacher, pictures: Sequence[Tensor], points: Tensor) -> Tensor:
    return vectors(encoder, pictures, points).norm(dim=1) if len(pictures) else torch.zeros(0)


def _refused(floor: NormFloor, lengths: Tensor) -> Tensor:
    return torch.tensor([float(floor.refusal(length) is not None) for length in lengths.tolist()])
