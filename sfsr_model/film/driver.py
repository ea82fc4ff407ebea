"""A driver's expressions over a film, as another face is to wear them: no gaps, calm, without the driver's own resting face."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..expressions import ARKIT_INDEX, ARKIT_NAMES, Expression, clamp_flame
from ..naming import listed
from .smoothing import GAZE, LIDS, METHODS, blinking, calm, calm_expression

HOLD, INTERPOLATE, NEUTRAL, REFUSE = "hold the last face", "interpolate", "neutral", "error"
MISSING = (INTERPOLATE, HOLD, NEUTRAL, REFUSE)
QUIETEST, FRAME, AS_READ = "quietest frames", "chosen frame", "as read"
RESTS = (QUIETEST, FRAME, AS_READ)
RELATIVE, ABSOLUTE, NO_POSE = "relative", "absolute", "none"
POSES = (RELATIVE, ABSOLUTE, NO_POSE)

# What share of the frames is quietest, and how many there are at least.
_QUIET_SHARE, _QUIET_LEAST = 0.08, 3
# A channel's floor: what it goes below in so few of the frames.
_FLOOR = 0.1
# What a head turned by a radian counts beside coefficients, as resting faces look into the camera.
_TURNED = 2.0
# No resting face reads higher: more is an expression that was worn throughout.
_MOST_AT_REST = 0.45
# How lids that are shut count for a resting face: not at all.
_SHUT = 0.5
_MIN_ANGLE, _MAX_ANGLE = -math.pi, math.pi
_OPPOSITES = tuple(
    (ARKIT_INDEX[one], ARKIT_INDEX[other])
    for one, other in (
        *((f"eyeLookIn{side}", f"eyeLookOut{side}") for side in ("Left", "Right")),
        *((f"eyeLookUp{side}", f"eyeLookDown{side}") for side in ("Left", "Right")),
        ("jawLeft", "jawRight"),
        ("mouthLeft", "mouthRight"),
    )
)
_COUNTED = [index for index in range(len(ARKIT_NAMES)) if index not in {*LIDS, *GAZE}]


@dataclass(frozen=True, eq=False)
class Readings:
    """What was read of one face in T frames. coefficients float [T, 52] in 0..1; pose [T, 3] in radians, or None where nothing
    was said of the head; flame [T, 55] or None; seen bool [T]: whether the frame shows it (the other rows mean nothing);
    shots [T]: the number of each frame's shot; smirk: as `Expression.smirk`."""

    coefficients: Tensor
    pose: Tensor | None
    seen: Tensor
    shots: Tensor
    flame: Tensor | None = None
    smirk: str = ""

    def __len__(self) -> int:
        return len(self.coefficients)


@dataclass(frozen=True)
class DriverSettings:
    """missing: of MISSING, for frames without the face. smoothing: 0..1; method: of METHODS; keep_blinks: leave blinks sharp.
    rest: of RESTS, which frames show the resting face; rest_frame: the chosen one. pose: of POSES.

    Raises ValueError naming a setting that is none.
    """

    missing: str = INTERPOLATE
    smoothing: float = 0.4
    method: str = METHODS[0]
    keep_blinks: bool = True
    rest: str = QUIETEST
    rest_frame: int = 0
    pose: str = RELATIVE

    def __post_init__(self) -> None:
        for name, known in (("missing", MISSING), ("method", METHODS), ("rest", RESTS), ("pose", POSES)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name}: {getattr(self, name)!r} is unknown; expected one of {', '.join(known)}")
        if not 0 <= self.smoothing <= 1:
            raise ValueError(f"smoothing: expected 0 to 1, got {self.smoothing}")


@dataclass(frozen=True, eq=False)
class Driven:
    """expression: T rows. raw: the coefficients as read, gaps filled, [T, 52]. rest: coefficients [52] and pose [3] of the
    driver's resting face, which was taken off. rest_frames: those it was taken from. blinks: how many there are."""

    expression: Expression
    raw: Tensor
    rest: Tensor
    rest_frames: tuple[int, ...]
    blinks: int


def drive(readings: Readings, rate: float, settings: DriverSettings, rest_frames: Sequence[int]) -> Driven:
    """The expressions that another face is to wear, at a rate of frames a second. rest_frames: as `resting_frames` finds them.

    Raises ValueError for a film that never shows the face, and for frames without it where the settings refuse them.
    """
    seen, missing = readings.seen, torch.nonzero(~readings.seen)[:, 0].tolist()
    if not bool(seen.any()):
        raise ValueError(f"no face was read in any of the {len(readings)} frames")
    if missing and settings.missing == REFUSE:
        raise ValueError(
            f"{len(missing)} of {len(readings)} frames show no face (counted from 0: {listed(missing, 6)}); set no_face to "
            f"'{INTERPOLATE}' or another policy, or leave such frames out"
        )
    rows = list(rest_frames)
    kept = settings.rest == AS_READ  # nothing is taken off
    rest = torch.zeros(len(ARKIT_NAMES)) if kept else _resting(readings.coefficients[rows])
    raw = _filled(readings.coefficients, seen, settings.missing, rest)
    shots = readings.shots
    worn = calm_expression(raw, shots, rate, settings.smoothing, settings.method, settings.keep_blinks)
    worn = worn.clamp(0, 1) if kept else _without(worn, rest)

    def followed(values: Tensor | None, as_read: bool) -> Tensor | None:
        """Other numbers [T, C] in the same way, less what they are at rest unless they are wanted as read."""
        if values is None:
            return None
        at_rest = values[rows].median(0).values
        filled = _filled(values, seen, settings.missing, at_rest)
        moved = calm(filled, shots, rate, settings.smoothing, settings.method)
        return moved if as_read else moved - at_rest

    pose = None if settings.pose == NO_POSE else followed(readings.pose, settings.pose == ABSOLUTE)
    flame = followed(readings.flame, kept)
    expression = Expression(
        worn.float(),
        None if pose is None else pose.float().clamp(_MIN_ANGLE, _MAX_ANGLE),
        flame=None if flame is None else clamp_flame(flame.float()),
        smirk=readings.smirk,
    )
    lids = raw[:, list(LIDS)].mean(1)
    blinks = blinking(lids, shots, rate).int()
    count = int((torch.diff(blinks, prepend=blinks.new_zeros(1)) > 0).sum())
    return Driven(expression, raw, rest, () if kept else tuple(rows), count)


def quietest(readings: Readings) -> list[int]:
    """The frames in which the face rests, as far as it ever does: where the movements lie nearest to their own floor and the
    head nearest to where it mostly looks. A film in which somebody smiles throughout has no better ones."""
    known = torch.nonzero(readings.seen)[:, 0]
    values = readings.coefficients[known].double()
    counted = values[:, _COUNTED]
    raised = (counted - torch.quantile(counted, _FLOOR, dim=0)).clamp_min(0).sum(1)
    if readings.pose is not None:
        pose = readings.pose[known].double()
        raised = raised + _TURNED * (pose - pose.median(0).values).norm(dim=1)
    open_eyes = values[:, list(LIDS)].mean(1) < _SHUT
    if bool(open_eyes.any()):
        raised[~open_eyes] = float("inf")
    count = min(max(_QUIET_LEAST, round(_QUIET_SHARE * len(known))), len(known))
    return sorted(known[raised.argsort()[:count]].tolist())


def resting_frames(readings: Readings, settings: DriverSettings) -> list[int]:
    """The frames that show the driver at rest. Raises ValueError for a chosen one that is missing or does not show the face."""
    if settings.rest != FRAME:
        return quietest(readings)
    number = settings.rest_frame
    if not 0 <= number < len(readings):
        raise ValueError(f"there is no frame {number}; expected 0 to {len(readings) - 1}")
    if not bool(readings.seen[number]):
        raise ValueError(f"frame {number} shows no face; choose one in which the driver rests and looks ahead")
    return [number]


def _resting(values: Tensor) -> Tensor:
    """The resting face [52] of the frames [N, 52] that show it."""
    return values.median(0).values.clamp(0, _MOST_AT_REST)


def _without(values: Tensor, rest: Tensor) -> Tensor:
    """Coefficients [T, 52] as they would be, did the face at rest read as zeros: 1 stays 1.

    Opposite movements are one: who looks a little down at rest and then ahead has looked up.
    """
    result = ((values - rest) / (1 - rest)).clamp(0, 1)
    for one, other in _OPPOSITES:
        moved = values[:, one] - values[:, other] - (rest[one] - rest[other])
        result[:, one], result[:, other] = moved.clamp(0, 1), (-moved).clamp(0, 1)
    return result


def _filled(values: Tensor, seen: Tensor, policy: str, rest: Tensor) -> Tensor:
    """Values [T, C] in which the frames that were not seen have got something."""
    known = torch.nonzero(seen)[:, 0]
    result = values.clone()
    for number in torch.nonzero(~seen)[:, 0].tolist():
        before, after = known[known < number], known[known > number]
        left = int(before[-1]) if len(before) else int(after[0])
        right = int(after[0]) if len(after) else left
        if policy == NEUTRAL:
            result[number] = rest.to(result)
        elif policy == HOLD or left == right:
            result[number] = values[left]
        else:
            result[number] = torch.lerp(values[left], values[right], (number - left) / (right - left))
    return result
