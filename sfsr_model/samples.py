"""What lies under workflows/samples: portraits and films rendered by this project, showing nobody, and what is made of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

FOLDER = Path(__file__).resolve().parent.parent / "workflows" / "samples"
_GALLERY = {"joy": ("portrait_19", "portrait_37"), "sadness": ("portrait_31",)}
"""Words, and the portraits that show them."""


def sample_names() -> list[str]:
    """Their names, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.jpg"))


def load_sample(name: str) -> Tensor:
    """One portrait as float [1, H, W, 3] in 0..1. Raises ValueError, listing what there is, for an unknown name."""
    if name not in sample_names():
        raise ValueError(f"sample: '{name}' does not exist; expected one of {', '.join(sample_names())}")
    from PIL import Image

    with Image.open(FOLDER / f"{name}.jpg") as picture:
        return torch.from_numpy(np.asarray(picture.convert("RGB"), dtype=np.float32) / 255.0)[None]


def film_names() -> list[str]:
    """Short films that this project rendered, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.mp4"))


def film_path(name: str) -> Path:
    """The file of one of them. Raises ValueError, listing what there is, for an unknown name."""
    if name not in film_names():
        raise ValueError(f"film: '{name}' does not exist; expected one of {', '.join(film_names())}")
    return FOLDER / f"{name}.mp4"


def sample_gallery() -> dict[str, tuple[Path, ...]]:
    """A few of the portraits as photos for an expression library: the files of each word."""
    return {word: tuple(FOLDER / f"{name}.jpg" for name in names) for word, names in _GALLERY.items()}


def sample_identities() -> list[Path]:
    """Files of people that were made of the portraits, as scripts/build_identity.py does."""
    return sorted(FOLDER.glob("*.safetensors"))
