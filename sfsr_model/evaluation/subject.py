"""What is evaluated: a checkpoint, with all that puts held-out faces before it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..encoders.recogniser import InsightFaceEncoder
from ..naming import naming
from ..network import load_checkpoint
from ..network.checkpoint import RENDERED_SPACE
from ..synthetic.identity import IdentitySpace
from ..synthetic.model import FaceModel
from .cases import check_held_out
from .identities import check_width, conditioner
from .network import Network, check_size


@dataclass(frozen=True, eq=False)
class Subject:
    """encoder: of the identities, None for the renderer's own vectors. size: of the pictures. held_out: how far the faces are
    known to be new to the network."""

    network: Network
    model: FaceModel
    encoder: InsightFaceEncoder | None
    size: int
    held_out: str

    @property
    def identities(self) -> str:
        """The space of the vectors that condition the network."""
        return RENDERED_SPACE if self.encoder is None else self.encoder.space


def load_subject(checkpoint: Path, cache: Path, recogniser: str, seed: int, size: int | None, device: str) -> Subject:
    """Load and check everything. Arguments as in `run.Plan`; raises ValueError or OSError naming what is wrong."""
    with naming("checkpoint"):
        loaded = load_checkpoint(checkpoint)
    metadata = loaded.metadata
    held_out = check_held_out(seed, metadata.training_data, loaded.name)
    checked = check_size(metadata.resolution if size is None else size, metadata.unet)
    encoder = conditioner(recogniser, metadata, loaded.name)
    model = FaceModel.load(cache)
    if encoder is None:
        check_width(len(IdentitySpace.of(model).names), metadata, recogniser, loaded.name)
    return Subject(Network(loaded, device), model, encoder, checked, held_out)
