"""Where adapters lie, and reading them without unpickling anything but tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import folder_paths

from ...sfsr_model.adapters.adapter import Adapter, AdapterError
from ...sfsr_model.adapters.files import companion, read_adapter
from ...sfsr_model.expressions.flame_map import ENDING as FLAME_MAPS
from .folders import found_in, names_in, require_file_name
from .tensor_files import ENDINGS, tensors_of

FOLDERS = ("ipadapter", "instantid", "sfsr")
NONE = "none"

for _key in FOLDERS[:2]:
    folder_paths.add_model_folder_path(_key, str(Path(folder_paths.models_dir) / _key))


def adapter_names() -> list[str]:
    """NONE, then every file that may hold an adapter, as folder/name. What it is, its entries say when it is read."""
    names = names_in(FOLDERS, *ENDINGS)
    return [NONE, *sorted(name for name in names if not name.startswith("sfsr/identities/") and not name.endswith(FLAME_MAPS))]


def adapter_path(name: str, label: str) -> Path:
    """The file behind a listed name. Raises FileNotFoundError saying where such files belong. label: the input's name."""
    require_file_name(name, label)
    path = found_in(FOLDERS, name)
    if path is not None:
        return path
    raise FileNotFoundError(
        f"{label}: '{name}' is not there. Adapters belong into ComfyUI's models/ipadapter, models/instantid or models/sfsr: "
        f"put it there and refresh the page (key R), or choose '{NONE}'; the workflow 'portrait' runs on the bundled network"
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
            tensors |= tensors_of(file)
        adapter = read_adapter(tensors, path.name)
    except ValueError as error:
        raise AdapterError(f"{label}: {error}") from error
    if adapter.stream != stream:
        raise AdapterError(
            f"{label}: {path.name} is {adapter.facts.title}, which gives the {adapter.stream}; choose it in "
            f"{adapter.stream}_adapter"
        )
    return adapter
