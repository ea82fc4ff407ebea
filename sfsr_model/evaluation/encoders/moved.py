"""A labelled picture turned, or brought to another size, and where its face then lies."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ...face.crop import apply_affine, invert_affine
from ...face.warp import resample
from .labelled_faces import LabelledFaces, box_around
from .people import Scene

CANVAS = 320
"""Side in pixels of the grey picture that a smaller one lies in."""
_GREY = 0.5


@dataclass(frozen=True, eq=False)
class Moved:
    """scene: the new picture. back [2, 3]: from its pixels to those of the picture that it was made of."""

    scene: Scene
    back: Tensor


def turned(faces: LabelledFaces, row: int, degrees: float) -> Moved:
    """A row's picture turned clockwise about its face's middle and shown whole; its repeated border fills the corners."""
    scene = faces.scene(row)
    height, width = scene.picture.shape[:2]
    angle = math.radians(degrees)
    linear = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], dtype=torch.float64)
    middle = (scene.box[:2] + scene.box[2:]) / 2
    forth = torch.cat((linear, (middle - linear @ middle)[:, None]), 1)
    right, bottom = width - 0.5, height - 0.5
    corners = torch.tensor([[-0.5, -0.5], [right, -0.5], [-0.5, bottom], [right, bottom]], dtype=torch.float64)
    corners = apply_affine(forth, corners)
    # Rounded, so that a quarter's turn, whose corners are whole pixels but for the last bits, gains none.
    low = (corners.amin(0) + 0.5).round(decimals=6).floor()
    across, down = ((corners.amax(0) + 0.5).round(decimals=6).ceil() - low).long().tolist()
    forth[:, 2] -= low
    picture = resample(scene.picture.movedim(-1, 0)[None], forth, (0, 0, across, down))[0].movedim(0, -1)
    box = box_around(apply_affine(forth, faces.landmarks[row]))
    return Moved(Scene(picture, box, apply_affine(forth, scene.points), scene.yaw), invert_affine(forth))


def sized(faces: LabelledFaces, row: int, side: float, generator: torch.Generator) -> Moved:
    """A row's picture at the size at which its face's box has a longer side of so many pixels.

    One that gets smaller than CANVAS lies in a grey picture of that size, at a place that the generator draws.
    """
    scene = faces.scene(row)
    shape = torch.tensor(scene.picture.shape[:2])
    scale = side / float((scene.box[2:] - scene.box[:2]).max())
    height, width = (shape * scale).round().clamp_min(1).long().tolist()
    shown = F.interpolate(scene.picture.movedim(-1, 0)[None], (height, width), mode="bicubic", antialias=True)
    picture = shown[0].movedim(0, -1).clamp(0, 1)
    factors = torch.tensor([width, height], dtype=torch.float64) / shape.flip(0)
    corner = torch.zeros(2, dtype=torch.float64)
    if max(height, width) < CANVAS:
        ground = torch.full((CANVAS, CANVAS, 3), _GREY)
        left, top = (int(torch.randint(CANVAS - extent + 1, (), generator=generator)) for extent in (width, height))
        ground[top : top + height, left : left + width] = picture
        picture, corner = ground, torch.tensor([left, top], dtype=torch.float64)
    # Pixels' centres are whole numbers: half a pixel lies outside the first one.
    forth = torch.cat((torch.diag(factors), (factors / 2 - 0.5 + corner)[:, None]), 1)
    box = apply_affine(forth, scene.box.reshape(2, 2)).flatten()
    return Moved(Scene(picture, box, apply_affine(forth, scene.points), scene.yaw), invert_affine(forth))
