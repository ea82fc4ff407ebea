"""Encoders on a user's own photos: how many faces are found, and whose they are where folders say so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ...encoders.detection import Detection, accepted, find_candidates
from ...landmarker.photos import load_photo
from ...training.photos import find_photos
from ...training.teachers import FaceTeacher
from ..metrics import Figure, figure
from .pairs import all_pairs, nothing_verified, verification
from .recognisers import unit_vectors, vectors

NOBODY = -1
"""In place of a person's number where nothing says who it is."""
Finder = Callable[[Tensor], list[Detection] | None]


@dataclass(frozen=True, eq=False)
class Faces:
    """Photos and the largest face in each. people [N]: numbers of the subfolders they lie in, NOBODY for those that lie in
    none; points: None without a face.

    several: photos with more than one face. unread: files that are no readable picture.
    """

    files: tuple[Path, ...]
    people: Tensor
    points: tuple[Tensor | None, ...]
    several: int
    unread: tuple[Path, ...]


def find_in_photos(folder: Path, find: Finder | None) -> Faces:
    """Look for faces in all pictures below a folder, with the detector or, without one, the carried one.

    A person is a subfolder: the photos that lie in one are of one person. Raises PhotoError for a folder without a picture.
    """
    from tqdm import tqdm

    files, people, points, unread = [], [], [], []
    several = 0
    folders: dict[Path, int] = {}
    for path in tqdm(find_photos(folder), unit="photo"):
        try:
            picture = load_photo(path)
        except OSError:
            unread.append(path)
            continue
        found = accepted((find_candidates(picture) if find is None else find(picture)) or [])
        files.append(path)
        people.append(NOBODY if path.parent == folder else folders.setdefault(path.parent, len(folders)))
        points.append(found[0].points if found else None)
        several += len(found) > 1
    return Faces(tuple(files), torch.tensor(people, dtype=torch.long), tuple(points), several, tuple(unread))


def measure_faces(faces: Faces) -> dict[str, Figure]:
    """Shares of the photos with a face, and with several."""
    found = torch.tensor([one is not None for one in faces.points], dtype=torch.float64)
    count = len(faces.files)
    return {"found": figure(found), "several": Figure(faces.several / count if count else None, None, None, count)}


def measure_photos(encoder: FaceTeacher, faces: Faces) -> dict[str, Figure]:
    """Verification among the found faces of known people; figures without a value where there are not two of them."""
    known = [
        (path, points, person)
        for path, points, person in zip(faces.files, faces.points, faces.people.tolist(), strict=True)
        if points is not None and person != NOBODY
    ]
    if len(known) < 2:
        return nothing_verified()
    files, points, people = zip(*known, strict=True)
    raw = vectors(encoder, map(load_photo, files), torch.stack(points))
    return verification(*all_pairs(unit_vectors(encoder, raw), torch.tensor(people)))
