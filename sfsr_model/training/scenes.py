"""Scenes for a detector: rendered heads and photos pasted onto canvases, so that many faces of any size cost no rendering.

Nothing but the face itself may tell where one is. So each head comes in one of several cuts (the whole picture or the head
alone, hard-edged or fading out, even beyond the picture's border), and beside the heads lie scraps: the same pictures, cut in
the same ways, whose blocks were shuffled, with skin, hair, eyes and backgrounds but no face. Whole heads lie among them too,
turned so far that the points of an upright face would be wrong on them.
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
from .data import PHOTO, Sample

SIDE, MAX_FACES = 192, 4
# Sides of a step's scenes in SIDEs, each as likely. Wide ones, for faces larger than SIDE, are fewer: about as
# many pixels in all.
_WIDTHS = (1, 1, 2, 3, 3)
# How many scenes have no face, one, two ...
_COUNTS = (0.1, 0.4, 0.25, 0.15, 0.1)
# The least longer side of a face's box in a scene of SIDE, in pixels; it grows with the scene, so that large faces are common.
# The longer sides of scraps behind faces, before them, and of turned heads, in canvas sides.
_LEAST_FACE = 24.0
_BEHIND, _BEFORE, _AMONG = (0.1, 3.0), (0.05, 0.3), (0.15, 1.2)
_TURN = math.radians(50)
# Heads turned by at least so much are none to be found: whoever looks for them turns the picture first.
_LEAST_TURNED = math.radians(70)
_TURNED = 0.35
_BLOCKS = 4
# Rings of an ellipse, by their radius and the points on them, whose number is that of a rendered face's outline.
_RINGS = ((1.0, 35), (0.66, 22), (0.33, 13))
# Share of its landmarks that is to be seen of a face, and below which it is none; in between nobody can say.
_SEEN, _HIDDEN = 0.7, 0.35
_BACKGROUND = 0
_ALL = torch.tensor(255, dtype=torch.uint8)
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
    outline = torch.cat((landmarks, hairline(landmarks)), -2)
    return torch.cat((outline.amin(-2), outline.amax(-2)), -1)


def hairline(landmarks: Tensor) -> Tensor:
    """Where the hairline lies above the arches of the brows [..., 2, 2], of 68 landmarks [..., 68, 2]; see `face_box`."""
    brows = landmarks[..., _BROWS, :].mean(-2, keepdim=True)
    return landmarks[..., _ARCHES, :] + brows - landmarks[..., _NOSE_BASE, :]


@dataclass(frozen=True, eq=False)
class Heads:
    """What scenes are composed of: N pictures, each bytes [4, h, w] of colours and what is head, and their scraps.

    In pixels of the picture: outlines [N, P, 2], whose bounds are the face's box and which are to be seen of it; five points
    [N, 5, 2].
    """

    pictures: list[Tensor]
    scraps: list[Tensor]
    outlines: Tensor
    points: Tensor


def heads_of(sample: Sample, generator: torch.Generator) -> Heads:
    """The heads of collated renders, single pictures or triplets, and of a step's photos. generator: draws the scraps."""
    images = sample["image"]
    images = images.reshape(-1, *images.shape[-3:])
    labels = sample["labels"].reshape(-1, 1, *images.shape[-2:])
    stacks = [torch.cat((images, (labels != _BACKGROUND) * _ALL), 1)]
    landmarks = sample["landmarks"].reshape(-1, 68, 2).float()
    outlines, points = [torch.cat((landmarks, hairline(landmarks)), 1)], [five_points(landmarks).float()]
    if PHOTO + "image" in sample:
        seen = sample[PHOTO + "box"].isfinite().all(-1)
        photos = sample[PHOTO + "image"][seen]
        stacks.append(torch.cat((photos, _ALL.expand(len(photos), 1, *photos.shape[-2:])), 1))
        outlines.append(within(sample[PHOTO + "box"][seen]))
        points.append(sample[PHOTO + "points"][seen].float())
    return Heads(
        [picture for stack in stacks for picture in stack],
        [scrap for stack in stacks for scrap in _shuffled(stack, generator)],
        torch.cat(outlines),
        torch.cat(points),
    )


def within(boxes: Tensor) -> Tensor:
    """Points [N, P, 2] on and in the ellipses within boxes [N, 4]: a face's outline, for want of its landmarks."""
    rings = []
    for radius, count in _RINGS:
        angles = torch.arange(count) * (2 * math.pi / count)
        rings.append(radius * torch.stack((angles.cos(), angles.sin()), -1))
    middles, extents = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    return middles[:, None] + torch.cat(rings) * extents[:, None]


def draw_scenes(sample: Sample, count: int, generator: torch.Generator) -> Scenes:
    """Compose `count` scenes of SIDE pixels from the pictures of collated records, or a few wider ones."""
    width = _WIDTHS[int(torch.randint(len(_WIDTHS), (), generator=generator))]
    return compose(sample, math.ceil(count / width**2), generator, width * SIDE)


def compose(sample: Sample, count: int, generator: torch.Generator, side: int = SIDE) -> Scenes:
    """Compose `count` scenes of side x side pixels from the pictures of collated records."""
    heads = heads_of(sample, generator)
    draw = _Draw(count, generator)
    canvas = _Canvas(_backgrounds(draw, side), generator)
    for _ in range(2):
        _paste_scraps(canvas, heads.scraps, draw, torch.ones(count, dtype=torch.bool), _BEHIND)
    turned = draw.uniform(_LEAST_TURNED, 2 * math.pi - _LEAST_TURNED)
    _paste_scraps(canvas, heads.pictures, draw, draw.uniform(0, 1) < _TURNED, _AMONG, turned)
    faces = torch.multinomial(torch.tensor(_COUNTS), count, True, generator=generator)
    least = _LEAST_FACE * side / SIDE
    boxes, points, marks = [], [], []
    low, high = heads.outlines.amin(1), heads.outlines.amax(1)
    extents = (high - low).amax(-1)
    for number in range(MAX_FACES):
        chosen = torch.randint(len(heads.pictures), (count,), generator=generator)
        # Large faces leave no room for others.
        largest = side / faces.clamp_min(1).sqrt()
        sides = least * (largest / least) ** draw.uniform(0, 1)
        centres = draw.uniform(0, side - 1, 2).lerp(torch.tensor(side / 2 - 0.5), (sides / (2 * side))[:, None])
        transform = _placed((low[chosen] + high[chosen]) / 2, centres, sides / extents[chosen], draw.uniform(-_TURN, _TURN))
        canvas.paste(faces > number, heads.pictures, chosen, transform, number + 1)
        outlines = apply_affine(transform, heads.outlines[chosen])
        marks.append(outlines)
        boxes.append(torch.cat((outlines.amin(1), outlines.amax(1)), -1))
        points.append(apply_affine(transform, heads.points[chosen]))
    # Something before a face, now and then.
    _paste_scraps(canvas, heads.scraps, draw, draw.uniform(0, 1) < 0.3, _BEFORE)
    seen = torch.stack([canvas.share(outlines, number + 1) for number, outlines in enumerate(marks)], 1)
    there = torch.arange(MAX_FACES) < faces[:, None]
    return Scenes(
        varied(canvas.images, generator), torch.stack(boxes, 1), torch.stack(points, 1),
        there & (seen >= _SEEN), there & (seen >= _HIDDEN) & (seen < _SEEN),
    )  # fmt: skip


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


def _paste_scraps(
    canvas: _Canvas, scraps: list[Tensor], draw: _Draw, where: Tensor, sides: tuple[float, float], turn: Tensor | None = None
) -> None:
    """Paste pictures [4, h, w] that are not to be found; turn: radians [S], any where none are given."""
    side = canvas.images.shape[-1]
    chosen = torch.randint(len(scraps), (draw.count,), generator=draw.generator)
    own = torch.tensor([scrap.shape[-1] for scrap in scraps], dtype=torch.float32)[chosen]
    scale = side * sides[0] * (sides[1] / sides[0]) ** draw.uniform(0, 1) / own
    middle = (own / 2 - 0.5)[:, None].expand(-1, 2)
    if turn is None:
        turn = draw.uniform(-math.pi, math.pi)
    canvas.paste(where, scraps, chosen, _placed(middle, draw.uniform(0, side - 1, 2), scale, turn), 0)


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

    def paste(self, where: Tensor, layers: list[Tensor], chosen: Tensor, transform: Tensor, owner: int) -> None:
        """Paste layers[chosen], each [4, h, w] (colours and matte), by transforms [S, 2, 3] onto the canvases of where [S]."""
        draw = _Draw(len(where), self._generator)
        # The matte or all; how wide the edge is; how far it reaches beyond the picture, whose border is then drawn out.
        by_matte, hard = draw.uniform(0, 1) < 0.5, draw.uniform(0, 1) < 0.4
        softness = torch.where(hard, 0.01, draw.uniform(0.02, 0.3))
        reach = draw.uniform(-0.5, 0.5).clamp_min(0)
        back = invert_affine(transform)
        # One by one: what a single picture needs stays in the processor's cache.
        for row in where.nonzero()[:, 0].tolist():
            layer = layers[int(chosen[row])]
            unit = (apply_affine(back[row], self._pixels) + 0.5) / layer.shape[-1]
            picture = layer[None].float() / 255
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
