"""ComfyUI's progress bar and Interrupt for loops over a batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import comfy.model_management
import comfy.utils

Item = TypeVar("Item")


class Progress:
    """The node's progress bar over `total` steps, for work whose items come one by one."""

    def __init__(self, total: int) -> None:
        self._bar = comfy.utils.ProgressBar(total)

    def step(self) -> None:
        """One step is done. Raises the host's exception where the user has asked to stop."""
        self._bar.update(1)
        comfy.model_management.throw_exception_if_processing_interrupted()


def steps(items: Sequence[Item]) -> Iterator[tuple[int, Item]]:
    """Enumerate `items`, moving the node's progress bar and stopping at the user's Interrupt before each of them."""
    bar = comfy.utils.ProgressBar(len(items))
    for number, item in enumerate(items):
        comfy.model_management.throw_exception_if_processing_interrupted()
        yield number, item
        bar.update(1)
