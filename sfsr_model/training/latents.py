"""Latents and identities of a fixed dataset, computed once and kept in files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import Dataset

from ..face import five_points
from .data import Sample, collated, length, picked
from .examples import LATENT_FIELDS, Examples

BLOCK = 128
"""Samples in one file."""


class LatentDataset(Dataset[Sample]):
    """The samples of a dataset with what `cache_latents` kept of them, `number` their own. pictures: with those that losses on
    pictures need."""

    def __init__(self, raw: Dataset[Sample], blocks: list[dict[str, Tensor]], pictures: bool) -> None:
        self._raw, self._pictures = raw, pictures
        self._kept = {name: torch.cat([block[name] for block in blocks]) for name in LATENT_FIELDS}

    @property
    def identities(self) -> Tensor:
        """Who is in every sample [N, D]."""
        return self._kept["identity"]

    def __len__(self) -> int:
        return len(self._kept["latent"])

    def __getitem__(self, index: int) -> Sample:
        return {name: values[0] for name, values in self.__getitems__([index]).items()}

    def __getitems__(self, indices: Sequence[int]) -> Sample:
        """Several samples, joined."""
        chosen = list(indices)
        sample = {name: values[chosen] for name, values in self._kept.items()} | {"number": torch.tensor(chosen)}
        if self._pictures:
            raw = picked(self._raw, chosen)
            picture, landmarks = raw["image"], raw["landmarks"]
            if picture.ndim == 5:  # triplets, whose last picture is the answer
                picture, landmarks = picture[:, -1], landmarks[:, -1]
            sample |= {"picture": picture, "mask": raw["mask"], "points": five_points(landmarks)}
        return sample


def cache_latents(
    raw: Dataset[Sample], encode: Callable[[Sample], Examples], folder: Path, about: dict[str, str], pictures: bool,
    quiet: bool = False,
) -> LatentDataset:  # fmt: skip
    """Encode what is not in the folder yet, in files of BLOCK samples, and return the dataset with its latents.

    encode: of collated samples. about: all that the latents depend on beside the samples' numbers; files that say another are
    written anew. A file appears under its name only when it is whole, so a stopped run goes on where it was. Latents are kept
    in half precision. Raises OSError where the disk is full.
    """
    from tqdm import tqdm

    folder.mkdir(parents=True, exist_ok=True)
    starts = range(0, length(raw), BLOCK)
    blocks = []
    for number, first in enumerate(tqdm(starts, desc="latents", unit="file", disable=quiet)):
        path = folder / f"latents-{number:05d}.safetensors"
        last = min(first + BLOCK, length(raw))
        mark = fingerprint({**about, "first": str(first), "last": str(last)})
        if not _is_whole(path, mark):
            _write(path, mark, encode(collated(raw, first, last)))
        blocks.append(load_file(path))
    return LatentDataset(raw, blocks, pictures)


def fingerprint(about: dict[str, str]) -> str:
    """A short text that stands for all entries."""
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def state_digest(state: dict[str, Tensor]) -> str:
    """A short text that stands for all weights."""
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _is_whole(path: Path, mark: str) -> bool:
    try:
        with safe_open(path, framework="pt") as file:
            return (file.metadata() or {}).get("about") == mark
    except (OSError, SafetensorError):
        return False


def _write(path: Path, mark: str, examples: Examples) -> None:
    tensors = {name: getattr(examples, name).cpu().contiguous() for name in LATENT_FIELDS}
    tensors |= {name: tensors[name].half() for name in ("latent", "faceless", "hole")}
    # Runs that share the folder may be at the same samples, each in a folder of its own until its file is whole.
    try:
        with TemporaryDirectory(dir=path.parent) as own:
            partial = Path(own) / path.name
            save_file(tensors, partial, {"about": mark})
            partial.replace(path)
    except SafetensorError as error:
        raise OSError(f"{path}: cannot be written ({error}); free the disk and run the same command again") from error
