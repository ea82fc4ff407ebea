"""The bundled judges measure a finished picture and condition none, so that no network can please them by the mistakes that it
learned from the encoders that do. The bundled recogniser measures beside them where another one is connected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..bundled import BUNDLED, DamagedFileError, Weights
from ..encoders.bundled import bundled_space, load_bundled_encoder, load_judge_reader, load_judge_recogniser
from ..encoders.enrolment import MOST_SIMILAR, FaceChoice, enrol
from ..encoders.expression_photos import PhotoEncoder
from ..encoders.identity import IDEncoder, Identity
from ..encoders.identity_batch import IdentityBatch
from ..encoders.runtime import RuntimeProblem
from ..expressions import Expression
from .report import Figures, measure

Seen = list[tuple[Tensor, Tensor, float]]
"""A person in photos: picture [H, W, 3], five points [5, 2] and quality of each face."""
_CANNOT_LOAD = (FileNotFoundError, DamagedFileError, RuntimeProblem)


class NoReferenceError(ValueError):
    """The photos of a person show no face that a recogniser can use."""


@dataclass(frozen=True)
class Judged:
    """judges: by networks that condition nothing. bundled: who it is by the bundled recogniser; nothing where that is the
    connected one. notes: what could not be measured."""

    judges: Figures
    bundled: Figures
    notes: tuple[str, ...]


def judge(
    images: Tensor,
    points: Sequence[Tensor | None],
    wanted: Expression,
    people: IdentityBatch,
    encoder: IDEncoder,
    reference: Tensor | None,
    weights: Weights = BUNDLED,
) -> Judged:
    """What the judges and the bundled recogniser measure, as `report.measure` does.

    reference: photos [N, H, W, 3] of the person, or of a batch of people one each; neither can compare with the embeddings of
    `encoder`, which made `people` and tells whose face in a photo it is. Raises ValueError for another number of photos.
    """
    notes = []
    reader = recogniser = bundled = None
    seen: list[Seen] = []
    try:
        reader = load_judge_reader(weights)
    except _CANNOT_LOAD as error:
        notes.append(f"expression and pose were not judged: {error}")
    if reference is None:
        notes.append("the identity was not judged: connect the person's photo to reference")
    else:
        try:
            seen = faces_of(reference, people, encoder)
        except NoReferenceError as error:
            notes.append(f"the identity was not judged: {error}")
    if seen:
        try:
            recogniser = load_judge_recogniser(weights)
        except _CANNOT_LOAD as error:
            notes.append(f"the identity was not judged: {error}")
    if seen and encoder.space != bundled_space(weights):
        try:
            bundled = load_bundled_encoder("CPU", weights)
        except _CANNOT_LOAD as error:
            notes.append(f"the bundled recogniser measured nothing: {error}")

    def by(one: IDEncoder | None, expressions: PhotoEncoder | None) -> Figures:
        known = () if one is None else known_to(one, seen).expand(len(images)).people
        return measure(images, points, wanted, known, one, expressions)

    return Judged(by(recogniser, reader), by(bundled, None), tuple(notes))


def known_to(recogniser: IDEncoder, seen: Sequence[Seen]) -> IdentityBatch:
    """People as another recogniser knows them, from the faces of each, as `faces_of` gives them."""
    return IdentityBatch(tuple(_known_to(recogniser, faces) for faces in seen))


def faces_of(reference: Tensor, people: IdentityBatch, encoder: IDEncoder) -> list[Seen]:
    """The people's faces in photos [N, H, W, 3]: of the one person in all of them, or of each in one.

    Of each photo the face counts that `encoder`, which made `people`, finds most like the person. Raises ValueError for
    another number of photos, NoReferenceError where a person's photos show no usable face.
    """
    if len(people) == 1:
        return [_faces_of(reference, people.people[0], encoder)]
    if len(reference) != len(people):
        raise ValueError(
            f"reference: found {len(reference)} pictures for an identity batch of {len(people)}; connect one photo of each "
            "person in the batch's order, or nothing"
        )
    pairs = zip(reference.split(1), people.people, strict=True)
    return [_faces_of(photo, person, encoder) for photo, person in pairs]


def _faces_of(photos: Tensor, person: Identity, encoder: IDEncoder) -> Seen:
    choice = FaceChoice(MOST_SIMILAR, similar_to=person)
    try:
        sightings = enrol(photos, encoder, choice, no_face="skip the picture", outliers="keep").sightings
    except ValueError as error:
        raise NoReferenceError("no usable face was found in reference") from error
    return [
        (photo, one.faces[one.chosen].points, one.quality())
        for photo, one in zip(photos, sightings, strict=True)
        if one.chosen is not None
    ]


def _known_to(recogniser: IDEncoder, seen: Seen) -> Identity:
    embeddings = torch.stack([recogniser.embed(photo, points) for photo, points, _ in seen])
    quality = tuple(quality for _, _, quality in seen)
    return Identity(embeddings, recogniser.space, quality, (f"{recogniser.name}, reference",) * len(seen))
