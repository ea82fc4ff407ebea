"""Recognisers of every kind behind one function: ArcFace-type ONNX files, packs, dlib's."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from ...encoders.recogniser import InsightFaceEncoder
from ...training.teachers import DLIB_SUFFIX, DlibRecogniser, FaceTeacher, load_teacher
from ..identities import load_judge


def load_recogniser_of(path: Path, option: str = "recogniser") -> FaceTeacher:
    """A recogniser's ONNX file, a pack or dlib's .dat; option: that named it. Raises ValueError for anything else."""
    if path.suffix.lower() != DLIB_SUFFIX:
        return load_judge(path, option)
    try:
        return load_teacher(path)
    except (ValueError, OSError, ImportError) as error:
        raise ValueError(f"{option}: {str(error).removeprefix('teacher: ')}") from error


def vectors(encoder: FaceTeacher, pictures: Iterable[Tensor], points: Tensor) -> Tensor:
    """What a recogniser makes of pictures [H, W, 3] in 0..1 with five points each [N, 5, 2]: [N, D], of any length."""
    if isinstance(encoder, InsightFaceEncoder):
        aligned = [encoder.align(picture, five) for picture, five in zip(pictures, points, strict=True)]
        return encoder.embed_aligned(aligned).float()
    return torch.stack([encoder.embed(picture, five).float() for picture, five in zip(pictures, points, strict=True)])


def unit_vectors(encoder: FaceTeacher, raw: Tensor, people: Tensor | None = None) -> Tensor:
    """Vectors [N, D] as cosines are taken of them: of length 1; of dlib's, which all point one way, the mean is taken off.

    people [M, D]: vectors of different people to take the mean of; the vectors themselves if left out.
    """
    middle = (raw if people is None else people).mean(0)
    return F.normalize(raw - middle if isinstance(encoder, DlibRecogniser) else raw, dim=-1)
