"""The mean face as MediaPipe's 478 points, and how each of the 52 coefficients moves them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from ..bundled import BUNDLED, RESTORE, restorable
from ..expressions import ARKIT_NAMES
from ..face.landmarks import MESH_GROUPS
from ..files import read_metadata, read_tensors, whole_file
from .lines import POINTS

FORMAT, FORMAT_VERSION = "sfsr-face-points", 1
_SHAPES = {"mean": (POINTS, 3), "moves": (len(ARKIT_NAMES), POINTS, 3)}


class FacePointsError(ValueError):
    """The file of the mean face cannot be used; the message names it and what was found."""


@dataclass(frozen=True, eq=False)
class FacePoints:
    """A face at rest that looks ahead, and its movements.

    mean: float32 [478, 3]; the eyes' centres are 1 apart and their middle is the origin; x to the viewer's right, y down, z
    away from the viewer, as MediaPipe's landmarks. moves: float32 [52, 478, 3], in `ARKIT_NAMES` order: what a coefficient of
    1 adds. Raises FacePointsError for other shapes and values that are not finite.
    """

    mean: Tensor
    moves: Tensor

    def __post_init__(self) -> None:
        for name, shape in _SHAPES.items():
            found = getattr(self, name)
            if tuple(found.shape) != shape or not bool(found.isfinite().all()):
                raise FacePointsError(f"{name}: shape {list(found.shape)}; expected finite numbers {list(shape)}")

    @classmethod
    def of(cls, mean: np.ndarray, moves: np.ndarray) -> FacePoints:
        """Of points in any unit and place: they are brought to the eyes' distance and middle."""
        left, right = five_of(torch.from_numpy(mean))[:2]
        unit = float((right - left).norm())
        middle = (left + right) / 2
        return cls(((torch.from_numpy(mean) - middle) / unit).float(), (torch.from_numpy(moves) / unit).float())

    @property
    def stillness(self) -> Tensor:
        """Weights float32 [478], 0..1: how little the coefficients move a point, for fits of the head's place."""
        return 1 / (1 + (self.moves.norm(dim=-1).amax(0) / _STILL) ** 2)

    def moved(self, coefficients: Tensor) -> Tensor:
        """How far coefficients [..., 52] in 0..1 move the points, float32 [..., 478, 3]."""
        return torch.einsum("...k,kpc->...pc", coefficients.detach().cpu().float(), self.moves)

    def save(self, path: str | os.PathLike[str], about: str) -> None:
        """Write float16 atomically; about: what it was made of and how."""
        tensors = {name: getattr(self, name).half().contiguous() for name in _SHAPES}
        metadata = {"format": FORMAT, "version": str(FORMAT_VERSION), "about": about}
        with whole_file(Path(path)) as partial:
            save_file(tensors, partial, metadata=metadata)


# A point that the strongest coefficient moves this far, in the eyes' distance, counts half.
_STILL = 0.03


def five_of(points: Tensor) -> Tensor:
    """The canonical five points [..., 5, C] of landmarks [..., 478, C], as `face.five_points` but with their depth."""
    return torch.stack([points[..., list(group), :].mean(-2) for group in MESH_GROUPS], -2)


def load_face_points(path: str | os.PathLike[str] = BUNDLED.face_points) -> FacePoints:
    """Read a file of `FacePoints.save`; raises FacePointsError naming one that is missing, cut off or of another kind."""
    path = Path(path)
    if not path.is_file():
        raise FacePointsError(f"{path.name}: no such file; {RESTORE}")
    try:
        strings, tensors = read_metadata(path), read_tensors(path)
    except (SafetensorError, OSError) as error:
        raise FacePointsError(f"{path.name}: not a readable safetensors file ({error})") from error
    if strings.get("format") != FORMAT or strings.get("version") != str(FORMAT_VERSION) or tensors.keys() != _SHAPES.keys():
        raise FacePointsError(f"{path.name}: holds no mean face of version {FORMAT_VERSION}")
    return FacePoints(**{name: value.float() for name, value in tensors.items()})


@lru_cache(maxsize=1)
def bundled_face_points() -> FacePoints:
    """The file that comes with the pack, read once; raises DamagedFileError where it is missing or damaged."""
    with restorable(), torch.inference_mode(False):
        return load_face_points()
