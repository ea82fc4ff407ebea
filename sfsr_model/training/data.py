"""Rendered triplets as what the tasks train on."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..synthetic.torch_data import RenderedDataset, ShardDataset
from .settings import Data, SettingsError

_REFERENCE, _TARGET, _ANSWER = 0, 2, 3
Sample = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Batch:
    """Triplets. Pictures [B, H, W, 3] in 0..1, landmarks [B, 68, 2] in their pixels.

    reference: the person in another picture; person [B, D]: the renderer's own vector of them. expression [B, 52], pose [B, 3]:
    of the answer. mask [B, H, W]: 1 where the face is made.
    """

    reference: Tensor
    reference_landmarks: Tensor
    person: Tensor
    expression: Tensor
    pose: Tensor
    target: Tensor
    answer: Tensor
    answer_landmarks: Tensor
    mask: Tensor


def open_dataset(data: Data) -> RenderedDataset | ShardDataset:
    """The samples of the settings; raises SettingsError for a set of another size or kind."""
    if data.kind == "rendered":
        return RenderedDataset(data.path, "triplets", data.count, data.size, data.seed)
    if data.kind == "shards":
        shards = ShardDataset(data.path)
        kind, size = shards.manifest["kind"], shards.manifest["size"]
        if (kind, size) != ("triplets", data.size):
            raise SettingsError(f"data.path: {data.path} holds {kind} of {size} pixels; expected triplets of {data.size}")
        return shards
    raise SettingsError("data.kind: photos cannot be trained on yet; choose rendered or shards")


def pictures(sample: Sample) -> Tensor:
    """All pictures of collated triplets, [4 B, 3, H, W] in 0..1."""
    return sample["image"].flatten(0, 1).float() / 255


def triplets(sample: Sample) -> Batch:
    """Collated records of triplets as a batch."""
    images = sample["image"].movedim(2, -1).float() / 255
    landmarks = sample["landmarks"]
    return Batch(
        reference=images[:, _REFERENCE],
        reference_landmarks=landmarks[:, _REFERENCE],
        person=sample["identity"][:, _REFERENCE],
        expression=sample["coefficients"][:, _ANSWER],
        pose=sample["pose"][:, _ANSWER],
        target=images[:, _TARGET],
        answer=images[:, _ANSWER],
        answer_landmarks=landmarks[:, _ANSWER],
        mask=sample["mask"].float() / 255,
    )
