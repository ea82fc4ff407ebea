"""PyTorch datasets of rendered faces: from shards, or rendered on the fly. Both give the same records for the same seed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from .model import FaceModel
from .records import KINDS, Record, make_record
from .render import check_size
from .sample import check_number
from .scene import MAX_YAW, check_yaw
from .shards import DatasetError, Shard, read_manifest, shard_path

Sample = dict[str, Tensor]


class ShardDataset(Dataset[Sample]):
    """A dataset folder. Keeps the last few shards it touched in memory, so read in order or shuffle within shards.

    Samples: see `records.make_record`; image uint8 [3, H, W] or [4, 3, H, W], the others as there.
    Raises DatasetError for a folder without a dataset or with shards missing.
    """

    def __init__(self, folder: str | Path, keep: int = 4) -> None:
        self.folder = Path(folder)
        self.manifest = read_manifest(self.folder)
        self._shard_size, self._count = self.manifest["shard_size"], self.manifest["count"]
        shards = -(-self._count // self._shard_size)
        missing = [s for s in range(shards) if not shard_path(self.folder, s).is_file()]
        if missing:
            raise DatasetError(
                f"{self.folder}: {len(missing)} of {shards} shards are missing, first "
                f"{shard_path(self.folder, missing[0]).name}; run the dataset command again to finish it"
            )
        self._open: OrderedDict[int, Shard] = OrderedDict()
        self._keep = keep

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < self._count:
            raise IndexError(f"sample {index} of {self._count}")
        number, place = divmod(index, self._shard_size)
        if number not in self._open:
            self._open[number] = Shard(shard_path(self.folder, number))
            if len(self._open) > self._keep:
                self._open.popitem(last=False)
        self._open.move_to_end(number)
        return _tensors(self._open[number][place])


class DecodedShards(ShardDataset):
    """The same, decoded once by several threads and kept: one tensor a field. A loader's batch is taken from it at once."""

    def __init__(self, folder: str | Path) -> None:
        super().__init__(folder)
        first = super().__getitem__(0)
        self._fields = {name: value.new_empty((len(self), *value.shape)) for name, value in first.items()}

        def decode(number: int) -> None:
            shard = Shard(shard_path(self.folder, number))
            for place in range(len(shard)):
                for name, value in _tensors(shard[place]).items():
                    self._fields[name][number * self._shard_size + place] = value

        with ThreadPoolExecutor() as threads:
            list(threads.map(decode, range(-(-len(self) // self._shard_size))))

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        return {name: values[index] for name, values in self._fields.items()}

    def __getitems__(self, indices: Sequence[int]) -> Sample:
        """Several samples, joined."""
        return {name: values[list(indices)] for name, values in self._fields.items()}


class RenderedDataset(Dataset[Sample]):
    """`count` samples rendered when they are asked for. The model is loaded in the process that asks first."""

    def __init__(
        self, cache: str | Path, kind: str, count: int, size: int, seed: int = 0, aligned: bool = True,
        max_yaw: float = MAX_YAW, procedural_skin: bool = False,
    ) -> None:  # fmt: skip
        if kind not in KINDS:
            raise ValueError(f"kind: expected one of {', '.join(KINDS)}, got {kind!r}")
        if count < 1:
            raise ValueError(f"count: expected at least 1, got {count}")
        check_size(size)
        check_number("seed", seed)
        check_yaw(max_yaw)
        self._cache, self._kind, self._count, self._size = Path(cache), kind, count, size
        self._seed, self._aligned, self._max_yaw = seed, aligned, max_yaw
        self._procedural_skin = procedural_skin
        self._model: FaceModel | None = None

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_model": None}

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < self._count:
            raise IndexError(f"sample {index} of {self._count}")
        if self._model is None:
            self._model = FaceModel.load(self._cache, self._procedural_skin)
        return _tensors(make_record(self._model, self._kind, self._seed, index, self._size, self._aligned, self._max_yaw))


def _tensors(record: Record) -> Sample:
    tensors = {name: torch.from_numpy(np.array(value)) for name, value in record.items()}
    tensors["image"] = tensors["image"].movedim(-1, -3).contiguous()
    return tensors
