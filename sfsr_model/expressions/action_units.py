"""FACS action units as ARKit coefficients and head pose.

FACS (Ekman, Friesen & Hager 2002) and Apple describe much the same movements, but no table between them is standard;
this one is the project's. An entry of weight 1 is the blendshape that names the unit's movement; smaller weights are
movements that accompany it (a raised cheek lifts the lower lid, a raised chin pushes the upper lip as well).
Units that share a coefficient add up, to 1 at most.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import cache

import torch
from torch import Tensor

from .arkit import ARKIT_INDEX, ARKIT_NAMES
from .value import POSE_AXES

_Weights = tuple[tuple[str, float], ...]

# A stem that ends in * stands for its Left and Right coefficients.
_FACE: dict[int, _Weights] = {
    1: (("browInnerUp", 1.0),),
    2: (("browOuterUp*", 1.0),),
    4: (("browDown*", 1.0),),
    5: (("eyeWide*", 1.0),),
    6: (("cheekSquint*", 1.0), ("eyeSquint*", 0.35)),
    7: (("eyeSquint*", 1.0),),
    9: (("noseSneer*", 1.0), ("mouthUpperUp*", 0.25)),
    10: (("mouthUpperUp*", 1.0), ("noseSneer*", 0.2)),
    12: (("mouthSmile*", 1.0),),
    14: (("mouthDimple*", 1.0),),
    15: (("mouthFrown*", 1.0),),
    16: (("mouthLowerDown*", 1.0),),
    17: (("mouthShrugLower", 1.0), ("mouthShrugUpper", 0.5)),
    18: (("mouthPucker", 1.0),),
    19: (("tongueOut", 1.0), ("jawOpen", 0.25)),
    20: (("mouthStretch*", 1.0),),
    22: (("mouthFunnel", 1.0),),
    23: (("mouthPress*", 0.4), ("mouthRollLower", 0.4), ("mouthRollUpper", 0.4)),
    24: (("mouthPress*", 1.0),),
    25: (("mouthLowerDown*", 0.4), ("mouthUpperUp*", 0.25), ("jawOpen", 0.1)),
    26: (("jawOpen", 0.55),),  # the jaw falls by its weight; 27 pulls it down to the full
    27: (("jawOpen", 1.0),),
    28: (("mouthRollLower", 1.0), ("mouthRollUpper", 1.0)),
    29: (("jawForward", 1.0),),
    34: (("cheekPuff", 1.0),),
    41: (("eyeBlink*", 0.4),),
    43: (("eyeBlink*", 1.0),),
    45: (("eyeBlink*", 1.0),),
}

# Units whose direction is part of their code. Gaze to the left turns the left eye outwards and the right eye inwards.
_DIRECTED: dict[str, _Weights] = {
    "L30": (("jawLeft", 1.0),),
    "R30": (("jawRight", 1.0),),
    "61": (("eyeLookOutLeft", 1.0), ("eyeLookInRight", 1.0)),
    "62": (("eyeLookOutRight", 1.0), ("eyeLookInLeft", 1.0)),
    "63": (("eyeLookUpLeft", 1.0), ("eyeLookUpRight", 1.0)),
    "64": (("eyeLookDownLeft", 1.0), ("eyeLookDownRight", 1.0)),
}

# Units that coefficients are not explained by, unless they are asked for: 27, 41 and 45 are degrees of what 26 and 43 name,
# and a lower lip that 16 pulls down has left the upper one, which FACS codes as 25.
_IMPLIED = (16, 27, 41, 45)
_MOST_SWEEPS, _SETTLED = 1000, 1e-7

# Axis and degrees at intensity 1, in the sign convention of Expression.pose. 57 and 58 move the head forwards and back;
# a rotation cannot, so they stand as the small nod that goes with it.
_HEAD: dict[str, tuple[str, float]] = {
    "51": ("yaw", 30.0),
    "52": ("yaw", -30.0),
    "53": ("pitch", 20.0),
    "54": ("pitch", -20.0),
    "55": ("roll", 20.0),
    "56": ("roll", -20.0),
    "57": ("pitch", -6.0),
    "58": ("pitch", 6.0),
}


def action_units_to_arkit(units: Mapping[int | str, float]) -> tuple[Tensor, Tensor | None]:
    """Coefficients float32 [52] in [0, 1] and pose [3] in radians, or None where no unit moves the head.

    units: code to intensity in [0, 1]. A code is a FACS number, as int or string, with L or R in front for one side of
    the face ("L12"); one side of a coefficient that has no sides of its own counts half. 30 (jaw sideways) needs a
    side; head (51-58) and gaze (61-64) take none.

    Raises ValueError for an unknown code or an intensity outside [0, 1].
    """
    coefficients = torch.zeros(len(ARKIT_NAMES))
    angles = torch.zeros(len(POSE_AXES))
    head_moves = False
    for given, intensity in units.items():
        code = str(given).strip().upper()
        if not 0 <= intensity <= 1:  # NaN is refused here as well
            raise ValueError(f"action unit {code} has intensity {intensity}; expected a number from 0 to 1")
        if code in _HEAD:
            axis, degrees = _HEAD[code]
            angles[POSE_AXES.index(axis)] += math.radians(degrees) * intensity
            head_moves = True
        else:
            for name, weight in _weights(code):
                coefficients[ARKIT_INDEX[name]] += weight * intensity
    return coefficients.clamp(max=1), angles if head_moves else None


def arkit_to_action_units(coefficients: Tensor, units: Sequence[int]) -> Tensor:
    """Intensities [B, U] in [0, 1] of two-sided units, by FACS number, in coefficients [B, 52]: the table the other way round.

    Coefficients are explained by the units of the face all at once (least squares within [0, 1]), and those that were asked
    for are given. So a squint (7) is not taken for a raised cheek (6), nor a raised lip (10) for a wrinkled nose (9). What
    only one side shows counts half. A jaw that 27 pulls down is 26 at its full. FACS codes lips that part as 25 whatever parts
    them: a lower lip pulled down (16) is 25, and so is a fallen jaw, by as much as mouthClose does not close again.

    Raises ValueError for a unit that the table does not have.
    """
    for unit in units:
        _weights(str(unit))
    known = [unit for unit in _FACE if unit not in _IMPLIED]
    known += [unit for unit in units if unit not in known]
    given = coefficients.to("cpu", torch.float64)
    found = dict(zip(known, _explained(_table(tuple(known)), given).unbind(dim=-1), strict=True))
    if 25 in found:
        gap = given[:, ARKIT_INDEX["jawOpen"]] - given[:, ARKIT_INDEX["mouthClose"]]
        found[25] = torch.maximum(found[25], gap / dict(_weights("26"))["jawOpen"])
    return torch.stack([found[unit].clamp(0, 1) for unit in units], dim=-1).to(coefficients)


@cache
def _table(units: tuple[int, ...]) -> Tensor:
    """Columns of coefficients [52, U], one for each unit at its full."""
    table = torch.zeros(len(ARKIT_NAMES), len(units), dtype=torch.float64)
    for column, unit in enumerate(units):
        for name, weight in _weights(str(unit)):
            table[ARKIT_INDEX[name], column] = weight
    return table


def _explained(table: Tensor, wanted: Tensor) -> Tensor:
    """x [B, U] in [0, 1] with the least |table x - wanted|, for wanted [B, N], by descent along one number at a time."""
    products, target = table.T @ table, wanted @ table
    found = torch.zeros_like(target)
    for _ in range(_MOST_SWEEPS):
        before = found.clone()
        for column in range(found.shape[-1]):
            left = target[:, column] - found @ products[:, column]
            found[:, column] = (found[:, column] + left / products[column, column]).clamp(0, 1)
        if (found - before).abs().amax() < _SETTLED:
            break
    return found


def _weights(code: str) -> _Weights:
    """ARKit names and weights of one unit of face or gaze."""
    if code in _DIRECTED:
        return _DIRECTED[code]
    parsed = re.fullmatch(r"([LR]?)([0-9]{1,2})", code)
    if parsed is None or int(parsed[2]) not in _FACE:
        raise ValueError(
            f"unknown action unit {code!r}; expected {', '.join(map(str, _FACE))} (these also with L or R in front), "
            f"{', '.join([*_DIRECTED, *_HEAD])}"
        )
    sides = {"L": ("Left",), "R": ("Right",), "": ("Left", "Right")}[parsed[1]]
    resolved: list[tuple[str, float]] = []
    for stem, weight in _FACE[int(parsed[2])]:
        if stem.endswith("*"):
            resolved += [(stem[:-1] + side, weight) for side in sides]
        else:
            resolved.append((stem, weight * len(sides) / 2))
    return tuple(resolved)
