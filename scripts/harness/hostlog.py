"""Read a ComfyUI's console log: which errors are ours, and what the host measured."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_FAULT = re.compile(r"\b(error|errors|exception|failed|traceback|cannot import)\b", re.IGNORECASE)
# The head of the host's list of what is wrong with a refused prompt: the sender's mistake, whatever node it names.
_REFUSED_PROMPT = re.compile(r"^\s*(\[\w+\]\s*)?\* \w+ \S+:\s*$")
_TRACEBACK = "Traceback (most recent call last):"
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_IMPORT_TIME = re.compile(r"^(?:\[\w+\])?\s*([\d.]+) seconds( \(IMPORT FAILED\))?: (.+?)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class LogError:
    """One error in the log: its offset in characters, and its line or whole traceback."""

    offset: int
    text: str


def plain(log: str) -> str:
    """The log without terminal colours."""
    return _COLOUR.sub("", log)


def find_errors(log: str, markers: Sequence[str]) -> list[LogError]:
    """Tracebacks and error lines that contain one of the markers."""
    return [error for error in _all_errors(log) if any(marker in error.text for marker in markers)]


def import_seconds(log: str, pack_name: str) -> float:
    """The host's own import time of a pack, in seconds.

    Raises LookupError if the host listed no such pack, or listed it as failed.
    """
    for seconds, failed, path in _IMPORT_TIME.findall(log):
        if re.split(r"[\\/]", path)[-1] == pack_name:
            if failed:
                raise LookupError(f"The host could not import {pack_name}.")
            return float(seconds)
    raise LookupError(f"The host listed no import time for {pack_name}.")


def _all_errors(log: str) -> list[LogError]:
    errors = []
    offset = 0
    start = 0
    block: list[str] = []
    for line in log.splitlines(keepends=True):
        if block:
            if line.strip() and _TRACEBACK not in line:
                block.append(line)
            else:
                errors.append(LogError(start, "".join(block)))
                block = []
        if not block:
            if _TRACEBACK in line:
                start, block = offset, [line]
            elif _FAULT.search(line) and not _REFUSED_PROMPT.match(line):
                errors.append(LogError(offset, line))
        offset += len(line)
    if block:
        errors.append(LogError(start, "".join(block)))
    return errors
