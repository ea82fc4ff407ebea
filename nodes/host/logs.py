"""What the pack says in ComfyUI's log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

_PACK = __name__.rpartition(".nodes.")[0]


@contextmanager
def said_once() -> Iterator[None]:
    """Within it the pack says nothing twice: what a run warns of, every part of a long film's would."""
    said: set[str] = set()

    def is_new(record: logging.LogRecord) -> bool:
        message = record.getMessage()
        known = message in said
        said.add(message)
        return not known

    own = [logging.getLogger(name) for name in list(logging.root.manager.loggerDict) if name.startswith(f"{_PACK}.")]
    for logger in own:
        logger.addFilter(is_new)
    try:
        yield
    finally:
        for logger in own:
            logger.removeFilter(is_new)
