"""Aligned faces of collated triplets and of labelled photos, varied as photos vary."""

from __future__ import annotations

import io
import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..encoders.alignment import align_faces
from ..face.landmarks import five_points, mirrored_points
from .data import PHOTO, Sample, collated, length, peek
from .order import generator_on
from .settings import Data

# Deviation of each of the five points, as a share of the eyes' distance: detectors err by about that much.
_JITTER = 0.04
# A find may also be off as a whole: deviations of its place, in eye distances, of its size and of its angle in radians.
_SHIFT, _SIZE, _TURN = 0.04, 0.05, 0.05
# What the second look leaves of that to the encoders, which see faces after it.
_LEFT = 0.5
# How many faces went through JPEG, and its qualities.
_COMPRESSED, _QUALITIES = 0.2, (20, 90)
# How many faces lie at an edge of their picture, so that their crops end in black; how often that is the upper edge, as an
# aligned face reaches above most crops; how much of the side is black at most, there and at another edge.
_CUT, _ABOVE, _BLACK_ABOVE, _BLACK = 0.4, 0.7, 0.25, 0.15
# One misplaced crop for so many photos.
_MISPLACED = 12
_FIRST = 64


def faces_of(
    sample: Sample, template: Tensor, size: int, generator: torch.Generator | None = None, device: torch.device | None = None
) -> Tensor:
    """Every picture's face [4 B, 3, size, size] in 0..1 on a device, in the order of the triplets, aligned to template [5, 2].

    generator: draws jitter of the points, mirror-free changes of light and colour, blur and noise; None leaves them out.
    device: None is the CPU.
    """
    points = five_points(sample["landmarks"].flatten(0, 1)).double()
    return aligned(sample["image"].flatten(0, 1), points, template, size, generator, device)


def photo_faces(
    sample: Sample, template: Tensor, size: int, generator: torch.Generator | None = None, device: torch.device | None = None,
    mirrored: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The faces [N, 3, size, size] of a step's photos, as `faces_of` gives the renders'. mirrored [N]: which are shown so."""
    return aligned(*photos_of(sample, mirrored), template, size, generator, device)


def some_mirrored(sample: Sample, generator: torch.Generator) -> Tensor:
    """Which of a step's photos are shown in a mirror, [N]: half of them, as the generator draws."""
    return torch.rand(len(sample[PHOTO + "image"]), generator=generator) < 0.5


def photos_of(sample: Sample, mirrored: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """A step's photos, bytes [N, 3, H, W], and five points [N, 5, 2] in them; mirrored [N]: which are shown in a mirror."""
    images, points = sample[PHOTO + "image"], sample[PHOTO + "points"].double()
    if mirrored is None:
        return images, points
    return (
        torch.where(mirrored[:, None, None, None], images.flip(-1), images),
        torch.where(mirrored[:, None, None], mirrored_points(points, images.shape[-1]), points),
    )


def aligned(
    pictures: Tensor, points: Tensor, template: Tensor, size: int, generator: torch.Generator | None,
    device: torch.device | None,
) -> Tensor:  # fmt: skip
    """Faces [N, 3, size, size] in 0..1 of pictures [N, 3, H, W] in bytes with five points [N, 5, 2]; see `faces_of`."""
    if generator is None:
        return as_they_are(pictures, points, template, size, device)
    faces = as_they_are(pictures, shifted(points, generator, _LEFT), template, size, device)
    return cut_off(compressed(varied(faces, generator_on(faces.device, generator)), generator), generator)


def as_they_are(pictures: Tensor, points: Tensor, template: Tensor, size: int, device: torch.device | None) -> Tensor:
    """The same, not varied."""
    return align_faces(pictures.to(device or "cpu").movedim(1, -1).float() / 255, points, template, size)


def misplaced_faces(
    sample: Sample, template: Tensor, size: int, generator: torch.Generator, device: torch.device | None = None
) -> Tensor:
    """What a false find shows [M, 3, size, size]: photos cut out beside, around or within the face, or turned; and patterns."""
    count = max(len(sample[PHOTO + "image"]) // _MISPLACED, 1)
    images, points = sample[PHOTO + "image"][:count], sample[PHOTO + "points"][:count].double()

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=generator, dtype=torch.float64)

    kind = torch.randint(4, (count,), generator=generator)
    angle, far = uniform(-math.pi, math.pi), uniform(1.1, 2.2)
    beside = torch.where(kind == 0, 1.0, 0.0)[:, None] * torch.stack((far * angle.cos(), far * angle.sin()), -1)
    scale = torch.where(kind == 1, torch.where(uniform(0, 1) < 0.5, uniform(0.25, 0.45), uniform(2.2, 3.5)), 1.0)
    turn = torch.where(kind == 2, math.pi + uniform(-1, 1) * math.radians(100), 0.0)
    eyes = (points[:, 1] - points[:, 0]).norm(dim=-1)[:, None]
    moved = turned(points, turn, scale) + (beside * eyes)[:, None]
    faces = aligned(images, moved, template, size, generator, device)
    patterns = F.interpolate(torch.rand(count, 3, 7, 7, generator=generator), size=(size, size), mode="bicubic").clamp(0, 1)
    grains = torch.rand(count, 1, 1, 1, generator=generator) * torch.randn(count, 3, size, size, generator=generator) * 0.5
    return torch.where((kind == 3)[:, None, None, None].to(faces.device), (patterns + grains).clamp(0, 1).to(faces), faces)


def shifted(points: Tensor, generator: torch.Generator, times: float = 1.0) -> Tensor:
    """Five points [N, 5, 2] as a detector may find them: each off by itself, and all of them in place, size and angle.

    times: how many times as far as usual.
    """

    def normal(deviation: float, *shape: int) -> Tensor:
        return times * deviation * torch.randn(len(points), *shape, generator=generator, dtype=torch.float64)

    eyes = (points[:, 1] - points[:, 0]).norm(dim=-1)[:, None, None]
    moved = turned(points, normal(_TURN), normal(_SIZE).exp())
    return moved + (normal(_SHIFT, 1, 2) + normal(_JITTER, 5, 2)) * eyes


def turned(points: Tensor, turn: Tensor, scale: Tensor) -> Tensor:
    """Points [N, P, 2] turned by radians [N] and scaled by factors [N] about their middle."""
    middle = points.mean(1, keepdim=True)
    x, y = (points - middle).unbind(-1)
    cos, sin = (scale * turn.cos())[:, None], (scale * turn.sin())[:, None]
    return middle + torch.stack((cos * x - sin * y, sin * x + cos * y), -1)


def compressed(faces: Tensor, generator: torch.Generator) -> Tensor:
    """Faces [N, 3, H, W] in 0..1, some of them as JPEG leaves them."""
    from PIL import Image

    chosen = (torch.rand(len(faces), generator=generator) < _COMPRESSED).nonzero()[:, 0].tolist()
    qualities = torch.randint(*_QUALITIES, (len(faces),), generator=generator).tolist()
    result = faces.clone()
    for row in chosen:
        pixels = (faces[row] * 255).round().to(torch.uint8).movedim(0, -1).cpu().numpy()
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "JPEG", quality=qualities[row])
        seen = torch.from_numpy(np.asarray(Image.open(stream)).copy()).movedim(-1, 0)
        result[row] = seen.to(faces) / 255
    return result


def cut_off(faces: Tensor, generator: torch.Generator) -> Tensor:
    """Faces [N, 3, S, S], some of them black beyond one edge of their picture, as alignment leaves a crop that reaches over it.

    Who was always seen whole is somebody else to a recogniser where a selfie, or a crop of this project, ends at the forehead.
    """
    count, side = len(faces), faces.shape[-1]
    depth, which, edge = torch.rand(3, count, generator=generator)
    above = which < _CUT * _ABOVE
    turns = torch.where(above, 0, 1 + (3 * edge).long())
    black = depth * torch.where(above, _BLACK_ABOVE, _BLACK) * (which < _CUT)
    rows = (torch.arange(side) + 0.5) / side
    shown = (rows[None] >= black[:, None]).to(faces)[:, None, :, None].expand(-1, 1, -1, side)
    masks = torch.stack([shown.rot90(turn, (-2, -1)) for turn in range(4)])
    return faces * masks[turns.to(faces.device), torch.arange(count, device=faces.device)]


def first_faces(data: Data, template: Tensor, size: int) -> Tensor:
    """The faces of the data's first triplets, as `faces_of` without a generator gives them."""
    dataset = peek(data)
    return faces_of(collated(dataset, 0, min(_FIRST, length(dataset))), template, size)


def in_other_light(faces: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures [N, 3, H, W] in 0..1, each in another light and in other colours; generator: of the pictures' device."""

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(len(faces), *shape, generator=generator, device=faces.device)

    faces = faces.clamp(1e-4, 1) ** uniform(-0.35, 0.35, 1, 1, 1).exp() * uniform(0.85, 1.15, 3, 1, 1)
    gray = faces.mean(1, keepdim=True)
    return torch.lerp(gray, faces, uniform(0.5, 1.2, 1, 1, 1))


def varied(faces: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures [N, 3, H, W] in 0..1, each in another light, a little blurred or noisy; generator: as for `in_other_light`."""

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(len(faces), *shape, generator=generator, device=faces.device)

    faces = in_other_light(faces, generator)
    # Blurred as a small picture is when it is enlarged: down to a half or a third of the side, and up again.
    for share, factor in ((0.25, 2), (0.1, 3)):
        chosen = uniform(0, 1, 1, 1, 1) < share
        small = F.interpolate(faces, scale_factor=1 / factor, mode="area")
        faces = torch.where(chosen, F.interpolate(small, size=faces.shape[-2:], mode="bilinear"), faces)
    noise = torch.randn(faces.shape, generator=generator, device=faces.device) * uniform(0, 0.03, 1, 1, 1)
    return (faces + noise).clamp(0, 1)
