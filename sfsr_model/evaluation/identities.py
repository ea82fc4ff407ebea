"""Who conditions the network and who judges it: embeddings of rendered faces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..encoders.recogniser import InsightFaceEncoder
from ..naming import naming
from ..network.checkpoint import ANY_SPACE, RENDERED_SPACE, Metadata

RENDERED = "rendered"
"""What --recogniser may say instead of a file, for the renderer's own vectors of its people."""


def load_judge(path: Path, option: str = "judge") -> InsightFaceEncoder:
    """A recogniser's ONNX file or pack; option: that named it.

    Raises ValueError for anything else, also where there is no such file.
    """
    from ..encoders.pack import load_recogniser

    if not path.exists():
        raise ValueError(f"{option}: {path} does not exist; give a recogniser's ONNX file or an insightface pack folder")
    with naming(option):
        return load_recogniser(path, "CPU")


def conditioner(choice: str, metadata: Metadata, name: str, option: str = "recogniser") -> InsightFaceEncoder | None:
    """The recogniser whose embeddings the network is given, or None for the renderer's own vectors.

    choice: a path, or RENDERED; option: that made it. Raises ValueError for another space or width than the checkpoint was
    trained on.
    """
    encoder = None if choice == RENDERED else load_judge(Path(choice), option)
    space = RENDERED_SPACE if encoder is None else encoder.space
    if metadata.identity_space not in (ANY_SPACE, space):
        other = "" if encoder is None else ", and this one as --judge"
        raise ValueError(
            f"{option}: {choice} makes embeddings of the space '{space}', {name} was trained on "
            f"'{metadata.identity_space}'; give the recogniser it was trained with{other}"
        )
    if encoder is not None:
        check_width(encoder.dim, metadata, choice, name, option)
    return encoder


def check_width(width: int, metadata: Metadata, choice: str, name: str, option: str = "recogniser") -> None:
    """Raise ValueError where a checkpoint takes identities of another width."""
    wanted = metadata.compound.identity_dim
    if width != wanted:
        raise ValueError(f"{option}: {choice} makes vectors of {width} numbers, {name} takes {wanted}")


def embeddings(encoder: InsightFaceEncoder, pictures: np.ndarray, points: Sequence[np.ndarray] | np.ndarray) -> Tensor:
    """Embeddings [N, D] of unit length of the faces with five points [N, 5, 2] in uint8 pictures [N, H, W, 3]."""
    images = torch.from_numpy(pictures).float() / 255
    aligned = [encoder.align(image, torch.from_numpy(five)) for image, five in zip(images, points, strict=True)]
    return torch.nn.functional.normalize(encoder.embed_aligned(aligned).float(), dim=-1)
