"""Brow proxies as opacity maps over the skin's texture: brows that lie in the skin move with it and never float."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from . import topology as hm08
from .assets import read_picture, read_proxy, triangulate
from .errors import AssetError

# Pixels of the cropped skin texture's longer side that the maps are drawn for, and pixels along x of the front view.
_TEXELS = np.array([758, 1679])
_FRONT = 768


def brow_maps(
    data: Path, base: np.ndarray, ids: np.ndarray, triangles: np.ndarray, uv: np.ndarray, kind: np.ndarray
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The rectangle (left, top, right, bottom) in uv that the maps cover, and a uint8 map for each brow style.

    A texel of the forehead takes the opacity that the brow's mesh shows at the same place in a view from the front.
    """
    half, low, high, front = hm08.BROW_BOX
    points = base[triangles]
    inside = (kind == 0) & (np.abs(points[..., 0]) < half).all(1) & (points[..., 2] > front).all(1)
    inside &= (points[..., 1] > low).all(1) & (points[..., 1] < high).all(1)
    if not inside.any():
        raise AssetError("base mesh: no skin where brows belong; this is not the mesh hm08")
    corners, places = uv[inside], points[inside]
    origin = np.floor(corners.min((0, 1)) * _TEXELS)
    size = np.ceil(corners.max((0, 1)) * _TEXELS) - origin + 1
    place, covered = paint(corners * _TEXELS - origin - 0.5, places[..., :2], size.astype(int))
    scale = _FRONT / (2 * half)
    column, row = ((place[..., 0] + half) * scale).astype(int), ((high - place[..., 1]) * scale).astype(int)
    rows = int((high - low) * scale)
    box = np.concatenate((origin / _TEXELS, (origin + size) / _TEXELS)).astype(np.float32)
    full = np.zeros((int(ids.max()) + 1, 3))
    full[ids] = base
    maps = {}
    for name in hm08.BROWS:
        alpha = _front_view(data, name, full, (half, high), scale, (_FRONT, rows))
        seen = alpha[row.clip(0, rows - 1), column.clip(0, _FRONT - 1)]
        maps[name] = np.where(covered, seen, 0).astype(np.uint8)
    return box, maps


def _front_view(data: Path, name: str, full: np.ndarray, corner: tuple, scale: float, size: tuple[int, int]) -> np.ndarray:
    folder = data / "eyebrows" / name
    proxy = read_proxy(folder / f"{name}.mhclo", len(full))
    spans = np.abs(full[proxy.spans[:, 0]] - full[proxy.spans[:, 1]])[range(3), range(3)]
    vertices = (full[proxy.refs] * proxy.weights[..., None]).sum(1) + proxy.offsets * (spans / proxy.lengths)
    triangles = triangulate(proxy.mesh.corners)
    at = vertices[triangles[..., 0]]
    screen = np.stack(((at[..., 0] + corner[0]) * scale, (corner[1] - at[..., 1]) * scale), -1) - 0.5
    uv = proxy.mesh.uv[triangles[..., 1]]
    picture = read_picture(folder / f"{name}.png")[..., 3]
    sampled, covered = paint(screen, np.stack((uv[..., 0], 1 - uv[..., 1]), -1), np.array(size))
    height, width = picture.shape
    column, row = (sampled[..., 0] * width).astype(int), (sampled[..., 1] * height).astype(int)
    return np.where(covered, picture[row.clip(0, height - 1), column.clip(0, width - 1)], 0)


def paint(screen: np.ndarray, values: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values [T, 3, C] interpolated over triangles [T, 3, 2] of pixels: picture [H, W, C] and where something was painted."""
    width, height = (int(side) for side in size)
    picture = np.zeros((height, width, values.shape[-1]))
    covered = np.zeros((height, width), bool)
    for corners, value in zip(screen, values, strict=True):
        low = np.maximum(np.floor(corners.min(0)), 0).astype(int)
        high = np.minimum(np.ceil(corners.max(0)) + 1, (width, height)).astype(int)
        if (high <= low).any():
            continue
        (ax, ay), (bx, by), (cx, cy) = corners
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(area) < 1e-9:
            continue
        x, y = np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1]))
        v = ((x - ax) * (cy - ay) - (y - ay) * (cx - ax)) / area
        w = ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) / area
        inside = (v >= -0.02) & (w >= -0.02) & (v + w <= 1.02)
        share = np.stack((1 - v - w, v, w), -1)[inside]
        picture[y[inside], x[inside]] = share @ value
        covered[y[inside], x[inside]] = True
    return picture, covered
