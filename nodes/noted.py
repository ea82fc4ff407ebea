"""An expression as a node's output, with what should be known of it shown on the node."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from comfy_api.latest import io, ui

from ..sfsr_model.expressions import Expression, flame_left_out

logger = logging.getLogger(__name__)


def made_from(sources: Iterable[Expression], expression: Expression, *others: Any, note: str | None = None) -> io.NodeOutput:
    """The output `expression`, then `others`. sources: what it was made from; where SMIRK's numbers did not come through, the
    node and the log say so. note: what the node shows as well."""
    lost = flame_left_out(sources, expression)
    if lost is not None:
        logger.info("SFSR: %s", lost)
    shown = "\n".join(text for text in (note, lost) if text is not None)
    return io.NodeOutput(expression, *others, ui=ui.PreviewText(shown)) if shown else io.NodeOutput(expression, *others)
