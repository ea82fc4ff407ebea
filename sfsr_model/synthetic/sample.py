"""Random samples: the same seed and number always give the same picture, in any process."""

from __future__ import annotations

import numpy as np

from ..expressions import ARKIT_INDEX, ARKIT_NAMES, LEFT_RIGHT_PAIRS, MOVEMENTS, all_words, word_expression
from .arkit_table import note_of
from .identity import IdentitySpace
from .look import Look, sample_look
from .model import FaceModel
from .render import Picture, render
from .scene import MAX_YAW, Scene, sample_scene

# What the assets hardly show is drawn half as often.
_SHARES = np.array([0.5 if note_of(ARKIT_NAMES[movement[0]]).startswith("weak") else 1.0 for movement in MOVEMENTS])
_ONE_SIDED = 0.3

# Streams of random numbers, so that a change in one part of a sample leaves the others as they are.
IDENTITY, EXPRESSION, LOOK, SCENE = range(4)


def check_number(name: str, value: int) -> None:
    """Raise ValueError for a seed or a sample's number that is none."""
    if not isinstance(value, (int, np.integer)) or value < 0:
        raise ValueError(f"{name}: expected a whole number from 0, got {value!r}")


def generator(seed: int, *path: int) -> np.random.Generator:
    """The generator of one part of one sample; path: sample number, role, stream. Raises ValueError for a negative one."""
    check_number("seed", seed)
    check_number("number", path[0])
    return np.random.default_rng([seed, *path])


def sample_coefficients(rng: np.random.Generator) -> np.ndarray:
    """Coefficients float32 [52]: a word of the 135 at some strength, a mix of two, single movements, or rest; then small
    movements, sides that differ a little, and a gaze."""
    kind = rng.choice(4, p=(0.33, 0.12, 0.48, 0.07))
    words = all_words()

    def word() -> np.ndarray:
        return word_expression(words[rng.integers(len(words))].word).coefficients[0].numpy() * rng.uniform(0.4, 1.0)

    if kind == 0:
        values = word()
    elif kind == 1:
        values = 0.6 * word() + 0.6 * word()
    elif kind == 2:
        values = np.zeros(len(ARKIT_NAMES))
        for number in rng.choice(len(MOVEMENTS), rng.integers(1, 6), replace=False, p=_SHARES / _SHARES.sum()):
            sides = np.array(MOVEMENTS[number])
            if rng.random() < _ONE_SIDED:
                sides = sides[[rng.integers(len(sides))]]
            values[sides] = rng.uniform(0.2, 1.0)
    else:
        values = np.zeros(len(ARKIT_NAMES))
    values = values + rng.exponential(0.03, len(ARKIT_NAMES)) * (rng.random(len(ARKIT_NAMES)) < 0.35)
    for left, right in LEFT_RIGHT_PAIRS:
        if kind != 2:
            lean = rng.normal(0, 0.08)
            values[left], values[right] = values[left] * (1 + lean), values[right] * (1 - lean)
    return _plausible(values, rng).astype(np.float32)


def _plausible(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Keep out what no face does: lips closed over a closed jaw, opposite gazes, tongues through teeth."""
    at = ARKIT_INDEX
    if rng.random() < 0.5:
        across, up = rng.normal(0, 0.28), rng.normal(0, 0.18)
        values[at["eyeLookOutLeft"]] = values[at["eyeLookInRight"]] = max(across, 0)
        values[at["eyeLookInLeft"]] = values[at["eyeLookOutRight"]] = max(-across, 0)
        values[at["eyeLookUpLeft"]] = values[at["eyeLookUpRight"]] = max(up, 0)
        values[at["eyeLookDownLeft"]] = values[at["eyeLookDownRight"]] = max(-up, 0)
    else:
        for name in ARKIT_NAMES:
            if name.startswith("eyeLook"):
                values[at[name]] *= 0.3
    values[at["mouthClose"]] = min(values[at["mouthClose"]], values[at["jawOpen"]])
    values[at["jawOpen"]] = max(values[at["jawOpen"]], 0.6 * values[at["tongueOut"]])
    for side in ("Left", "Right"):
        values[at[f"eyeWide{side}"]] *= 1 - min(values[at[f"eyeBlink{side}"]], 1)
    return values.clip(0, 1)


def sample_person(model: FaceModel, seed: int, person: int) -> np.ndarray:
    """Identity vector of a numbered person."""
    return IdentitySpace.of(model).sample(generator(seed, person, 0, IDENTITY))


def sample_parts(
    model: FaceModel, seed: int, number: int, role: int = 0, max_yaw: float = MAX_YAW, finish_strength: float = 1.0
) -> tuple[np.ndarray, np.ndarray, Look, Scene]:
    """Identity, coefficients, look and scene of a numbered sample. role tells apart the pictures of one sample."""
    identity = IdentitySpace.of(model).sample(generator(seed, number, role, IDENTITY))
    coefficients = sample_coefficients(generator(seed, number, role, EXPRESSION))
    look = sample_look(generator(seed, number, role, LOOK), (float(identity[0]) + 1) / 2)
    scene = sample_scene(generator(seed, number, role, SCENE), max_yaw, finish_strength=finish_strength)
    return identity, coefficients, look, scene


def sample_picture(
    model: FaceModel, seed: int, number: int, size: int, aligned: bool = False, max_yaw: float = MAX_YAW
) -> Picture:
    """A numbered random picture; max_yaw in radians bounds the head's turn."""
    identity, coefficients, look, scene = sample_parts(model, seed, number, 0, max_yaw)
    return render(model, identity, coefficients, look, scene, size, aligned)
