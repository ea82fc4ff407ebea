"""Wavefront OBJ as MakeHuman writes it: vertices, texture coordinates and faces in groups."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .files import check_numbers, damaged, read_text

_EXPECTED = {"v": "`v x y z`", "vt": "`vt u v`", "f": "`f` with 3 or 4 corners `vertex/uv` that exist"}


@dataclass(frozen=True)
class Mesh:
    """Vertices [V, 3] and uv [U, 2] (float64); corners [F, 4, 2]: vertex and uv index, the fourth -1 for a triangle.

    uv indices are -1 where the file has none. groups: name to face numbers.
    """

    vertices: np.ndarray
    uv: np.ndarray
    corners: np.ndarray
    groups: dict[str, np.ndarray]

    def group_vertices(self, name: str) -> np.ndarray:
        """Sorted vertex numbers of a group; empty for one that does not exist."""
        corners = self.corners[self.groups.get(name, np.zeros(0, int)), :, 0]
        return np.unique(corners[corners >= 0])

    def check_uv(self, path: Path, faces: np.ndarray | None = None) -> None:
        """Raise AssetError, naming the mesh's file, where a corner of the faces (default all) has no texture place."""
        corners = self.corners if faces is None else self.corners[faces]
        if ((corners[..., 0] >= 0) & (corners[..., 1] < 0)).any():
            raise damaged(path, None, "a corner without texture place", "`f` with corners `vertex/uv`")


def read_obj(path: Path) -> Mesh:
    """Parse a mesh; raises AssetError naming the line at fault."""
    vertices: list[list[float]] = []
    uv: list[list[float]] = []
    corners: list[list[list[int]]] = []
    groups: dict[str, list[int]] = {}
    group = ""
    for number, line in enumerate(read_text(path).splitlines(), 1):
        kind, *words = line.split() or [""]
        try:
            if kind == "v":
                x, y, z = map(float, words[:3])
                check_numbers(x, y, z)
                vertices.append([x, y, z])
            elif kind == "vt":
                u, v = map(float, words[:2])
                check_numbers(u, v)
                uv.append([u, v])
            elif kind == "g":
                group = words[0] if words else ""
            elif kind == "f":
                groups.setdefault(group, []).append(len(corners))
                corners.append(_face(words, len(vertices), len(uv)))
        except ValueError:
            raise damaged(path, number, line.strip(), _EXPECTED[kind]) from None
    if not vertices or not corners:
        raise damaged(path, None, f"{len(vertices)} vertices, {len(corners)} faces", "a mesh")
    return Mesh(
        np.array(vertices),
        np.array(uv).reshape(-1, 2),
        np.array(corners, dtype=np.int32),
        {name: np.array(faces) for name, faces in groups.items()},
    )


def _face(words: list[str], vertices: int, uvs: int) -> list[list[int]]:
    face = []
    for word in words:
        indices = word.split("/")
        vertex = int(indices[0]) - 1
        uv = int(indices[1]) - 1 if len(indices) > 1 and indices[1] else -1
        if not (0 <= vertex < vertices and -1 <= uv < uvs):
            raise ValueError(word)
        face.append([vertex, uv])
    if len(face) == 3:
        face.append([-1, -1])
    if len(face) != 4:
        raise ValueError(words)
    return face


def triangulate(corners: np.ndarray) -> np.ndarray:
    """Triangles [T, 3, 2] of faces [F, 4, 2]; a quad gives two, both wound like it."""
    quads = corners[:, 3, 0] >= 0
    first = corners[:, :3]
    second = corners[quads][:, [0, 2, 3]]
    return np.concatenate((first, second))
