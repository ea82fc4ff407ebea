"""Procedural skins: drawn from the mesh alone, for whoever wants no picture of skin in what they train.

Nobody says whether MakeHuman's skin pictures derive from photographs of people. These do not: lips, cheeks, eye sockets, scalp
and mottling are placed by the base mesh's landmarks and drawn from random numbers. They look a little smoother.
"""

from __future__ import annotations

import numpy as np

from . import topology as hm08
from .brow_map import paint
from .fields import fractal_field

_SIZE = (380, 840)
# Relative colour (1 is the skin's own) of what is drawn.
_LIPS, _SOCKET, _BLUSH, _SCALP = (0.92, 0.62, 0.62), (0.78, 0.70, 0.70), (1.03, 0.90, 0.90), (0.55, 0.50, 0.48)


def procedural_skins(
    base: np.ndarray, triangles: np.ndarray, uv: np.ndarray, kind: np.ndarray, landmarks: np.ndarray
) -> np.ndarray:
    """uint8 [S, H, W, 3] as `FaceModel.skins`, one for each of its names. landmarks [68, 3]: on the base mesh."""
    skin = kind == 0
    places, covered = paint(uv[skin] * _SIZE - 0.5, base[triangles[skin]], np.array(_SIZE))
    lips = _inside(places, landmarks[48:60], 0.05) * (places[..., 2] > 1.2)
    eyes = landmarks[36:48].reshape(2, 6, 3).mean(1)
    socket = np.exp(-np.min([_squared(places, eye, (0.26, 0.17, 0.5)) for eye in eyes], axis=0))
    cheeks = landmarks[[2, 14]] * (0.62, 1, 1) + (0, 0, 0.35)
    blush = np.exp(-np.min([_squared(places, cheek, (0.25, 0.22, 0.5)) for cheek in cheeks], axis=0))
    hairline = landmarks[27, 1] + 0.85 - 0.9 * np.clip(0.9 - places[..., 2], 0, 1)
    scalp = np.clip((places[..., 1] - hairline) / 0.25, 0, 1) * np.clip((0.35 - places[..., 2] + places[..., 1] - 7.4), 0, 1)
    skins = [
        _skin(np.random.default_rng(900 + number), name, lips, socket, blush, scalp, covered)
        for number, name in enumerate(hm08.SKINS)
    ]
    return np.stack(skins)


def _skin(
    rng: np.random.Generator, name: str, lips: np.ndarray, socket: np.ndarray, blush: np.ndarray, scalp: np.ndarray,
    covered: np.ndarray,
) -> np.ndarray:  # fmt: skip
    height, width = covered.shape
    side = max(height, width)
    age = 1.0 if name.startswith("old") else 0.55 if name.startswith("middleage") else 0.2
    coarse, fine = (fractal_field(rng, side, cells, 4)[:height, :width] - 0.5 for cells in (10, 60))
    relative = np.ones((height, width, 3)) + (0.10 + 0.16 * age) * coarse[..., None] * (0.4, 1.0, 1.0) + 0.10 * fine[..., None]
    for share, colour, strength in (
        (socket, _SOCKET, rng.uniform(0.2, 0.6) + 0.3 * age),
        (blush, _BLUSH, rng.uniform(0.2, 1.0)),
        (lips, _LIPS, rng.uniform(0.7, 1.1)),
        (scalp * (0.7 + 1.2 * fine), _SCALP, 1.0),
    ):
        relative *= 1 + (np.array(colour) - 1) * (share * strength).clip(0, 1)[..., None]
    relative[~covered] = 1.0
    return np.round(128 * np.sqrt(relative.clip(0, 3.9))).astype(np.uint8)


def _squared(places: np.ndarray, centre: np.ndarray, radii: tuple[float, float, float]) -> np.ndarray:
    return (((places - centre) / radii) ** 2).sum(-1)


def _inside(places: np.ndarray, outline: np.ndarray, soft: float) -> np.ndarray:
    """Share 0..1 of being within a star-shaped outline [N, 3], seen from the front, over `soft` decimetres."""
    centre = outline.mean(0)
    angle = np.arctan2(outline[:, 1] - centre[1], outline[:, 0] - centre[0])
    radius = np.hypot(outline[:, 0] - centre[0], outline[:, 1] - centre[1])
    order = np.argsort(angle)
    offset = places - centre
    edge = np.interp(np.arctan2(offset[..., 1], offset[..., 0]), angle[order], radius[order], period=2 * np.pi)
    return ((edge - np.hypot(offset[..., 0], offset[..., 1])) / soft + 0.5).clip(0, 1)
