"""ComfyUI's progress bar and Interrupt for loops over a batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import comfy.model_management
import comfy.utils

Item = TypeVar("Item")


def steps(items: Sequence[Item]) -> Iterator[tuple[int, Item]]:
    """Enumerate `items`, moving the node's progress bar and stopping at the user's Interrupt before each of them."""
    bar = comfy.utils.ProgressBar(len(items))
    for number, item in enumerate(items):
        comfy.model_management.throw_exception_if_processing_interrupted()
        yield number, item
        bar.update(1)
