"""The portraits under workflows/samples: rendered by this project, showing nobody."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

FOLDER = Path(__file__).resolve().parent.parent / "workflows" / "samples"


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
