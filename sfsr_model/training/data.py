"""Rendered triplets and prepared photos as what the tasks train on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from ..face import five_points
from ..naming import naming
from ..synthetic.shards import DatasetError, is_whole, shard_path
from ..synthetic.torch_data import DecodedShards, RenderedDataset, ShardDataset
from .order import MixedBatches, StepBatches
from .settings import Data, Photos, Settings, SettingsError
from .taught import TaughtFaces

_REFERENCE, _TARGET, _ANSWER = 0, 2, 3
_SHARDS_KEPT = 128
Sample = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Batch:
    """What is given and what is wanted. Pictures [B, H, W, 3] in 0..1, five points [B, 5, 2] in their pixels, float64.

    reference: the person in another picture, or for photos in the same one; person [B, D]: the vector that the data hold of
    them. expression [B, 52], pose [B, 3]: of the answer. mask [B, H, W]: 1 where the face is made. single: whether all pictures
    of a sample are one and the same.
    """

    reference: Tensor
    reference_points: Tensor
    person: Tensor
    expression: Tensor
    pose: Tensor
    target: Tensor
    answer: Tensor
    answer_points: Tensor
    mask: Tensor
    single: bool


def open_dataset(data: Data, kinds: Sequence[str] = ("triplets",)) -> Dataset[Sample]:
    """The samples of the settings; raises SettingsError or DatasetError for a set of another size or kind, or a damaged one.

    kinds: which of the renderer's kinds shards may hold; what is rendered on the fly is of the first.
    """
    if data.kind == "rendered":
        return RenderedDataset(data.path, kinds[0], data.count, data.size, data.seed)
    if data.kind == "shards":
        # Samples are drawn from all shards at once; a shard stays compressed in memory, about 0.1 MB a triplet of 128 pixels.
        with naming("data.path"):
            shards = ShardDataset(data.path, keep=_SHARDS_KEPT)
        _check_whole(shards)
        kind, size = shards.manifest["kind"], shards.manifest["size"]
        if kind not in kinds or size != data.size:
            raise SettingsError(
                f"data.path: {data.path} holds {kind} of {size} pixels; expected {' or '.join(kinds)} of {data.size}"
            )
        return DecodedShards(data.path) if data.memory else shards
    from .photo_data import PhotoDataset

    photos = PhotoDataset(data.path)
    if photos.size != data.size:
        raise SettingsError(
            f"data.path: {data.path} holds crops of {photos.size} pixels, data.size is {data.size}; make the two equal"
        )
    return photos


PHOTO = "photo_"
"""Before the names of the fields that a step's photos bring, beside the renders' own."""


class Mixed(Dataset[Sample]):
    """Renders and labelled photos: numbers from the renders' count on are photos. Several samples come joined."""

    def __init__(self, renders: Dataset[Sample], photos: Dataset[Sample]) -> None:
        self.renders, self.photos = renders, photos
        self.counts = (length(renders), length(photos))

    def __len__(self) -> int:
        return sum(self.counts)

    def __getitems__(self, indices: Sequence[int]) -> Sample:
        """Samples of some numbers, joined: the renders' fields under their names, the photos' after PHOTO."""
        own = [index for index in indices if index < self.counts[0]]
        rest = [index - self.counts[0] for index in indices if index >= self.counts[0]]
        shown = picked(self.photos, rest)
        return picked(self.renders, own) | {PHOTO + name: values for name, values in shown.items()}


def split_mixed(sample: Sample) -> tuple[Sample, Sample]:
    """The renders' and the photos' fields of a step's samples, each under their own names."""
    shown = {name.removeprefix(PHOTO): values for name, values in sample.items() if name.startswith(PHOTO)}
    return {name: values for name, values in sample.items() if not name.startswith(PHOTO)}, shown


def open_mixed(settings: Settings, kinds: Sequence[str] = ("triplets",)) -> Dataset[Sample]:
    """The renders of the settings, with the labelled photos of `photos` where there are any; raises as `open_dataset` does."""
    renders = open_dataset(settings.data, kinds)
    return renders if settings.photos is None else Mixed(renders, open_photos(settings.photos))


def open_photos(photos: Photos) -> TaughtFaces:
    """The labelled photos of the settings; raises StoreError naming the folder."""
    with naming("photos"):
        return TaughtFaces(photos.path, photos.teacher, photos.sources)


def step_batches(
    settings: Settings, dataset: Dataset[Sample], first: int, process: int = 0, processes: int = 1
) -> Sampler[list[int]]:
    """Which samples each step from `first` on sees, of a data set of this module."""
    if not isinstance(dataset, Mixed):
        return StepBatches(settings.seed, first, settings.steps, settings.batch, length(dataset), process, processes)
    assert settings.photos is not None
    sizes = (settings.batch, settings.photos.batch)
    parts = [
        StepBatches(settings.seed + place, first, settings.steps, size, count, process, processes)
        for place, (size, count) in enumerate(zip(sizes, dataset.counts, strict=True))
    ]
    return MixedBatches(parts, dataset.counts)


def peek(data: Data, kinds: Sequence[str] = ("triplets",)) -> Dataset[Sample]:
    """The samples of `open_dataset` for a look at a few of them: nothing is decoded that is not asked for."""
    return open_dataset(data.model_copy(update={"memory": False}), kinds)


def _check_whole(shards: ShardDataset) -> None:
    """Raise DatasetError naming the first shard that was cut short: at the start, not after hours."""
    count, full = shards.manifest["count"], shards.manifest["shard_size"]
    for number, first in enumerate(range(0, count, full)):
        path = shard_path(shards.folder, number)
        if not is_whole(path, min(full, count - first)):
            raise DatasetError(f"{path}: not a whole shard; delete it and run the dataset command again")


def length(dataset: Dataset[Any]) -> int:
    """Number of samples of a dataset of this module."""
    return len(dataset)  # type: ignore[arg-type]


def pictures(sample: Sample) -> Tensor:
    """All pictures of collated triplets [4 B, 3, H, W], or of collated photos [B, 3, H, W], in 0..1."""
    images = sample["image"]
    return (images.flatten(0, 1) if images.ndim == 5 else images).float() / 255


def batch_of(sample: Sample) -> Batch:
    """Collated records of triplets or of photos as a batch."""
    return _triplets(sample) if sample["image"].ndim == 5 else _photos(sample)


def _triplets(sample: Sample) -> Batch:
    images = sample["image"].movedim(2, -1).float() / 255
    landmarks = sample["landmarks"]
    return Batch(
        reference=images[:, _REFERENCE],
        reference_points=five_points(landmarks[:, _REFERENCE]),
        person=sample["identity"][:, _REFERENCE],
        expression=sample["coefficients"][:, _ANSWER],
        pose=sample["pose"][:, _ANSWER],
        target=images[:, _TARGET],
        answer=images[:, _ANSWER],
        answer_points=five_points(landmarks[:, _ANSWER]),
        mask=sample["mask"].float() / 255,
        single=False,
    )


def _photos(sample: Sample) -> Batch:
    images, points = sample["image"].movedim(1, -1).float() / 255, five_points(sample["landmarks"])
    whole = sample.get("whole")
    return Batch(
        reference=images if whole is None else whole.movedim(1, -1).float() / 255,
        reference_points=points if whole is None else sample["whole_points"],
        person=sample["identity"],
        expression=sample["coefficients"],
        pose=sample["pose"],
        target=images,
        answer=images,
        answer_points=points,
        mask=sample["mask"].float() / 255,
        single=True,
    )


def collated(dataset: Dataset[Sample], first: int, last: int) -> Sample:
    """Samples first .. last - 1 as one."""
    return picked(dataset, range(first, last))


def picked(dataset: Dataset[Sample], indices: Sequence[int]) -> Sample:
    """Samples of some numbers as one."""
    at_once = getattr(dataset, "__getitems__", None)
    return as_batch([dataset[index] for index in indices] if at_once is None else at_once(indices))


def as_batch(samples: Sequence[Sample] | Sample) -> Sample:
    """Samples as one; a dataset that gives a step's at once has joined them already."""
    if isinstance(samples, dict):
        return samples
    return {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}
