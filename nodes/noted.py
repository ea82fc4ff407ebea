"""An expression as a node's output, with a drawing of it and what should be known of it shown on the node."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from comfy_api.latest import io, ui

from ..sfsr_model.drawing.preview import preview
from ..sfsr_model.expressions import Expression, flame_left_out
from .host.page import page_listens

logger = logging.getLogger(__name__)


def made_from(sources: Iterable[Expression], expression: Expression, *others: Any, note: str | None = None) -> io.NodeOutput:
    """The output `expression`, then `others`. sources: what it was made from; where SMIRK's numbers did not come through, the
    node and the log say so. note: what the node shows as well."""
    lost = flame_left_out(sources, expression)
    if lost is not None:
        logger.info("SFSR: %s", lost)
    text = "\n".join(line for line in (note, lost) if line is not None)
    return io.NodeOutput(expression, *others, ui=shown(expression, text) or None)


def shown(expression: Expression, text: str = "") -> dict[str, Any]:
    """What the node shows: the text, and a drawing of the expression where a page is there to show it."""
    if not page_listens():
        return ui.PreviewText(text).as_dict() if text else {}
    # The host joins what a node shows in several turns by the names of the first one: each has them all.
    result: dict[str, Any] = {"text": (text,) if text else (), "images": (), "animated": (False,)}
    try:
        result |= ui.PreviewImage(preview(expression)).as_dict()
    # A drawing is a courtesy: no run ends because OpenCV, a file of the pack or room on the disk is missing.
    except (ImportError, OSError, ValueError) as error:
        logger.warning("SFSR: an expression is not drawn on its node: %s", error)
    return result
