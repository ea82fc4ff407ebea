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
# A start turned about the middle of the find's box is rougher than the find's own points.
_LOOKS, _TURNED_LOOKS = 2, 3
# The least logit of a face: the lowest of 140 upright photos was 6. From _SURE on the points belong to a face that stands as
# they say: of 124 right finds in photos of 90 people, as they are and turned by quarters, 4 % lay below it, of some 40 wrong
# ones, most of them of faces upside down, none above it. And how far the points of the last two looks may lie apart on the
# mean, in eye distances.
_LEAST, _SURE, _APART = 4.0, 9.0, 0.25
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

        Every look cuts the crop out anew by the points of the one before. A detector imagines the points of an upright face in
        one that lies on its side or upside down, so a find of which these looks are not sure is looked at as if it stood in the
        three other ways, and the surest of the four holds. Those that were refused already stay as they are.
        """
        places = [place for place, one in enumerate(finds) if one.refused is None]
        result = list(finds)
        if not places:
            return result
        points = torch.stack([finds[place].points for place in places])
        pixels = torch.from_numpy(np.ascontiguousarray(picture)).movedim(-1, 0)[None]
        points, scores, apart = self._settle(pixels, points, _LOOKS)
        for at, place in enumerate(places):
            five, score, moved, least = points[at], scores[at].item(), apart[at].item(), _LEAST
            if score < _SURE:
                turned, others, steps = self._settle(pixels, _other_ways(finds[place]), _TURNED_LOOKS)
                best = int(others.argmax())
                if others[best].item() > score:
                    five, score, moved, least = turned[best], others[best].item(), steps[best].item(), _SURE
            refused = None if score >= least and moved <= _APART else "a closer look at it finds no face there"
            result[place] = replace(finds[place], points=five, refused=refused, advice=OTHER_PICTURE, sure=score >= _SURE)
        return result

    def _settle(self, pixels: Tensor, points: Tensor, looks: int) -> tuple[Tensor, Tensor, Tensor]:
        """Points [N, 5, 2] after so many looks, the logits [N], and how far the last look moved them [N], in eye distances."""
        for _ in range(looks):
            before = points
            points, scores = self._read(pixels, before)
        eyes = (points[:, 1] - points[:, 0]).norm(dim=-1).clamp_min(1e-6)
        return points, scores, (points - before).norm(dim=-1).mean(-1) / eyes

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


def _other_ways(found: Detection) -> Tensor:
    """The points of a find turned about the middle of its box by one, two and three quarters, [3, 5, 2]."""
    middle = (found.box[:2] + found.box[2:]) / 2
    ways = [found.points - middle]
    for _ in range(3):
        ways.append(torch.stack((-ways[-1][:, 1], ways[-1][:, 0]), -1))
    return torch.stack(ways[1:]) + middle


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
