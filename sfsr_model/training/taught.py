"""The store that the `labelled` command writes: photos at one size, with what teachers say of them, ready for training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from ..files import whole_file
from ..landmarker import FaceLandmarker, load_landmarker
from ..landmarker.regions import regions_around
from .labelled import LabelledPhotos, load_labelled
from .photo_data import read_json, write_json
from .teachers import FaceTeacher, load_teacher

FORMAT = "sfsr-labelled-1"
MANIFEST, PICTURES, FACES = "labelled.json", "pictures.npy", "faces.npz"
_BLOCK, _READ = 256, 16
_SEEN = 0.5
Rows = Callable[[range], np.ndarray]


class StoreError(ValueError):
    """A store that cannot be used or written; the message names it and what to do."""


@dataclass(frozen=True)
class Taught:
    """A photo's name is its file's in the folder. teachers: names of the vectors."""

    folder: Path
    size: int
    files: tuple[str, ...]
    sources: tuple[str, ...]
    teachers: tuple[str, ...]


def prepare_labelled(
    folder: Path, out: Path, size: int, landmarker: Path, teachers: Sequence[Path] = (), sources: Sequence[str] = (),
    split: str = "train",
) -> Taught:  # fmt: skip
    """Fill the store `out` from labelled photos; a stopped run goes on where it was, a new teacher is added to what is there.

    Every photo is brought to size x size pixels. The landmarker (a face_landmarker.task) gives box and pose of the face at the
    labelled points, each teacher a vector that says who it is.
    Raises LabelledError, StoreError, or what loading a teacher raises.
    """
    photos = load_labelled(folder).chosen(split, sources)
    manifest = {"format": FORMAT, "size": size, "files": list(photos.files), "sources": list(photos.sources)}
    old = read_json(out / MANIFEST)
    if old is None and out.is_dir() and any(out.iterdir()):
        raise StoreError(f"{out}: is not empty and holds no store of labelled photos; choose a new folder for --out")
    if old is not None and any(old.get(name) != value for name, value in manifest.items()):
        raise StoreError(f"{out}: made of other photos or at another size; choose another folder for --out")
    out.mkdir(parents=True, exist_ok=True)
    loaded = [(path.stem, load_teacher(path)) for path in teachers]
    done = set(old["teachers"]) if old else set()
    write_json(out / MANIFEST, {**manifest, "teachers": sorted(done)})

    _fill(out / PICTURES, len(photos), partial(_pictures, photos, size))
    if not (out / FACES).is_file():
        _write_faces(out, photos, size, load_landmarker(landmarker))
    for name, teacher in loaded:
        _fill(out / f"{name}.npy", len(photos), partial(_vectors, photos, teacher))
        done.add(name)
        write_json(out / MANIFEST, {**manifest, "teachers": sorted(done)})
    return Taught(out, size, photos.files, photos.sources, tuple(sorted(done)))


def _fill(path: Path, count: int, make: Rows) -> None:
    """Write an array of `count` rows block by block; what a stopped run had made is kept beside it until all are there."""
    from tqdm import trange

    if path.is_file():
        return
    begun, progress = path.with_suffix(".partial"), path.with_suffix(".progress")
    done = int((read_json(progress) or {}).get("rows", 0)) if begun.is_file() else 0
    array = np.lib.format.open_memmap(begun, mode="r+") if done else None
    for first in trange(done, count, _BLOCK, desc=path.stem, unit="block"):
        rows = make(range(first, min(first + _BLOCK, count)))
        if array is None:
            array = np.lib.format.open_memmap(begun, mode="w+", dtype=rows.dtype, shape=(count, *rows.shape[1:]))
        array[first : first + len(rows)] = rows
        array.flush()
        write_json(progress, {"rows": first + len(rows)})
    begun.replace(path)
    progress.unlink(missing_ok=True)


def _pictures(photos: LabelledPhotos, size: int, rows: range) -> np.ndarray:
    return np.stack([(_square(photos, row, size) * 255).round().to(torch.uint8).numpy() for row in rows])


def _square(photos: LabelledPhotos, row: int, size: int) -> Tensor:
    """A photo [size, size, 3] in 0..1."""
    picture = photos.picture(row)
    if picture.shape[0] != picture.shape[1]:
        raise StoreError(
            f"{photos.files[row]}: expected a square picture, found {picture.shape[1]} x {picture.shape[0]} pixels"
        )
    if picture.shape[0] == size:
        return picture
    moved = picture.movedim(-1, 0)[None]
    return F.interpolate(moved, (size, size), mode="bicubic", antialias=True)[0].movedim(0, -1).clamp(0, 1)


def scaled_points(points: Tensor, size: int, to: int) -> Tensor:
    """Points in pixels of a picture `size` pixels wide, in those of the same picture at another size."""
    return (points + 0.5) * (to / size) - 0.5


@torch.no_grad()
def _write_faces(out: Path, photos: LabelledPhotos, size: int, landmarker: FaceLandmarker) -> None:
    """Points, and box and pose as the landmarker sees them at those points; NaN where it sees no face there."""
    from tqdm import trange

    pictures = np.load(out / PICTURES, mmap_mode="r")
    points = torch.stack([scaled_points(five, width, size) for five, width in zip(photos.points, photos.widths, strict=True)])
    boxes, poses = [], []
    for first in trange(0, len(photos), _READ, desc=FACES, unit="block"):
        rows = slice(first, first + _READ)
        shown = torch.from_numpy(np.array(pictures[rows])).float() / 255
        read = landmarker.measure(shown, regions_around(points[rows]))
        flat = read.landmarks[..., :2]
        unseen = torch.where(read.presence >= _SEEN, 0.0, torch.nan)[:, None]
        boxes.append(torch.cat((flat.amin(1), flat.amax(1)), 1) + unseen)
        poses.append(read.pose + unseen)
    numbers = {person: number for number, person in enumerate(sorted(set(photos.people)))}
    arrays = {
        "points": points.float().numpy(),
        "boxes": torch.cat(boxes).float().numpy(),
        "pose": torch.cat(poses).float().numpy(),
        "coefficients": photos.coefficients.numpy(),
        "people": np.array([numbers[person] for person in photos.people]),
    }
    with whole_file(out / FACES) as path, path.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)


def _vectors(photos: LabelledPhotos, teacher: FaceTeacher, rows: range) -> np.ndarray:
    """What a teacher makes of photos, [N, D], as it gives it."""
    return torch.stack([teacher.embed(photos.picture(row), photos.points[row]).float() for row in rows]).numpy()


class TaughtFaces(Dataset[dict[str, Tensor]]):
    """A store's photos, read from the disk as they are asked for and kept by the system's cache, which processes share.

    Samples: image uint8 [3, S, S]; points [5, 2] and box [4] in its pixels; coefficients [52], pose [3]; box and pose NaN where
    the landmarker saw no face; vector [D] of the teacher, of length 1 after the mean of all was taken off, [0] without one.
    Raises StoreError for a folder that is no finished store, or has no such teacher or source.
    """

    def __init__(self, folder: Path, teacher: str | None = None, sources: Sequence[str] = ()) -> None:
        manifest = read_json(folder / MANIFEST)
        if manifest is None or manifest.get("format") != FORMAT:
            raise StoreError(f"{folder}: holds no store of format {FORMAT}; prepare one with the labelled command")
        needed = [PICTURES, FACES] if teacher is None else [PICTURES, FACES, f"{teacher}.npy"]
        for name in needed:
            if not (folder / name).is_file():
                raise StoreError(
                    f"{folder}: {name} is missing (teachers there: {', '.join(manifest['teachers']) or 'none'}); run the "
                    "labelled command again, with --teacher for a teacher"
                )
        known = sorted(set(manifest["sources"]))
        if unknown := sorted(set(sources) - set(known)):
            raise StoreError(f"{folder}: has no source {', '.join(unknown)}; found {', '.join(known)}")
        self.folder, self.size = folder, int(manifest["size"])
        wanted = [row for row, source in enumerate(manifest["sources"]) if not sources or source in sources]
        self._rows = np.array(wanted)
        self._pictures = np.load(folder / PICTURES, mmap_mode="r")
        with np.load(folder / FACES) as arrays:
            fields = {name: torch.from_numpy(arrays[name][self._rows]) for name in arrays.files}
        self.people = fields.pop("people")
        fields["box"] = fields.pop("boxes")
        fields["vector"] = torch.zeros(len(wanted), 0)
        if teacher is not None:
            vectors = torch.from_numpy(np.load(folder / f"{teacher}.npy")[self._rows]).float()
            fields["vector"] = torch.nn.functional.normalize(vectors - vectors.mean(0), dim=1)
        self._fields = fields

    @property
    def points(self) -> Tensor:
        """The five points of all photos [N, 5, 2], in pixels of the store's pictures."""
        return self._fields["points"]

    @property
    def vectors(self) -> Tensor:
        """The teacher's vectors of all photos [N, D]."""
        return self._fields["vector"]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {name: values[0] for name, values in self.__getitems__([index]).items()}

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """Several samples, joined; `number` [N] says which they are."""
        numbers = torch.as_tensor(list(indices))
        images = np.stack([self._pictures[row] for row in self._rows[numbers.numpy()]])
        fields = {name: values[numbers] for name, values in self._fields.items()}
        return {"image": torch.from_numpy(images).movedim(-1, 1), "number": numbers, **fields}
