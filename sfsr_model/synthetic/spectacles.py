"""A mesh of spectacles that sits on a face: two rims, a bridge and the sides."""

from __future__ import annotations

import numpy as np

from .look import Glasses

_SPOKES, _TUBE = 28, 5


def spectacles_mesh(glasses: Glasses, eyes: np.ndarray, front: float, ears: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices [N, 3] and triangles [T, 3].

    eyes [2, 3]: the eyeballs' centres (left, right, the person's own); front: z just before brows and cheeks; ears [2, 3].
    """
    vertices: list[np.ndarray] = []
    triangles: list[np.ndarray] = []
    rims = []
    for eye, ear in zip(eyes, ears, strict=True):
        side = np.sign(eye[0]) or 1.0
        angle = np.arange(_SPOKES) * (2 * np.pi / _SPOKES)
        cos, sin = np.cos(angle), np.sin(angle)
        x = glasses.half_width * np.sign(cos) * np.abs(cos) ** (2 / glasses.power)
        y = glasses.half_height * np.sign(sin) * np.abs(sin) ** (2 / glasses.power)
        centre = np.array([eye[0] + side * 0.015, eye[1] - 0.03, front])
        rim = np.stack((centre[0] + x, centre[1] + y, front - 0.18 * np.maximum(side * x, 0) ** 1.0), -1)
        rims.append(rim)
        _tube(vertices, triangles, rim, glasses.rim, closed=True)
        outer = rim[np.argmax(side * rim[:, 0] + 0.3 * rim[:, 1])]
        hinge = outer + np.array([side * 0.03, 0.0, -0.05])
        over = np.array([ear[0] + side * 0.012, outer[1] - 0.02, ear[2] + 0.12])
        _tube(vertices, triangles, np.stack((outer, hinge, over)), glasses.rim * 1.1, closed=False)
    inner = [rim[np.argmin(np.abs(rim[:, 0]) - 0.3 * rim[:, 1])] for rim in rims]
    top = (inner[0] + inner[1]) / 2 + [0, 0.03, 0.02]
    _tube(vertices, triangles, np.stack((inner[0], top, inner[1])), glasses.rim * 1.1, closed=False)
    return np.concatenate(vertices).astype(np.float32), np.concatenate(triangles).astype(np.int32)


def _tube(vertices: list, triangles: list, path: np.ndarray, radius: float, closed: bool) -> None:
    """Append a tube of the radius along a path [N, 3]."""
    count = len(path)
    ahead = np.roll(path, -1, 0) - np.roll(path, 1, 0) if closed else np.gradient(path, axis=0)
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True) + 1e-9
    side = np.cross(ahead, [0.0, 0.02, 1.0])
    weak = np.linalg.norm(side, axis=1) < 0.3
    side[weak] = np.cross(ahead[weak], [0.0, 1.0, 0.0])
    side /= np.linalg.norm(side, axis=1, keepdims=True) + 1e-9
    up = np.cross(side, ahead)
    turn = np.arange(_TUBE) * (2 * np.pi / _TUBE)
    ring = np.cos(turn)[:, None, None] * side + np.sin(turn)[:, None, None] * up
    start = sum(len(part) for part in vertices)
    vertices.append((path[None] + radius * ring).transpose(1, 0, 2).reshape(-1, 3))
    i, j = np.meshgrid(np.arange(count if closed else count - 1), np.arange(_TUBE), indexing="ij")
    a = start + i * _TUBE + j
    b = start + i * _TUBE + (j + 1) % _TUBE
    c = start + (i + 1) % count * _TUBE + j
    d = start + (i + 1) % count * _TUBE + (j + 1) % _TUBE
    triangles.append(np.stack((np.stack((a, c, b), -1), np.stack((b, c, d), -1)), 2).reshape(-1, 3))
