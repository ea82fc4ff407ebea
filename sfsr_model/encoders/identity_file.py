"""Identities as files: safetensors with the embeddings and, in the metadata, their space and where they came from."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from ..files import read_metadata, read_tensors, whole_file
from .identity import Identity

FORMAT = "sfsr-identity"
FORMAT_VERSION = 1
SUFFIX = ".safetensors"


class IdentityFileError(ValueError):
    """A file that is no identity of this format, or a damaged one; the message names the file and what is wrong."""


def save_identity(identity: Identity, path: str | os.PathLike[str]) -> None:
    """Write an identity atomically: a full disk or a killed process leaves the file that was there before."""
    path = Path(path)
    tensors = {
        "embeddings": identity.embeddings.detach().cpu().to(torch.float32).contiguous(),
        "quality": torch.tensor(identity.quality, dtype=torch.float32),
    }
    if identity.lengths:
        tensors["lengths"] = torch.tensor(identity.lengths, dtype=torch.float32)
    if identity.aligned is not None:
        tensors["aligned"] = identity.aligned.cpu().contiguous()
    about = {
        "space": identity.space,
        "sources": list(identity.sources),
        "photos": identity.photos,
        "warnings": list(identity.warnings),
    }
    metadata = {"format": FORMAT, "format_version": str(FORMAT_VERSION), "identity": json.dumps(about)}
    with whole_file(path) as partial:
        save_file(tensors, partial, metadata=metadata)


def load_identity(path: str | os.PathLike[str]) -> Identity:
    """Read an identity. Raises IdentityFileError naming the file for anything that is not a whole one."""
    path = Path(path)
    if not path.is_file():
        raise IdentityFileError(f"{path.name}: no such file; it was there when the list was made, refresh the page")
    try:
        strings, tensors = read_metadata(path), read_tensors(path)
    except (SafetensorError, OSError) as error:
        raise IdentityFileError(f"{path.name}: not a readable safetensors file ({error}); get the file again") from error
    about = _metadata(strings, path.name)
    missing = {"embeddings", "quality"} - tensors.keys()
    if missing:
        raise IdentityFileError(f"{path.name}: holds no {' and no '.join(sorted(missing))}; get the file again")
    try:
        sources = tuple(str(source) for source in about["sources"])
        photos = int(about.get("photos", 0))  # files of earlier versions do not say
        warnings = tuple(str(warning) for warning in about.get("warnings", ()))
        quality = tuple(tensors["quality"].reshape(-1).tolist())
        lengths = tuple(tensors["lengths"].reshape(-1).tolist()) if "lengths" in tensors else ()
        unit, space = tensors["embeddings"].to(torch.float32), str(about["space"])
        return Identity(unit, space, quality, sources, photos, warnings, lengths, tensors.get("aligned"))
    except (KeyError, TypeError, ValueError) as error:
        raise IdentityFileError(f"{path.name}: what it holds is no identity ({error}); get the file again") from error


def _metadata(strings: dict[str, str], name: str) -> dict:
    if strings.get("format") != FORMAT:
        raise IdentityFileError(
            f"{name}: not an identity (its metadata names the format '{strings.get('format') or 'none'}', expected "
            f"'{FORMAT}'); choose a file that Save Identity wrote"
        )
    if strings.get("format_version") != str(FORMAT_VERSION):
        raise IdentityFileError(
            f"{name}: written in format version {strings.get('format_version')}, this pack reads version {FORMAT_VERSION}; "
            "update the pack, or save the identity again"
        )
    try:
        about = json.loads(strings.get("identity", ""))
    except ValueError as error:
        raise IdentityFileError(f"{name}: its metadata is damaged ({error}); get the file again") from error
    if not isinstance(about, dict):
        raise IdentityFileError(f"{name}: its metadata is damaged (no JSON object); get the file again")
    return about
