"""SMIRK's 55 numbers of an expression that no photo shows: a linear map from the 52 coefficients.

The map belongs to one SMIRK file. `python -m sfsr_model.calibration` measures it on the user's machine.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from ..files import read_metadata, read_tensors, whole_file
from .arkit import ARKIT_NAMES
from .flame import FLAME_NAMES, clamp_flame
from .value import Expression

FORMAT, FORMAT_VERSION = "sfsr-flame-map", 1
ENDING = ".flame_map.safetensors"
COMMAND = "python -m sfsr_model.calibration --smirk FILE"
_SHAPES = {
    "weights": (len(ARKIT_NAMES), len(FLAME_NAMES)), "bias": (len(FLAME_NAMES),), "correlations": (len(FLAME_NAMES),),
}  # fmt: skip


class FlameMapError(ValueError):
    """A map that is missing or cannot be used; the message names the file and the command that makes one."""


@dataclass(frozen=True, eq=False)
class FlameMap:
    """numbers = clamp(coefficients @ weights + bias).

    weights: float32 [52, 55]. bias: float32 [55]. correlations: float32 [55], of each number with what SMIRK read on faces
    that the fit had not seen; 0 where either stood still. smirk: SHA-256 of the SMIRK file, in hexadecimal. faces: what the
    map was measured on, for people. Raises FlameMapError for other shapes and values that are not finite.
    """

    weights: Tensor
    bias: Tensor
    correlations: Tensor
    smirk: str
    faces: str

    def __post_init__(self) -> None:
        for name, shape in _SHAPES.items():
            found = getattr(self, name)
            if tuple(found.shape) != shape:
                raise FlameMapError(f"{name} of shape {list(found.shape)}; expected {list(shape)}: run {COMMAND} again")
            if not bool(found.isfinite().all()):
                raise FlameMapError(f"{name} holds values that are not finite: run {COMMAND} again")

    def __call__(self, coefficients: Tensor) -> Tensor:
        """Numbers [B, 55] of coefficients [B, 52], within SMIRK's bounds; of their type and on their device."""
        return clamp_flame(coefficients @ self.weights.to(coefficients) + self.bias.to(coefficients))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file atomically: what was there before stays until the new one is whole."""
        tensors = {name: getattr(self, name).float().contiguous() for name in _SHAPES}
        about = json.dumps({"version": FORMAT_VERSION, "smirk": self.smirk, "faces": self.faces})
        with whole_file(Path(path)) as partial:
            save_file(tensors, partial, metadata={"format": FORMAT, "map": about})


def flame_map_path(smirk: Path, digest: str) -> Path:
    """Where the map of a SMIRK file with this SHA-256 lies: beside it."""
    return smirk.with_name(f"smirk_{digest[:16]}{ENDING}")


def load_flame_map(path: str | os.PathLike[str]) -> FlameMap:
    """Read a map; raises FlameMapError naming the file for one that is missing, cut off, newer or of another kind."""
    path = Path(path)
    if not path.is_file():
        raise FlameMapError(f"{path.name}: no such file; make it with {COMMAND}")
    try:
        strings, tensors = read_metadata(path), read_tensors(path)
    except (SafetensorError, OSError) as error:
        raise FlameMapError(f"{path.name}: not a readable safetensors file ({error}); run {COMMAND} again") from error
    if strings.get("format") != FORMAT or tensors.keys() != _SHAPES.keys():
        raise FlameMapError(f"{path.name}: is no map from coefficients to SMIRK's numbers; make one with {COMMAND}")
    try:
        about = json.loads(strings["map"])
        version = about["version"]
        if version != FORMAT_VERSION:
            raise FlameMapError(f"format version {version}, this pack reads {FORMAT_VERSION}; update the pack")
        return FlameMap(**tensors, smirk=str(about["smirk"]), faces=str(about["faces"]))
    except FlameMapError as error:
        raise FlameMapError(f"{path.name}: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise FlameMapError(f"{path.name}: its metadata is damaged ({error}); run {COMMAND} again") from error


def flame_numbers(expression: Expression, flame_map: FlameMap | None) -> Tensor:
    """The numbers [B, 55] of an expression: those that it carries from a photo, or else the map's.

    Raises FlameMapError where there is neither.
    """
    if expression.flame is not None:
        return expression.flame
    if flame_map is None:
        by = f" with the SMIRK file of the SHA-256 {expression.smirk[:16]}..., which belongs to it" if expression.smirk else ""
        raise FlameMapError(
            f"expression: it does not carry the 55 numbers by SMIRK, and no map that was measured{by} turns its coefficients "
            "into them. Read the expression from a photo with Load Expression Encoder, a SMIRK file chosen there, or, for "
            f"words, sliders and mixtures, run {COMMAND} once, which measures the map beside that file"
        )
    return flame_map(expression.coefficients)


def flame_left_out(sources: Iterable[Expression], result: Expression) -> str | None:
    """What to tell people where some of `sources` carry the numbers and what was made of them does not; None elsewhere."""
    if result.flame is not None or all(one.flame is None for one in sources):
        return None
    return (
        "The numbers that SMIRK read from a photo are left out: they cannot be joined with single parts of a face, with "
        "sliders, or with expressions that have none. An adapter that wants them takes them from the coefficients, by the "
        "calibration."
    )
