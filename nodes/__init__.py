"""The pack's nodes, one module per family; this module only gathers them.

Every import in here is relative: ComfyUI has a module of its own called `nodes`, and this folder never shadows it.
"""

from __future__ import annotations

import importlib
import logging

from comfy_api.latest import ComfyExtension, io

logger = logging.getLogger(__name__)

FAMILIES = (
    "samples",
    "identity",
    "identity_file",
    "identity_batch",
    "expression",
    "expression_photo",
    "expression_mix",
    "expression_motion",
    "expression_sweep",
    "drawing",
    "prompt",
    "face",
    "model",
    "film_driver",
    "film_target",
    "adapters",
    "sampling",
    "study",
    "report",
    "sheet",
)


def load_families(families: tuple[str, ...] = FAMILIES) -> list[type[io.ComfyNode]]:
    """Import every family; one that fails is logged with its cause and leaves the others standing."""
    classes: list[type[io.ComfyNode]] = []
    for family in families:
        try:
            module = importlib.import_module(f".{family}", __package__)
            for node_class in module.NODES:
                node_class.GET_SCHEMA()
        except Exception:
            logger.exception(
                "SFSR: the node family '%s' could not be loaded and its nodes are missing; the cause follows", family
            )
            continue
        classes.extend(module.NODES)
    return classes


class SFSRExtension(ComfyExtension):
    """What ComfyUI asks for the list of nodes."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        from .host.copies import tell_of_copies

        classes = load_families()
        tell_of_copies([node_class.GET_SCHEMA().node_id for node_class in classes])
        return classes


async def comfy_entrypoint() -> SFSRExtension:
    return SFSRExtension()
