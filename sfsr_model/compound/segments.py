"""Which streams act when: the sampling run cut where a stream starts or ends."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

Range = tuple[float, float]


@dataclass(frozen=True)
class Segment:
    """A part of the run, in shares of it (0 is pure noise, 1 the finished picture), and the streams active in it."""

    start: float
    end: float
    identity: bool
    expression: bool


def segments(identity: Range, expression: Range) -> tuple[Segment, ...]:
    """Cut [0, 1] into the fewest segments in which the set of active streams does not change.

    identity, expression: (start, end) of each stream; a stream with end <= start never acts. Together the segments always
    cover the whole run: where no stream is active the null tokens still stand.
    """
    cuts = sorted({0.0, 1.0, *(min(max(edge, 0.0), 1.0) for edge in (*identity, *expression))})
    merged: list[Segment] = []
    for start, end in pairwise(cuts):
        active = (_covers(identity, start, end), _covers(expression, start, end))
        if merged and (merged[-1].identity, merged[-1].expression) == active:
            merged[-1] = Segment(merged[-1].start, end, *active)
        else:
            merged.append(Segment(start, end, *active))
    return tuple(merged)


def _covers(stream: Range, start: float, end: float) -> bool:
    return stream[0] <= start and end <= stream[1]
