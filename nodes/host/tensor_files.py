"""Files of named tensors that other projects wrote, read by the host without unpickling anything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import comfy.utils

from ...sfsr_model.files import unreadable

ENDINGS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")


def tensors_of(path: Path) -> dict[str, Any]:
    """What the host's own reader, which takes tensors alone, finds in a file; raises ValueError naming one it cannot read."""
    try:
        found = comfy.utils.load_torch_file(str(path), safe_load=True)
    except Exception as error:  # as many kinds as there are ways to damage a file
        raise ValueError(unreadable(path)) from error
    if not isinstance(found, dict):
        raise ValueError(f"{path.name}: holds a {type(found).__name__}, expected named tensors; get the file again")
    return found
