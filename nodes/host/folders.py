"""Where model files lie: ComfyUI's own folders and the weights that come with the pack."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import folder_paths

from ...sfsr_model.bundled import BUNDLED, BUNDLED_NAME, is_bundled_encoder
from ...sfsr_model.encoders.pack import pack_files
from ...sfsr_model.encoders.untrained import UNTRAINED_ENCODER
from ...sfsr_model.expressions.flame_map import ENDING as FLAME_MAPS
from ...sfsr_model.files import state_of
from ...sfsr_model.network.untrained import UNTRAINED
from ...sfsr_model.samples import FOLDER as SAMPLES
from ...sfsr_model.samples import sample_identities

BUNDLED_PREFIX = "bundled/"
BUNDLED_CHECKPOINT = BUNDLED_PREFIX + BUNDLED.checkpoint.name
_EARLIER_CHECKPOINT = f"{BUNDLED_PREFIX}demo.safetensors"  # as graphs of before call it
IDENTITIES = "sfsr_identities"
SAVED_IDENTITIES = "identities"  # in ComfyUI's output folder
FROM_OUTPUT = " [output]"  # as the host marks names that lie there
# File systems allow 255 bytes, of which counters, endings and the names of temporary files need some.
_LONGEST_NAME = 200
_LONGEST_PATH = 1000

for _key, _folder in (("sfsr", "sfsr"), ("insightface", "insightface"), (IDENTITIES, "sfsr/identities")):
    folder_paths.add_model_folder_path(_key, str(Path(folder_paths.models_dir) / _folder))


def shared_folders(key: str) -> list[Path]:
    """The folders that hold models of a kind that other packs use too: those the host was told of, and models/KEY.

    Another pack may have told the host anew, of its own folder alone.
    """
    told = folder_paths.get_folder_paths(key) if key in folder_paths.folder_names_and_paths else []
    paths = dict.fromkeys([*told, str(Path(folder_paths.models_dir) / key)])
    return [Path(path) for path in paths if Path(path).is_dir()]


def shared_files(key: str, ending: str) -> list[str]:
    """Names, with / between folders, of the files with this ending below `shared_folders`, folders behind links included.

    The host's own list has only files of the endings that one of the packs told it.
    """
    found = [name for root in shared_folders(key) for name in sorted(folder_paths.recursive_search(str(root))[0])]
    return list(dict.fromkeys(Path(name).as_posix() for name in found if name.endswith(ending)))


def names_in(keys: Iterable[str], *endings: str) -> list[str]:
    """What `shared_files` lists of several kinds of folders, as KEY/name."""
    return [f"{key}/{name}" for key in keys for ending in endings for name in shared_files(key, ending)]


def found_in(keys: Iterable[str], name: str) -> Path | None:
    """The file behind a name that `names_in` lists; None where there is none."""
    key = slashed(name).partition("/")[0]
    for root in shared_folders(key) if key in keys else ():
        path = inside(root, name[len(key) + 1 :], models=True)
        if path is not None and path.is_file():
            return path
    return None


def checkpoint_names() -> list[str]:
    """The bundled one, then the user's under models/sfsr; the untrained stand-in where the bundled one is missing."""
    own = [name for name in folder_paths.get_filename_list("sfsr") if name.endswith(".safetensors")]
    own = [name for name in own if Path(name).parts[0] != "identities" and not name.endswith(FLAME_MAPS)]
    return [BUNDLED_CHECKPOINT, *own] if BUNDLED.checkpoint.is_file() else [*own, UNTRAINED]


def default_checkpoint() -> str:
    """What a fresh node shows, whatever else lies on the machine."""
    return BUNDLED_CHECKPOINT if BUNDLED.checkpoint.is_file() else UNTRAINED


def checkpoint_path(name: str) -> Path:
    """The file behind a listed name. Raises FileNotFoundError, saying where such files belong, when it is not there, and
    ValueError for what can be no file's name.

    Folders in it may be parted by either of / and \\, here and in every other name of a file: graphs travel between systems.
    """
    require_file_name(name, "checkpoint")
    if not is_bundled(name):
        return _listed("sfsr", name, "checkpoint")
    if slashed(name) not in (BUNDLED_CHECKPOINT, _EARLIER_CHECKPOINT):
        raise FileNotFoundError(f"checkpoint: '{name}' is no checkpoint of the pack; refresh the page (key R) and choose again")
    BUNDLED.require("checkpoint", BUNDLED.checkpoint)
    return BUNDLED.checkpoint


def is_bundled(name: str) -> bool:
    """Whether the file of this name comes with the pack."""
    return slashed(name).startswith(BUNDLED_PREFIX)


def slashed(name: str) -> str:
    """The name with / between folders, as every system takes it."""
    return name.replace("\\", "/")


def encoder_names() -> list[str]:
    """The bundled one, then every folder with an ONNX file and every such file below models/insightface.

    Where the bundled one is not whole, the untrained stand-in is the last.
    """
    files = sorted(shared_files("insightface", ".onnx"))
    folders = sorted({f"{parent}/" for name in files if (parent := Path(name).parent.as_posix()) != "."})
    own = [*folders, *files]
    return [BUNDLED_NAME, *own] if _is_whole() else [*own, UNTRAINED_ENCODER]


def default_encoder() -> str:
    """What a fresh node shows, whatever else lies on the machine."""
    return BUNDLED_NAME if _is_whole() else UNTRAINED_ENCODER


def encoder_path(name: str) -> Path:
    """The file or pack folder behind a listed name, of the bundled one its recogniser's file.

    Raises FileNotFoundError as `checkpoint_path` does.
    """
    require_file_name(name, "encoder")
    if is_bundled_encoder(name):
        BUNDLED.require("encoder", *BUNDLED.id_encoder)
        return BUNDLED.recogniser
    return _listed("insightface", name, "encoder", folders=True, roots=shared_folders("insightface"))


def encoder_files(name: str) -> list[Path]:
    """The files that a listed encoder is made of; raises as `encoder_path` does."""
    path = encoder_path(name)
    return list(BUNDLED.id_encoder) if is_bundled_encoder(name) else pack_files(path)


def _is_whole() -> bool:
    return all(file.is_file() for file in BUNDLED.id_encoder)


def identity_names() -> list[str]:
    """Identities below models/sfsr/identities, those that Save Identity wrote, the newest first, and the bundled ones.

    The user's own stand first: a fresh node shows a person of theirs, and a sample as long as there is none.
    """
    own = [name for name in folder_paths.get_filename_list(IDENTITIES) if name.endswith(".safetensors")]
    output = Path(folder_paths.get_output_directory())
    saved = [path for path in (output / SAVED_IDENTITIES).rglob("*.safetensors") if path.is_file()]
    saved.sort(key=lambda path: (-path.stat().st_mtime_ns, path.name))
    bundled = [BUNDLED_PREFIX + path.name for path in sample_identities()]
    return [*own, *(path.relative_to(output).as_posix() + FROM_OUTPUT for path in saved), *bundled]


def identity_path(name: str) -> Path:
    """The file behind a listed name; raises FileNotFoundError as `checkpoint_path` does."""
    require_file_name(name, "identity")
    if is_bundled(name):
        return _inside(SAMPLES, slashed(name).removeprefix(BUNDLED_PREFIX), "identity")
    if not name.endswith(FROM_OUTPUT):
        return _listed(IDENTITIES, name, "identity", where="models/sfsr/identities")
    name = name.removesuffix(FROM_OUTPUT)
    folder = Path(folder_paths.get_output_directory()) / SAVED_IDENTITIES
    start = len(f"{SAVED_IDENTITIES}/") if slashed(name).startswith(f"{SAVED_IDENTITIES}/") else 0
    return _inside(folder, name[start:], "identity")


def new_identity_path(name: str) -> Path:
    """Where to save an identity of this name: in the output folder, numbered as the host numbers files.

    Raises ValueError for a name that leads out of the folder for identities or cannot be a file's.
    """
    require_file_name(name)
    name = slashed(name)
    output = Path(folder_paths.get_output_directory())
    target = output / SAVED_IDENTITIES
    wanted = (target / name).resolve()
    if not name.strip():
        raise ValueError("name: it is empty; choose the name of the file, such as anna")
    if wanted == target.resolve() or not wanted.is_relative_to(target.resolve()):
        raise ValueError(f"name: '{name}' does not lie in {SAVED_IDENTITIES} of the output folder; choose a plain name")
    prefix = (Path(SAVED_IDENTITIES) / wanted.relative_to(target.resolve())).as_posix()
    folder, stem, counter, _, _ = folder_paths.get_save_image_path(prefix, str(output))
    path = Path(folder) / f"{stem}_{counter:05}_.safetensors"
    while path.exists():
        counter += 1
        path = Path(folder) / f"{stem}_{counter:05}_.safetensors"
    return path


def fingerprint(name: Any, files: Callable[[Any], Iterable[Path]]) -> str | float:
    """What the host compares from run to run for a node that reads `files(name)`: another value where one has changed.

    A name that comes over a link is not known yet (None). NaN equals nothing, itself included, so the node runs again.
    """
    return float("nan") if name is None else f"{name}: {state_of(*files(name))}"


def require_output_prefix(prefix: str, label: str) -> None:
    """Raises ValueError for the start of a file's name, a path included, that leads out of ComfyUI's output folder or through
    a file in it."""
    require_file_name(prefix, label)
    if not prefix.rpartition("/")[2].strip(" ."):
        raise ValueError(f"{label}: '{prefix}' names no file; choose a name, such as SFSR or folder/SFSR")
    output = Path(folder_paths.get_output_directory()).resolve()
    if not (output / prefix).resolve().is_relative_to(output):
        raise ValueError(f"{label}: '{prefix}' leads out of ComfyUI's output folder; choose a plain name, or folder/name")
    for folder in (output / prefix).resolve().parents:
        if folder.is_file():
            raise ValueError(
                f"{label}: in '{prefix}' {folder.name} is a file, not a folder; choose another name for the folder"
            )


def require_file_name(name: Any, label: str = "name") -> None:
    """Raises ValueError for what is no text, and a name, a path included, with signs that no file can have or too long."""
    if not isinstance(name, str):
        raise ValueError(f"{label}: found a {type(name).__name__}, expected the name of a file or folder; choose one")
    if any(unicodedata.category(sign) in ("Cc", "Cs") for sign in name):
        raise ValueError(f"{label}: {name!r} holds a sign that no file name can; use letters, digits, spaces, - and _")
    longest = max(len(part.encode()) for part in slashed(name).split("/"))
    if longest > _LONGEST_NAME:
        raise ValueError(f"{label}: '{name[:20]}...' has {longest} bytes; expected {_LONGEST_NAME} or fewer")
    if len(name.encode()) > _LONGEST_PATH:
        raise ValueError(f"{label}: '{name[:20]}...' has {len(name.encode())} bytes; expected {_LONGEST_PATH} or fewer")


def _listed(
    key: str, name: str, label: str, *, folders: bool = False, where: str = "", roots: Iterable[Path] | None = None
) -> Path:
    """A file, or with `folders` a folder, below one of the folders of models of this kind; `roots` stand for the host's own."""
    for root in map(Path, folder_paths.get_folder_paths(key)) if roots is None else roots:
        try:
            return _inside(root, name, label, folders=folders, models=True)
        except FileNotFoundError:
            continue
    raise FileNotFoundError(
        f"{label}: '{name}' is not in ComfyUI's {where or f'models/{key}'} folder; put it there and refresh the page (key R)"
    )


def _inside(root: Path, name: str, label: str, *, folders: bool = False, models: bool = False) -> Path:
    """What `inside` finds when it is a file, or with `folders` a folder."""
    path = inside(root, name, models=models)
    if path is None or not (path.is_file() or (folders and path.is_dir())):
        raise FileNotFoundError(f"{label}: '{name}' is not in {root.name}; refresh the page (key R) and choose again")
    return path


def inside(root: Path, name: str, *, models: bool = False) -> Path | None:
    """What lies at `root/name`; None where nothing does, or it leads out of `root`.

    models: `root` is a folder of models, in which links may lead elsewhere, as the host has it: many keep their models on
    another disk. A name never does. A name that is there as it is written comes first: elsewhere than on Windows a file's own
    name may hold a backslash.
    """
    placed = _unlinked if models else Path.resolve
    for spelt in dict.fromkeys((name, slashed(name))):
        path = placed(root / spelt)
        if path.is_relative_to(placed(root)) and path.exists():
            return path
    return None


def _unlinked(path: Path) -> Path:
    """The absolute path without . and .., its links not followed."""
    return Path(os.path.normpath(path.absolute()))
