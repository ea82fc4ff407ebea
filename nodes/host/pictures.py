"""Pictures in ComfyUI's input folder, read by the host's own loader; and the samples, where the page asks for a picture."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import folder_paths
from aiohttp import web
from torch import Tensor

from nodes import LoadImage  # the host's own module of that name

from ...sfsr_model.naming import naming
from ...sfsr_model.samples import FOLDER as SAMPLES
from ...sfsr_model.samples import film_names, film_path, sample_names
from .folders import inside, require_file_name

logger = logging.getLogger(__name__)

_VIEWS = ("/view", "/api/view")


def picture_names() -> list[str]:
    """The pictures in ComfyUI's input folder, as the host's Load Image lists them; none as long as there is no such folder."""
    try:
        folder = Path(folder_paths.get_input_directory())
        return list(_listed(folder, folder.stat().st_mtime_ns))
    except OSError:
        return []


@lru_cache(maxsize=1)
def _listed(_folder: Path, _changed: int) -> tuple[str, ...]:
    """The names, read anew when the folder has changed: the host asks several times a run, and some hold many thousands."""
    return tuple(LoadImage.INPUT_TYPES()["required"]["image"][0])


def picture_path(name: str, label: str, kind: str = "picture") -> Path:
    """The file behind a name of the input folder, or of the folder that the name ends with in brackets, as the host marks it.

    Raises FileNotFoundError, saying what to do, when it is not there, and ValueError for what can be no file's name.
    """
    require_file_name(name, label)
    plain, folder = folder_paths.annotated_filepath(name)
    root = Path(folder or folder_paths.get_input_directory())
    path = inside(root, plain.strip())
    if path is None or not path.is_file():
        raise FileNotFoundError(
            f"{label}: there is no {kind} '{name}' in ComfyUI's {root.name} folder, and no sample of that name; choose one "
            "from the list, or upload it anew"
        )
    return path


def load_picture(name: str, label: str) -> Tensor:
    """The picture [B, H, W, 3] in 0..1, turned as its camera says. Raises as `picture_path`, and ValueError for no picture."""
    path, (plain, _) = picture_path(name, label), folder_paths.annotated_filepath(name)
    with naming(label, (ValueError, OSError)):
        # The host's loader knows one spelling of a name alone; the path keeps the mark of its folder.
        return LoadImage().load_image(f"{path}{name[len(plain) :]}")[0]


@web.middleware
async def _samples(request: web.Request, handler) -> web.StreamResponse:
    if request.method in ("GET", "HEAD") and request.path in _VIEWS and (sample := _asked_for(request.query)) is not None:
        return web.FileResponse(sample)
    return await handler(request)


def _asked_for(query: Mapping[str, str]) -> Path | None:
    """The file of a sample that the page asks for as if it lay in the input folder, unless that has a file of its name."""
    name = query.get("filename")
    if query.get("type") != "input" or query.get("subfolder") or name not in [*sample_names(), *film_names()]:
        return None
    if (Path(folder_paths.get_input_directory()) / name).is_file():
        return None
    return film_path(name) if name in film_names() else SAMPLES / f"{name}.jpg"


def _show_samples() -> None:
    """Let the page show a sample where it asks the host for the picture that a widget names."""
    # Not imported: where the host's modules are used from a script there is no server, and no page.
    server = getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
    if server is None:
        return
    try:
        server.app.middlewares.append(_samples)
    except RuntimeError:  # the server runs already, as where a pack is loaded anew; pictures of samples are all that lacks
        logger.debug("SFSR: the page will show no samples", exc_info=True)


_show_samples()
