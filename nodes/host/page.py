"""What a page is shown of a run: whether one waits for it, and nodes that show something on the way to a result."""

from __future__ import annotations

import sys
from dataclasses import fields
from typing import Any

from comfy_api.latest import io

_ON_THE_WAY = "has_intermediate_output"
SHOWS_ON_THE_WAY: dict[str, Any] = {_ON_THE_WAY: True} if _ON_THE_WAY in {one.name for one in fields(io.Schema)} else {}
"""For the schema of a node that shows something though it is no output node: the host then sends it to the page from its cache
as well. Hosts that do not know this keep no results but the last, so that what the page shows is right."""


def page_listens() -> bool:
    """False where a prompt came without the id of a client, as a script posts it: what nodes show would reach nobody, and only
    lie about among the run's results."""
    server = getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
    return getattr(server, "client_id", None) is not None
