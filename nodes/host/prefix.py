"""Words between percent signs in the start of a file's name, which the page replaces for the host's own nodes alone.

The page does it before it sends a graph, so a graph that came over the API would keep them; here both are served alike. The
host's own words, such as %year% and %width%, are left for the host.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

_WORD = re.compile(r"%([^%]+)%")
_DATE = "date:"
_DATE_PART = re.compile(r"dd?|MM?|hh?|mm?|ss?|y{2,4}")
# The control characters from 128 on are more than the page takes out; no name may hold them either.
_NOT_IN_A_NAME = re.compile(r'[/\\?<>:*|"\x00-\x1f\x7f-\x9f]')


def resolve_prefix(prefix: str, prompt: Mapping[str, Any] | None, now: datetime) -> str:
    """The prefix with the date for %date:yyyy-MM-dd% and a widget's value for %Node.widget%; other words stay.

    A date's format has d, dd, M, MM, yy, yyyy, h, hh, m, mm, s and ss; the rest of it stays as it is. A node is meant by its
    class or, where none has that, by its title; the first of several. Signs that no file's name may have become _ in a value.
    A word stays where the node, or the input, is not there or its value comes over a link.
    prompt: the graph in API format. The result may lead out of a folder, as any prefix may.
    """

    def resolved(found: re.Match[str]) -> str:
        word = found[1]
        if word.startswith(_DATE):
            return _date(word.removeprefix(_DATE), now)
        value = _value(word, prompt or {})
        return found[0] if value is None else _NOT_IN_A_NAME.sub("_", value)

    return _WORD.sub(resolved, prefix)


def prefix_fingerprint(prefix: Any, now: datetime) -> str | float:
    """What the host compares from run to run: another value where the same widgets make another name.

    The host does not show the graph here, so a prefix that may name a node runs every time: NaN equals nothing, itself
    included. One that comes over a link is not known yet (None), and the host looks at its source itself.
    """
    if not isinstance(prefix, str):
        return ""
    if any(_names_a_node(word) for word in _WORD.findall(prefix)):
        return float("nan")
    return resolve_prefix(prefix, None, now)


def _date(form: str, now: datetime) -> str:
    numbers = {"d": now.day, "M": now.month, "h": now.hour, "m": now.minute, "s": now.second}

    def part(found: re.Match[str]) -> str:
        letters = found[0]
        if letters[0] in numbers:
            return str(numbers[letters[0]]).zfill(len(letters))
        return {"yy": f"{now.year:04}"[2:], "yyyy": f"{now.year:04}"}.get(letters, letters)

    return _DATE_PART.sub(part, form)


def _names_a_node(word: str) -> bool:
    return word.count(".") == 1 and not word.startswith(_DATE)


def _value(word: str, prompt: Mapping[str, Any]) -> str | None:
    """The value of the widget that the word means, written as the page writes it; None where there is none."""
    if not _names_a_node(word):
        return None
    name, widget = word.split(".")
    nodes = [node for node in prompt.values() if isinstance(node, Mapping)]
    meant = [node for node in nodes if node.get("class_type") == name] or [node for node in nodes if _title(node) == name]
    inputs = meant[0].get("inputs") if meant else None
    value = inputs.get(widget) if isinstance(inputs, Mapping) else None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, str | int | float) else None


def _title(node: Mapping[str, Any]) -> Any:
    meta = node.get("_meta")
    return meta.get("title") if isinstance(meta, Mapping) else None
