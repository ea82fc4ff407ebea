"""Morphs over the kept points: macro corners, sliders and the 52 coefficients, gathered from the asset folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..expressions import ARKIT_NAMES
from .arkit_table import parts_of, side_of
from .assets import Mesh, pose_unit_morphs, read_target
from .errors import AssetError
from .topology import MACRO_AGES, MACRO_RACES, MACRO_SEXES, OPPOSITES, SLIDER_FOLDERS, macro_path

# Half of the width over which left and right halves of a unit are blended, in decimetres.
_SIDE_BLEND = 0.12
# Targets that place the head or the neck instead of shaping a face, or that the age of the person sets.
_NOT_SHAPE = ("head-trans", "head-angle", "neck-trans", "head-age", "neck-back", "neck-scale")


def macro_morphs(data: Path, mesh: Mesh) -> np.ndarray:
    """Displacements [race, sex, age, V, 3] of the corners of the macro space, adults only."""
    shape = (len(MACRO_RACES), len(MACRO_SEXES), len(MACRO_AGES), len(mesh.vertices), 3)
    result = np.zeros(shape, np.float32)
    for i, race in enumerate(MACRO_RACES):
        for j, sex in enumerate(MACRO_SEXES):
            for k, age in enumerate(MACRO_AGES):
                universal = f"targets/macrodetails/universal-{sex}-{age}-averagemuscle-averageweight.target"
                for name in (macro_path(race, sex, age), universal):
                    index, move = read_target(data / name, len(mesh.vertices))
                    result[i, j, k, index] += move
    return result


def slider_names(data: Path) -> list[str]:
    """Names of the sliders that the folder's targets make: "nose-hump" (two-sided) or "chin-triangle" (one-sided).

    The two sides of a face are one slider, without l- or r-. Raises AssetError where a folder holds no targets.
    """
    names: list[str] = []
    for folder in SLIDER_FOLDERS:
        stems = sorted(path.name.split(".")[0] for path in (data / "targets" / folder).glob("*.target*"))
        if not stems:
            raise AssetError(f"{data / 'targets' / folder}: no .target files; point --assets at MakeHuman's data folder")
        for stem in stems:
            _require_partners(data / "targets" / folder, stem, stems)
            base = stem.rsplit("-", 1)[0] if any(stem.rsplit("-", 1)[-1] in pair for pair in OPPOSITES) else stem
            base = f"{folder}/{base.removeprefix('l-').removeprefix('r-')}"
            if not base.split("/")[1].startswith(_NOT_SHAPE) and base not in names:
                names.append(base)
    return names


def _require_partners(folder: Path, stem: str, stems: list[str]) -> None:
    """Raise AssetError where the target of the opposite end or of the other side is missing: its slider would lose half."""
    start, _, end = stem.rpartition("-")
    partners = [f"{start}-{pair[1 - pair.index(end)]}" for pair in OPPOSITES if end in pair]
    partners += [other + stem[2:] for side, other in (("l-", "r-"), ("r-", "l-")) if stem.startswith(side)]
    missing = [partner for partner in partners if partner not in stems]
    if missing:
        raise AssetError(
            f"{folder / missing[0]}.target: no such file, though its partner {stem}.target is there; "
            "point --assets at the `data` folder of a complete MakeHuman checkout"
        )


def slider_morphs(data: Path, mesh: Mesh, name: str) -> dict[str, np.ndarray]:
    """Displacements of one slider: keys "+", "-" and, where it has sides, "l+", "l-", "r+", "r-" instead."""
    folder, stem = name.split("/")
    found: dict[str, np.ndarray] = {}
    for path in sorted((data / "targets" / folder).glob(f"*{stem}*.target*")):
        file_stem = path.name.split(".")[0]
        side = file_stem[0] if file_stem.startswith(("l-", "r-")) else ""
        rest = file_stem[2:] if side else file_stem
        if rest == stem:
            sign = "+"
        elif rest.rsplit("-", 1)[0] == stem:
            sign = next(("-+"[pair.index(rest.rsplit("-", 1)[1])] for pair in OPPOSITES if rest.rsplit("-", 1)[1] in pair), "")
        else:
            continue
        if sign:
            found[side + sign] = _dense(data, mesh, f"targets/{folder}/{file_stem}.target")
    return found


def expression_morphs(data: Path, mesh: Mesh) -> np.ndarray:
    """Displacements [52, V, 3] of the ARKit coefficients at full strength."""
    poses = pose_unit_morphs(data, mesh)
    readers: dict[str, Callable[[str], np.ndarray]] = {
        "face": lambda unit: _dense(data, mesh, f"targets/faceunits/{unit}.target"),
        "target": lambda unit: np.mean(
            [_dense(data, mesh, f"targets/expression/units/{race}/{unit}.target") for race in MACRO_RACES], axis=0
        ),
        "pose": lambda unit: _pose(data, poses, unit),
    }
    half = np.clip(mesh.vertices[:, 0] / (2 * _SIDE_BLEND) + 0.5, 0, 1)
    half = half * half * (3 - 2 * half)
    shares = {"": np.ones(len(half)), "Left": half, "Right": 1 - half}
    result = np.zeros((len(ARKIT_NAMES), len(mesh.vertices), 3), np.float32)
    for number, name in enumerate(ARKIT_NAMES):
        for kind, unit, strength in parts_of(name):
            share = shares[side_of(name)] if kind != "face" else shares[""]
            result[number] += strength * readers[kind](unit) * share[:, None]
    return result


def _dense(data: Path, mesh: Mesh, name: str) -> np.ndarray:
    move = np.zeros((len(mesh.vertices), 3), np.float32)
    index, values = read_target(data / name, len(mesh.vertices))
    move[index] = values
    return move


def _pose(data: Path, poses: dict[str, np.ndarray], unit: str) -> np.ndarray:
    if unit not in poses:
        raise AssetError(f"{data / 'poseunits' / 'face-poseunits.json'}: has no unit {unit!r}; fetch the assets again")
    return poses[unit]
