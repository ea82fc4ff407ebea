"""Saying which input an error is about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def naming(name: str, kinds: type[Exception] | tuple[type[Exception], ...] = ValueError) -> Iterator[None]:
    """Put an input's name before the message of an error of these kinds that is raised within the block, unless it is there."""
    try:
        yield
    except kinds as error:
        raise ValueError(str(error) if str(error).startswith(f"{name}: ") else f"{name}: {error}") from error
