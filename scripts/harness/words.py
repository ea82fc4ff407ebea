"""The expression words, checked before a host is started for a misspelt one."""

from __future__ import annotations

import sys

from harness.errors import UsageError
from harness.server import REPOSITORY


def require_word(text: str) -> None:
    """Raise UsageError, with the closest words, for what is neither a word nor its number."""
    if str(REPOSITORY) not in sys.path:
        sys.path.append(str(REPOSITORY))
    from sfsr_model.expressions.vocabulary import LISTED, all_words, closest, lookup  # needs no PyTorch

    count = len(all_words())
    try:
        lookup(text)
    except ValueError as error:
        if text.strip().isdecimal():
            raise UsageError(f"--expression: the words are numbered 1 to {count}, found {text.strip()}.") from error
        close = closest(text)
        hint = f"Did you mean {' or '.join(close)}?" if close else f"{LISTED}."
        found = repr(text) if text.strip() else "an empty text"
        raise UsageError(
            f"--expression: {found} is none of the {count} words, no number of one and no picture. {hint}"
        ) from error
