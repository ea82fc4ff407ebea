"""Linear light and sRGB, and palettes of human skin, hair and irises."""

from __future__ import annotations

import numpy as np

_CODES = np.arange(256) / 255.0
LINEAR: np.ndarray = np.where(_CODES <= 0.04045, _CODES / 12.92, ((_CODES + 0.055) / 1.055) ** 2.4).astype(np.float32)
"""Linear light of the 256 sRGB codes (IEC 61966-2-1)."""

# sRGB codes, from fair to deep; the way between them is how skin darkens with melanin.
_SKIN = np.array(
    [(238, 200, 180), (230, 186, 160), (216, 166, 136), (196, 144, 112),
     (168, 118, 88), (134, 90, 66), (98, 64, 48), (70, 46, 36)]
)  # fmt: skip
_HAIR = {
    "black": (22, 19, 18),
    "dark brown": (48, 33, 25),
    "brown": (82, 56, 38),
    "light brown": (122, 88, 58),
    "blond": (186, 150, 98),
    "platinum": (218, 196, 154),
    "auburn": (104, 48, 28),
    "ginger": (164, 84, 40),
    "grey": (128, 126, 124),
    "white": (210, 208, 204),
}
HAIR_NAMES = tuple(_HAIR)
_IRIS = np.array(
    [(42, 24, 16), (66, 38, 22), (92, 56, 30), (124, 84, 42), (118, 104, 58),
     (96, 122, 92), (88, 122, 146), (112, 146, 176), (132, 142, 148)]
)  # fmt: skip


def linear(codes: np.ndarray | tuple[float, ...]) -> np.ndarray:
    """Linear light of sRGB codes 0..255, which need not be whole."""
    share = np.asarray(codes, np.float64) / 255.0
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4).astype(np.float32)


def skin_tone(depth: float, warmth: float) -> np.ndarray:
    """Linear colour [3] of skin: depth 0 (fair) to 1 (deep), warmth -1 (rosy) to 1 (golden).

    Warmth moves red against blue by a few percent, as blood and carotene do; green, which carries lightness, stays.
    """
    tone = linear(_along(_SKIN, depth))
    return tone * np.array([1.0 - 0.01 * warmth, 1.0 + 0.015 * warmth, 1.0 - 0.10 * warmth], np.float32) * np.float32(0.92)


def hair_colour(name: str) -> np.ndarray:
    """Linear colour [3] of a hair colour's name (one of HAIR_NAMES)."""
    return linear(_HAIR[name])


def iris_colour(position: float, lightness: float) -> np.ndarray:
    """Linear colour [3] of an iris: position 0 (dark brown) to 1 (grey blue), lightness -1..1."""
    return linear(_along(_IRIS, position)) * np.float32(1.0 + 0.25 * lightness)


def _along(palette: np.ndarray, position: float) -> np.ndarray:
    place = np.clip(position, 0.0, 1.0) * (len(palette) - 1)
    first = min(int(place), len(palette) - 2)
    return palette[first] + (palette[first + 1] - palette[first]) * (place - first)
