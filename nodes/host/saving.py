"""Pictures of 16 bits a channel in ComfyUI's output folder, named and described as the host does with its own."""

from __future__ import annotations

from pathlib import Path

import folder_paths
from comfy.cli_args import args
from comfy_api.latest import io, ui
from torch import Tensor

from ...sfsr_model.png import encode_png16
from .progress import steps


def metadata_is_off() -> bool:
    """Whether the host was started so that no file is given the graph or anything else that is said of it."""
    return args.disable_metadata


def save_deep_pngs(images: Tensor, prefix: str, cls: type[io.ComfyNode]) -> ui.SavedImages:
    """Save pictures [B, H, W, 3 or 4] in 0..1, one file each, with the graph and what else the node's hidden inputs hold."""
    height, width = images.shape[1:3]
    folder, stem, counter, subfolder, _ = folder_paths.get_save_image_path(
        prefix, folder_paths.get_output_directory(), width, height
    )
    about = ui.ImageSaveHelper._create_png_metadata(cls)
    chunks = [] if about is None else [(kind, data) for kind, data, *_ in about.chunks]
    saved = []
    for number, picture in steps(images):
        name = f"{stem.replace('%batch_num%', str(number))}_{counter + number:05}_.png"
        (Path(folder) / name).write_bytes(encode_png16(picture, chunks))
        saved.append(ui.SavedResult(name, subfolder, io.FolderType.output))
    return ui.SavedImages(saved)
