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


def load_recogniser_of(path: Path) -> FaceTeacher:
    """The recogniser of --recogniser: an ONNX file, a pack or dlib's .dat. Raises ValueError for anything else."""
    if path.suffix.lower() != DLIB_SUFFIX:
        return load_judge(path, "recogniser")
    try:
        return load_teacher(path)
    except (ValueError, OSError, ImportError) as error:
        raise ValueError(f"recogniser: {str(error).removeprefix('teacher: ')}") from error


def vectors(encoder: FaceTeacher, pictures: Iterable[Tensor], points: Tensor) -> Tensor:
    """What a recogniser makes of pictures [H, W, 3] in 0..1 with five points each [N, 5, 2]: [N, D], of any length."""
    if isinstance(encoder, InsightFaceEncoder):
        aligned = [encoder.align(picture, five) for picture, five in zip(pictures, points, strict=True)]
        return encoder.embed_aligned(aligned).float()
    return torch.stack([encoder.embed(picture, five).float() for picture, five in zip(pictures, points, strict=True)])


def unit_vectors(encoder: FaceTeacher, raw: Tensor) -> Tensor:
    """Vectors [N, D] as cosines are taken of them: of length 1; of dlib's, which all point one way, the mean is taken off."""
    return F.normalize(raw - raw.mean(0) if isinstance(encoder, DlibRecogniser) else raw, dim=-1)
