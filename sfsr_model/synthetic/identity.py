"""Identity: a vector of numbers in [-1, 1] that is one person, always the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np

from . import topology as hm08
from .colours import iris_colour, linear
from .model import FaceModel

MACRO_FIELDS = ("sex", "age", *hm08.MACRO_RACES)
DETAIL_FIELDS = (
    "skin_a", "skin_b", "skin_mix", "brow_style", "brow_density", "brow_darkness", "lashes",
    "iris", "iris_light", "freckles", "moles", "lips", "blush",
)  # fmt: skip

# How far a slider at 1 moves its target, by the first words of its name; the sliders of whole features move further.
_REACH = (
    ("head-scale", 0.5), ("head-fat", 0.6), ("head-back", 0.4), ("head-square", 0.25), ("head-rectangular", 0.25),
    ("head-", 0.4), ("nose-trans", 0.35), ("nose-scale", 0.75), ("nose-", 0.65), ("mouth-trans", 0.3), ("mouth-scale", 0.45),
    ("mouth-dimples", 0.3), ("mouth-laugh", 0.4), ("mouth-angles", 0.25), ("mouth-", 0.4), ("eye-trans", 0.4),
    ("eye-height", 0.3), ("eye-scale", 0.6), ("eye-push", 0.3), ("eye-bag", 0.45), ("eye-epicanthus", 0.5), ("eye-", 0.45),
    ("eyebrows-", 0.25), ("chin-cleft", 0.4), ("chin-jaw", 0.5), ("chin-", 0.65), ("cheek-", 0.65), ("forehead-", 0.55),
    ("ear-", 0.5), ("neck-", 0.35),
)  # fmt: skip
_SPREAD, _ASYMMETRY_SPREAD, _ASYMMETRY_REACH = 0.55, 0.4, 0.12


@dataclass(frozen=True)
class IdentitySpace:
    """The names of an identity vector's entries for one cache, and how entries become shape.

    sliders: two- and one-sided sliders; sided: those of them whose sides may differ, which take one more entry each.
    """

    sliders: tuple[str, ...]
    sided: tuple[str, ...]
    keys: tuple[str, ...]

    @classmethod
    def of(cls, model: FaceModel) -> IdentitySpace:
        """The space that a cache's sliders span."""
        return _space_of(model.slider_keys)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all entries, in order."""
        return MACRO_FIELDS + DETAIL_FIELDS + self.sliders + tuple(f"{name} asymmetry" for name in self.sided)

    def sample(self, rng: np.random.Generator) -> np.ndarray:
        """One person, float32 [D]: macro shape and details spread evenly, sliders bell-shaped, sides nearly alike."""
        sex = rng.choice((-1.0, 1.0)) * rng.uniform(0.55, 1.0)
        age = 2 * rng.beta(1.1, 1.9) - 1
        races = rng.dirichlet((0.5, 0.5, 0.5)) * 2 - 1
        details = rng.uniform(-1, 1, len(DETAIL_FIELDS))
        sliders = rng.normal(0, _SPREAD, len(self.sliders))
        sides = rng.normal(0, _ASYMMETRY_SPREAD, len(self.sided))
        vector = np.concatenate(([sex, age], races, details, sliders, sides)).clip(-1, 1)
        return vector.astype(np.float32)

    def check(self, vector: Sequence[float] | np.ndarray) -> np.ndarray:
        """The vector as float32 [D]; raises ValueError for a wrong length or an entry outside [-1, 1]."""
        array = np.asarray(vector, np.float32)
        if array.shape != (len(self.names),):
            raise ValueError(f"identity: expected a vector of {len(self.names)} numbers, got shape {array.shape}")
        bad = np.flatnonzero(~(np.abs(array) <= 1))
        if len(bad):
            raise ValueError(f"identity[{bad[0]}] ({self.names[bad[0]]}) is {array[bad[0]]}; expected -1 to 1")
        return array

    def slider_weights(self, vector: np.ndarray) -> np.ndarray:
        """Strength [K] of each of the cache's slider targets."""
        start = len(MACRO_FIELDS) + len(DETAIL_FIELDS)
        numbers = vector[start:].tolist()
        values = dict(zip(self.sliders, numbers, strict=False))
        sides = dict(zip(self.sided, numbers[len(self.sliders) :], strict=True))
        weights = np.zeros(len(self.keys), np.float32)
        for number, key in enumerate(self.keys):
            name, sign = key.split("|")
            amount = values[name] * _reach(name)
            if sign[0] in "lr":
                amount += (1 if sign[0] == "l" else -1) * sides[name] * _ASYMMETRY_REACH
            weights[number] = max(amount if sign[-1] == "+" else -amount, 0.0)
        return weights


@lru_cache(maxsize=4)
def _space_of(keys: tuple[str, ...]) -> IdentitySpace:
    names = list(dict.fromkeys(key.split("|")[0] for key in keys))
    sided = [name for name in names if f"{name}|l+" in keys or f"{name}|l-" in keys]
    return IdentitySpace(tuple(names), tuple(sided), keys)


@dataclass(frozen=True)
class Details:
    """What an identity vector says beside the shape; see `details_of`."""

    male: float
    age: float
    skins: tuple[int, int]
    skin_mix: float
    brow: int
    brow_density: float
    brow_colour: np.ndarray
    lashes: int
    iris: np.ndarray
    freckles: float
    moles: int
    lips: float
    blush: float


def macro_weights(vector: np.ndarray) -> np.ndarray:
    """Weights [race, sex, age] of the macro corners; they sum to 1."""
    sex, age, *races = ((vector[: len(MACRO_FIELDS)].astype(np.float64) + 1) / 2).tolist()
    share = np.array(races) / max(sum(races), 1e-6)
    return share[:, None, None] * np.array([1 - sex, sex])[:, None] * np.array([1 - age, age])


def details_of(vector: np.ndarray) -> Details:
    """Read the non-shape entries of a checked identity vector."""
    macro = (vector[: len(MACRO_FIELDS)].astype(np.float64) + 1) / 2
    unit = dict(zip(DETAIL_FIELDS, ((vector[len(MACRO_FIELDS) :].astype(np.float64) + 1) / 2).tolist(), strict=False))
    male, age = float(macro[0]), float(macro[1])
    choices = _skins_for(male, age)
    first = choices[min(int(unit["skin_a"] * len(choices)), len(choices) - 1)]
    second = choices[min(int(unit["skin_b"] * len(choices)), len(choices) - 1)]
    races = macro[2:] / max(macro[2:].sum(), 1e-6)
    fair = float(races[hm08.MACRO_RACES.index("caucasian")])
    iris = unit["iris"] ** 1.2 * (0.15 + 0.85 * fair)
    grey = max(age - 0.6, 0.0) * 1.6
    dark, light = np.array([26.0, 19.0, 16.0]), np.array([112.0, 82.0, 56.0])
    brow = dark + (light - dark) * unit["brow_darkness"] ** 1.5 * (0.25 + 0.75 * fair)
    brow = brow + (np.array([150.0, 148.0, 145.0]) - brow) * min(grey, 0.7)
    return Details(
        male=male,
        age=age,
        skins=(first, second),
        skin_mix=0.5 * unit["skin_mix"],
        brow=min(int(unit["brow_style"] * len(hm08.BROWS)), len(hm08.BROWS) - 1),
        brow_density=0.65 + 0.45 * unit["brow_density"],
        brow_colour=linear(brow),
        lashes=min(int(unit["lashes"] * len(hm08.LASHES)), len(hm08.LASHES) - 1),
        iris=iris_colour(iris, 2 * unit["iris_light"] - 1),
        freckles=max(unit["freckles"] - 0.6, 0.0) * 2.5 * (0.3 + 0.7 * fair),
        moles=int(unit["moles"] * 1000),
        lips=unit["lips"],
        blush=unit["blush"],
    )


def _skins_for(male: float, age: float) -> list[int]:
    """Numbers of the skin pictures that suit a person; there is no picture of a dark-skinned woman, so these serve all."""

    def suits(name: str) -> bool:
        sex_fits = "_darkskinned_" in name or (("_male_" in name) == (male >= 0.5))
        old_fits = not name.startswith("old") or age > 0.45
        young_fits = not name.startswith("young") or age < 0.6
        return sex_fits and old_fits and young_fits

    return [number for number, name in enumerate(hm08.SKINS) if suits(name)]


@cache
def _reach(name: str) -> float:
    stem = name.split("/")[1]
    return next((reach for start, reach in _REACH if stem.startswith(start)), 0.5)
