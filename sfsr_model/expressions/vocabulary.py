"""The 135 emotion words and their action units; needs nothing but the standard library.

Words and their 25 groups under 6 primary emotions: Shaver, Schwartz, Kirson & O'Connor (1987). `words.json` beside this
file gives each word's action units with an intensity and the publication that lists the unit; the intensities are this
project's. Numbers are 1-based positions in alphabetical order.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

NEUTRAL = "neutral"
# What people type who do not know the list, and what they mean by it.
_EVERYDAY = {
    "smile": ("happiness", "cheerfulness"),
    "smiling": ("happiness", "cheerfulness"),
    "grin": ("glee", "amusement"),
    "laugh": ("amusement", "gaiety"),
    "laughing": ("amusement", "gaiety"),
    "cry": ("grief", "sorrow"),
    "crying": ("grief", "sorrow"),
    "frown": ("displeasure", "annoyance"),
    "scared": ("fear", "fright"),
    "afraid": ("fear", "fright"),
    "shocked": ("shock", "astonishment"),
    "wow": ("amazement", "astonishment"),
    "calm": (NEUTRAL, "contentment"),
    "serious": (NEUTRAL,),
    "relaxed": (NEUTRAL, "relief"),
    "mad": ("anger", "fury"),
    "upset": ("distress", "dismay"),
    "bored": (NEUTRAL, "dejection"),
    "tired": ("dejection", "gloom"),
    "confused": ("uneasiness", "apprehension"),
    "shy": ("embarrassment", "insecurity"),
}
# Ratios of matching letters: from which on two words are spellings of one, and by how much that of a word's start counts less.
_ALIKE, _ONLY_ITS_START = 0.55, 0.1
LISTED = "'python -m sfsr_model.expressions', run in the pack's folder, lists them"
"""Where all words are to be seen."""
_DATA = Path(__file__).with_name("words.json")


@dataclass(frozen=True)
class ActionUnit:
    """One unit of a word: FACS code ("12", "R14"), intensity in [0, 1], source tag (a key of `sources()`)."""

    code: str
    intensity: float
    source: str


@dataclass(frozen=True)
class Word:
    """One emotion word; "neutral" alone has no number, and itself for group and primary."""

    number: int | None
    word: str
    group: str
    primary: str
    action_units: tuple[ActionUnit, ...]


_NEUTRAL_WORD = Word(None, NEUTRAL, NEUTRAL, NEUTRAL, ())


@cache
def _data() -> dict:
    return json.loads(_DATA.read_text(encoding="utf-8"))


@cache
def all_words() -> tuple[Word, ...]:
    """The 135 words in the order of their numbers; "neutral" is not among them."""
    groups = _data()["groups"]
    return tuple(
        Word(
            entry["number"],
            entry["word"],
            entry["group"],
            groups[entry["group"]]["primary"],
            tuple(ActionUnit(code, *rest) for code, rest in entry["action_units"].items()),
        )
        for entry in _data()["words"]
    )


@cache
def _by_name() -> dict[str, Word]:
    return {word.word: word for word in (*all_words(), _NEUTRAL_WORD)}


def sources() -> dict[str, str]:
    """What each source tag stands for."""
    return dict(_data()["sources"])


def group_core(group: str) -> tuple[str, ...]:
    """FACS numbers that every word of the group carries (on one side of the face at least)."""
    return tuple(_data()["groups"][group]["core"])


def lookup(text: str | int) -> Word:
    """The word of a name, in any case and with any white space around it, or of a number ("8", 8).

    "neutral" is accepted as a name too. Raises ValueError with the closest words for an unknown name, and for a number
    that is not from 1 to 135.
    """
    key = str(text).strip().casefold()
    if key.isdecimal():
        words = all_words()
        if not 1 <= int(key) <= len(words):
            raise ValueError(
                f"there is no expression number {key}; expected 1 ({words[0].word}) to {len(words)} ({words[-1].word})"
            )
        return words[int(key) - 1]
    if key in _by_name():
        return _by_name()[key]
    close = closest(text)
    hint = f"did you mean {' or '.join(close)}?" if close else LISTED
    raise ValueError(
        f"unknown expression {str(text)!r}; expected one of {len(all_words())} words, its number, or neutral: {hint}"
    )


def closest(text: str | int) -> list[str]:
    """Up to three names that mean an everyday word, or are written, or begin, much like this one; the nearest first."""
    typed = str(text).strip().casefold()
    if typed in _EVERYDAY:
        return list(_EVERYDAY[typed])

    def likeness(name: str) -> float:
        whole, start = (difflib.SequenceMatcher(None, typed, one).ratio() for one in (name, name[: len(typed) + 1]))
        return max(whole, start - _ONLY_ITS_START)

    ranked = sorted(((likeness(name), name) for name in _by_name()), key=lambda pair: (-pair[0], pair[1]))
    return [name for alike, name in ranked[:3] if alike >= _ALIKE]
