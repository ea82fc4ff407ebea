"""Films that a node can choose from: those that come with the pack, and the user's own in ComfyUI's input folder."""

from __future__ import annotations

from pathlib import Path

import folder_paths

from ...sfsr_model.samples import film_names, film_path
from .pictures import picture_path


def input_films() -> list[str]:
    """The films in ComfyUI's input folder, as the host's Load Video lists them; none as long as there is no such folder."""
    try:
        files = [path.name for path in Path(folder_paths.get_input_directory()).iterdir() if path.is_file()]
    except OSError:
        return []
    return sorted(folder_paths.filter_files_content_types(files, ["video"]))


def chosen_film(name: str, label: str) -> Path:
    """The file of a sample's name or of a film of the user's; raises as `picture_path` does."""
    return film_path(name) if name in film_names() else picture_path(name, label, "film")
