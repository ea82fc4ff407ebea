"""The expression words, checked before a host is started for a misspelt one."""

from __future__ import annotations

import difflib
import json

from harness.errors import UsageError
from harness.server import REPOSITORY

_WORDS = REPOSITORY / "sfsr_model" / "expressions" / "words.json"


def require_word(text: str) -> None:
    """Raise UsageError, with the closest words, for what is neither a word nor its number. The pack itself needs PyTorch."""
    words = [entry["word"] for entry in json.loads(_WORDS.read_text(encoding="utf-8"))["words"]] + ["neutral"]
    key = text.strip().casefold()
    if key in words or (key.isdecimal() and 1 <= int(key) < len(words)):
        return
    close = difflib.get_close_matches(key, words, n=3, cutoff=0.6)
    hint = f"Did you mean {' or '.join(close)}?" if close else "README names the command that lists them."
    raise UsageError(f"--expression: {text!r} is none of the {len(words) - 1} words, no number of one and no picture. {hint}")
