"""Backdrops: rooms, landscapes, streets at night, walls, foliage and studio paper, out of focus."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .colours import linear
from .fields import fractal_field
from .packages import optional

KINDS = ("studio", "room", "landscape", "night", "wall", "foliage", "shelves", "water")
_ODDS = (0.17, 0.17, 0.16, 0.09, 0.14, 0.11, 0.1, 0.06)


@dataclass(frozen=True)
class Backdrop:
    """kind, its seed, defocus in picture widths, and the linear mean colour [3] that it sheds on the face."""

    kind: str
    seed: int
    defocus: float
    tint: tuple[float, float, float]


def sample_backdrop(rng: np.random.Generator) -> Backdrop:
    """A backdrop; its tint is measured from a small drawing of it."""
    kind, seed = str(rng.choice(KINDS, p=_ODDS)), int(rng.integers(2**31))
    r, g, b = _DRAW[kind](np.random.default_rng(seed), 16).mean((0, 1)).tolist()
    return Backdrop(kind, seed, float(rng.choice((rng.uniform(0.004, 0.012), rng.uniform(0.012, 0.04)))), (r, g, b))


def draw_backdrop(backdrop: Backdrop, size: int) -> np.ndarray:
    """Linear light [size, size, 3] float32. Drawn small and enlarged where it is out of focus anyway."""
    cv2 = optional("cv2")

    small = max(min(size, round(1.5 / backdrop.defocus)), 24)
    picture: np.ndarray = _DRAW[backdrop.kind](np.random.default_rng(backdrop.seed), small).astype(np.float32)
    sigma = backdrop.defocus * small
    if sigma > 0.3:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma))
    if small != size:
        picture = np.asarray(cv2.resize(picture, (size, size), interpolation=cv2.INTER_CUBIC))
    return np.maximum(picture, 0.0)


def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    steps = (np.arange(size, dtype=np.float32) + 0.5) / size
    return steps[None, :].repeat(size, 0), steps[:, None].repeat(size, 1)


def _colour(rng: np.random.Generator, low: float, high: float, saturation: float) -> np.ndarray:
    value, hue, saturation = rng.uniform(low, high), rng.uniform(0, 2 * np.pi), saturation * rng.uniform(0.3, 1.0)
    return linear((value * (1 + saturation * np.cos(hue + np.array([0.0, 2.1, 4.2])))).clip(0, 255))


def _blend(a: np.ndarray, b: np.ndarray, share: np.ndarray) -> np.ndarray:
    return a + (b - a) * share[..., None]


def _box(picture: np.ndarray, x: np.ndarray, y: np.ndarray, box: tuple[float, float, float, float], colour: np.ndarray) -> None:
    left, top, right, bottom = box
    picture[(x > left) & (x < right) & (y > top) & (y < bottom)] = colour


def _studio(rng: np.random.Generator, size: int) -> np.ndarray:
    x, y = _grid(size)
    colour = _colour(rng, 40, 225, rng.uniform(0, 0.3))
    cx, cy = rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.7)
    glow = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / rng.uniform(0.1, 0.6))
    cloth = 0.85 + 0.3 * fractal_field(rng, size, 3, 3)
    return colour * ((0.35 + 0.9 * glow) * cloth)[..., None]


def _room(rng: np.random.Generator, size: int) -> np.ndarray:
    x, y = _grid(size)
    wall = _colour(rng, 110, 225, rng.uniform(0, 0.18))
    fall = 1.15 - rng.uniform(0.2, 0.7) * np.abs(x - rng.uniform(0, 1))
    picture = wall * fall[..., None]
    if rng.random() < 0.6:
        floor = rng.uniform(0.72, 0.95)
        _box(picture, x, y, (0, floor, 1, 1), _colour(rng, 50, 130, 0.2))
    if rng.random() < 0.65:
        left, top = rng.uniform(-0.2, 0.75), rng.uniform(-0.1, 0.25)
        wide, high = rng.uniform(0.2, 0.5), rng.uniform(0.3, 0.65)
        frame = _colour(rng, 150, 240, 0.08)
        _box(picture, x, y, (left - 0.03, top - 0.03, left + wide + 0.03, top + high + 0.03), frame)
        bright = _blend(_colour(rng, 190, 250, 0.12) * 1.6, _colour(rng, 110, 200, 0.25), y)
        inside = (x > left) & (x < left + wide) & (y > top) & (y < top + high)
        picture[inside] = bright[inside]
        for share in (1 / 3, 2 / 3)[: rng.integers(0, 3)]:
            bar = left + wide * share
            _box(picture, x, y, (bar - 0.008, top, bar + 0.008, top + high), frame)
    for _ in range(rng.integers(0, 4)):
        left, top = rng.uniform(-0.1, 0.9), rng.uniform(-0.05, 0.5)
        wide, high = rng.uniform(0.1, 0.3, 2)
        _box(picture, x, y, (left, top, left + wide, top + high), _colour(rng, 30, 90, 0.2))
        inset = _colour(rng, 60, 220, 0.5)
        _box(picture, x, y, (left + 0.02, top + 0.02, left + wide - 0.02, top + high - 0.02), inset)
    for _ in range(rng.integers(0, 3)):
        left, top = rng.uniform(-0.2, 0.9), rng.uniform(0.5, 0.8)
        _box(picture, x, y, (left, top, left + rng.uniform(0.15, 0.5), 1.0), _colour(rng, 30, 160, 0.4))
    return picture


def _landscape(rng: np.random.Generator, size: int) -> np.ndarray:
    y = _grid(size)[1]
    horizon = rng.uniform(0.35, 0.75)
    warm = rng.random() < 0.3
    top = linear((70, 120, 190)) if not warm else linear((90, 100, 150))
    low = linear((200, 215, 230)) if not warm else linear((250, 190, 130))
    picture = _blend(top * rng.uniform(0.7, 1.2), low * rng.uniform(0.8, 1.2), (y / horizon).clip(0, 1) ** 0.8)
    clouds = ((fractal_field(rng, size, 3, 4) - rng.uniform(0.45, 0.7)) * 4).clip(0, 1) * (y < horizon)
    picture = _blend(picture, np.array([0.9, 0.9, 0.92], np.float32), clouds * 0.8)
    haze = _colour(rng, 120, 190, 0.12)
    layers = rng.integers(2, 5)
    for layer in range(layers):
        near = (layer + 1) / layers
        height = 0.25 * (1 - near) * rng.uniform(0.3, 1) - 0.12 * near
        ridge = horizon - height + 0.16 * (_ridge(rng, size) - 0.5) * (1.2 - near)
        ground = linear((70 + rng.uniform(-30, 50), 95 + rng.uniform(-25, 40), 55 + rng.uniform(-25, 25)))
        texture = 0.6 + 0.8 * fractal_field(rng, size, 8, 3)
        below = ((y - ridge[None, :]) * size).clip(0, 1)
        picture = _blend(picture, _blend(haze, ground, np.float32(near) * np.ones_like(y)) * texture[..., None], below)
    return picture


def _ridge(rng: np.random.Generator, size: int) -> np.ndarray:
    return fractal_field(rng, size, 3, 4)[0]


def _night(rng: np.random.Generator, size: int) -> np.ndarray:
    x, y = _grid(size)
    picture = _blend(_colour(rng, 8, 35, 0.5), _colour(rng, 20, 70, 0.5), y)
    for _ in range(rng.integers(12, 45)):
        cx, cy, radius = rng.uniform(0, 1), rng.beta(2, 2), rng.uniform(0.01, 0.05)
        light = _colour(rng, 120, 240, 0.6) * rng.uniform(0.5, 3.0)
        spot = (1 - ((x - cx) ** 2 + (y - cy) ** 2) / radius**2).clip(0, 1) > 0
        picture[spot] += light * 0.7
    return picture


def _wall(rng: np.random.Generator, size: int) -> np.ndarray:
    x, y = _grid(size)
    base, other = _colour(rng, 70, 210, 0.25), _colour(rng, 50, 190, 0.25)
    style = rng.integers(4)
    if style == 0:  # bricks
        rows = rng.integers(6, 16)
        row = np.floor(y * rows)
        across = x * rows * 0.45 + 0.5 * (row % 2)
        joint = ((y * rows) % 1 < 0.12) | (across % 1 < 0.06)
        tone = 0.75 + 0.5 * ((np.sin(row * 12.9 + np.floor(across) * 78.2) * 43758.5) % 1)
        picture = np.where(joint[..., None], other, base * tone[..., None])
    elif style == 1:  # planks
        planks = rng.integers(4, 14)
        number = np.floor(x * planks)
        grain = fractal_field(rng, size, 2, 4)[:, :1] * 0.3 + fractal_field(rng, size, 10, 3) * 0.4
        tone = 0.6 + 0.35 * ((np.sin(number * 37.7) * 43758.5) % 1) + grain
        picture = base * tone[..., None] * np.where((x * planks) % 1 < 0.04, 0.4, 1.0)[..., None]
    elif style == 2:  # plaster
        picture = _blend(base, other, (fractal_field(rng, size, 4, 5) * 1.4 - 0.2).clip(0, 1))
    else:  # tiles or wallpaper
        count = rng.integers(4, 12)
        figure = np.sin(x * count * 6.283) * np.sin(y * count * 6.283)
        picture = _blend(base, other, (figure > rng.uniform(-0.2, 0.6)).astype(np.float32) * rng.uniform(0.2, 0.8))
    return picture * (1.2 - rng.uniform(0.2, 0.7) * np.abs(x - rng.uniform(0, 1)))[..., None]


def _foliage(rng: np.random.Generator, size: int) -> np.ndarray:
    leaves = fractal_field(rng, size, 6, 4)
    dark, light = linear((18, 34, 16)), linear((120 + rng.uniform(-20, 60), 150, 60))
    picture = _blend(dark, light, ((leaves - 0.3) * 2).clip(0, 1))
    gaps = ((fractal_field(rng, size, 5, 3) - rng.uniform(0.6, 0.75)) * 8).clip(0, 1)
    return _blend(picture, linear((225, 235, 235)) * rng.uniform(0.6, 1.5), gaps)


def _shelves(rng: np.random.Generator, size: int) -> np.ndarray:
    x, y = _grid(size)
    picture = np.broadcast_to(_colour(rng, 25, 80, 0.25), (size, size, 3)).copy()
    rows = rng.integers(2, 5)
    board = _colour(rng, 60, 150, 0.25)
    for row in range(rows):
        bottom = (row + 1) / rows
        left = 0.0
        while left < 1.0:
            wide = rng.uniform(0.015, 0.06)
            if rng.random() < 0.88:
                high = rng.uniform(0.5, 0.88) / rows
                _box(picture, x, y, (left, bottom - high, left + wide * 0.94, bottom), _colour(rng, 30, 200, 0.5))
            left += wide
        _box(picture, x, y, (0, bottom - 0.02, 1, bottom), board)
    return picture * rng.uniform(0.4, 1.0)


def _water(rng: np.random.Generator, size: int) -> np.ndarray:
    y = _grid(size)[1]
    horizon = rng.uniform(0.2, 0.6)
    sky = _blend(linear((110, 160, 215)), linear((225, 230, 235)), (y / horizon).clip(0, 1))
    ripple = fractal_field(rng, size, 5, 4)
    sea = _blend(linear((30, 80, 105)), linear((120, 170, 185)), (ripple * 1.4 - 0.3).clip(0, 1) * (1.4 - y))
    picture = _blend(sky, sea, ((y - horizon) * size).clip(0, 1))
    if rng.random() < 0.6:
        shore = horizon + rng.uniform(0.2, 0.4) + 0.05 * (_ridge(rng, size) - 0.5)
        picture = _blend(picture, linear((205, 185, 150)), ((y - shore[None, :]) * size).clip(0, 1))
    return picture


_DRAW = dict(zip(KINDS, (_studio, _room, _landscape, _night, _wall, _foliage, _shelves, _water), strict=True))
