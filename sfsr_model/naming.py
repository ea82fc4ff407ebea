"""Words of messages: which input an error is about, and the first of many things."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager


@contextmanager
def naming(name: str, kinds: type[Exception] | tuple[type[Exception], ...] = ValueError) -> Iterator[None]:
    """Put an input's name before the message of an error of these kinds that is raised within the block, unless it is there."""
    try:
        yield
    except kinds as error:
        raise ValueError(str(error) if str(error).startswith(f"{name}: ") else f"{name}: {error}") from error


def listed(things: Sequence[object], most: int) -> str:
    """The first `most` of some things, with commas between, and dots where there are more."""
    return ", ".join(map(str, things[:most])) + (", ..." if len(things) > most else "")
