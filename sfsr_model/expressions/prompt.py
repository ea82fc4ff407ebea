"""The paper's notation for a portrait, "[ID] looks [liking] in [Ollantaytambo]": who, which expression, where.

Needs nothing but the standard library.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .text import Look, parse_look

EXAMPLE = "[ID] looks [liking] in [Ollantaytambo]"
ID = "ID"
"""Stands in the first brackets for the person of the photo, of whom a text-to-image model knows nothing."""
ANYBODY = "a person"
VERB = "looks"
_PARTS = ("who", "the expression", "where")


@dataclass(frozen=True)
class PortraitPrompt:
    """What was typed.

    who: `ID`, or how the scene shall draw the person, such as "a man in a red coat".
    look: the expression.
    where: the place with its preposition, "in Ollantaytambo".
    details: what follows the last brackets, without the comma before it; may be empty.
    """

    who: str
    look: Look
    where: str
    details: str = ""

    def scene(self, style: str = "") -> str:
        """What a text-to-image model is asked for: the person, the place, the details, the style; the expression is not."""
        subject = ANYBODY if self.who == ID else self.who
        return ", ".join(part for part in (f"{subject} {self.where}", self.details, _tidy(style)) if part)


def parse_prompt(text: str) -> PortraitPrompt:
    """Read a prompt like `EXAMPLE`; any preposition will do, white space does not matter, and details may follow.

    The expression is anything that `parse_look` reads. Raises ValueError for missing, nested or empty brackets, for other
    words between them, and for an unknown expression, with the closest words.
    """
    text = _tidy(text)
    _require_closed(text)
    before, *rest = (part.strip() for part in re.split(r"[\[\]]", text))
    parts = rest[::2]
    if len(parts) != len(_PARTS):
        found = ", ".join(f"[{part}]" for part in parts) or "no brackets"
        raise ValueError(f"found {found}; expected three pairs of brackets: who, the expression and where, as in '{EXAMPLE}'")
    for name, part in zip(_PARTS, parts, strict=True):
        if not part:
            raise ValueError(f"the brackets for {name} are empty; expected something like '{EXAMPLE}'")
    who, verb, expression, preposition, place, details = rest
    if before:
        raise ValueError(f"found '{before}' before [{who}]; put such details behind the last brackets, after a comma")
    if verb.casefold() != VERB:
        raise ValueError(f"found '{verb}' between [{who}] and [{expression}]; expected '{VERB}', as in '{EXAMPLE}'")
    if not preposition:
        raise ValueError(f"nothing stands between [{expression}] and [{place}]; expected a word such as in, at or on")
    try:
        look = parse_look(expression)
    except ValueError as error:
        raise ValueError(f"[{expression}]: {error}") from error
    who = ID if who.casefold() == ID.casefold() else who
    return PortraitPrompt(who, look, f"{preposition} {place}", details.lstrip(",;. "))


def _tidy(text: str) -> str:
    return " ".join(text.split())


def _require_closed(text: str) -> None:
    """Raise ValueError unless every bracket is closed before the next one opens."""
    opened = None
    for place, sign in enumerate(text):
        if sign == "[":
            if opened is not None:
                raise ValueError(f"'{text[opened:place]}' is not closed before the next '['; expected '{EXAMPLE}'")
            opened = place
        elif sign == "]":
            if opened is None:
                raise ValueError(f"the ']' behind '{text[:place]}' closes nothing; expected '{EXAMPLE}'")
            opened = None
    if opened is not None:
        raise ValueError(f"'{text[opened:]}' is not closed; expected '{EXAMPLE}'")
