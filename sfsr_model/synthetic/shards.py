"""Shards: files of many records. A shard appears under its name only when it is whole."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from ..files import whole_file
from .cache import UNREADABLE
from .packages import optional
from .records import Record

FORMAT = 1
MANIFEST = "dataset.json"
_PICTURES = ("image", "labels", "mask")


class DatasetError(ValueError):
    """A dataset folder that cannot be read, continued or written; the message names the file and the remedy."""


def shard_path(folder: Path, number: int) -> Path:
    """File of a numbered shard."""
    return folder / f"shard-{number:05d}.npz"


def write_shard(path: Path, records: Sequence[Record]) -> None:
    """Write records as one shard; raises DatasetError when the disk refuses. Pictures are kept losslessly, as PNG."""
    arrays: dict[str, np.ndarray] = {"count": np.array(len(records))}
    for name in records[0]:
        if name in _PICTURES:
            data, ends = [], [0]
            for record in records:
                for plane in _planes(record[name], name):
                    data.append(_png(plane))
                    ends.append(ends[-1] + len(data[-1]))
            arrays[f"{name}/png"], arrays[f"{name}/ends"] = np.concatenate(data), np.array(ends)
            arrays[f"{name}/planes"] = np.array(len(_planes(records[0][name], name)))
        else:
            arrays[name] = np.stack([record[name] for record in records])
    try:
        with whole_file(path) as partial, partial.open("wb") as file:
            np.savez(file, **cast("dict[str, Any]", arrays))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise DatasetError(f"{path}: cannot be written ({error}); free the disk and run the same command again") from error


def is_whole(path: Path, count: int) -> bool:
    """Whether a file is a complete shard of `count` records."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return int(archive["count"]) == count
    except UNREADABLE:
        return False


class Shard:
    """Random access to the records of one shard file, read as a whole."""

    def __init__(self, path: Path) -> None:
        try:
            with np.load(path, allow_pickle=False) as archive:
                self._arrays = {name: archive[name] for name in archive.files}
            self._count = int(self._arrays["count"])
        except UNREADABLE as error:
            raise DatasetError(f"{path}: not a whole shard ({error}); delete it and run the dataset command again") from error

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Record:
        """The record of an index, as it was written."""
        record: Record = {}
        for name in self._arrays:
            if name.endswith("/png"):
                record[name[: -len("/png")]] = self._picture(name[: -len("/png")], index)
            elif name != "count" and "/" not in name:
                record[name] = self._arrays[name][index]
        return record

    def _picture(self, name: str, index: int) -> np.ndarray:
        planes, ends = int(self._arrays[f"{name}/planes"]), self._arrays[f"{name}/ends"]
        data = self._arrays[f"{name}/png"]
        first = index * planes
        pictures = [_from_png(data[ends[i] : ends[i + 1]]) for i in range(first, first + planes)]
        return pictures[0] if planes == 1 else np.stack(pictures)


def read_manifest(folder: Path) -> dict:
    """What a dataset folder holds; raises DatasetError where that cannot be told."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DatasetError(f"{path}: no such file; this folder holds no dataset") from None
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: cannot be read ({error}); delete the folder and render it again") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise DatasetError(f"{path}: not a dataset of format {FORMAT}; render it again")
    for key in ("count", "shard_size"):
        if not isinstance(manifest.get(key), int) or manifest[key] < 1:
            raise DatasetError(f"{path}: {key} is {manifest.get(key)!r}, expected a number from 1; render it again")
    return manifest


def _planes(array: np.ndarray, name: str) -> list[np.ndarray]:
    flat = array.ndim == (3 if name == "image" else 2)
    return [array] if flat else list(array)


def _png(pixels: np.ndarray) -> np.ndarray:
    cv2 = optional("cv2")

    picture = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    return cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 3])[1].ravel()


def _from_png(data: np.ndarray) -> np.ndarray:
    cv2 = optional("cv2")

    pixels = np.asarray(cv2.imdecode(data, cv2.IMREAD_UNCHANGED))
    return np.ascontiguousarray(pixels[..., ::-1]) if pixels.ndim == 3 else pixels
