"""What is read of pictures without a judge: how a face sits in its picture, and what a photo itself is like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ...encoders.expression import ExpressionReader
from ...face import face_frame, warp_mask
from ..metrics import inside_differences
from ..store import Arrays
from . import appearance, looks


@dataclass(frozen=True, eq=False)
class Shown:
    """Pictures, uint8 [H, W, 3] each, with five points [N, 5, 2]; targets: what they were before they got a new face there."""

    pictures: Sequence[Tensor]
    points: Tensor
    targets: Sequence[Tensor]


def in_floats(pictures: Sequence[Tensor]) -> list[Tensor]:
    """uint8 pictures in 0..1."""
    return [picture.float() / 255 for picture in pictures]


class Reader(Protocol):
    """label: what its readings are kept under. settings: what they depend on, beside the pictures."""

    @property
    def label(self) -> str: ...
    @property
    def settings(self) -> dict[str, Any]: ...

    def read(self, shown: Shown) -> Arrays:
        """Arrays of a row for each picture."""
        ...


class Looks:
    """How the new face sits in its picture: sharpness over the target's own, step of colour beyond it, difference inside."""

    label = "looks"
    names = ("sharpness", "step", "worst_step", "difference")

    @property
    def settings(self) -> dict[str, Any]:
        return {"feather": looks.FEATHER, "ribbon": looks.RIBBON, "sectors": looks.SECTORS, "side": looks.SIDE}

    def read(self, shown: Shown) -> Arrays:
        """As Reader's: each of the names [N]."""
        pairs = zip(shown.pictures, shown.targets, shown.points, strict=True)
        return dict(zip(self.names, np.array([self._one(*pair) for pair in pairs]).T, strict=True))

    def _one(self, pixels: Tensor, old: Tensor, points: Tensor) -> tuple[float, ...]:
        picture, target = in_floats([pixels, old])
        mask = warp_mask(face_frame(points, (picture.shape[0], picture.shape[1]), looks.SIDE))
        difference = float(inside_differences(pixels[None], old[None], mask[None]))
        return looks.sharpness_ratio(picture, target, points), *looks.step_beyond(picture, target, points), difference


@dataclass(frozen=True, eq=False)
class Appearance:
    """What a photo is like: lightness [N] of the skin, light [N] from the side, yaw [N] in radians by the reader."""

    reader: ExpressionReader
    digest: str
    label = "appearance"

    @property
    def settings(self) -> dict[str, Any]:
        return {"expression": self.digest, "side": appearance.SIDE}

    def read(self, shown: Shown) -> Arrays:
        """As Reader's."""
        pairs = list(zip(in_floats(shown.pictures), shown.points, strict=True))
        poses = torch.cat([self.reader.read(picture[None], points[None])[1] for picture, points in pairs])
        return {
            "lightness": np.array([appearance.skin_lightness(*pair) for pair in pairs]),
            "light": np.array([appearance.side_light(*pair) for pair in pairs]),
            "yaw": poses[:, 1].double().numpy(),
        }
