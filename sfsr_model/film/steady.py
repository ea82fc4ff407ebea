"""What belongs to a face over time, made steady without lag: its points, the scale of its crop, its colours.

Each value becomes that of a polynomial fitted to the frames around it, near ones weighted most (local regression; Cleveland,
JASA 1979; Savitzky and Golay 1964 for even frames). The window is symmetric, so nothing lags, and a polynomial of the second
degree keeps speed and acceleration, so a turning head is followed. A frame depends on its window alone: a film smoothed part by
part, with as many frames more at either end, comes out the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ..face.crop import crop_transform

POINTS_REACH = 5
"""Frames on either side over which points are smoothed by default; at 30 frames a second a third of a second in all."""
SCALE_TIMES = 3
"""The crop's scale is smoothed over so many times the frames that the points are: a head that turns does not zoom the crop."""
COLOUR_REACH = 15
"""Frames on either side over which the match of colours is smoothed."""
CALM_REACH = 5
"""Frames on either side with which new faces are calmed."""
# What two frames of a calm face differ by without a movement, in 0..1, looked at over this share of the crop's side.
_UNMOVED, _PATCH = 16 / 255, 0.04
# Added to the diagonal for slope and curvature, in units of the window: what too few frames say of them is not believed.
_DOUBT = 1e-3


def smooth(values: Tensor, reach: int, degree: int = 2, weights: Tensor | None = None) -> Tensor:
    """Values [T, ...] over time, each replaced by its fit to the frames up to `reach` away; float64 inside.

    degree: 0, 1 or 2. weights [T]: how much each frame counts, 0 for one that is to be filled in; a frame without any in its
    window stays as it is. Raises ValueError for another degree or a reach below 0.
    """
    if reach < 0 or degree not in (0, 1, 2):
        raise ValueError(f"smooth: expected a reach from 0 on and a degree of 0, 1 or 2, got {reach} and {degree}")
    count = len(values)
    if reach == 0 or count < 2:
        return values
    flat = values.reshape(count, -1).to(torch.float64)
    counts = torch.ones(count, dtype=torch.float64) if weights is None else weights.to(torch.float64)
    places = torch.arange(count)[:, None] + torch.arange(-reach, reach + 1)
    inside = (places >= 0) & (places < count)
    places = places.clamp(0, count - 1)
    offset = torch.arange(-reach, reach + 1, dtype=torch.float64) / (reach + 1)
    weight = (1 - offset.abs() ** 3) ** 3 * inside * counts[places]
    powers = offset[:, None] ** torch.arange(degree + 1)
    normal = torch.einsum("tk,ki,kj->tij", weight, powers, powers)
    normal += torch.diag(torch.tensor([0.0, _DOUBT, _DOUBT][: degree + 1], dtype=torch.float64)) * weight.sum(1)[:, None, None]
    known = normal[:, 0, 0] > 0
    normal[~known] = torch.eye(degree + 1, dtype=torch.float64)
    # The row of the fit's value at the frame itself; its weights for the window's frames.
    first = torch.linalg.solve(normal, torch.eye(degree + 1, dtype=torch.float64)[:, :1].expand(count, -1, -1))
    row = (first[..., 0] @ powers.T) * weight
    fitted = torch.einsum("tk,tkd->td", row, flat[places])
    return torch.where(known[:, None], fitted, flat).reshape(values.shape).to(values.dtype)


def smooth_shots(values: Tensor, shots: Tensor, reach: int, degree: int = 2, weights: Tensor | None = None) -> Tensor:
    """The same for values [T, ...] of several shots one after another (numbers [T]); nothing crosses a cut."""
    parts = []
    start = 0
    _, lengths = torch.unique_consecutive(shots, return_counts=True)
    for length in lengths.tolist():
        part = slice(start, start + length)
        parts.append(smooth(values[part], reach, degree, None if weights is None else weights[part]))
        start += length
    return torch.cat(parts) if parts else values


def calm(face: Tensor, about: Sequence[tuple[int, Tensor]], reach: int) -> Tensor:
    """A new face [S, S, 3] of a film, averaged with those of the frames about it wherever nothing moves.

    about: how far each of them is from this frame, up to `reach`, and its face. A patch counts the less the more it differs, so
    flicker goes and a blink stays (a bilateral filter in time; Tomasi and Manduchi, ICCV 1998).
    """
    own = face.movedim(-1, 0)
    total, weights = own.clone(), torch.ones_like(own[:1])
    half = max(1, round(_PATCH * len(face) / 2))
    for offset, other in about:
        there = other.movedim(-1, 0)
        unlike = (there - own).abs().mean(0, keepdim=True)
        unlike = F.avg_pool2d(F.pad(unlike[None], (half,) * 4, mode="replicate"), 2 * half + 1, 1)[0]
        weight = (1 - (abs(offset) / (reach + 1)) ** 3) ** 3 * (-((unlike / _UNMOVED) ** 2)).exp()
        total += weight * there
        weights += weight
    return (total / weights).movedim(0, -1)


def steady_transforms(points: Tensor, shots: Tensor, size: int, reach: int) -> Tensor:
    """Transforms [T, 2, 3] from picture to crop pixels for steady points [T, 5, 2], whose scale changes slowly within a shot.

    As `crop_transform` but for the scale: place and angle are the points' own.
    """
    own = crop_transform(points, size)
    scale = torch.linalg.det(own[..., :2]).sqrt().log()
    ratio = (smooth_shots(scale, shots, SCALE_TIMES * reach, degree=1) - scale).exp()
    middle = points.mean(-2)[..., None]
    linear = own[..., :2] * ratio[:, None, None]
    return torch.cat((linear, own[..., :2] @ middle + own[..., 2:] - linear @ middle), -1)


def filled(points: Tensor, seen: Tensor, shots: Tensor) -> Tensor:
    """Points [T, 5, 2] with those of unseen frames on the straight way between the seen ones about them in their shot; before
    the first and after the last they stand still. A shot without any takes the nearest frame's.

    seen: bool [T], at least one. Raises ValueError for none.
    """
    known = torch.nonzero(seen)[:, 0]
    if not len(known):
        raise ValueError("film: no frame shows the face that is followed")
    result = points.clone()
    for number in torch.nonzero(~seen)[:, 0].tolist():
        own = known[shots[known] == shots[number]]
        near = known[(known - number).abs().argmin()]
        before, after = own[own < number], own[own > number]
        left = before[-1] if len(before) else after[0] if len(after) else near
        right = after[0] if len(after) else left
        share = (number - left) / (right - left) if right > left else 0.0
        result[number] = torch.lerp(points[left], points[right], float(share))
    return result
