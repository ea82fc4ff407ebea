"""Expressions from photos: which face is read, and the project's own encoder with a detector before it."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor, nn

from ..expressions import ARKIT_NAMES, Expression, concatenate
from .detection import Detection, accepted, choose_face
from .expression import ExpressionReader
from .faces import look
from .identity import IDEncoder
from .smirk import SmirkReader, Square, square_at

MIN_WIDTH = 32.0
"""Least width of a face in pixels, brow to chin and ear to ear, from which an expression can be read."""
_ADVICE = "Use a picture in which the face is upright, not too small and seen from the front"


class NoExpressionError(ValueError):
    """A picture without the wanted face; the message gives the picture's number in its batch and its size."""


class Reading(nn.Module):
    """Coefficients from a face whose place is known, with gradients. known: [52], 1 where the network can tell, else 0."""

    known: Tensor

    def forward(self, pictures: Tensor, points: Tensor) -> Tensor:
        """Coefficients [N, 52] of the faces with five points [N, 5, 2] in pictures [N, H, W, 3], RGB in 0..1."""
        raise NotImplementedError


class PhotoEncoder(Protocol):
    """What reads expressions from photos.

    name: for people. note: what the user should know about it. blind: coefficients that it hardly ever raises, whatever the
    face does. unread: those that an error leaves out, the blind ones included. smirk: what reads an expression's flame beside
    them, or None.
    """

    @property
    def name(self) -> str: ...
    @property
    def note(self) -> str: ...
    @property
    def blind(self) -> tuple[str, ...]: ...
    @property
    def unread(self) -> tuple[str, ...]: ...
    @property
    def smirk(self) -> SmirkReader | None: ...

    def read(self, pictures: Tensor, order: str = "largest first", index: int = 0) -> Expression:
        """One expression with its head pose for each picture of a batch [N, H, W, 3], float RGB in 0..1.

        Face number `index` in the given order. Raises NoExpressionError naming a picture without such a face.
        """
        ...

    def read_at(self, picture: Tensor, points: Tensor) -> Expression | None:
        """Expression and head pose of the face at five points [5, 2] of a picture [H, W, 3]; None if it sees none there."""
        ...

    def read_every(self, picture: Tensor) -> list[tuple[Detection, Expression]]:
        """All faces of a picture [H, W, 3] from which an expression can be read, each with its own; the largest first."""
        ...

    def differentiable(self) -> Reading:
        """The network as a module of its own, a new one at each call."""
        ...


def wanted_face(picture: Tensor, number: int, found: Sequence[Detection], why_none: str, order: str, index: int) -> int:
    """The place in `found` of face number `index` in this order. why_none: the reason where nothing was found, or "".

    Raises NoExpressionError naming the picture.
    """
    label = f"picture {number} ({picture.shape[1]} x {picture.shape[0]} pixels)"
    if not found:
        raise NoExpressionError(f"{label}: no face found{f'; {why_none}' if why_none else ''}. {_ADVICE}.")
    try:
        chosen = choose_face(found, order, index)
    except ValueError as error:
        raise NoExpressionError(f"{label}: {error}") from error
    return next(place for place, one in enumerate(found) if one is chosen)


def with_flame(expression: Expression, smirk: SmirkReader | None, picture: Tensor, square: Callable[[], Square]) -> Expression:
    """The expression of one face, read by SMIRK as well where that is there. picture: [H, W, 3]; square: where the face is."""
    if smirk is None:
        return expression
    return replace(expression, flame=smirk.read(picture, square()), smirk=smirk.digest)


class PointsReading(Reading):
    """An `ExpressionReader` that looks where the points are."""

    def __init__(self, reader: ExpressionReader) -> None:
        super().__init__()
        self.reader = copy.deepcopy(reader)
        self.register_buffer("known", torch.ones(len(ARKIT_NAMES)))

    def forward(self, pictures: Tensor, points: Tensor) -> Tensor:
        return self.reader.measure(pictures, points)[0]


@dataclass(frozen=True, eq=False)
class PhotoReader:
    """An `ExpressionReader` and what finds faces for it: an ID encoder's detector, or the carried one for None."""

    name: str
    note: str
    reader: ExpressionReader = field(repr=False)
    finder: IDEncoder | None = None
    blind: tuple[str, ...] = ()
    smirk: SmirkReader | None = None

    @property
    def unread(self) -> tuple[str, ...]:
        return self.blind

    def read(self, pictures: Tensor, order: str = "largest first", index: int = 0) -> Expression:
        """As `PhotoEncoder.read`."""
        rows = []
        for number, picture in enumerate(pictures):
            candidates, _ = look(picture, self.finder)
            faces = accepted(candidates)
            large = _large(faces)
            place = wanted_face(picture, number, large, _why_none(candidates, faces), order, index)
            rows.append(self.read_at(picture, large[place].points))
        return concatenate(rows)

    def read_every(self, picture: Tensor) -> list[tuple[Detection, Expression]]:
        """As `PhotoEncoder.read_every`."""
        return [(face, self.read_at(picture, face.points)) for face in _large(accepted(look(picture, self.finder)[0]))]

    def read_at(self, picture: Tensor, points: Tensor) -> Expression:
        """As `PhotoEncoder.read_at`; the given points are believed."""
        coefficients, pose = self.reader.read(picture[None].float(), points[None])
        # Of what is no face a network may say any angle, and an expression takes none beyond half a turn.
        expression = Expression(coefficients.cpu(), pose.cpu().clamp(-math.pi, math.pi))
        return with_flame(expression, self.smirk, picture, lambda: square_at(points))

    def differentiable(self) -> Reading:
        """As `PhotoEncoder.differentiable`."""
        with torch.inference_mode(False):
            return PointsReading(self.reader)


def _large(faces: Sequence[Detection]) -> list[Detection]:
    """Those from which an expression can be read."""
    return [one for one in faces if (one.box[2] - one.box[0]).item() >= MIN_WIDTH]


def _why_none(candidates: Sequence[Detection], faces: Sequence[Detection]) -> str:
    if faces:
        return f"a face of {max((one.box[2] - one.box[0]).item() for one in faces):.0f} pixels is too small"
    best = max(candidates, key=lambda one: one.score, default=None)
    return f"a find is no face ({best.refused})" if best is not None else ""
