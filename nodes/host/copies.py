"""Another copy of this pack in the same ComfyUI, whose nodes the host mixes with these without a word.

The host loads the folders below custom_nodes one by one, and of two nodes of one id the later one stays. So an old copy that
was left behind, or a second one under another name, gives some of its nodes, and none of the messages names a folder.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import folder_paths
from comfy.cli_args import args

logger = logging.getLogger(__name__)

OWN = Path(__file__).parents[2]
_NODE_ID = re.compile(r'node_id="(\w+)"')


def tell_of_copies(own_ids: Iterable[str]) -> None:
    """Log a line for each other copy: both folders, and which nodes come from where. own_ids: of this copy's nodes."""
    for other in _other_copies():
        loaded = _is_loaded(other)
        if loaded and (other / "nodes" / "host" / Path(__file__).name).is_file():
            continue  # it has told of this copy already
        mine, theirs = set(own_ids), _node_ids(other)
        later, earlier = ((OWN, mine), (other, theirs)) if loaded else ((other, theirs), (OWN, mine))
        left = sorted(earlier[1] - later[1])
        logger.warning(
            "SFSR: this pack is installed twice, in '%s' and in '%s', and the nodes of both are mixed: %s come from '%s', %s "
            "from '%s'; move one of the two folders out of custom_nodes and start ComfyUI again",
            OWN, other, ", ".join(sorted(later[1])), later[0], ", ".join(left) or "none", earlier[0],
        )  # fmt: skip


def _other_copies() -> list[Path]:
    """Other folders with this pack in them that the host loads, in no order."""
    entries = [entry for root in folder_paths.get_folder_paths("custom_nodes") for entry in Path(root).glob("*/")]
    return [
        entry
        for entry in entries
        if (entry / "__init__.py").is_file()
        and (entry / "sfsr_model" / "__init__.py").is_file()
        and not entry.name.endswith(".disabled")
        and not (args.disable_all_custom_nodes and entry.name not in args.whitelist_custom_nodes)
        and entry.resolve() != OWN.resolve()
    ]


def _is_loaded(folder: Path) -> bool:
    files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    return any(file and Path(file) == folder / "__init__.py" for file in files)


def _node_ids(folder: Path) -> set[str]:
    """The ids in the schemas of a copy, read as text: it may not be loaded yet, and may be of any version."""
    return {found for file in (folder / "nodes").glob("*.py") for found in _NODE_ID.findall(file.read_text("utf-8", "replace"))}
