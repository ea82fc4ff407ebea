"""What came out: how near a picture's face is to the person, the expression and the head pose that were asked for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from ..encoders.bundled import LIKENESS, Reach, reach_of
from ..encoders.expression_photos import PhotoEncoder
from ..encoders.identity import IDEncoder, Identity
from ..expressions import ARKIT_NAMES, Expression
from .metrics import pose_errors

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

    @property
    def likeness(self) -> tuple[str | None, ...]:
        """Whether each picture's face looks like the person, in a word of LIKENESS; None where it has no face.

        Empty of a recogniser whose reach nobody measured, or to whom strangers look nearly as alike as one person's photos do.
        """
        reach = self.reach
        if reach is None or not reach.tells:
            return ()
        return tuple(None if cosine is None else reach.likeness(cosine) for cosine in self.identity_cosines)

    def doubts(self, untouched: Untouched | None = None) -> tuple[str, ...]:
        """In words, which pictures' faces are no nearer to the person than strangers' come, and whether to the target's own."""
        reach = self.reach
        return tuple(
            f"picture {number}: the face does not look like the person{_nor(untouched, number, reach)}. To the recogniser "
            f"'{self.encoder}' its cosine is {self.identity_cosines[number]:.2f}; of a hundred pairs of strangers one reaches "
            f"{reach.strangers:.2f}, two photos of one person {reach.same_person:.2f} on average"
            for number, word in enumerate(self.likeness)
            if word == LIKENESS[0] and reach is not None
        )

    def caption(self, number: int, untouched: Figures | None = None) -> str:
        """The figures of one picture for people, "" where there are none. untouched: those of the target, put beside them."""
        shown = (
            ("identity", "identity_cosines", ".2f"),
            ("expression", "expression_errors", ".2f"),
            ("pose", "pose_errors", ".1f"),
        )
        row = []
        for name, figures, form in shown:
            value, before = (_at(getattr(one, figures), number) if one else None for one in (self, untouched))
            if value is not None:
                row.append(f"{name} {value:{form}}" + ("" if before is None else f" (target {before:{form}})"))
        return ", ".join(row)


@dataclass(frozen=True)
class Untouched:
    """The target before anything was done to it, by the encoders that are connected: what every other figure is to be held
    against.

    figures: of its own face against what was asked for. kept: cosine between each picture's new face and the target's own.
    """

    figures: Figures
    kept: Values

    def entries(self) -> dict[str, Any]:
        """The figures under the names of the JSON, with their means over the pictures."""
        names = ("identity_cosine", "identity_cosines", "expression_error", "expression_errors")
        own = {name: value for name, value in self.figures.entries().items() if name in names}
        return own | {"kept_cosine": _mean(self.kept), "kept_cosines": self.kept}


@dataclass(frozen=True)
class Report:
    """figures: by the encoders that are connected. judged: by those that conditioned nothing. bundled: who it is by the
    bundled recogniser, where another is connected. untouched: the target itself, where it is connected. words: the
    expression's, one a picture. trained: False while any network has random weights. notes: what could not be
    measured, and why."""

    figures: Figures
    judged: Figures
    bundled: Figures
    words: tuple[str | None, ...]
    trained: bool
    notes: tuple[str, ...]
    untouched: Untouched | None = None

    @property
    def telling(self) -> Figures | None:
        """The figures of the recogniser that can tell whether a face looks like the person; None where none can."""
        return next((one for one in (self.bundled, self.judged, self.figures) if one.likeness), None)

    def to_json(self) -> str:
        told = self.telling
        others = {
            "likeness": None if told is None else {"by": told.encoder, "pictures": told.likeness},
            "judges": self.judged.entries(),
            "bundled": self.bundled.of_identity,
            "target": None if self.untouched is None else self.untouched.entries(),
        }
        rest = {"words": self.words, "trained": self.trained, **others, "notes": self.notes}
        return json.dumps(self.figures.entries() | rest, indent=2)

    def caption(self, number: int) -> str:
        """What is written on picture `number`."""
        told = None if self.telling is None else self.telling.likeness[number]
        lines = [] if told is None or not self.trained else [f"looks like the person: {told}"]
        before = None if self.untouched is None else self.untouched.figures
        for who, measured, beside in (
            ("", self.figures, before),
            ("judges: ", self.judged, None),
            ("bundled: ", self.bundled, None),
        ):
            if caption := measured.caption(number, beside):
                lines.append(f"{who}{caption}")
        lines = lines or ["no face found"]
        return "\n".join(lines) if self.trained else f"{lines[0]} (untrained)"


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


def measure_untouched(
    targets: Tensor,
    images: Tensor,
    points: Sequence[tuple[Tensor | None, Tensor | None]],
    wanted: Expression,
    people: Sequence[Identity],
    encoder: IDEncoder,
    reader: PhotoEncoder | None,
) -> Untouched:
    """What the same encoders say of the targets' own faces. targets, images: [B, H, W, 3], before and after; points: of both
    faces; the rest as in `measure`."""
    before = measure(targets, [own for own, _ in points], wanted, people, encoder, reader)
    kept: list[float | None] = []
    for target, image, (own, new) in zip(targets, images, points, strict=True):
        if own is None or new is None:
            kept.append(None)
        else:
            pair = encoder.embed(target, own), encoder.embed(image, new)
            kept.append(float(torch.nn.functional.cosine_similarity(*pair, dim=0)))
    return Untouched(before, tuple(kept))


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


def _nor(untouched: Untouched | None, number: int, reach: Reach | None) -> str:
    """Whom the face looks like that does not look like the person, where the target says so."""
    kept = None if untouched is None else _at(untouched.kept, number)
    if kept is None or reach is None:
        return ""
    return ", nor like the target's own" if kept < reach.strangers else ", but like the target's own"


def _at(figures: Values, number: int) -> float | None:
    return figures[number] if figures else None


def _mean(figures: Values) -> float | None:
    measured = [figure for figure in figures if figure is not None]
    return sum(measured) / len(measured) if measured else None
