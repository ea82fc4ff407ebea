"""The bundled judges measure a finished picture and condition none, so that no network can please them by the mistakes that it
learned from the encoders that do."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..bundled import BUNDLED, DamagedFileError, Weights
from ..encoders.bundled import load_judge_reader, load_judge_recogniser
from ..encoders.enrolment import MOST_SIMILAR, FaceChoice, enrol
from ..encoders.identity import IDEncoder, Identity
from ..encoders.identity_batch import IdentityBatch
from ..encoders.runtime import RuntimeProblem
from ..expressions import Expression
from .report import Figures, measure

_CANNOT_LOAD = (FileNotFoundError, DamagedFileError, RuntimeProblem)


class NoReferenceError(ValueError):
    """The photos of a person show no face that a recogniser can use."""


def judge(
    images: Tensor,
    points: Sequence[Tensor | None],
    wanted: Expression,
    people: IdentityBatch,
    encoder: IDEncoder,
    reference: Tensor | None,
    weights: Weights = BUNDLED,
) -> tuple[Figures, list[str]]:
    """What the judges measure, as `report.measure` does, and notes on what they could not.

    reference: photos [N, H, W, 3] of the person, or of a batch of people one each; the judge cannot compare with the embeddings
    of `encoder`, which made `people` and tells whose face in a photo it is. Raises ValueError for another number of photos.
    """
    notes = []
    reader = recogniser = None
    known: tuple[Identity, ...] = ()
    try:
        reader = load_judge_reader(weights)
    except _CANNOT_LOAD as error:
        notes.append(f"expression and pose were not judged: {error}")
    if reference is None:
        notes.append("the identity was not judged: connect the person's photo to reference")
    else:
        try:
            recogniser = load_judge_recogniser(weights)
            known = known_to(recogniser, reference, people, encoder).expand(len(images)).people
        except (*_CANNOT_LOAD, NoReferenceError) as error:
            notes.append(f"the identity was not judged: {error}")
    return measure(images, points, wanted, known, recogniser if known else None, reader), notes


def known_to(recogniser: IDEncoder, reference: Tensor, people: IdentityBatch, encoder: IDEncoder) -> IdentityBatch:
    """The people as another recogniser knows them, from photos [N, H, W, 3]: all of the one person, or one of each.

    Of each photo the face counts that `encoder`, which made `people`, finds most like the person. Raises ValueError for
    another number of photos, NoReferenceError where a person's photos show no usable face.
    """
    if len(people) == 1:
        return IdentityBatch((_known_to(recogniser, reference, people.people[0], encoder),))
    if len(reference) != len(people):
        raise ValueError(
            f"reference: found {len(reference)} pictures for an identity batch of {len(people)}; connect one photo of each "
            "person in the batch's order, or nothing"
        )
    pairs = zip(reference.split(1), people.people, strict=True)
    return IdentityBatch(tuple(_known_to(recogniser, photo, person, encoder) for photo, person in pairs))


def _known_to(recogniser: IDEncoder, photos: Tensor, person: Identity, encoder: IDEncoder) -> Identity:
    choice = FaceChoice(MOST_SIMILAR, similar_to=person)
    try:
        sightings = enrol(photos, encoder, choice, no_face="skip the picture", outliers="keep").sightings
    except ValueError as error:
        raise NoReferenceError("no usable face was found in reference") from error
    seen = [(photo, one, one.faces[one.chosen]) for photo, one in zip(photos, sightings, strict=True) if one.chosen is not None]
    embeddings = torch.stack([recogniser.embed(photo, face.points) for photo, _, face in seen])
    quality = tuple(one.quality() for _, one, _ in seen)
    return Identity(embeddings, recogniser.space, quality, (f"{recogniser.name}, reference",) * len(seen))
