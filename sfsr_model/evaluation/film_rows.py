"""Lines of the table of a film's figures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .markdown import table


@dataclass(frozen=True)
class Row:
    """A line of the table of figures. value: what was measured; floor and target: what it must and should be, if anything is
    asked of it; `less` says whether less is better."""

    figure: str
    value: float
    floor: float | None = None
    target: float | None = None
    less: bool = True

    @property
    def holds(self) -> str:
        """How it stands against what is asked of it, in a word or two."""
        if self.floor is None or self.target is None:
            return ""
        sign = 1 if self.less else -1
        return next(
            (word for bound, word in ((self.target, "target"), (self.floor, "floor")) if sign * self.value <= sign * bound),
            "below the floor",
        )


def row_table(rows: Iterable[Row]) -> list[str]:
    """The rows in Markdown."""

    def shown(value: float | None) -> str:
        return "" if value is None else f"{value:.3g}"

    cells = [(row.figure, shown(row.value), shown(row.floor), shown(row.target), row.holds) for row in rows]
    return table(("figure", "measured", "floor", "target", "reached"), cells)
