"""Expressions typed as text, "joy" or "joy 0.8"; needs nothing but the standard library."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from .vocabulary import all_words, lookup

MAX_INTENSITY = 2.0
ALL = "all"
FAMILIES = tuple(sorted({word.primary for word in all_words()}))
"""The six primary emotions; each is the name of a word as well."""


@dataclass(frozen=True)
class Look:
    """What was typed: a word's name, or another name that the reader was told of, and how strongly, 0 to `MAX_INTENSITY`."""

    name: str
    intensity: float = 1.0


def split_entries(text: str) -> list[str]:
    """The entries between commas, semicolons and line ends, without white space around them; empty ones are left out."""
    return [entry.strip() for entry in re.split(r"[,;\n]", text) if entry.strip()]


def parse_look(text: str, names: Collection[str] = ()) -> Look:
    """A word, its number, "neutral" or one of `names`, in any case, and optionally an intensity after it.

    Raises ValueError, with the closest words for an unknown one, and for an intensity that is none.
    """
    what, *rest = text.split() or [""]
    if not what:
        raise ValueError("nothing is named; expected an expression, such as 'joy' or 'joy 0.8'")
    if len(rest) > 1:
        raise ValueError(f"found {len(rest)} things after {what!r}; expected at most an intensity, such as '{what} 0.8'")
    name = what.casefold() if what.casefold() in names else lookup(what).word
    return Look(name, _intensity(rest[0]) if rest else 1.0)


def parse_looks(text: str) -> tuple[Look, ...]:
    """A list of words as `parse_look` reads them, one a line or with commas between.

    Raises ValueError naming the entry at fault, or for an empty list.
    """
    looks = []
    for number, entry in enumerate(split_entries(text), 1):
        try:
            looks.append(parse_look(entry))
        except ValueError as error:
            raise ValueError(f"entry {number}, '{entry}': {error}") from error
    if not looks:
        raise ValueError("the list is empty; expected words, one a line or with commas between, such as 'joy, anger 0.5'")
    return tuple(looks)


def family_looks(family: str) -> tuple[Look, ...]:
    """The words of one of `FAMILIES`, or with `ALL` all of them, in the order of their numbers; ValueError for others."""
    if family not in (ALL, *FAMILIES):
        raise ValueError(f"unknown family {family!r}; expected {ALL}, {', '.join(FAMILIES)}")
    return tuple(Look(word.word) for word in all_words() if family in (ALL, word.primary))


def _intensity(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not 0.0 <= number <= MAX_INTENSITY:
        raise ValueError(f"its intensity is {text!r}; expected a number from 0 to {MAX_INTENSITY:g}")
    return number
