"""The face a node means: found by the encoder's own detector where it has one, by the carried one otherwise."""

from __future__ import annotations

from torch import Tensor

from .detection import Detection, NoFaceError, choose_face, detect_faces, require_faces
from .identity import IDEncoder


class TooFewFacesError(ValueError):
    """The picture has faces, but fewer than the wanted one's number asks for."""


def find_faces(image: Tensor, encoder: IDEncoder | None) -> list[Detection]:
    """All faces of a picture [H, W, 3], float RGB in 0..1; an empty list when there is none."""
    found = None if encoder is None else encoder.detect(image)
    return detect_faces(image) if found is None else found


def find_face(image: Tensor, encoder: IDEncoder | None, order: str, index: int, image_index: int) -> Detection:
    """Face number `index` of a picture in the given order.

    Raises NoFaceError when the picture has no face and TooFewFacesError when it has too few; both name the picture.
    """
    found = None if encoder is None else encoder.detect(image)
    if found is None:
        found = require_faces(image, image_index)
    elif not found:
        raise NoFaceError(image_index, (image.shape[0], image.shape[1]), 0.0)
    try:
        return choose_face(found, order, index)
    except ValueError as error:
        raise TooFewFacesError(f"image {image_index}: {error}") from error
