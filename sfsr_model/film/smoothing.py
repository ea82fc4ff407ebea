"""Expressions over time made calm: symmetrically, so that nothing lags, or as they come, and blinks left as they are.

The symmetric filter is the local regression of `steady.py`. The other is the One Euro filter (Casiez, Roussel and Vogel, CHI
2012): a low pass whose cutoff rises with speed, which knows nothing of later frames and so lags a little.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..expressions import ARKIT_INDEX, ARKIT_NAMES
from .steady import smooth_shots

SYMMETRIC, ONE_EURO = "symmetric", "one euro"
METHODS = (SYMMETRIC, ONE_EURO)
# Seconds on either side that the strongest smoothing looks at.
_LONGEST_REACH = 0.3
# Cutoffs in hertz of the weakest and the strongest One Euro filter at rest, and how much a change of 1 a second adds.
_CUTOFFS, _CUTOFF_RISES, _SPEED_CUTOFF = (12.0, 1.5), 3.0, 6.0
# How far lids close beyond what they do in the half second around, for a blink, and for how long at most in seconds.
_BLINK, _AROUND, _LONGEST_BLINK = 0.22, 0.25, 0.5
_SHUT = 0.5
LIDS = tuple(ARKIT_INDEX[f"eyeBlink{side}"] for side in ("Left", "Right"))
GAZE = tuple(index for index, name in enumerate(ARKIT_NAMES) if name.startswith("eyeLook"))
_OTHERS = tuple(index for index in range(len(ARKIT_NAMES)) if index not in {*LIDS, *GAZE})


def reach_of(strength: float, rate: float) -> int:
    """Frames on either side over which a strength from 0 to 1 smooths at a rate of frames a second; 0 where they lie so far
    apart in time that nothing of one is in the next."""
    return round(strength * _LONGEST_REACH * rate)


def calm(values: Tensor, shots: Tensor, rate: float, strength: float, method: str, weights: Tensor | None = None) -> Tensor:
    """Values [T, C] over time, smoothed by a strength from 0 (as they are) to 1; nothing crosses a cut.

    shots: numbers [T]. weights [T]: how much each frame counts. Raises ValueError for an unknown method.
    """
    if method not in METHODS:
        raise ValueError(f"smoothing: {method!r} is unknown; expected one of {', '.join(METHODS)}")
    if strength <= 0 or len(values) < 2:
        return values
    if method == SYMMETRIC:
        return smooth_shots(values, shots, reach_of(strength, rate), weights=weights)
    weak, strong = (math.log(cutoff) for cutoff in _CUTOFFS)
    return _one_euro(values, shots, rate, math.exp(weak + (strong - weak) * strength), weights)


def calm_expression(
    values: Tensor, shots: Tensor, rate: float, strength: float, method: str, keep_blinks: bool = True
) -> Tensor:
    """Coefficients [T, 52] over time, as `calm`; `keep_blinks` leaves each blink as it was read.

    Where the lids are shut nobody sees where the eyes look: such frames say nothing of the gaze.
    """
    result = values.clone()
    lids = values[:, list(LIDS)]
    blinks = blinking(lids.mean(1), shots, rate)
    open_eyes = (lids.mean(1) < _SHUT).to(values.dtype)
    parts = [(_OTHERS, None), (GAZE, open_eyes.clamp_min(0.02)), (LIDS, (~blinks).to(values.dtype) if keep_blinks else None)]
    for part, weights in parts:
        columns = list(part)
        result[:, columns] = calm(values[:, columns], shots, rate, strength, method, weights)
    if keep_blinks:
        result[:, list(LIDS)] = torch.where(blinks[:, None], lids, result[:, list(LIDS)])
    return result


def blinking(closed: Tensor, shots: Tensor, rate: float) -> Tensor:
    """Which frames [T] belong to a blink, of how far the lids are closed [T], 0..1: shortly, and well above what is around."""
    count, around = len(closed), max(1, round(_AROUND * rate))
    blinks = torch.zeros(count, dtype=torch.bool)
    for shot in shots.unique().tolist():
        places = torch.nonzero(shots == shot)[:, 0]
        own = closed[places]
        padded = torch.cat((own[:1].expand(around), own, own[-1:].expand(around)))
        usual = padded.unfold(0, 2 * around + 1, 1).median(1).values
        blinks[places] = own - usual > _BLINK
    runs = torch.zeros_like(blinks)
    for start, end in _runs(blinks):
        if end - start <= _LONGEST_BLINK * rate:
            # The slopes on either side belong to it.
            runs[max(0, start - 1) : end + 1] = True
    return runs


def _runs(chosen: Tensor) -> list[tuple[int, int]]:
    """First frames and those after the last of the runs of True."""
    edges = torch.diff(torch.cat((torch.zeros(1), chosen.float(), torch.zeros(1))))
    return list(zip(torch.nonzero(edges > 0)[:, 0].tolist(), torch.nonzero(edges < 0)[:, 0].tolist(), strict=True))


def _one_euro(values: Tensor, shots: Tensor, rate: float, cutoff: float, weights: Tensor | None) -> Tensor:
    result = values.clone()
    speed = torch.zeros_like(values[0])
    for number in range(1, len(values)):
        if shots[number] != shots[number - 1]:
            speed = torch.zeros_like(speed)
            continue
        counts = 1.0 if weights is None else float(weights[number])
        change = (values[number] - result[number - 1]) * rate
        speed = speed + counts * _share(torch.tensor(_SPEED_CUTOFF), rate) * (change - speed)
        share = counts * _share(cutoff + _CUTOFF_RISES * speed.abs(), rate)
        result[number] = result[number - 1] + share * (values[number] - result[number - 1])
    return result


def _share(cutoff: Tensor, rate: float) -> Tensor:
    """How much of the way to a new value a first-order low pass goes in one frame."""
    turn = 2 * math.pi * cutoff / rate
    return turn / (turn + 1)
