"""Held-out people as encoders are shown them: aligned triplets, and pictures in which the face has yet to be found."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ...synthetic.model import FaceModel
from ...synthetic.sample import sample_picture
from ...synthetic.triplet import sample_triplet

REFERENCE, SOURCE, TARGET, ANSWER = range(4)
ROLES = ("reference", "source", "target", "answer")
SMALL = 3
"""How many times smaller the small pictures are."""
_GREY = 0.5


@dataclass(frozen=True, eq=False)
class People:
    """Triplets by number and role. pictures uint8 [N, 4, S, S, 3], points float64 [N, 4, 5, 2], coefficients [N, 4, 52],
    pose [N, 4, 3] in radians.

    Reference and answer show one person in two heads of hair, skins and lights; source and answer wear one expression; the
    target is the answer's head with another face.
    """

    pictures: Tensor
    points: Tensor
    coefficients: Tensor
    pose: Tensor

    def of(self, role: int) -> tuple[Tensor, Tensor]:
        """Pictures [N, S, S, 3] and points [N, 5, 2] of one role."""
        return self.pictures[:, role], self.points[:, role]


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture [H, W, 3] in 0..1, the box [4] of the face meant and its five points [5, 2], in pixels; yaw in radians."""

    picture: Tensor
    box: Tensor
    points: Tensor
    yaw: float = 0.0


def render_people(model: FaceModel, seed: int, first: int, last: int, size: int, max_yaw: float) -> People:
    """The triplets first .. last - 1 of a seed; size in pixels, max_yaw in radians."""
    triplets = [sample_triplet(model, seed, number, size, max_yaw) for number in range(first, last)]
    pictures = [[getattr(triplet, role) for role in ROLES] for triplet in triplets]

    def stacked(name: str) -> Tensor:
        return torch.stack([torch.stack([torch.as_tensor(getattr(one, name)) for one in row]) for row in pictures])

    return People(stacked("image"), stacked("five").double(), stacked("coefficients").float(), stacked("pose").float())


def join(parts: list[People]) -> People:
    """The parts one after the other."""
    return People(*(torch.cat([getattr(part, name) for part in parts]) for name in vars(parts[0])))


def render_scene(model: FaceModel, seed: int, number: int, size: int, max_yaw: float) -> Scene:
    """A person as a camera sees them, size x size pixels."""
    shown = sample_picture(model, seed, number, size, max_yaw=max_yaw)
    points = torch.from_numpy(shown.five).double()
    box = torch.tensor(shown.box, dtype=torch.float64)
    return Scene(torch.from_numpy(shown.image).float() / 255, box, points, shown.pose[1])


def smaller(scene: Scene, number: int) -> Scene:
    """The same picture SMALL times smaller, in one of the corners of a grey one of its size."""
    size = scene.picture.shape[0]
    side = size // SMALL
    little = F.interpolate(scene.picture.movedim(-1, 0)[None], (side, side), mode="area")[0].movedim(0, -1)
    left, top = (size - side) * (number % 2), (size - side) * (number // 2 % 2)
    picture = torch.full_like(scene.picture, _GREY)
    picture[top : top + side, left : left + side] = little
    corner = torch.tensor([left, top], dtype=torch.float64)

    def moved(places: Tensor) -> Tensor:
        # Pixels' centres are whole numbers: half a pixel lies outside the first one.
        return (places + 0.5) * (side / size) - 0.5 + corner

    return Scene(picture, moved(scene.box.reshape(2, 2)).flatten(), moved(scene.points), scene.yaw)
