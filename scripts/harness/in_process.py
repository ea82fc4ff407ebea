"""A ComfyUI and this pack as packages of one interpreter, for comparing what the two compute."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
PACK = "sfsr_pack"
TOLERANCE = 1e-4
"""Of the largest value: what single precision leaves between two ways of computing the same."""


def open_host(folder: Path) -> None:
    """Put a ComfyUI on the path, on its CPU, and this pack beside it as a package of its own."""
    if not (folder / "comfy" / "model_base.py").is_file():
        raise ValueError(f"comfyui: {folder} is no ComfyUI (it has no comfy/model_base.py)")
    sys.path.insert(0, str(folder))
    cli_args = importlib.import_module("comfy.cli_args")
    cli_args.args.cpu = True
    # Not by the pack's own __init__.py, which registers nodes and needs a running server.
    spec = importlib.util.spec_from_loader(PACK, None, is_package=True)
    assert spec is not None
    package = importlib.util.module_from_spec(spec)
    package.__path__ = [str(REPOSITORY)]
    sys.modules[PACK] = package
    nodes = importlib.util.module_from_spec(importlib.util.spec_from_loader(f"{PACK}.nodes", None, is_package=True))
    nodes.__path__ = [str(REPOSITORY / "nodes")]
    sys.modules[f"{PACK}.nodes"] = nodes


def pack(module: str) -> Any:
    """A module of this pack."""
    return importlib.import_module(f"{PACK}.{module}")


def stand_in(kind: str, config: Mapping[str, Any], **settings: Any) -> Any:
    """An adapter of random weights in the kind's layout, read from its file. settings: as `write_stand_in`."""
    from safetensors.torch import load_file

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stand_in.safetensors"
        pack("sfsr_model.adapters.stand_ins").write_stand_in(kind, path, config, seed=3, **settings)
        return pack("sfsr_model.adapters.files").read_adapter(load_file(path), path.name, kind)


def difference(theirs: Any, ours: Any) -> float:
    """The largest one, of the largest value."""
    return float((theirs - ours).abs().max() / theirs.abs().max())


def print_differences(found: dict[str, float]) -> int:
    """Print them as Markdown; 1 where one is above TOLERANCE, or no number."""
    print("| what | largest difference, of the largest value |\n|---|---|")
    for name, one in found.items():
        print(f"| {name} | {one:.2e} |")
    return int(not all(one <= TOLERANCE for one in found.values()))
