"""Where expression encoders and libraries lie: folders that other packs use too, and one of the pack's own."""

from __future__ import annotations

from pathlib import Path

import folder_paths

from ...sfsr_model.bundled import BUNDLED, BUNDLED_NAME, is_bundled_encoder
from .folders import BUNDLED_PREFIX, found_in, inside, names_in, require_file_name

NO_ENCODER = "no face_landmarker.task found"
BUILT_IN = "built-in"
SAMPLE_GALLERY = f"{BUNDLED_PREFIX}portraits"
LIBRARIES = "sfsr_libraries"
# ComfyUI keeps its own MediaPipe file in models/detection, packs around LivePortrait theirs in models/liveportrait.
ENCODER_FOLDERS = ("mediapipe", "detection", "liveportrait")
GET_LANDMARKER = (
    "Get MediaPipe's face landmarker bundle with blendshapes (face_landmarker.task, about 4 MB, Apache License 2.0) from "
    "MediaPipe's page on its Face Landmarker, put it into ComfyUI's models/mediapipe folder and refresh the page (key R)"
)

for _key in ("mediapipe", LIBRARIES):
    folder_paths.add_model_folder_path(_key, str(Path(folder_paths.models_dir) / _key))


def expression_encoder_names() -> list[str]:
    """The bundled encoder, then every .task file below the folders, as folder/name; NO_ENCODER where there is neither.

    The first is what a fresh node shows: the bundled one, whatever else lies on the machine.
    """
    names = [BUNDLED_NAME] if BUNDLED.expression.is_file() else []
    names += names_in(ENCODER_FOLDERS, ".task")
    return names or [NO_ENCODER]


def expression_encoder_path(name: str) -> Path:
    """The file behind a listed name; raises FileNotFoundError saying where to get one and where it belongs."""
    require_file_name(name, "encoder")
    if is_bundled_encoder(name):
        BUNDLED.require("encoder", BUNDLED.expression)
        return BUNDLED.expression
    path = found_in(ENCODER_FOLDERS, name)
    if path is not None:
        return path
    found = "there is no .task file" if name == NO_ENCODER else f"'{name}' is not there"
    raise FileNotFoundError(f"encoder: {found}. {GET_LANDMARKER}")


def landmarker_files() -> list[Path]:
    """Every .task file below the folders, MediaPipe's for faces among them where it is there; `GET_LANDMARKER` says what to do
    where it is not."""
    return [path for name in names_in(ENCODER_FOLDERS, ".task") if (path := found_in(ENCODER_FOLDERS, name)) is not None]


def expression_encoder_files(name: str) -> list[Path]:
    """The files that a listed encoder is made of; raises as `expression_encoder_path` does."""
    faces = BUNDLED.id_encoder if is_bundled_encoder(name) else ()
    return [expression_encoder_path(name), *(file for file in faces if file.is_file())]


def library_names() -> list[str]:
    """The built-in words, then every library below models/sfsr_libraries."""
    names = folder_paths.get_filename_list(LIBRARIES)
    return [BUILT_IN, *sorted(Path(name).as_posix() for name in names if name.endswith(".safetensors"))]


def library_path(name: str) -> Path:
    """The file behind a listed name; raises FileNotFoundError for one that is not there."""
    require_file_name(name, "library")
    for root in map(Path, folder_paths.get_folder_paths(LIBRARIES)):
        path = inside(root, name, models=True)
        if path is not None and path.is_file():
            return path
    raise FileNotFoundError(f"library: '{name}' is not in ComfyUI's models/{LIBRARIES} folder; refresh the page (key R)")


def new_library_path(name: str) -> Path:
    """Where a library of this name is saved, its folder made. Raises ValueError for a name that is no plain file name."""
    require_file_name(name)
    stem = name.strip().removesuffix(".safetensors")
    if not stem or Path(stem).name != stem or stem.startswith(".") or any(sign in stem for sign in '\\/:*?"<>|'):
        raise ValueError(f"name: {name!r} cannot be a file name; use letters, digits, spaces, - and _")
    folder = Path(folder_paths.get_folder_paths(LIBRARIES)[0])
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{stem}.safetensors"


def gallery_path(folder: str) -> Path:
    """A folder below ComfyUI's input folder; raises ValueError for one that is missing or elsewhere."""
    require_file_name(folder, "folder")
    root = Path(folder_paths.get_input_directory()).resolve()
    path = inside(root, folder.strip())
    if not folder.strip() or path is None or not path.is_dir():
        raise ValueError(
            f"folder: {folder!r} is no folder below ComfyUI's input folder; put the gallery there and give its name"
        )
    return path
