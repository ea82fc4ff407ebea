"""The face a node means: found by the encoder's own detector where it has one, by the carried one otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from .detection import Detection, NoFaceError, accepted, find_candidates, no_face
from .identity import IDEncoder


class TooFewFacesError(ValueError):
    """The picture has faces, but fewer than the wanted one's number asks for."""


def look(image: Tensor, encoder: IDEncoder | None, prepared: Any = None) -> tuple[list[Detection], bool]:
    """Every find in a picture [H, W, 3], float RGB in 0..1, refused ones included, and whether the carried detector looked.

    prepared: what `encoder.prepare` made of the picture, where that was done already.
    """
    found = None if encoder is None else encoder.detect(image if prepared is None else prepared)
    return (find_candidates(image), True) if found is None else (found, False)


def find_faces(image: Tensor, encoder: IDEncoder | None) -> list[Detection]:
    """All faces of a picture [H, W, 3], float RGB in 0..1, largest first; an empty list when there is none."""
    return accepted(look(image, encoder)[0])


def require_faces_among(
    candidates: Sequence[Detection], image_index: int, size: tuple[int, int], carried: bool
) -> list[Detection]:
    """The faces among the finds of a picture (size: height, width), largest first, at least one. Raises NoFaceError otherwise.

    carried: whether the carried detector found them.
    """
    faces = accepted(candidates)
    if not faces:
        raise no_face(candidates, image_index, size, carried)
    return faces


__all__ = ["NoFaceError", "TooFewFacesError", "find_faces", "look", "require_faces_among"]
