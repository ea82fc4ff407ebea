"""Labelled photos as the network learns from them: faces in the crop rule's frame, as a user's detector would cut them out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..face import face_mask
from ..face.crop import apply_affine, crop_transform
from ..face.landmarks import mirrored_points
from ..face.warp import crop_faces
from .aligned import in_other_light, shifted
from .taught import TaughtFaces

VIEWS = 2


class PhotoCrops(Dataset[dict[str, Tensor]]):
    """Every photo of a store in VIEWS views: as it is, and in a mirror in another light; each with points off as a detector's.

    Samples: image uint8 [3, S, S]; mask uint8 [S, S], 255 inside; landmarks [5, 2] in the crop; identity [0]; coefficients and
    pose: as the store has them of the photo, whatever the view; whole uint8 [3, W, W] and whole_points [5, 2]: the photo,
    for who is in it, because a recogniser looks beyond the crop. Sample number v * N + n is view v of photo n.
    """

    def __init__(self, photos: TaughtFaces, size: int, seed: int) -> None:
        self.photos, self.size, self._seed = photos, size, seed
        points = photos.points.double()
        width = photos.size
        views = torch.cat([points, mirrored_points(points, width)])
        self._points = shifted(views, torch.Generator().manual_seed(seed), 0.5)
        self.people = photos.people.repeat(VIEWS)

    def __len__(self) -> int:
        return VIEWS * len(self.photos)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {name: values[0] for name, values in self.__getitems__([index]).items()}

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """Several samples, joined."""
        numbers = torch.as_tensor(list(indices))
        view = numbers // len(self.photos)
        found = self.photos.__getitems__((numbers % len(self.photos)).tolist())
        whole = torch.where(view[:, None, None, None] == 1, found["image"].flip(-1), found["image"])
        points = self._points[numbers]
        crops = crop_faces(whole.movedim(1, -1).float() / 255, points, self.size)
        relit = torch.cat(
            [in_other_light(crop[None], self._generator(number)) for crop, number in zip(crops, indices, strict=True)]
        )
        crops = torch.where(view[:, None, None, None] == 1, relit, crops)
        landmarks = apply_affine(crop_transform(points, self.size), points)
        return {
            "image": (crops.clamp(0, 1) * 255).round().to(torch.uint8),
            "mask": (face_mask(landmarks, self.size) * 255).round().to(torch.uint8),
            "landmarks": landmarks.float(),
            "identity": torch.zeros(len(numbers), 0),
            "coefficients": found["coefficients"],
            "pose": found["pose"],
            "whole": whole,
            "whole_points": points,
        }

    def _generator(self, number: int) -> torch.Generator:
        return torch.Generator().manual_seed(self._seed * len(self) + number)


class OtherPictures:
    """Who is in a picture, said by another picture of the same person."""

    def __init__(self, people: Tensor, identities: Tensor) -> None:
        """people [N]: a number for each sample's person; identities [N, D]: what a recogniser sees in each sample."""
        self._identities = identities
        self._order = people.argsort(stable=True)
        self._place = torch.empty_like(self._order)
        self._place[self._order] = torch.arange(len(people))
        _, group, counts = people.unique(return_inverse=True, return_counts=True)
        self._count = counts[group]
        self._first = (counts.cumsum(0) - counts)[group]

    def draw(self, numbers: Tensor, generator: torch.Generator) -> Tensor:
        """An identity [B, D] for each of the samples [B]: that of another one of its person, or its own where there is none."""
        first, count = self._first[numbers], self._count[numbers]
        ahead = 1 + (torch.rand(len(numbers), generator=generator) * (count - 1)).long()
        return self._identities[self._order[first + (self._place[numbers] - first + ahead) % count]]
