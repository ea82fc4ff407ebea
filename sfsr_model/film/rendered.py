"""Short films of people who do not exist, with everything that is known of each frame; needs what `synthetic` needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .performance import Performance, perform

if TYPE_CHECKING:
    from ..synthetic.model import FaceModel
    from ..synthetic.render import Picture


@dataclass(frozen=True)
class Shot:
    """Who does what before which camera: one rendered person without spectacles and with nothing before the face.

    person: the number that stands for identity, look, light and backdrop; size: pixels of a square frame;
    eye_span: distance of the eyes in picture widths, seen from the front; still_grain: the same noise in every frame, where
    a camera's own differs from frame to frame.
    """

    performance: Performance
    person: int = 0
    size: int = 256
    eye_span: float = 0.2
    still_grain: bool = False


def shot(
    seed: int, frames: int, size: int = 256, *, rate: float = 30.0, turn: float = 25.0, turn_rate: float = 60.0, person: int = 0
) -> Shot:
    """A shot of the performance of this seed (see `perform`) by a numbered person."""
    return Shot(perform(seed, frames, rate, turn, turn_rate), person, size)


def render_film(model: FaceModel, film: Shot) -> Iterator[Picture]:
    """The frames one after another, each with its truth: image, coefficients, pose, landmarks, five points, labels, depth.

    The same shot is the same pixels. Raises as `sfsr_model.synthetic.render` does.
    """
    from ..synthetic.identity import IdentitySpace
    from ..synthetic.look import sample_look
    from ..synthetic.render import finish, render_light, wearer
    from ..synthetic.sample import IDENTITY, LOOK, SCENE, generator
    from ..synthetic.scene import sample_scene
    from ..synthetic.shape import neutral_points

    space = IdentitySpace.of(model)
    identity = space.sample(generator(film.person, 0, 0, IDENTITY))
    look = sample_look(generator(film.person, 0, 0, LOOK), (float(identity[0]) + 1) / 2)
    look = replace(look, glasses=None)
    scene = sample_scene(generator(film.person, 0, 0, SCENE), occluder_share=0.0)
    finished = replace(scene.finish, noise=min(scene.finish.noise, 0.012), blur=0.0, jpeg=0)
    camera = replace(scene.camera, eye_span=film.eye_span)
    neutral = neutral_points(model, space, identity)
    performed = film.performance
    for number in range(len(performed)):
        across, down = (float(a + b) for a, b in zip(camera.shift, performed.place[number], strict=True))
        pitch, yaw, roll = (float(angle) for angle in performed.pose[number])
        frame = replace(
            scene,
            pose=(pitch, yaw, roll),
            trunk=0.4 * yaw,
            camera=replace(camera, shift=(across, down)),
            finish=finished if film.still_grain else replace(finished, seed=(finished.seed + number) % 2**31),
        )
        worn = wearer(model, identity, performed.coefficients[number], neutral)
        yield finish(*render_light(model, worn, None, look, frame, film.size), frame)


@dataclass(frozen=True)
class Composed:
    """A frame with several people. image uint8 [H, W, 3]; pictures: each person's own frame and truth, in the order of the
    shots, of which later ones stand in front; corners [N, 2]: where the top left pixel of each lies, (x, y)."""

    image: np.ndarray
    pictures: tuple[Picture, ...]
    corners: np.ndarray

    def five(self, person: int) -> np.ndarray:
        """Five points [5, 2] of one person in this frame."""
        return self.pictures[person].five + self.corners[person]


def render_together(
    model: FaceModel, shots: Sequence[Shot], corners: np.ndarray, width: int, height: int
) -> Iterator[Composed]:
    """Frames of width x height pixels in which several people move past each other.

    corners: [T, N, 2], top left pixel of each person's frame over time, whole numbers, also outside the frame. The backdrop is
    grey; only the people are taken from their shots. Raises ValueError for corners of another shape.
    """
    frames = min(len(one.performance) for one in shots)
    if corners.shape != (frames, len(shots), 2):
        raise ValueError(f"corners: expected {(frames, len(shots), 2)}, got {corners.shape}")
    for at, pictures in zip(corners.astype(int), zip(*(render_film(model, one) for one in shots), strict=False), strict=True):
        image = np.full((height, width, 3), 110, np.uint8)
        for (x, y), picture in zip(at, pictures, strict=True):
            size = len(picture.image)
            left, top, right, bottom = max(x, 0), max(y, 0), min(x + size, width), min(y + size, height)
            if left >= right or top >= bottom:
                continue
            inner = slice(top - y, bottom - y), slice(left - x, right - x)
            there = picture.labels[inner] != 0
            image[top:bottom, left:right][there] = picture.image[inner][there]
        yield Composed(image, pictures, at.astype(float))
