"""Whether a page waits for what a run shows."""

from __future__ import annotations

import sys


def page_listens() -> bool:
    """False where a prompt came without the id of a client, as a script posts it: what nodes show would reach nobody, and only
    lie about among the run's results."""
    server = getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
    return getattr(server, "client_id", None) is not None
