"""Expressions over time: frames between keys, travel from one expression to another."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping

from .combine import concatenate
from .easing import ease, require_easing
from .flame import clamp_flame
from .value import Expression

MAX_FRAMES = 4096


def interpolate(keys: Mapping[int, Expression], frames: int, easing: str = "linear", loop: bool = False) -> Expression:
    """`frames` expressions that pass exactly through each key at its frame.

    keys: expressions of one row each by frame, 0 to frames - 1, in any order. Before the first and after the last key their
    expressions stand still; with `loop` the last moves on to the first as if the frames repeated, so that frame `frames` would
    be frame 0. `easing` (see `ease`) shapes each way from key to key. A missing pose counts as upright if another key has one;
    a missing flame is treated as `concatenate` does.
    A row keeps a word where its key has one, or both its keys the same. Raises ValueError for no key, a key outside the
    frames or of more than one row, frames below 1, an unknown easing.
    """
    require_easing(easing)
    if not 1 <= frames <= MAX_FRAMES:
        raise ValueError(f"frames is {frames}; expected 1 to {MAX_FRAMES}")
    if not keys:
        raise ValueError("keys is empty; expected at least one")
    for frame, key in keys.items():
        if not 0 <= frame < frames:
            raise ValueError(f"there is a key at frame {frame}; expected 0 to {frames - 1}, as there are {frames} frames")
        if len(key) != 1:
            raise ValueError(f"the key at frame {frame} holds {len(key)} expressions; expected 1")
    places = sorted(keys)
    looks = concatenate([keys[place] for place in places])
    earlier, later, shares = zip(*(_between(frame, places, frames, loop) for frame in range(frames)), strict=True)
    like = looks.coefficients
    t = like.new_tensor([ease(share, easing) for share in shares]).unsqueeze(1)
    start, end = list(earlier), list(later)
    coefficients = (like[start] * (1 - t) + like[end] * t).clamp(0, 1)  # rounding may exceed 1 by one unit in the last place
    pose = None if looks.pose is None else looks.pose[start] * (1 - t) + looks.pose[end] * t
    flame = None if looks.flame is None else clamp_flame(looks.flame[start] * (1 - t) + looks.flame[end] * t)
    words = tuple(
        _word(looks.words[one], looks.words[other], share)
        for one, other, share in zip(earlier, later, t.squeeze(1).tolist(), strict=True)
    )
    return Expression(coefficients, pose, words, flame, looks.smirk)


def travel(start: Expression, end: Expression, frames: int, easing: str = "linear", there_and_back: bool = False) -> Expression:
    """`frames` expressions from `start` to `end`, both included exactly; a single frame is `start`.

    start, end: one row each. With `there_and_back` `end` is reached half way (at frame frames // 2) and the last frame is the
    one before `start` again, so that the frames loop without standing still. A missing pose counts as upright if the other
    has one. Raises ValueError for a batch, fewer than 1 frame, an unknown easing.
    """
    for name, one in (("start", start), ("end", end)):
        if len(one) != 1:
            raise ValueError(f"{name} holds {len(one)} expressions; expected 1")
    turn = frames // 2 if there_and_back else frames - 1
    keys = {0: start, turn: end} if turn > 0 else {0: start}
    return interpolate(keys, frames, easing, loop=there_and_back)


def _between(frame: int, places: list[int], frames: int, loop: bool) -> tuple[int, int, float]:
    """Positions in `places` of the keys before and after a frame, and the share of the way between them."""
    before = bisect_right(places, frame) - 1
    after = before + 1
    if before >= 0 and after < len(places):
        return before, after, (frame - places[before]) / (places[after] - places[before])
    if not loop:
        edge = max(before, 0)
        return edge, edge, 0.0
    last = len(places) - 1
    gap = places[0] + frames - places[last]
    return last, 0, ((frame - places[last]) % frames) / gap


def _word(earlier: str | None, later: str | None, share: float) -> str | None:
    if earlier == later or share == 0.0:
        return earlier
    return later if share == 1.0 else None
