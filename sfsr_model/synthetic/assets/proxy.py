"""`.mhclo` proxies: meshes that follow the base mesh."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .files import check_numbers, damaged, read_text
from .obj import Mesh, read_obj

_AXES = ("x_scale", "y_scale", "z_scale")


@dataclass(frozen=True)
class Proxy:
    """A mesh whose vertex i lies at sum_k weights[i, k] base[refs[i, k]] + scale * offsets[i].

    refs [N, 3] int32, weights [N, 3], offsets [N, 3]. spans [3, 2]: for each axis the two base vertices whose distance along
    it, divided by lengths [3], is the scale.
    """

    mesh: Mesh
    refs: np.ndarray
    weights: np.ndarray
    offsets: np.ndarray
    spans: np.ndarray
    lengths: np.ndarray


def read_proxy(path: Path, vertices: int) -> Proxy:
    """Parse a proxy and its OBJ; raises AssetError naming the line at fault. `vertices`: the base mesh's count."""
    spans, lengths = np.zeros((3, 2), np.int32), np.ones(3)
    rows: list[tuple[list[int], list[float], list[float]]] = []
    mesh_name, in_vertices = None, False
    for number, line in enumerate(read_text(path).splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            if words[0] == "obj_file":
                mesh_name = words[1]
            elif words[0] in _AXES:
                axis = _AXES.index(words[0])
                spans[axis], lengths[axis] = _span(words, vertices)
            elif words[0] == "verts":
                in_vertices = True
            elif words[0] == "delete_verts":
                in_vertices = False
            elif in_vertices and words[0].isdigit():  # keywords may stand among the rows
                rows.append(_row(words, vertices))
        except (ValueError, IndexError):
            raise damaged(path, number, line.strip(), "a line of a .mhclo proxy") from None
    if mesh_name is None or not rows:
        raise damaged(path, None, f"obj_file {mesh_name}, {len(rows)} vertices", "a proxy with both")
    mesh = read_obj(path.with_name(mesh_name))
    mesh.check_uv(path.with_name(mesh_name))
    if len(mesh.vertices) != len(rows):
        raise damaged(path, None, f"{len(rows)} vertices", f"the {len(mesh.vertices)} of {mesh_name}")
    refs, weights, offsets = zip(*rows, strict=True)
    return Proxy(mesh, np.array(refs, np.int32), np.array(weights), np.array(offsets), spans, lengths)


def _span(words: list[str], vertices: int) -> tuple[list[int], float]:
    refs, length = [int(words[1]), int(words[2])], float(words[3])
    check_numbers(length)
    if not all(0 <= ref < vertices for ref in refs) or length <= 0:
        raise ValueError(words)
    return refs, length


def _row(words: list[str], vertices: int) -> tuple[list[int], list[float], list[float]]:
    if len(words) == 1:  # sits on one base vertex
        refs, weights, offsets = [int(words[0])] * 3, [1.0, 0.0, 0.0], [0.0] * 3
    else:
        refs = [int(word) for word in words[:3]]
        weights, offsets = [float(word) for word in words[3:6]], [float(word) for word in words[6:9]]
    if len(weights) != 3 or len(offsets) != 3 or not all(0 <= ref < vertices for ref in refs):
        raise ValueError(words)
    check_numbers(*weights, *offsets)
    return refs, weights, offsets
