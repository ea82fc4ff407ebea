"""Pictures in which nobody is seen: pieces of photos beside their face, and the renderer's backdrops."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ...synthetic.backdrop import draw_backdrop
from ...synthetic.develop import develop
from ...synthetic.sample import generator
from ...synthetic.scene import sample_scene
from .labelled_faces import LabelledFaces

SIDES = (64, 150)
"""Least and largest side of a piece in pixels."""
_ROUNDS = 5
Boxes = Callable[[Tensor], list[Tensor]]


def patches(faces: LabelledFaces, rows: Sequence[int], faces_in: Boxes, count: int, seed: int) -> list[Tensor]:
    """Up to `count` squares [S, S, 3] of the rows' pictures, drawn by a seed, that show no face.

    They touch neither the labelled face nor one that `faces_in` sees in the whole picture, and in a square alone it sees none.
    There are fewer where the pictures leave no room for more.
    """
    from tqdm import tqdm

    drawn = torch.Generator().manual_seed(seed)
    order = [row for row in _shuffled(rows, drawn) if _strips(faces.scene(row).picture.shape, faces.box(row))]
    found: list[Tensor] = []
    with tqdm(total=count, desc="pieces without a face", unit="piece") as bar:
        for row in order * _ROUNDS:
            if len(found) == count:
                break
            piece = _patch(faces, row, faces_in, drawn)
            if piece is not None:
                found.append(piece)
                bar.update()
    return found


def _shuffled(rows: Sequence[int], drawn: torch.Generator) -> list[int]:
    return [rows[place] for place in torch.randperm(len(rows), generator=drawn).tolist()]


def _strips(shape: Sequence[int], box: Tensor) -> list[tuple[int, int, int, int]]:
    """What lies left, right, above and below of a box, where there is room; left, top, and exclusive right and bottom."""
    height, width = shape[:2]
    left, top = (int(edge) for edge in box[:2].floor().clamp_min(0))
    right, bottom = (int(edge) + 1 for edge in box[2:].ceil())
    strips = ((0, 0, left, height), (right, 0, width, height), (0, 0, width, top), (0, bottom, width, height))
    return [one for one in strips if min(one[2] - one[0], one[3] - one[1]) >= SIDES[0]]


def _patch(faces: LabelledFaces, row: int, faces_in: Boxes, drawn: torch.Generator) -> Tensor | None:
    picture = faces.photos.picture(row)
    strips = _strips(picture.shape, faces.box(row))
    left, top, right, bottom = strips[_below(len(strips), drawn)]
    largest = min(right - left, bottom - top, SIDES[1])
    side = SIDES[0] + _below(largest - SIDES[0] + 1, drawn)
    x, y = left + _below(right - left - side + 1, drawn), top + _below(bottom - top - side + 1, drawn)
    place = torch.tensor([x - 0.5, y - 0.5, x + side - 0.5, y + side - 0.5], dtype=torch.float64)
    piece = picture[y : y + side, x : x + side].clone()
    if any(_touch(place, box) for box in faces_in(picture)) or faces_in(piece):
        return None
    return piece


def _below(end: int, drawn: torch.Generator) -> int:
    return int(torch.randint(end, (), generator=drawn))


def _touch(box: Tensor, other: Tensor) -> bool:
    return bool((torch.minimum(box[2:], other[2:]) > torch.maximum(box[:2], other[:2])).all())


def backdrop(seed: int, number: int, size: int) -> Tensor:
    """What the renderer puts behind heads, without one: a picture [size, size, 3] in 0..1."""
    scene = sample_scene(generator(seed, number))
    return torch.from_numpy(develop(draw_backdrop(scene.backdrop, size), scene.finish)).float() / 255
