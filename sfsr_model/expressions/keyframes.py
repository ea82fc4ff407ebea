"""A schedule of expressions typed as text, "0: neutral, 12: joy 0.8, 24: b"; needs nothing but the standard library."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from .text import Look, parse_look, split_entries

_EXAMPLE = "'0: neutral, 12: joy 0.8'"


@dataclass(frozen=True)
class Keyframe:
    """One entry of a schedule: at which frame, counted from 0, which look; `entry` is how messages call it."""

    frame: int
    look: Look
    entry: str


def parse_keyframes(text: str, names: Collection[str] = ()) -> tuple[Keyframe, ...]:
    """The entries "frame: look" in the order of their frames; they may be typed in any order.

    One entry a line, or with commas between; a look is as `parse_look` takes it, `names` included. Raises ValueError naming
    the entry at fault: no colon, no frame number, an unknown look, a frame named twice; or for an empty schedule.
    """
    keys: dict[int, Keyframe] = {}
    for number, typed in enumerate(split_entries(text), 1):
        entry = f"entry {number}, '{typed}'"
        frame, colon, look = typed.partition(":")
        if not colon:
            raise ValueError(f"{entry}: it has no colon; expected a frame, a colon and an expression, such as {_EXAMPLE}")
        if not frame.strip().isascii() or not frame.strip().isdecimal():
            raise ValueError(f"{entry}: the frame is '{frame.strip()}'; expected a whole number, 0 or more")
        try:
            key = Keyframe(int(frame), parse_look(look, names), entry)
        except ValueError as error:
            raise ValueError(f"{entry}: {error}") from error
        if key.frame in keys:
            raise ValueError(f"{entry}: frame {key.frame} is taken by {keys[key.frame].entry}; expected each frame once")
        keys[key.frame] = key
    if not keys:
        raise ValueError(f"the schedule is empty; expected frames and expressions, such as {_EXAMPLE}")
    return tuple(keys[frame] for frame in sorted(keys))


def require_within(keys: Collection[Keyframe], frames: int) -> None:
    """Raises ValueError naming the first entry that lies beyond the last of `frames` frames."""
    for key in keys:
        if key.frame >= frames:
            raise ValueError(
                f"{key.entry}: there is no frame {key.frame}, as the {frames} frames are 0 to {frames - 1}; expected an "
                f"earlier frame, or set frames to {key.frame + 1} or more"
            )
