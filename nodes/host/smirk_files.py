"""Where SMIRK's file and the maps measured with it lie, and which files are one."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from ...sfsr_model.encoders.smirk import WHAT, SmirkReader, looks_like_smirk, smirk_network
from ...sfsr_model.expressions import FlameMap, load_flame_map
from ...sfsr_model.expressions.flame_map import ENDING, flame_map_path
from ...sfsr_model.files import digest_of, state_of
from .expression_files import ENCODER_FOLDERS
from .folders import found_in, names_in, require_file_name
from .tensor_files import ENDINGS, tensors_of

NO_SMIRK = "none"
FOLDERS = ("sfsr", *ENCODER_FOLDERS)
_GET = (
    f"Get {WHAT}, about which its README says where the file is, put it into ComfyUI's models/sfsr folder and refresh the page "
    f"(key R), or choose '{NO_SMIRK}'"
)


def smirk_names() -> list[str]:
    """NO_SMIRK, then every file below the folders whose keys are SMIRK's, as folder/name."""
    found = ((name, found_in(FOLDERS, name)) for name in names_in(FOLDERS, *ENDINGS))
    return [NO_SMIRK, *(name for name, path in found if path is not None and _is_smirk(path, state_of(path)))]


def smirk_files(name: str) -> list[Path]:
    """The file behind a listed name, none for NO_SMIRK; raises FileNotFoundError saying what belongs where."""
    if name == NO_SMIRK:
        return []
    require_file_name(name, "smirk")
    path = found_in(FOLDERS, name)
    if path is None:
        raise FileNotFoundError(f"smirk: '{name}' is not there. {_GET}")
    return [path]


def load_smirk_reader(name: str, channels: str) -> SmirkReader | None:
    """The reader of a listed file, None for NO_SMIRK. Raises ValueError naming the file for one that is none."""
    for path in smirk_files(name):
        return SmirkReader(name, smirk_network(tensors_of(path), path.name), channels, digest_of(path))
    return None


def flame_maps() -> list[Path]:
    """The maps from coefficients to SMIRK's numbers that were measured, the newest first."""
    paths = [path for name in names_in(FOLDERS, ENDING) if (path := found_in(FOLDERS, name)) is not None]
    return sorted(paths, key=lambda path: path.stat().st_mtime_ns, reverse=True)


def flame_map(smirk: str = "") -> FlameMap | None:
    """The map that was measured with the SMIRK file of this SHA-256, with any the newest; None where nobody measured one.

    Raises FlameMapError for one that cannot be used.
    """
    wanted = [path for path in flame_maps() if not smirk or path.name == flame_map_path(path, smirk).name]
    return load_flame_map(wanted[0]) if wanted else None


@lru_cache(maxsize=256)
def _is_smirk(path: Path, state: tuple) -> bool:
    return looks_like_smirk(path)
