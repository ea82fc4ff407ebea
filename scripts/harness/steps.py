"""A set-up is a list of steps; each is announced, and none starts without room on the disk for all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.cache import require_space
from harness.progress import Stages


@dataclass(frozen=True)
class Step:
    """One unfinished part of the set-up: what to announce, the bytes it will occupy, what to call."""

    title: str
    size: int
    run: Callable[[], None]


def run_steps(steps: Sequence[Step], folder: Path) -> None:
    """Run the steps in order; raises SetupError before the first if the disk is too small for all."""
    if not steps:
        return
    require_space(folder, sum(step.size for step in steps), "the set-up")
    stages = Stages(len(steps))
    for step in steps:
        stages.start(step.title)
        step.run()
