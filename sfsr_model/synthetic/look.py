"""Look: what changes from picture to picture of one person. No recogniser may live on it, so it is sampled apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import topology as hm08
from .colours import HAIR_NAMES, hair_colour, linear, skin_tone

SHAVED = -1
_SHORT = tuple(number for number, name in enumerate(hm08.HAIRS) if name.startswith("short"))
_HAIR_ODDS = {
    "black": 0.24, "dark brown": 0.22, "brown": 0.15, "light brown": 0.09, "blond": 0.09, "platinum": 0.03,
    "auburn": 0.05, "ginger": 0.04, "grey": 0.06, "white": 0.03,
}  # fmt: skip


@dataclass(frozen=True)
class Glasses:
    """Spectacles: half width and height of a lens in decimetres, roundness (superellipse power), rim and linear colour."""

    half_width: float
    half_height: float
    power: float
    rim: float
    colour: tuple[float, float, float]
    gloss: float


@dataclass(frozen=True)
class Look:
    """Hair, skin tone, glasses and clothes.

    hair: number of a style, or SHAVED. cut: height in decimetres below which the hair ends; lift: its volume. Colours are
    linear. depth and warmth are those of `skin_tone`. neckline: height at which the clothes begin.
    """

    hair: int
    cut: float
    lift: float
    hair_colour: tuple[float, float, float]
    hair_tip: tuple[float, float, float]
    hair_shine: float
    depth: float
    warmth: float
    oil: float
    cloth_pattern: int
    cloth_scale: float
    cloth_a: tuple[float, float, float]
    cloth_b: tuple[float, float, float]
    neckline: float
    neckline_curve: float
    glasses: Glasses | None

    @property
    def tone(self) -> np.ndarray:
        """Linear colour [3] of the skin."""
        return skin_tone(self.depth, self.warmth)


def sample_look(rng: np.random.Generator, male: float = 0.5, glasses_share: float = 0.14) -> Look:
    """A look; male 0..1 only makes short hair likelier, as it is among people."""
    if rng.random() < 0.07:
        hair = SHAVED
    elif rng.random() < 0.25 + 0.6 * male:
        hair = int(rng.choice(_SHORT))
    else:
        hair = int(rng.integers(len(hm08.HAIRS)))
    name = str(rng.choice(HAIR_NAMES, p=list(_HAIR_ODDS.values())))
    colour = hair_colour(name) * rng.uniform(0.8, 1.2)
    tip = colour * rng.uniform(0.85, 1.35) if rng.random() < 0.8 else colour * np.array([1.8, 1.5, 1.2])
    cloth_a, cloth_b = _cloth_colour(rng), _cloth_colour(rng)
    return Look(
        hair=hair,
        cut=float(rng.choice((2.0, 4.6, 5.6, 6.1), p=(0.4, 0.2, 0.2, 0.2)) + rng.uniform(-0.1, 0.2)),
        lift=float(rng.uniform(0.99, 1.06)),
        hair_colour=_triple(colour),
        hair_tip=_triple(tip.clip(0, 0.8)),
        hair_shine=float(rng.uniform(0.15, 0.7)),
        depth=float(rng.beta(0.95, 1.25)),
        warmth=float(np.clip(rng.normal(0, 0.45), -1, 1)),
        oil=float(rng.uniform(0.0, 0.9)),
        cloth_pattern=int(rng.choice(5, p=(0.45, 0.15, 0.12, 0.1, 0.18))),
        cloth_scale=float(rng.uniform(9, 30)),
        cloth_a=_triple(cloth_a),
        cloth_b=_triple(cloth_b),
        neckline=float(rng.uniform(5.6, 6.05)),
        neckline_curve=float(rng.uniform(0.0, 0.5)),
        glasses=_sample_glasses(rng) if rng.random() < glasses_share else None,
    )


def _cloth_colour(rng: np.random.Generator) -> np.ndarray:
    """Muted dyes: mostly low saturation, from black to off-white."""
    value = rng.uniform(20, 225)
    hue, strength = rng.uniform(0, 2 * np.pi), rng.beta(1.3, 3.0)
    swing = np.cos(hue + np.array([0.0, 2.1, 4.2])) * strength
    return linear((value * (1 + 0.55 * swing)).clip(8, 240))


def _sample_glasses(rng: np.random.Generator) -> Glasses:
    dark = rng.random() < 0.65
    colour = linear(rng.uniform(10, 45, 3) if dark else np.array([150, 140, 120]) * rng.uniform(0.5, 1.2))
    return Glasses(
        half_width=float(rng.uniform(0.21, 0.26)),
        half_height=float(rng.uniform(0.14, 0.22)),
        power=float(rng.choice((2.0, 2.6, 4.0))),
        rim=float(rng.choice((0.008, 0.014, 0.022))),
        colour=_triple(colour),
        gloss=float(rng.uniform(0, 1)),
    )


def _triple(colour: np.ndarray) -> tuple[float, float, float]:
    r, g, b = (float(value) for value in colour)
    return r, g, b
