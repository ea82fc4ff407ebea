"""What came out: how near a picture's face is to the person and the expression that were asked for."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from ..encoders.expression_photos import PhotoEncoder
from ..encoders.identity import IDEncoder, Identity
from ..expressions import ARKIT_NAMES, Expression


@dataclass(frozen=True)
class Report:
    """Measurements of a batch of pictures; None stands for what could not be measured, and `notes` say why.

    identity_cosine: mean cosine between each picture's face and the identity, in [-1, 1]. identity_cosines: one per picture.
    expression_error: mean absolute error of the ARKit coefficients that can be read, 0..1. expression_errors: one per picture;
    empty where nothing read them. trained: False while any network has random weights.
    """

    encoder: str
    identity_cosine: float | None
    identity_cosines: tuple[float | None, ...]
    expression_error: float | None
    expression_errors: tuple[float | None, ...]
    words: tuple[str | None, ...]
    trained: bool
    notes: tuple[str, ...]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2)


def identity_cosines(
    images: Tensor, points: list[Tensor | None], identity: Identity, encoder: IDEncoder
) -> tuple[float | None, ...]:
    """Cosine between the identity and the face at five points [5, 2] in each picture [B, H, W, 3]; None without points.

    Raises ValueError when the identity was made by another recogniser.
    """
    if identity.space != encoder.space:
        raise ValueError(
            f"identity: its embeddings are of the space '{identity.space}', the connected encoder {encoder.name} makes "
            f"'{encoder.space}'; cosines between the two mean nothing, connect the encoder that made the identity"
        )
    person = identity.mean()
    return tuple(
        None
        if where is None
        else float(torch.nn.functional.cosine_similarity(encoder.embed(picture, where).to(person), person, dim=0))
        for picture, where in zip(images, points, strict=True)
    )


def expression_errors(
    images: Tensor, points: list[Tensor | None], wanted: Expression, encoder: PhotoEncoder
) -> tuple[float | None, ...]:
    """Mean absolute error, 0..1, between the wanted coefficients and those read from the face at five points [5, 2] in each
    picture [B, H, W, 3], over all coefficients but the encoder's `unread`.

    wanted: one expression for each picture. None without points, and where the encoder sees no face at them.
    """
    seen = [place for place, name in enumerate(ARKIT_NAMES) if name not in encoder.unread]
    errors: list[float | None] = []
    for picture, where, row in zip(images, points, wanted.coefficients, strict=True):
        read = None if where is None else encoder.read_at(picture, where)
        errors.append(None if read is None else (read[seen] - row.float().cpu()[seen]).abs().mean().item())
    return tuple(errors)
