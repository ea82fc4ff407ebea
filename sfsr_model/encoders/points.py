"""A second look at a found face: its five points in a crop about the rough ones, and whether there is a face at all.

The file takes crops [N, 3, SIDE, SIDE], RGB as (pixels - 127.5) / 127.5, in which the rough points lie at `looked_at`, and
gives [N, 11]: how far the true points are from there, x and y of each in sides of the crop, and a logit of there being a face.
`python -m sfsr_model.training export` writes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..face.crop import apply_affine, invert_affine, similarity, template
from ..face.warp import resample
from .detection import OTHER_PICTURE, Detection
from .onnx_torch import OnnxError, OnnxModule

SIDE = 96
_ZOOM, _OUTPUTS = 0.8, 11
_LOOKS = 2
# The least logit of a face: the lowest of 140 upright photos was 6, and two thirds of what was taken for a face in the same
# pictures upside down lie below 4. And how far the points of the last two looks may lie apart on the mean, in eye distances.
_LEAST, _APART = 4.0, 0.25
_EXPECTED = f"expected a network that takes [N, 3, {SIDE}, {SIDE}] and gives [N, {_OUTPUTS}], as the training exports it"


class PointsFileError(ValueError):
    """The file is no network of this kind; the message names it, what was found and what was expected."""


def looked_at() -> Tensor:
    """Where the rough points lie in the crop, [5, 2] in the unit square, float64: smaller than by the crop rule, for those
    that are off."""
    return (template() - 0.5) * _ZOOM + 0.5


def looked_for() -> Tensor:
    """The same [5, 2] in pixels of the crop."""
    return looked_at() * SIDE - 0.5


@dataclass(frozen=True, eq=False)
class PointsReader:
    """Made by `load_points_reader`."""

    network: OnnxModule

    @torch.no_grad()
    def look(self, picture: np.ndarray, finds: Sequence[Detection]) -> list[Detection]:
        """Finds in a picture [H, W, 3], uint8 BGR, with their points as seen closely; refused where there is no face.

        Every look cuts the crop out anew by the points of the one before. Those that were refused already stay as they are.
        """
        places = [place for place, one in enumerate(finds) if one.refused is None]
        result = list(finds)
        if not places:
            return result
        points = torch.stack([finds[place].points for place in places])
        pixels = torch.from_numpy(np.ascontiguousarray(picture)).movedim(-1, 0)[None]
        for _ in range(_LOOKS):
            before = points
            points, scores = self._read(pixels, before)
        eyes = (points[:, 1] - points[:, 0]).norm(dim=-1).clamp_min(1e-6)
        apart = (points - before).norm(dim=-1).mean(-1) / eyes
        for place, five, score, moved in zip(places, points, scores.tolist(), apart.tolist(), strict=True):
            refused = None if score >= _LEAST and moved <= _APART else "a closer look at it finds no face there"
            result[place] = replace(finds[place], points=five, refused=refused, advice=OTHER_PICTURE)
        return result

    def _read(self, pixels: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """Better points [N, 5, 2] than the given ones in a picture [1, 3, H, W], BGR bytes, and the logits [N]."""
        meant = looked_for()
        transforms = similarity(points, meant)
        box = (0, 0, SIDE, SIDE)
        crops = torch.cat([resample(pixels, transform, box) for transform in transforms]).flip(1) / 255
        read = self.network(crops * 2 - 1)
        assert isinstance(read, Tensor)
        seen = meant + read[:, :-1].unflatten(-1, (5, 2)).double() * SIDE
        return apply_affine(invert_affine(transforms), seen), read[:, -1]


def load_points_reader(path: Path) -> PointsReader:
    """The network of an ONNX file; raises PointsFileError for a file that is none."""
    if not path.is_file():
        raise PointsFileError(f"{path}: there is no such file; {_EXPECTED}")
    try:
        with torch.inference_mode(False):
            network = OnnxModule(path).eval().requires_grad_(False)
            read = network(torch.zeros(2, 3, SIDE, SIDE))
    except OnnxError as error:
        raise PointsFileError(f"{error}; {_EXPECTED}") from error
    if isinstance(read, tuple) or tuple(read.shape) != (2, _OUTPUTS):
        found = f"{len(read)} outputs" if isinstance(read, tuple) else f"an output of {list(read.shape)} for two faces"
        raise PointsFileError(f"{path.name}: gives {found}; {_EXPECTED}")
    return PointsReader(network)
