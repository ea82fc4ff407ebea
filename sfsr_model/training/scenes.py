"""Scenes for a detector: rendered heads pasted onto canvases, so that many faces of any size cost no rendering.

Nothing but the face itself may tell where one is. So each head comes in one of several cuts (the whole picture or the head
alone, hard-edged or fading out, even beyond the picture's border), and beside the heads lie scraps: the same pictures, cut in
the same ways, whose blocks were shuffled, with skin, hair, eyes and backgrounds but no face.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..face import five_points
from ..face.crop import apply_affine, invert_affine
from .aligned import varied
from .data import Sample

SIDE, MAX_FACES = 192, 4
# Sides of a step's scenes in SIDEs, each as likely. Wide ones, for faces larger than SIDE, are fewer: about as
# many pixels in all.
_WIDTHS = (1, 1, 2, 3, 3)
# How many scenes have no face, one, two ...
_COUNTS = (0.1, 0.4, 0.25, 0.15, 0.1)
# The least longer side of a face's box in a scene of SIDE, in pixels; it grows with the scene, so that large faces are common.
# The longer sides of scraps behind faces and before them, in canvas sides.
_LEAST_FACE = 24.0
_BEHIND, _BEFORE = (0.1, 3.0), (0.05, 0.3)
_TURN = math.radians(30)
_BLOCKS = 4
# Share of its landmarks that is to be seen of a face, and below which it is none; in between nobody can say.
_SEEN, _HIDDEN = 0.7, 0.35
_BACKGROUND = 0
_BROWS, _ARCHES, _NOSE_BASE = slice(17, 27), [19, 24], [33]


@dataclass(frozen=True, eq=False)
class Scenes:
    """Pictures [S, 3, side, side] in 0..1 and their faces: boxes [S, F, 4] (left, top, right, bottom), points [S, F, 5, 2].

    certain [S, F]: a face to find. doubtful [S, F]: one hidden so far that finding it is neither right nor wrong. Neither:
    there is none under this number. float32, pixels.
    """

    images: Tensor
    boxes: Tensor
    points: Tensor
    certain: Tensor
    doubtful: Tensor


def face_box(landmarks: Tensor) -> Tensor:
    """The box [..., 4] of 68 landmarks [..., 68, 2]: about all of them and the forehead, as detectors' boxes are.

    The hairline is as far above the brows as the base of the nose is below them: the canon of three equal parts of a face.
    """
    brows = landmarks[..., _BROWS, :].mean(-2, keepdim=True)
    hairline = landmarks[..., _ARCHES, :] + brows - landmarks[..., _NOSE_BASE, :]
    outline = torch.cat((landmarks, hairline), -2)
    return torch.cat((outline.amin(-2), outline.amax(-2)), -1)


def draw_scenes(sample: Sample, count: int, generator: torch.Generator) -> Scenes:
    """Compose `count` scenes of SIDE pixels from the pictures of collated records, or a few wider ones."""
    width = _WIDTHS[int(torch.randint(len(_WIDTHS), (), generator=generator))]
    return compose(sample, math.ceil(count / width**2), generator, width * SIDE)


def compose(sample: Sample, count: int, generator: torch.Generator, side: int = SIDE) -> Scenes:
    """Compose `count` scenes of side x side pixels from the pictures of collated records."""
    layers, heads = _layers(sample), sample["landmarks"].reshape(-1, 68, 2).float()
    draw = _Draw(count, generator)
    canvas = _Canvas(_backgrounds(draw, side), generator)
    scraps = _shuffled(layers, generator)
    for _ in range(2):
        _paste_scraps(canvas, scraps, draw, torch.ones(count, dtype=torch.bool), _BEHIND)
    faces = torch.multinomial(torch.tensor(_COUNTS), count, True, generator=generator)
    least = _LEAST_FACE * side / SIDE
    boxes, points, marks = [], [], []
    own = face_box(heads)
    extents = (own[:, 2:] - own[:, :2]).amax(-1)
    for number in range(MAX_FACES):
        chosen = torch.randint(len(layers), (count,), generator=generator)
        # Large faces leave no room for others.
        largest = side / faces.clamp_min(1).sqrt()
        sides = least * (largest / least) ** draw.uniform(0, 1)
        centres = draw.uniform(0, side - 1, 2).lerp(torch.tensor(side / 2 - 0.5), (sides / (2 * side))[:, None])
        transform = _placed(
            (own[chosen, :2] + own[chosen, 2:]) / 2, centres, sides / extents[chosen], draw.uniform(-_TURN, _TURN)
        )
        canvas.paste(faces > number, layers, chosen, transform, number + 1)
        landmarks = apply_affine(transform, heads[chosen])
        marks.append(landmarks)
        boxes.append(face_box(landmarks))
        points.append(five_points(landmarks).float())
    # Something before a face, now and then.
    _paste_scraps(canvas, scraps, draw, draw.uniform(0, 1) < 0.3, _BEFORE)
    seen = torch.stack([canvas.share(landmarks, number + 1) for number, landmarks in enumerate(marks)], 1)
    there = torch.arange(MAX_FACES) < faces[:, None]
    return Scenes(
        varied(canvas.images, generator), torch.stack(boxes, 1), torch.stack(points, 1),
        there & (seen >= _SEEN), there & (seen >= _HIDDEN) & (seen < _SEEN),
    )  # fmt: skip


def _layers(sample: Sample) -> Tensor:
    """All pictures of collated records, of single pictures or triplets: colours and what is head, bytes [N, 4, h, w]."""
    images = sample["image"]
    images = images.reshape(-1, *images.shape[-3:])
    labels = sample["labels"].reshape(-1, 1, *images.shape[-2:])
    return torch.cat((images, (labels != _BACKGROUND) * torch.tensor(255, dtype=torch.uint8)), 1)


class _Draw:
    """Random numbers, one row a scene."""

    def __init__(self, count: int, generator: torch.Generator) -> None:
        self.count, self.generator = count, generator

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(self.count, *shape, generator=self.generator)

    def grid(self, cells: int, side: int) -> Tensor:
        """Random colours [S, 3, side, side], smooth between cells x cells places."""
        return F.interpolate(self.uniform(0, 1, 3, cells, cells), size=(side, side), mode="bilinear", align_corners=True)


def _backgrounds(draw: _Draw, side: int) -> Tensor:
    """Gradients of colour with coarse and fine noise, and one in five plain black, as detectors pad their pictures."""
    coarse, fine = draw.grid(5, side) - 0.5, draw.grid(side // 4, side) - 0.5
    mixed = draw.grid(2, side) + draw.uniform(0, 0.8, 1, 1, 1) * coarse + draw.uniform(0, 0.5, 1, 1, 1).square() * fine
    return (mixed * (draw.uniform(0, 1, 1, 1, 1) > 0.2)).clamp(0, 1)


def _shuffled(layers: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures [N, C, h, w] whose blocks changed places."""
    size = layers.shape[-1] // _BLOCKS
    blocks = layers[..., : size * _BLOCKS, : size * _BLOCKS].unflatten(-1, (_BLOCKS, size)).unflatten(-3, (_BLOCKS, size))
    order = torch.randperm(_BLOCKS * _BLOCKS, generator=generator)
    moved = blocks.movedim(-2, -3).flatten(2, 3)[:, :, order].unflatten(2, (_BLOCKS, _BLOCKS))
    return moved.movedim(-2, -3).flatten(-2).flatten(-3, -2)


def _paste_scraps(canvas: _Canvas, scraps: Tensor, draw: _Draw, where: Tensor, sides: tuple[float, float]) -> None:
    side, own = canvas.images.shape[-1], scraps.shape[-1]
    chosen = torch.randint(len(scraps), (draw.count,), generator=draw.generator)
    scale = side * sides[0] * (sides[1] / sides[0]) ** draw.uniform(0, 1) / own
    middle = torch.full((draw.count, 2), own / 2 - 0.5)
    transform = _placed(middle, draw.uniform(0, side - 1, 2), scale, draw.uniform(-math.pi, math.pi))
    canvas.paste(where, scraps, chosen, transform, 0)


def _placed(centres: Tensor, to: Tensor, scale: Tensor, turn: Tensor) -> Tensor:
    """The similarities [S, 2, 3] that turn and scale about centres [S, 2], and bring those to `to` [S, 2]."""
    cos, sin = scale * turn.cos(), scale * turn.sin()
    linear = torch.stack((torch.stack((cos, -sin), -1), torch.stack((sin, cos), -1)), -2)
    return torch.cat((linear, to[..., None] - linear @ centres[..., None]), -1)


class _Canvas:
    """Pictures [S, 3, side, side] that others are pasted onto, and which paste each pixel belongs to."""

    def __init__(self, images: Tensor, generator: torch.Generator) -> None:
        self.images = images.clone()
        self._owner = torch.zeros(len(images), *images.shape[-2:], dtype=torch.uint8)
        self._generator = generator
        steps = torch.arange(images.shape[-1], dtype=torch.float32)
        self._pixels = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1)

    def paste(self, where: Tensor, layers: Tensor, chosen: Tensor, transform: Tensor, owner: int) -> None:
        """Paste layers[chosen] of [N, 4, h, w] (colours and matte) by transforms [S, 2, 3] onto the canvases of where [S]."""
        draw = _Draw(len(where), self._generator)
        # The matte or all; how wide the edge is; how far it reaches beyond the picture, whose border is then drawn out.
        by_matte, hard = draw.uniform(0, 1) < 0.5, draw.uniform(0, 1) < 0.4
        softness = torch.where(hard, 0.01, draw.uniform(0.02, 0.3))
        reach = draw.uniform(-0.5, 0.5).clamp_min(0)
        back = invert_affine(transform)
        # One by one: what a single picture needs stays in the processor's cache.
        for row in where.nonzero()[:, 0].tolist():
            unit = (apply_affine(back[row], self._pixels) + 0.5) / layers.shape[-1]
            picture = layers[chosen[row]][None].float() / 255
            colours = F.grid_sample(picture, 2 * unit[None] - 1, padding_mode="border", align_corners=False)[0]
            alpha = ((torch.minimum(unit, 1 - unit).amin(-1) + reach[row]) / softness[row]).clamp(0, 1)
            if by_matte[row]:
                alpha = alpha * colours[3]
            self.images[row].lerp_(colours[:3], alpha)
            self._owner[row][alpha > 0.5] = owner

    def share(self, landmarks: Tensor, owner: int) -> Tensor:
        """Share [S] of landmarks [S, N, 2] that lie on a canvas, on pixels of this owner."""
        side = self.images.shape[-1]
        x, y = landmarks.round().long().unbind(-1)
        inside = (x >= 0) & (y >= 0) & (x < side) & (y < side)
        at = y.clamp(0, side - 1) * side + x.clamp(0, side - 1)
        return ((self._owner.flatten(1).gather(1, at) == owner) & inside).float().mean(1)
