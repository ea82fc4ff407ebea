"""The store that the photos command writes: what is in it, and a dataset of it."""

from __future__ import annotations

import json
from collections import OrderedDict
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..encoders.differentiable import TorchRecogniser
from ..files import whole_file
from ..synthetic.shards import Shard, is_whole
from .settings import SettingsError

FORMAT = "sfsr-photos-1"
MANIFEST = "photos.json"
BLOCK = 64
"""Photos that are looked at for one file."""
_OPEN = 4


class PhotoError(ValueError):
    """A folder of photos, or a store of them, that cannot be used; the message names it and what to do."""


def block_path(folder: Path, number: int) -> Path:
    """File of a numbered block of crops."""
    return folder / f"photos-{number:05d}.npz"


def notes_path(folder: Path, number: int) -> Path:
    """File that says which photos a block looked at, and why some of them are not in it."""
    return folder / f"photos-{number:05d}.json"


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON document, or None where there is none or it cannot be read."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write a JSON document that `read_json` reads; as `write_text`."""
    write_text(path, json.dumps(document))


def write_text(path: Path, text: str) -> None:
    """Write a small file so that it is whole or absent; raises PhotoError where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as partial:
            # Names of files may hold bytes that are no text.
            partial.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise PhotoError(f"{path}: cannot be written ({error}); free the disk and run the same command again") from error


class PhotoDataset(Dataset[dict[str, Tensor]]):
    """Aligned crops of photos with what was read of them.

    Samples: image uint8 [3, S, S]; mask uint8 [S, S], 255 inside; landmarks float32 [5, 2]; identity float32 [D] (D is 0 where
    none was read); coefficients float32 [52] and pose float32 [3].
    Raises PhotoError for a folder that is no finished store or has a damaged file.
    """

    def __init__(self, folder: Path) -> None:
        manifest = read_json(folder / MANIFEST)
        if manifest is None or manifest.get("format") != FORMAT:
            raise PhotoError(f"{folder}: holds no photos of format {FORMAT}; prepare some with the photos command")
        if not manifest.get("finished"):
            raise PhotoError(f"{folder}: not finished; run the same photos command again, it goes on where it stopped")
        self.folder, self.size = folder, int(manifest["size"])
        self.identity_space, self.identity_dim = str(manifest["identity_space"]), int(manifest["identity_dim"])
        self.expression = str(manifest["expression"])
        counts: list[int] = manifest["counts"]
        for number, count in enumerate(counts):
            if count and not is_whole(block_path(folder, number), count):
                path = block_path(folder, number)
                raise PhotoError(f"{path}: not whole; delete it and run the same photos command again")
        self._ends = list(accumulate(counts))
        self._blocks: OrderedDict[int, Shard] = OrderedDict()

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if not 0 <= index < len(self):
            raise IndexError(f"photo {index} of {len(self)}")
        number = int(np.searchsorted(self._ends, index, side="right"))
        if number not in self._blocks:
            self._blocks[number] = Shard(block_path(self.folder, number))
            if len(self._blocks) > _OPEN:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(number)
        record = self._blocks[number][index - (self._ends[number - 1] if number else 0)]
        sample = {name: torch.from_numpy(np.array(value)) for name, value in record.items()}
        return {**sample, "image": sample["image"].movedim(-1, 0).contiguous()}

    def identities(self, recogniser: TorchRecogniser | None) -> tuple[str, int]:
        """Space and length of the identities that training takes: the recogniser's where there is one, else the store's.

        Raises SettingsError where the photos lack what the network is trained on, or were embedded by another recogniser.
        """
        again = "prepare them again with --"
        if not self.expression:
            raise SettingsError(f"data.path: the photos in {self.folder} carry no expressions; {again}expression")
        if recogniser is None and not self.identity_dim:
            raise SettingsError(
                f"data.path: the photos in {self.folder} carry no identities; {again}id-encoder, or give encoders.identity"
            )
        if recogniser is None:
            return self.identity_space, self.identity_dim
        if self.identity_dim and recogniser.space != self.identity_space:
            raise SettingsError(
                f"encoders.identity: its embeddings are of the space {recogniser.space}, those in {self.folder} of "
                f"{self.identity_space}; use the recogniser that the photos were prepared with"
            )
        return recogniser.space, recogniser.dim
