"""Files of random weights under the names that a workflow gives, so that it runs without the real ones: it makes noise."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.graph import Prompt

from sfsr_model.adapters.kinds import KINDS
from sfsr_model.adapters.stand_ins import write_stand_in
from sfsr_model.files import whole_file
from sfsr_model.network.layout import HOST_FACTOR, unet_shapes

from .onnx_models import save_recogniser
from .random_smirk import write_smirk
from .text_to_image import (
    SDXL_FACTOR,
    SLIM_SD15,
    SLIM_SDXL,
    save_autoencoder,
    save_clip_vision,
    save_control_net,
    save_network,
    save_sdxl,
    save_text_encoder,
    save_text_to_image,
    sdxl_shapes,
)

_RECOGNISERS = {"antelopev2": "glintr100.onnx"}
RECOGNISER = "w600k_r50.onnx"
"""The file in a pack's folder, as buffalo_l has it. Without a detector beside it faces are found by the carried one."""
_FOLDERS = {
    ("CheckpointLoaderSimple", "ckpt_name"): "checkpoints",
    ("UNETLoader", "unet_name"): "diffusion_models",
    ("CLIPLoader", "clip_name"): "text_encoders",
    ("VAELoader", "vae_name"): "vae",
    ("CLIPVisionLoader", "clip_name"): "clip_vision",
    ("ControlNetLoader", "control_net_name"): "controlnet",
    ("LoadIDEncoder", "encoder"): "insightface",
    # The names in these begin with the folder.
    ("SFSRLoadExpressionEncoder", "smirk"): "",
    ("SFSRModelFromAdapters", "identity_adapter"): "",
    ("SFSRModelFromAdapters", "expression_adapter"): "",
}


@dataclass(frozen=True)
class StandIn:
    """One file below a ComfyUI's models folder, and what writes it."""

    path: Path
    write: Callable[[Path], Any]


def stand_ins(prompt: Prompt) -> Iterator[StandIn]:
    """Those of every file that a workflow names and that does not come with the pack."""
    sdxl = any("xl" in str(entry["inputs"].get("ckpt_name")) for entry in prompt.values())
    config = SLIM_SDXL if sdxl else SLIM_SD15.ldm_arguments
    for entry in prompt.values():
        for name, value in entry["inputs"].items():
            folder = _FOLDERS.get((entry["class_type"], name))
            # What comes with the pack, and what stands for no file, has no ending and no folder.
            if folder is not None and re.search(r"\.\w+$|/$", value):
                yield _stand_in(Path(folder, value), name, sdxl, config)


def write_stand_ins(prompt: Prompt, models: Path) -> tuple[list[Path], list[Path]]:
    """Write them below a models folder; returns what was written and what was there, which stays as it is."""
    written, there = [], []
    for one in stand_ins(prompt):
        path = models / one.path
        if path.exists():
            there.append(path)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        made = one.write(path)
        written += made if isinstance(made, tuple) else [path]
    return written, there


def _stand_in(path: Path, name: str, sdxl: bool, config: Mapping[str, Any]) -> StandIn:
    if name.endswith("_adapter"):
        return StandIn(path, lambda where: write_stand_in(_kind(path.name), where, config))
    if name == "encoder" and not path.suffix:
        path = path / _RECOGNISERS.get(path.name, RECOGNISER)
    write: Callable[[Path], Any] = {
        "ckpt_name": save_sdxl if sdxl else lambda where: save_text_to_image(where, SLIM_SD15),
        "unet_name": lambda where: save_network(where, SLIM_SD15),
        "clip_name": save_clip_vision if path.parts[0] == "clip_vision" else save_text_encoder,
        "control_net_name": lambda where: save_control_net(where, sdxl_shapes(SLIM_SDXL) if sdxl else unet_shapes(SLIM_SD15)),
        "vae_name": lambda where: save_autoencoder(where, SDXL_FACTOR if sdxl else HOST_FACTOR),
        "encoder": lambda where: save_recogniser(where, seed=len(path.name)),
        "smirk": write_smirk,
    }[name]
    return StandIn(path, _whole(write))


def _whole(write: Callable[[Path], Any]) -> Callable[[Path], None]:
    def write_whole(path: Path) -> None:
        with whole_file(path) as partial:
            write(partial)

    return write_whole


def _kind(name: str) -> str:
    """The kind of adapter that is published under this name. Raises ValueError for none."""
    for kind, facts in KINDS.items():
        if re.search(rf"(^|[ /]){re.escape(name)}($|[,; ])", facts.about):
            return kind
    raise ValueError(f"{name}: no kind of adapter is published under this name")
