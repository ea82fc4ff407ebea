"""Ambient occlusion of the skin, baked at the points: how much of the sky around a point is free of the head itself."""

from __future__ import annotations

import numpy as np

from ..expressions import ARKIT_INDEX
from . import sparse
from .raster import draw_opaque, normalise, vertex_normals

_DIRECTIONS, _MAP_SIZE, _BIAS = 160, 320, 0.012
# Skin that only shows with closed lids or an open mouth is measured there, too; the freest pose counts.
_POSES: tuple[dict[str, float], ...] = ({}, {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}, {"jawOpen": 0.7})


def bake_occlusion(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """uint8 [P]: 255 for a point that sees the whole half space above its skin, 0 for one that sees nothing."""
    base, triangles = arrays["base"], arrays["skin/triangles"]
    moves = sparse.unpack({key: arrays[f"expression/{key}"] for key in ("start", "index", "move")}, len(base))
    best = np.zeros(len(base), np.float32)
    for pose in _POSES:
        points = base + sum((moves[ARKIT_INDEX[name]] * value for name, value in pose.items()), np.zeros_like(base))
        best = np.maximum(best, _visible_sky(points.astype(np.float32), triangles))
    return np.round(best * 255).astype(np.uint8)


def _visible_sky(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    normals = np.zeros_like(points)
    vertex_normals(points, triangles, 0, len(triangles), normals)
    normalise(normals)
    centre, reach = points.mean(0), np.abs(points - points.mean(0)).max() * 1.8
    free, total = np.zeros(len(points)), np.zeros(len(points))
    for direction in _sphere(_DIRECTIONS):
        side = np.cross(direction, [0.0, 1.0, 0.0] if abs(direction[1]) < 0.9 else [1.0, 0.0, 0.0])
        side /= np.linalg.norm(side)
        up = np.cross(side, direction)
        local = (points - centre) @ np.stack((-side, -up, direction)).T
        screen = (local / (2 * reach) + 0.5) * [_MAP_SIZE, _MAP_SIZE, 1.0]
        screen = np.ascontiguousarray(screen, np.float32)
        depth = np.zeros((_MAP_SIZE, _MAP_SIZE), np.float32)
        seen = np.full(depth.shape, -1, np.int32)
        draw_opaque(screen, triangles, 0, len(triangles), False, depth, seen)
        cosine = np.maximum(normals @ direction, 0.0)
        pixel = screen[:, :2].round().astype(int).clip(0, _MAP_SIZE - 1)
        slack = (_BIAS + 0.02 * (1 - cosine)) / (2 * reach)
        free += cosine * (depth[pixel[:, 1], pixel[:, 0]] <= screen[:, 2] + slack)
        total += cosine
    return (free / np.maximum(total, 1e-6)).astype(np.float32)


def _sphere(count: int) -> np.ndarray:
    """Directions [count, 3] spread evenly (Fibonacci lattice)."""
    index = np.arange(count) + 0.5
    height = 1 - 2 * index / count
    angle = np.pi * (1 + 5**0.5) * index
    radius = np.sqrt(1 - height**2)
    return np.stack((radius * np.cos(angle), height, radius * np.sin(angle)), -1)
