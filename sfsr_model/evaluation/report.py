"""What came out: how near a picture's face is to the person, the expression and the head pose that were asked for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from ..encoders.bundled import Reach, reach_of
from ..encoders.expression_photos import PhotoEncoder
from ..encoders.identity import IDEncoder, Identity
from ..expressions import ARKIT_NAMES, Expression
from .metrics import pose_errors

# How much nearer one person's photos must lie on average than the nearest of a hundred strangers, for a single cosine to tell.
_TELLS = 0.1
Values = tuple[float | None, ...]
"""One figure for each picture, None where it could not be measured; empty where nobody measured at all."""


@dataclass(frozen=True)
class Figures:
    """What one recogniser and one expression encoder measured in a batch of pictures.

    encoder, expression_encoder: their names, None where there was none. identity_cosines: between each picture's face and the
    person, in [-1, 1]. expression_errors: mean absolute errors of the ARKit coefficients that can be read, 0..1. pose_errors:
    mean absolute differences of pitch, yaw and roll in degrees; empty as well where the expression asks for no pose.
    reach: what cosines of this recogniser reach on photos, where that was measured.
    """

    encoder: str | None = None
    identity_cosines: Values = ()
    expression_encoder: str | None = None
    expression_errors: Values = ()
    pose_errors: Values = ()
    reach: Reach | None = None

    @property
    def of_identity(self) -> dict[str, Any]:
        """The recogniser's part of `entries`."""
        return {
            "encoder": self.encoder,
            "identity_cosine": _mean(self.identity_cosines),
            "identity_cosines": self.identity_cosines,
            "identity_reach": None if self.reach is None else asdict(self.reach),
        }

    def entries(self) -> dict[str, Any]:
        """The figures under the names of the JSON, with their means over the pictures."""
        return self.of_identity | {
            "expression_encoder": self.expression_encoder,
            "expression_error": _mean(self.expression_errors),
            "expression_errors": self.expression_errors,
            "pose_error": _mean(self.pose_errors),
            "pose_errors": self.pose_errors,
        }

    def doubts(self) -> tuple[str, ...]:
        """In words, which pictures' faces are no nearer to the person than strangers' come.

        None of a recogniser whose reach nobody measured, or to whom strangers look nearly as alike as one person's photos do.
        """
        if self.reach is None or self.reach.same_person - self.reach.strangers < _TELLS:
            return ()
        return tuple(
            f"the face in picture {number} does not look like the person to {self.encoder}: cosine {cosine:.2f}, of a hundred "
            f"strangers one reaches {self.reach.strangers:.2f}, photos of one person {self.reach.same_person:.2f} on average"
            for number, cosine in enumerate(self.identity_cosines)
            if cosine is not None and cosine < self.reach.strangers
        )

    def caption(self, number: int) -> str:
        """The figures of one picture for people, "" where there are none."""
        shown = (
            ("identity", self.identity_cosines, ".2f"),
            ("expression", self.expression_errors, ".2f"),
            ("pose", self.pose_errors, ".1f"),
        )
        row = [(name, values[number], form) for name, values, form in shown if values]
        return ", ".join(f"{name} {value:{form}}" for name, value, form in row if value is not None)


@dataclass(frozen=True)
class Report:
    """figures: by the encoders that are connected. judged: by those that conditioned nothing. photos: who it is by the bundled
    recogniser that learned from photos. words: the expression's, one a picture. trained: False while any network has random
    weights. notes: what could not be measured, and why."""

    figures: Figures
    judged: Figures
    photos: Figures
    words: tuple[str | None, ...]
    trained: bool
    notes: tuple[str, ...]

    def to_json(self) -> str:
        others = {"judges": self.judged.entries(), "photos": self.photos.of_identity}
        rest = {"words": self.words, "trained": self.trained, **others, "notes": self.notes}
        return json.dumps(self.figures.entries() | rest, indent=2)


def measure(
    images: Tensor,
    points: Sequence[Tensor | None],
    wanted: Expression,
    people: Sequence[Identity],
    encoder: IDEncoder | None,
    reader: PhotoEncoder | None,
) -> Figures:
    """What these encoders say of the face at five points [5, 2] in each picture [B, H, W, 3]; without points nothing.

    wanted, people: one expression and one person for each picture; `people` counts only where there is an `encoder`.
    Raises ValueError when a person was made by another recogniser.
    """
    cosines = () if encoder is None else identity_cosines(images, points, people, encoder)
    name, reach = (None, None) if encoder is None else (encoder.name, reach_of(encoder.space))
    if reader is None:
        return Figures(name, cosines, reach=reach)
    read = tuple(
        None if where is None else reader.read_at(picture, where) for picture, where in zip(images, points, strict=True)
    )
    errors = expression_errors(read, wanted, reader.unread)
    return Figures(name, cosines, reader.name, errors, head_errors(read, wanted), reach)


def identity_cosines(images: Tensor, points: Sequence[Tensor | None], people: Sequence[Identity], encoder: IDEncoder) -> Values:
    """Cosine between each person and the face at five points [5, 2] in their picture [B, H, W, 3]; None without points.

    Raises ValueError when a person was made by another recogniser.
    """
    cosines: list[float | None] = []
    for picture, where, identity in zip(images, points, people, strict=True):
        if identity.space != encoder.space:
            raise ValueError(
                f"identity: its embeddings are of the space '{identity.space}', the connected encoder {encoder.name} makes "
                f"'{encoder.space}'; cosines between the two mean nothing, connect the encoder that made the identity"
            )
        person = identity.mean()
        face = None if where is None else encoder.embed(picture, where).to(person)
        cosines.append(None if face is None else float(torch.nn.functional.cosine_similarity(face, person, dim=0)))
    return tuple(cosines)


def expression_errors(read: Sequence[Expression | None], wanted: Expression, unread: Sequence[str]) -> Values:
    """Mean absolute error, 0..1, of what was read from each picture, over all coefficients but the `unread` ones.

    wanted: one expression for each picture. None where nothing was read.
    """
    seen = [place for place, name in enumerate(ARKIT_NAMES) if name not in unread]
    return tuple(
        None if one is None else (one.coefficients[0, seen] - row.float().cpu()[seen]).abs().mean().item()
        for one, row in zip(read, wanted.coefficients, strict=True)
    )


def head_errors(read: Sequence[Expression | None], wanted: Expression) -> Values:
    """Mean absolute difference in degrees over pitch, yaw and roll of what was read from each picture; empty where no pose is
    wanted, None where none was read."""
    if wanted.pose is None:
        return ()
    return tuple(
        None if one is None or one.pose is None else pose_errors(one.pose, row[None].float().cpu()).item()
        for one, row in zip(read, wanted.pose, strict=True)
    )


def _mean(figures: Values) -> float | None:
    measured = [figure for figure in figures if figure is not None]
    return sum(measured) / len(measured) if measured else None
