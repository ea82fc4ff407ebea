"""Face pose units: a BVH whose frames each hold one unit, and the rig that turns them into displacements."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from .files import check_numbers, damaged, read_text
from .obj import Mesh

# The rig's world is y up, the BVH's z up: (x, y, z) there is (x, z, -y) here.
_Z_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])


def read_mhpose(path: Path) -> dict[str, float]:
    """Unit names and strengths of an `.mhpose` expression; raises AssetError for anything else."""
    units = _json(path).get("unit_poses")
    if not isinstance(units, dict) or not all(isinstance(value, int | float) for value in units.values()):
        raise damaged(path, None, str(units)[:60], "a `unit_poses` table of numbers")
    return {str(name): float(value) for name, value in units.items()}


def pose_unit_morphs(data: Path, mesh: Mesh) -> dict[str, np.ndarray]:
    """Unit name -> displacements [V, 3] of the base mesh, each unit at full strength, by linear blend skinning.

    data: MakeHuman's data folder. Raises AssetError for a missing or damaged rig, weight or pose file.
    """
    bones = _json(data / "rigs" / "default.mhskel")
    weights = _weights(data / "rigs" / "default_weights.mhw", len(mesh.vertices))
    path = data / "poseunits" / "face-poseunits.json"
    names = _json(path).get("framemapping")
    if not isinstance(names, list):
        raise damaged(path, None, str(names)[:60], "a `framemapping` list")
    joints, parents, frames = _read_bvh(data / "poseunits" / "face-poseunits.bvh")
    if len(frames) < len(names):
        raise damaged(path, None, f"{len(names)} names", f"at most the {len(frames)} frames of face-poseunits.bvh")
    heads = _joint_positions(data, bones, mesh)
    rest = _skin(mesh.vertices, joints, parents, frames[0], heads, weights)
    units = (_skin(mesh.vertices, joints, parents, frame, heads, weights) - rest for frame in frames[1:])
    return dict(zip(names[1:], units, strict=False))


def _json(path: Path) -> dict:
    try:
        content = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise damaged(path, error.lineno, error.msg, "JSON") from None
    if not isinstance(content, dict):
        raise damaged(path, None, type(content).__name__, "a JSON object")
    return content


def _joint_positions(data: Path, skeleton: dict, mesh: Mesh) -> dict[str, np.ndarray]:
    positions = {}
    try:
        for bone, entry in skeleton["bones"].items():
            corners = skeleton["joints"][entry["head"]]
            if min(corners) < 0:
                raise IndexError(f"vertex {min(corners)} of {bone}")
            positions[bone] = mesh.vertices[corners].mean(0)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise damaged(data / "rigs" / "default.mhskel", None, str(error), "bones whose joints exist") from None
    return positions


def _weights(path: Path, vertices: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Bone name -> vertex numbers [K] and shares [K]; bones without any are left out."""
    table = _json(path).get("weights")
    if not isinstance(table, dict) or not table:
        raise damaged(path, None, str(table)[:60], "a `weights` table")
    result = {}
    for bone, pairs in table.items():
        try:
            rows = np.array(pairs, float).reshape(-1, 2)
            if not ((rows >= 0) & (rows < (vertices, np.inf))).all():
                raise ValueError("a vertex that does not exist, or a share below 0")
        except (ValueError, TypeError) as error:
            raise damaged(path, None, f"{bone}: {error}", f"pairs of a vertex number below {vertices} and a share") from None
        if len(rows):
            result[bone] = rows[:, 0].astype(int), rows[:, 1]
    return result


def _read_bvh(path: Path) -> tuple[list[str], list[int], np.ndarray]:
    """Joint names, each one's parent (-1 for the root) and rotations [frames, joints, 3, 3] in the rig's axes."""
    joints: list[str] = []
    parents: list[int] = []
    channels: list[tuple[int, str]] = []
    stack: list[int] = []
    lines = read_text(path).splitlines()
    try:
        start = next(i for i, line in enumerate(lines) if line.strip() == "MOTION")
        for line in lines[:start]:
            words = line.split()
            if words[:1] == ["ROOT"] or words[:1] == ["JOINT"]:
                parents.append(next((i for i in reversed(stack) if i >= 0), -1))
                joints.append(words[1])
            elif words[:1] == ["End"]:
                joints.append("")
                parents.append(-1)
            elif words[:1] == ["{"]:
                stack.append(len(joints) - 1)
            elif words[:1] == ["}"]:
                stack.pop()
            elif words[:1] == ["CHANNELS"]:
                channels += [(len(joints) - 1, name) for name in words[2:]]
        values = np.array([[float(word) for word in line.split()] for line in lines[start + 3 :] if line.strip()])
        check_numbers(float(np.abs(values).max()))
        if values.shape[1] != len(channels):
            raise ValueError(f"{values.shape[1]} numbers a frame for {len(channels)} channels")
    except (StopIteration, ValueError, IndexError) as error:
        raise damaged(path, None, str(error) or "no MOTION", "a BVH with one row of numbers for each frame") from None
    rotations = np.broadcast_to(np.eye(3), (len(values), len(joints), 3, 3)).copy()
    for column, (joint, name) in enumerate(channels):
        if name.endswith("rotation"):
            rotations[:, joint] = rotations[:, joint] @ _turn(name[0], np.radians(values[:, column]))
    return joints, parents, _Z_UP @ rotations @ _Z_UP.T


def _turn(axis: str, angle: np.ndarray) -> np.ndarray:
    i, j = {"X": (1, 2), "Y": (2, 0), "Z": (0, 1)}[axis]
    matrix = np.broadcast_to(np.eye(3), (len(angle), 3, 3)).copy()
    matrix[:, i, i] = matrix[:, j, j] = np.cos(angle)
    matrix[:, j, i] = np.sin(angle)
    matrix[:, i, j] = -np.sin(angle)
    return matrix


def _skin(
    vertices: np.ndarray, joints: list[str], parents: list[int], local: np.ndarray, heads: dict, weights: dict
) -> np.ndarray:
    """Vertices [V, 3] moved by the joints' local rotations [J, 3, 3] (linear blend skinning)."""
    rotation: list[np.ndarray] = []
    place: list[np.ndarray] = []
    moved, total = np.zeros_like(vertices), np.zeros(len(vertices))
    for number, (name, parent) in enumerate(zip(joints, parents, strict=True)):
        head = heads.get(name, np.zeros(3))
        if parent < 0:
            rotation.append(local[number])
            place.append(head)
        else:
            rotation.append(rotation[parent] @ local[number])
            place.append(place[parent] + rotation[parent] @ (head - heads.get(joints[parent], np.zeros(3))))
        if name in weights:
            index, share = weights[name]
            moved[index] += share[:, None] * ((vertices[index] - head) @ rotation[number].T + place[number])
            total[index] += share
    return np.where(total[:, None] > 0, moved / np.maximum(total, 1e-9)[:, None], vertices)
