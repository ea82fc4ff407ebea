"""The expression value that words, sliders, photos, interpolation and training labels share."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .arkit import ARKIT_NAMES, PARTS, part_mask
from .vocabulary import NEUTRAL

POSE_AXES = ("pitch", "yaw", "roll")
HEAD = "head"
"""Name under which `Expression.select_parts` takes the head pose beside the parts of the face."""


@dataclass(frozen=True, eq=False)
class Expression:
    """A batch of B facial expressions; nothing in it depends on who wears them.

    coefficients: float [B, 52], ARKit blendshapes in `ARKIT_NAMES` order, each in [0, 1].
    pose: float [B, 3] in radians (pitch, yaw, roll), or None where the source says nothing about the head. Positive
        pitch raises the face, positive yaw turns it to the person's own left (the viewer's right), positive roll tips
        the head onto the person's own left shoulder (clockwise for the viewer). With x to the viewer's right, y up and
        z towards the viewer the rotation is R = R_y(yaw) R_x(-pitch) R_z(-roll), each factor right-handed.
    words: B source words, None where the row does not come from a word; left out, all None.

    Raises TypeError for a field that is no tensor, ValueError for a wrong shape, dtype, device or value; the message
    names the field, the index and the coefficient or angle.
    """

    coefficients: Tensor
    pose: Tensor | None = None
    words: tuple[str | None, ...] = ()

    def __post_init__(self) -> None:
        _check_tensor("coefficients", self.coefficients, ARKIT_NAMES)
        _check_values("coefficients", self.coefficients, ARKIT_NAMES, (0.0, 1.0), "scale or clamp it first")
        if self.pose is not None:
            _check_tensor("pose", self.pose, POSE_AXES)
            _check_values("pose", self.pose, POSE_AXES, (-math.pi, math.pi), "angles are in radians, not degrees")
            _check_pose_matches(self.pose, self.coefficients)
        object.__setattr__(self, "words", tuple(self.words) or (None,) * len(self))
        if len(self.words) != len(self):
            raise ValueError(f"words has {len(self.words)} entries for a batch of {len(self)}; expected one per row")
        for index, word in enumerate(self.words):
            if word is not None and not isinstance(word, str):
                raise ValueError(f"words[{index}] is {word!r}; expected a string or None")

    def __len__(self) -> int:
        return self.coefficients.shape[0]

    @classmethod
    def neutral(cls, batch: int = 1) -> Expression:
        """A face at rest, head upright: zeros in float32 on the CPU."""
        if batch < 1:
            raise ValueError(f"batch is {batch}; expected at least 1")
        return cls(torch.zeros(batch, len(ARKIT_NAMES)), torch.zeros(batch, len(POSE_AXES)), (NEUTRAL,) * batch)

    def to(self, *args, **kwargs) -> Expression:
        """Copy with both tensors through `Tensor.to` (device, dtype)."""
        pose = None if self.pose is None else self.pose.to(*args, **kwargs)
        return replace(self, coefficients=self.coefficients.to(*args, **kwargs), pose=pose)

    def scaled(self, intensity: float | Tensor) -> Expression:
        """Coefficients and pose times `intensity`: one number, or a tensor [B] with one for each row.

        0 is neutral, 1 changes nothing, above 1 exaggerates until a coefficient reaches 1 (pose: a half turn).
        Raises ValueError for a negative or non-finite intensity or a wrong shape.
        """
        factor = torch.as_tensor(intensity, dtype=self.coefficients.dtype, device=self.coefficients.device)
        if factor.shape not in {(), (len(self),)}:
            raise ValueError(
                f"intensity has shape {list(factor.shape)}; expected one number, or [{len(self)}]: one for each row"
            )
        if not bool(torch.isfinite(factor).all()) or bool((factor < 0).any()):
            raise ValueError(f"intensity is {intensity}; expected finite numbers, 0 or more")
        factor = factor.reshape(-1, 1)
        pose = None if self.pose is None else (self.pose * factor).clamp(-math.pi, math.pi)
        return replace(self, coefficients=(self.coefficients * factor).clamp(0, 1), pose=pose)

    def select_parts(self, parts: str | Iterable[str], otherwise: Expression | None = None) -> Expression:
        """Keep the named parts (keys of `PARTS`, and "head" for the pose); take the rest from `otherwise`.

        Without `otherwise` the rest of the face is neutral and an unnamed head has no pose. `otherwise` must have the
        same length, or one row for all. Raises ValueError for an unknown part or unequal lengths.
        """
        chosen = {parts} if isinstance(parts, str) else set(parts)
        unknown = chosen - {*PARTS, HEAD}
        if unknown:
            raise ValueError(f"unknown part {sorted(map(str, unknown))[0]!r}; expected {', '.join(PARTS)} or {HEAD}")
        if otherwise is None:
            rest, rest_pose = torch.zeros_like(self.coefficients), None
        else:
            other = otherwise.expand(len(self)).to(self.coefficients)
            rest, rest_pose = other.coefficients, other.pose
        mask = part_mask(chosen - {HEAD}).to(self.coefficients.device)
        pose = self.pose if HEAD in chosen else rest_pose
        return replace(self, coefficients=torch.where(mask, self.coefficients, rest), pose=pose)

    def expand(self, batch: int) -> Expression:
        """`batch` rows from one; a batch that has this length already is returned as it is.

        Raises ValueError for any other length: rows are never dropped or cycled silently.
        """
        if len(self) == batch:
            return self
        if len(self) != 1 or batch < 1:
            raise ValueError(f"cannot expand {len(self)} expression(s) to {batch}; expected 1, or {batch} already")
        pose = None if self.pose is None else self.pose.expand(batch, -1)
        return Expression(self.coefficients.expand(batch, -1), pose, self.words * batch)


def _check_tensor(field: str, value: Tensor, columns: tuple[str, ...]) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(f"{field} is a {type(value).__name__}; expected a torch tensor [batch, {len(columns)}]")
    if value.shape[1:] != (len(columns),) or value.shape[0] < 1:
        raise ValueError(f"{field} has shape {list(value.shape)}; expected [batch, {len(columns)}], batch 1 or more")
    if not value.is_floating_point():
        raise ValueError(f"{field} has dtype {value.dtype}; expected a floating-point type")


def _check_values(field: str, value: Tensor, columns: tuple[str, ...], bounds: tuple[float, float], advice: str) -> None:
    lowest, highest = bounds
    inside = (value >= lowest) & (value <= highest)  # false for NaN too
    if bool(inside.all()):
        return
    row, column = (~inside).nonzero()[0].tolist()
    found = value[row, column].item()
    if not math.isfinite(found):
        advice = "look for the step that produced it"
    raise ValueError(
        f"{field}[{row}, {column}] ({columns[column]}) is {found:.6g}; "
        f"expected a finite number from {lowest:.6g} to {highest:.6g}: {advice}"
    )


def _check_pose_matches(pose: Tensor, coefficients: Tensor) -> None:
    for aspect, found, expected in (
        ("batch size", pose.shape[0], coefficients.shape[0]),
        ("dtype", pose.dtype, coefficients.dtype),
        ("device", pose.device, coefficients.device),
    ):
        if found != expected:
            raise ValueError(f"pose has {aspect} {found}; expected {expected}, as coefficients has")
