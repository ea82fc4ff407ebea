"""Progress for people: numbered stages, and a bar that becomes a few plain lines when nobody watches."""

from __future__ import annotations

import sys
from typing import TextIO

BAR_WIDTH = 30


class Stages:
    """Prints "[2/6] what happens now" for each stage of a known number."""

    def __init__(self, total: int, stream: TextIO | None = None) -> None:
        self.total = total
        self.number = 0
        self._stream = stream

    def start(self, text: str) -> None:
        """Announce the next stage."""
        self.number += 1
        print(f"[{self.number}/{self.total}] {text}", file=self._stream or sys.stdout, flush=True)


class ProgressBar:
    """A bar redrawn in place on a terminal; elsewhere one line for each label and each quarter."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._live = self._stream.isatty()
        self._last_line = ""
        self._milestone: tuple[str, int] | None = None

    def update(self, label: str, value: float, maximum: float) -> None:
        """Show `value` of `maximum` for the step called `label`."""
        share = min(max(value / maximum, 0.0), 1.0) if maximum > 0 else 0.0
        if self._live:
            self._redraw(f"{label} [{'#' * round(share * BAR_WIDTH):<{BAR_WIDTH}}] {value:g}/{maximum:g}")
            return
        milestone = (label, int(share * 4))
        if milestone != self._milestone:
            self._milestone = milestone
            print(f"{label} {value:g}/{maximum:g}", file=self._stream, flush=True)

    def close(self) -> None:
        """Leave the cursor on a fresh line."""
        if self._live and self._last_line:
            print(file=self._stream, flush=True)
            self._last_line = ""

    def _redraw(self, line: str) -> None:
        padding = " " * max(len(self._last_line) - len(line), 0)
        print(f"\r{line}{padding}", end="", file=self._stream, flush=True)
        self._last_line = line
