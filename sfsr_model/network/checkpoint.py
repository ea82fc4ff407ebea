"""The checkpoint: one safetensors file that holds UNet, autoencoder and compound encoder, and says what it is."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from ..compound import CompoundConfig
from ..estimators.prediction import PREDICTIONS
from ..files import read_metadata, read_tensors, whole_file
from .layout import UNetConfig

FORMAT = "sfsr"
FORMAT_VERSION = 1
PREFIXES = {"unet": "model.diffusion_model.", "autoencoder": "first_stage_model.", "compound": "sfsr."}
ANY_SPACE = "any"
RENDERED_SPACE = "rendered person"
"""The space of the renderer's own vectors of its people."""


class CheckpointError(ValueError):
    """A file that is no checkpoint of this format, or a damaged one; the message names the file and what is wrong."""


@dataclass(frozen=True)
class Metadata:
    """What a checkpoint says of itself.

    `identity_space` is the tag of the recogniser whose embeddings it was trained on, or "any" for untrained weights. `step` is
    the training step it was taken at, where that is known. latent_rgb: rows [C + 1, 3] that turn the latents the network sees
    into colours of about -1..1, the last added to all; for previews.
    """

    unet: UNetConfig
    compound: CompoundConfig
    base: str = "demo"
    resolution: int = 256
    prediction: str = "eps"
    identity_space: str = ANY_SPACE
    trained: bool = False
    training_data: str = "none"
    licence: str = "Apache-2.0"
    step: int | None = None
    latent_rgb: tuple[tuple[float, ...], ...] = ()

    def to_strings(self) -> dict[str, str]:
        """Safetensors metadata holds strings only: one JSON document under one key, the version beside it."""
        return {"format": FORMAT, "format_version": str(FORMAT_VERSION), "sfsr": json.dumps(asdict(self))}

    @classmethod
    def from_strings(cls, strings: dict[str, str] | None, name: str) -> Metadata:
        found = (strings or {}).get("format")
        if found != FORMAT:
            raise CheckpointError(
                f"{name}: not an SFSR checkpoint (its metadata names the format '{found or 'none'}', expected "
                f"'{FORMAT}'); choose a file made by this pack's training program"
            )
        version = (strings or {}).get("format_version")
        if version != str(FORMAT_VERSION):
            raise CheckpointError(
                f"{name}: written in format version {version}, this pack reads version {FORMAT_VERSION}; "
                "update the pack, or export the checkpoint again"
            )
        try:
            values: dict[str, Any] = json.loads((strings or {})["sfsr"])
            values["unet"] = UNetConfig.from_dict(values["unet"])
            values["compound"] = CompoundConfig(**values["compound"])
            values["latent_rgb"] = tuple(tuple(row) for row in values.get("latent_rgb", ()))
            known = {field.name for field in fields(cls)}
            metadata = cls(**{key: value for key, value in values.items() if key in known})
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise CheckpointError(f"{name}: its metadata is damaged ({error}); get the file again") from error
        if metadata.prediction not in PREDICTIONS:
            raise CheckpointError(
                f"{name}: predicts '{metadata.prediction}', expected one of {', '.join(PREDICTIONS)}; update the pack"
            )
        return metadata


@dataclass(frozen=True)
class Checkpoint:
    """State dicts by part, each without its prefix, and the metadata. `name` is for messages."""

    name: str
    unet: dict[str, Tensor]
    autoencoder: dict[str, Tensor]
    compound: dict[str, Tensor]
    metadata: Metadata


def load_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a checkpoint. Raises CheckpointError naming the file for anything that is not a whole one."""
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path.name}: no such file; where it was chosen from a list, that is older: refresh it")
    try:
        metadata = Metadata.from_strings(read_metadata(path), path.name)
        tensors = read_tensors(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path.name}: not a readable safetensors file ({error}); get the file again") from error
    parts: dict[str, dict[str, Tensor]] = {part: {} for part in PREFIXES}
    for key, tensor in tensors.items():
        part = next((part for part, prefix in PREFIXES.items() if key.startswith(prefix)), None)
        if part is None:
            raise CheckpointError(
                f"{path.name}: holds an unexpected entry '{key}'; expected only {', '.join(PREFIXES.values())}..."
            )
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise CheckpointError(f"{path.name}: '{key}' holds values that are not finite; the file is damaged")
        parts[part][key[len(PREFIXES[part]) :]] = tensor
    empty = [PREFIXES[part] for part, state in parts.items() if not state]
    if empty:
        raise CheckpointError(f"{path.name}: holds nothing under {', '.join(empty)}; the file is not whole")
    return Checkpoint(path.name, parts["unet"], parts["autoencoder"], parts["compound"], metadata)


def save_checkpoint(checkpoint: Checkpoint, path: str | os.PathLike[str]) -> None:
    """Write a checkpoint atomically: a full disk (OSError) or a killed process leaves the file that was there before."""
    path = Path(path)
    tensors = {
        prefix + key: tensor.contiguous()
        for part, prefix in PREFIXES.items()
        for key, tensor in getattr(checkpoint, part).items()
    }
    try:
        with whole_file(path) as partial:
            save_file(tensors, partial, metadata=checkpoint.metadata.to_strings())
    except SafetensorError as error:
        raise OSError(f"{path}: cannot be written ({error}); free the disk, and export again") from error
