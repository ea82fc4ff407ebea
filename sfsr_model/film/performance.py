"""What somebody does before a camera, as a function of time: talks, blinks, looks about, turns the head, shows a mood."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ..expressions import ARKIT_INDEX, ARKIT_NAMES, POSE_AXES, word_expression

REST = 0.7
"""Seconds at the start in which the face rests and looks into the camera."""
_LIDS = [ARKIT_INDEX[f"eyeBlink{side}"] for side in ("Left", "Right")]
_BLINK_AT, _CLOSED_AT, _OPENS_AT, _BLINK_ENDS = 0.0, 0.08, 0.11, 0.27
_SYLLABLE, _MOOD_TURN, _GLANCE = 0.24, 0.45, 0.05
_MOODS = ("happiness", "surprise", "anger", "sadness", "amusement", "neutral", "worry")
# Mouths of sounds, each for both sides where there are two.
_SOUNDS: tuple[Mapping[str, float], ...] = (
    {"jawOpen": 0.5, "mouthLowerDown": 0.35, "mouthUpperUp": 0.15},  # a
    {"jawOpen": 0.25, "mouthStretch": 0.4, "mouthUpperUp": 0.2},  # e
    {"jawOpen": 0.1, "mouthStretch": 0.5, "mouthSmile": 0.2},  # i
    {"jawOpen": 0.35, "mouthFunnel": 0.5},  # o
    {"jawOpen": 0.1, "mouthPucker": 0.75},  # u
    {"mouthPress": 0.45, "mouthRollLower": 0.25},  # m
    {"mouthRollLower": 0.4, "mouthUpperUp": 0.3},  # f
)


@dataclass(frozen=True)
class Performance:
    """T frames of it. coefficients float32 [T, 52] in 0..1; pose float64 [T, 3] in radians, as `Expression.pose`;
    place float64 [T, 2]: how far the head has moved from where it began, in picture widths; rate: frames a second."""

    coefficients: np.ndarray
    pose: np.ndarray
    place: np.ndarray
    rate: float

    def __len__(self) -> int:
        return len(self.coefficients)


def perform(seed: int, frames: int, rate: float = 30.0, turn: float = 25.0, turn_rate: float = 60.0) -> Performance:
    """The performance of this seed. It begins at rest (`REST`); the same seed at another rate is the same performance.

    turn: how far the head turns to either side, in degrees (0 keeps it still); turn_rate: how fast, in degrees a second.
    Raises ValueError for numbers out of range.
    """
    if frames < 1:
        raise ValueError(f"frames: expected at least 1, got {frames}")
    for name, value, low, high in (("rate", rate, 1, 240), ("turn", turn, 0, 60), ("turn_rate", turn_rate, 1, 400)):
        if not low <= value <= high:
            raise ValueError(f"{name}: expected {low} to {high}, got {value}")
    seconds = np.arange(frames) / rate
    # A stream for each habit: a change in one leaves the others as they are.
    moods, speech, blinks, gaze, head = (np.random.default_rng([seed, stream]) for stream in range(5))
    values = _moods(seconds, moods) + _speech(seconds, speech)
    _look_about(values, seconds, gaze)
    for lid in _LIDS:
        values[:, lid] = np.minimum(values[:, lid], 0.5)
    closed = _blinks(seconds, blinks)[:, None]
    values[:, _LIDS] = np.maximum(values[:, _LIDS], closed)
    for side in ("Left", "Right"):
        values[:, ARKIT_INDEX[f"eyeWide{side}"]] *= 1 - closed[:, 0]
    pose, place = _head(seconds, head, np.radians(turn), np.radians(turn_rate))
    return Performance(values.clip(0, 1).astype(np.float32), pose, place, float(rate))


def _moods(seconds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Coefficients [T, 52] of words that follow each other, each for a while."""
    values = np.zeros((len(seconds), len(ARKIT_NAMES)))
    before = np.zeros(len(ARKIT_NAMES))
    for start, word, strength in _following(seconds[-1], rng, 1.2, 2.2, _MOODS):
        after = word_expression(word).coefficients[0].numpy() * (0.5 + 0.4 * strength)
        values += _eased((seconds - start) / _MOOD_TURN)[:, None] * (after - before)
        before = after
    return values


def _speech(seconds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Coefficients [T, 52] of syllables in phrases with pauses between them."""
    values = np.zeros((len(seconds), len(ARKIT_NAMES)))
    time, left = REST, int(rng.integers(5, 9))
    while time < seconds[-1]:
        bump = np.cos(np.clip((seconds - time) / (1.5 * _SYLLABLE), -0.5, 0.5) * np.pi) ** 2
        for stem, height in _SOUNDS[rng.integers(len(_SOUNDS))].items():
            for name in (stem, f"{stem}Left", f"{stem}Right"):
                if name in ARKIT_INDEX:
                    values[:, ARKIT_INDEX[name]] += height * bump
        left -= 1
        time += _SYLLABLE * rng.uniform(0.8, 1.25) if left else rng.uniform(0.5, 1.0)
        left = left or int(rng.integers(5, 9))
    return values


def _blinks(seconds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """How far the lids are closed [T], 0..1."""
    closed = np.zeros(len(seconds))
    time = REST + rng.uniform(0.1, 0.6)
    while time < seconds[-1]:
        marks = (_BLINK_AT, _CLOSED_AT, _OPENS_AT, _BLINK_ENDS)
        closed = np.maximum(closed, np.interp(seconds - time, marks, (0.0, 1.0, 1.0, 0.0)))
        time += rng.uniform(1.2, 2.8)
    return closed


def _look_about(values: np.ndarray, seconds: np.ndarray, rng: np.random.Generator) -> None:
    """Set the gaze of coefficients [T, 52] in place: it jumps, and rests between."""
    across, up = np.zeros(len(seconds)), np.zeros(len(seconds))
    at_x = at_y = 0.0
    for start, _, _ in _following(seconds[-1], rng, 0.6, 1.6, ("",)):
        to_x, to_y = rng.normal(0, 0.25), rng.normal(0, 0.15)
        share = np.clip((seconds - start) / _GLANCE, 0, 1)
        across, up = across + share * (to_x - at_x), up + share * (to_y - at_y)
        at_x, at_y = to_x, to_y
    for left, right, amount in (("Out", "In", across), ("In", "Out", -across), ("Up", "Up", up), ("Down", "Down", -up)):
        values[:, ARKIT_INDEX[f"eyeLook{left}Left"]] = values[:, ARKIT_INDEX[f"eyeLook{right}Right"]] = amount.clip(min=0)


def _head(seconds: np.ndarray, rng: np.random.Generator, turn: float, turn_rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Pose [T, 3] and place [T, 2]: turns from side to side at an even speed, nods and sways a little."""
    # Every angle and place starts from what it is at rest.
    after = (seconds - REST).clip(min=0)
    begun = _eased(after / 0.5)
    yaw = np.zeros(len(seconds))
    if turn > 0:
        quarter = turn / turn_rate
        ramp = (after / quarter + 1) % 4
        yaw = turn * (1 - np.abs(ramp - 2)) * rng.choice((-1.0, 1.0))
        width = max(int(0.1 * len(seconds) / max(seconds[-1], 0.1)), 1) | 1  # a tenth of a second rounds each reversal
        yaw = np.convolve(np.pad(yaw, width // 2, mode="edge"), np.ones(width) / width, mode="valid")
    periods = rng.uniform((1.2, 1.8, 2.5, 1.5), (1.9, 2.8, 4.0, 2.5))
    waves = [
        begun * size * np.sin(2 * np.pi * after / period)
        for size, period in zip((0.07, 0.05, 0.025, 0.012), periods, strict=True)
    ]
    pose = np.stack((waves[0], yaw, waves[1]), 1)
    assert pose.shape[1] == len(POSE_AXES)
    return pose, np.stack(waves[2:], 1)


def _following(
    end: float, rng: np.random.Generator, shortest: float, longest: float, what: tuple[str, ...]
) -> Iterator[tuple[float, str, float]]:
    """Moments from `REST` to `end`, each with one of `what` and a number from 0 to 1."""
    time = REST
    while time < end:
        yield time, what[rng.integers(len(what))], float(rng.random())
        time += rng.uniform(shortest, longest)


def _eased(share: np.ndarray) -> np.ndarray:
    share = share.clip(0, 1)
    return share * share * (3 - 2 * share)
