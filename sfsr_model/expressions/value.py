"""The expression value that words, sliders, photos, interpolation and training labels share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .arkit import ARKIT_NAMES, PARTS, part_mask
from .flame import FLAME_NAMES, HIGHEST, LOWEST, clamp_flame
from .vocabulary import NEUTRAL

POSE_AXES = ("pitch", "yaw", "roll")
# What a bound may grow by when it is rounded to another type.
_ROUNDING = 1e-3
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
    flame: float [B, 55] in `FLAME_NAMES` order and within SMIRK's bounds, the same expressions read a second time, by SMIRK's
        network; None where it did not read them. Parts of the face and sliders cannot be applied to these numbers: what
        changes the coefficients so leaves them out.
    smirk: SHA-256, in hexadecimal, of the SMIRK file that flame is by, or that belongs to the expression where it has no flame:
        the map measured with that file turns its coefficients into flame. Empty where no file does.

    Raises TypeError for a field that is no tensor, ValueError for a wrong shape, dtype, device or value; the message
    names the field, the index and the coefficient or angle.
    """

    coefficients: Tensor
    pose: Tensor | None = None
    words: tuple[str | None, ...] = ()
    flame: Tensor | None = None
    smirk: str = ""

    def __post_init__(self) -> None:
        _check_tensor("coefficients", self.coefficients, ARKIT_NAMES)
        _check_values("coefficients", self.coefficients, ARKIT_NAMES, (0.0, 1.0), "scale or clamp it first")
        if self.pose is not None:
            _check_tensor("pose", self.pose, POSE_AXES)
            _check_values("pose", self.pose, POSE_AXES, (-math.pi, math.pi), "angles are in radians, not degrees")
            _check_matches("pose", self.pose, self.coefficients)
        if self.flame is not None:
            _check_tensor("flame", self.flame, FLAME_NAMES)
            _check_values("flame", self.flame, FLAME_NAMES, (LOWEST, HIGHEST), "clamp it with clamp_flame", _ROUNDING)
            _check_matches("flame", self.flame, self.coefficients)
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
        """Copy with all tensors through `Tensor.to` (device, dtype)."""
        return self._changed(lambda values: values.to(*args, **kwargs), self.words)

    def scaled(self, intensity: float | Tensor) -> Expression:
        """Coefficients, pose and flame times `intensity`: one number, or a tensor [B] with one for each row.

        0 is neutral, 1 changes nothing, above 1 exaggerates until a coefficient reaches 1 (pose: a half turn; flame: SMIRK's
        bounds).
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
        flame = None if self.flame is None else clamp_flame(self.flame * factor)
        return replace(self, coefficients=(self.coefficients * factor).clamp(0, 1), pose=pose, flame=flame)

    def select_parts(self, parts: str | Iterable[str], otherwise: Expression | None = None) -> Expression:
        """Keep the named parts (keys of `PARTS`, and "head" for the pose); take the rest from `otherwise`.

        Without `otherwise` the rest of the face is neutral and an unnamed head has no pose. `otherwise` must have the
        same length, or one row for all. A face of which parts are left out has no flame; it stays where the face is whole.
        Raises ValueError for an unknown part or unequal lengths.
        """
        chosen = {parts} if isinstance(parts, str) else set(parts)
        unknown = chosen - {*PARTS, HEAD}
        if unknown:
            raise ValueError(f"unknown part {sorted(map(str, unknown))[0]!r}; expected {', '.join(PARTS)} or {HEAD}")
        if otherwise is None:
            rest, rest_pose, rest_flame = torch.zeros_like(self.coefficients), None, None
        else:
            other = otherwise.expand(len(self)).to(self.coefficients)
            rest, rest_pose, rest_flame = other.coefficients, other.pose, other.flame
        parts_of_face = chosen - {HEAD}
        mask = part_mask(parts_of_face).to(self.coefficients.device)
        pose = self.pose if HEAD in chosen else rest_pose
        flame = self.flame if parts_of_face == set(PARTS) else None if parts_of_face else rest_flame
        smirk = self.smirk if otherwise is None else shared_smirk([self, otherwise])
        return replace(self, coefficients=torch.where(mask, self.coefficients, rest), pose=pose, flame=flame, smirk=smirk)

    def expand(self, batch: int) -> Expression:
        """`batch` rows from one; a batch that has this length already is returned as it is.

        Raises ValueError for any other length: rows are never dropped or cycled silently.
        """
        if len(self) == batch:
            return self
        if len(self) != 1 or batch < 1:
            raise ValueError(f"cannot expand {len(self)} expression(s) to {batch}; expected 1, or {batch} already")
        return self._changed(lambda values: values.expand(batch, -1), self.words * batch)

    def rows(self, numbers: Sequence[int]) -> Expression:
        """The rows of these numbers, in this order; a number may come several times."""
        return self._changed(lambda values: values[list(numbers)], tuple(self.words[number] for number in numbers))

    def _changed(self, change: Callable[[Tensor], Tensor], words: tuple[str | None, ...]) -> Expression:
        """Copy with `change` of every tensor that is there."""
        pose, flame = (None if values is None else change(values) for values in (self.pose, self.flame))
        return replace(self, coefficients=change(self.coefficients), pose=pose, words=words, flame=flame)


def shared_smirk(expressions: Iterable[Expression]) -> str:
    """The SMIRK file of those that have one; empty where none has, or where they have several."""
    files = {one.smirk for one in expressions} - {""}
    return files.pop() if len(files) == 1 else ""


def _check_tensor(field: str, value: Tensor, columns: tuple[str, ...]) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(f"{field} is a {type(value).__name__}; expected a torch tensor [batch, {len(columns)}]")
    if value.shape[1:] != (len(columns),) or value.shape[0] < 1:
        raise ValueError(f"{field} has shape {list(value.shape)}; expected [batch, {len(columns)}], batch 1 or more")
    if not value.is_floating_point():
        raise ValueError(f"{field} has dtype {value.dtype}; expected a floating-point type")


def _check_values(
    field: str,
    value: Tensor,
    columns: tuple[str, ...],
    bounds: tuple[float | Sequence[float], float | Sequence[float]],
    advice: str,
    slack: float = 0.0,
) -> None:
    """bounds: lowest and highest value, one of each for all columns or one a column; slack: what is let pass beyond them."""
    lowest, highest = (torch.as_tensor(bound, dtype=value.dtype, device=value.device) for bound in bounds)
    inside = (value >= lowest - slack) & (value <= highest + slack) & value.isfinite()
    if bool(inside.all()):
        return
    row, column = (~inside).nonzero()[0].tolist()
    found = value[row, column].item()
    if not math.isfinite(found):
        advice = "look for the step that produced it"
    low, high = (bound.expand(len(columns))[column].item() for bound in (lowest, highest))
    raise ValueError(
        f"{field}[{row}, {column}] ({columns[column]}) is {found:.6g}; "
        f"expected a finite number from {low:.6g} to {high:.6g}: {advice}"
    )


def _check_matches(field: str, value: Tensor, coefficients: Tensor) -> None:
    for aspect, found, expected in (
        ("batch size", value.shape[0], coefficients.shape[0]),
        ("dtype", value.dtype, coefficients.dtype),
        ("device", value.device, coefficients.device),
    ):
        if found != expected:
            raise ValueError(f"{field} has {aspect} {found}; expected {expected}, as coefficients has")
