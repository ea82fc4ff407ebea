"""Labelled photos as they are measured on: which rows, in which groups, and what MediaPipe sees at the labelled points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...landmarker import FaceLandmarker
from ...landmarker.landmarker import MIN_PRESENCE
from ...landmarker.regions import regions_around
from ...training.labelled import LabelledPhotos
from .people import Scene

FRAMES, NOBODY, LONDON = "frames (lfw)", "crops of nobody", "crops of people (london)"
_GROUPS = {"lfw": FRAMES, "london": LONDON} | dict.fromkeys(("generated", "omi", "omi_people", "fake", "faker"), NOBODY)
PICTURES = 30
"""Of one person no more pictures than this are looked at."""


@dataclass(frozen=True, eq=False)
class LabelledFaces:
    """Photos in whose labelled place MediaPipe sees a face. landmarks [N, 478, 2] in pixels, pose [N, 3] in radians, by it.

    owners [N]: a number for each person. groups: what kind of picture each is.
    """

    photos: LabelledPhotos
    landmarks: Tensor
    pose: Tensor
    owners: Tensor
    groups: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.photos)

    def box(self, row: int) -> Tensor:
        """The face's box [4] by its landmarks."""
        return box_around(self.landmarks[row])

    def scene(self, row: int) -> Scene:
        """A row's picture and its face."""
        return Scene(self.photos.picture(row), self.box(row), self.photos.points[row], float(self.pose[row, 1]))

    def kinds(self) -> tuple[str, ...]:
        """The groups, in the order in which they first appear."""
        return tuple(dict.fromkeys(self.groups))

    def rows(self, group: str) -> list[int]:
        """Numbers of the rows of a group."""
        return [row for row, one in enumerate(self.groups) if one == group]


def box_around(landmarks: Tensor) -> Tensor:
    """The box [4] around landmarks [P, 2], float64."""
    return torch.cat((landmarks.amin(0), landmarks.amax(0))).double()


def group_of(source: str) -> str:
    """The group of a source; one that is not known is a group of its own."""
    return _GROUPS.get(source, source)


def limited(photos: LabelledPhotos, seed: int, limit: int | None = None, pictures: int = PICTURES) -> LabelledPhotos:
    """Rows drawn by a seed: whole people, of each at most `pictures` pictures, until a source has `limit` rows. In order."""
    generator = torch.Generator().manual_seed(seed)
    taken: dict[str, int] = {}
    kept: list[int] = []
    by_person: dict[tuple[str, str], list[int]] = {}
    for row, key in enumerate(zip(photos.sources, photos.people, strict=True)):
        by_person.setdefault(key, []).append(row)
    people = list(by_person)
    for number in torch.randperm(len(people), generator=generator).tolist():
        source, rows = people[number][0], by_person[people[number]]
        some = [rows[place] for place in torch.randperm(len(rows), generator=generator).tolist()[:pictures]]
        room = len(some) if limit is None else max(0, limit - taken.get(source, 0))
        kept += some[:room]
        taken[source] = taken.get(source, 0) + len(some[:room])
    return photos.rows(sorted(kept))


def spread(groups: Sequence[str], count: int, seed: int) -> list[int]:
    """Numbers of `count` rows, as evenly from all groups as there are rows, drawn by a seed; in order."""
    generator = torch.Generator().manual_seed(seed)
    drawn: dict[str, list[int]] = {}
    for row in torch.randperm(len(groups), generator=generator).tolist():
        drawn.setdefault(groups[row], []).append(row)
    chosen: list[int] = []
    while len(chosen) < count and any(drawn.values()):
        for rows in drawn.values():
            if rows and len(chosen) < count:
                chosen.append(rows.pop())
    return sorted(chosen)


def smiling_pairs(photos: LabelledPhotos, rows: Sequence[int]) -> list[tuple[int, int]]:
    """Of each person with two of these rows the neutral and the smiling one: the latter's file has the higher number."""
    people: dict[str, list[int]] = {}
    for row in rows:
        people.setdefault(photos.people[row], []).append(row)
    sorted_rows = (sorted(some, key=lambda row: (len(photos.files[row]), photos.files[row])) for some in people.values())
    return [(some[0], some[1]) for some in sorted_rows if len(some) == 2]


@torch.no_grad()
def see(photos: LabelledPhotos, landmarker: FaceLandmarker) -> LabelledFaces:
    """Look at the labelled points of every photo; rows without a face there are left out."""
    from tqdm import trange

    landmarks, pose, kept = [], [], []
    for row in trange(len(photos), desc="landmarks", unit="photo"):
        read = landmarker.measure(photos.picture(row)[None], regions_around(photos.points[row][None]))
        if float(read.presence[0]) >= MIN_PRESENCE:
            landmarks.append(read.landmarks[0, :, :2].double())
            pose.append(read.pose[0])
            kept.append(row)
    if not kept:
        raise ValueError(f"labelled: the landmarker sees no face at the labelled points of {photos.folder}; check --landmarker")
    seen = photos.rows(kept)
    numbers = {person: number for number, person in enumerate(dict.fromkeys(seen.people))}
    owners = torch.tensor([numbers[person] for person in seen.people])
    groups = tuple(group_of(source) for source in seen.sources)
    return LabelledFaces(seen, torch.stack(landmarks), torch.stack(pose), owners, groups)
