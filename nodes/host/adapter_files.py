"""Where adapters lie, and reading them without unpickling anything but tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import comfy.utils
import folder_paths

from ...sfsr_model.adapters.adapter import Adapter, AdapterError
from ...sfsr_model.adapters.files import companion, read_adapter
from .folders import inside, require_file_name, shared_files, shared_folders, slashed

FOLDERS = ("ipadapter", "instantid", "sfsr")
ENDINGS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
NONE = "none"

for _key in FOLDERS[:2]:
    folder_paths.add_model_folder_path(_key, str(Path(folder_paths.models_dir) / _key))


def adapter_names() -> list[str]:
    """NONE, then every file that may hold an adapter, as folder/name. What it is, its entries say when it is read."""
    names = [f"{key}/{name}" for key in FOLDERS for ending in ENDINGS for name in shared_files(key, ending)]
    return [NONE, *sorted(name for name in names if not name.startswith("sfsr/identities/"))]


def adapter_path(name: str, label: str) -> Path:
    """The file behind a listed name. Raises FileNotFoundError saying where such files belong. label: the input's name."""
    require_file_name(name, label)
    key, _, rest = slashed(name).partition("/")
    for root in shared_folders(key) if key in FOLDERS else ():
        path = inside(root, rest, models=True)
        if path is not None and path.is_file():
            return path
    raise FileNotFoundError(
        f"{label}: '{name}' is not there. Adapters belong into ComfyUI's models/ipadapter, models/instantid or models/sfsr: "
        f"put it there and refresh the page (key R), or choose '{NONE}', or let Load SFSR Model's bundled network stand in"
    )


def adapter_files(name: str, label: str) -> list[Path]:
    """The files that a listed adapter is made of: FineFace's is two. Raises as `adapter_path` does."""
    path = adapter_path(name, label)
    other = companion(path.name)
    beside = [] if other is None else [path.with_name(other)]
    return [path, *(one for one in beside if one.is_file())]


def load_adapter_file(name: str, label: str, stream: str) -> Adapter:
    """The adapter of a listed file. Raises AdapterError, naming the input, for what is none of this stream."""
    path, *others = adapter_files(name, label)
    try:
        tensors: dict[str, Any] = {}
        for file in (path, *others):
            tensors |= _tensors(file)
        adapter = read_adapter(tensors, path.name)
    except AdapterError as error:
        raise AdapterError(f"{label}: {error}") from error
    if adapter.stream != stream:
        raise AdapterError(
            f"{label}: {path.name} is {adapter.facts.title}, which gives the {adapter.stream}; choose it in "
            f"{adapter.stream}_adapter"
        )
    return adapter


def _tensors(path: Path) -> dict[str, Any]:
    """What the host's own reader, which takes tensors alone, finds in a file."""
    try:
        found = comfy.utils.load_torch_file(str(path), safe_load=True)
    except Exception as error:  # as many kinds as there are ways to damage a file
        raise AdapterError(f"{path.name}: cannot be read ({error}); get the file again") from error
    if not isinstance(found, dict):
        raise AdapterError(f"{path.name}: holds a {type(found).__name__}, expected named tensors; get the file again")
    return found
