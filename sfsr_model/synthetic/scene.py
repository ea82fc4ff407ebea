"""Scene: where the head looks, the camera, the lights, what lies behind and what happens to the exposed picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .backdrop import Backdrop, sample_backdrop

MAX_YAW = np.radians(60.0)
_KEY_COLOURS = {"daylight": (1.0, 0.98, 0.95), "warm": (1.0, 0.86, 0.70), "cool": (0.88, 0.94, 1.0), "white": (1.0, 1.0, 1.0)}


@dataclass(frozen=True)
class Light:
    """A distant light: unit direction [3] towards it and linear colour [3]."""

    direction: tuple[float, float, float]
    colour: tuple[float, float, float]


@dataclass(frozen=True)
class Lighting:
    """Key (the one that casts shadows), fill and rim, the sky above and the bounce from below. softness: of shadows, 0..1."""

    key: Light
    fill: Light
    rim: Light
    sky: tuple[float, float, float]
    ground: tuple[float, float, float]
    softness: float


@dataclass(frozen=True)
class Camera:
    """distance in decimetres from the eyes; eye_span: the eyes' distance in picture widths when seen from the front;
    shift: where the middle between eyes and mouth lies, in picture widths from the centre (x right, y down)."""

    distance: float
    eye_span: float
    shift: tuple[float, float]


@dataclass(frozen=True)
class Finish:
    """What camera and file do to the picture: exposure in stops, contrast, noise, blur in pixels of a 256 px picture, vignette,
    JPEG quality (0: none), and the seed of the noise."""

    exposure: float
    contrast: float
    noise: float
    blur: float
    vignette: float
    jpeg: int
    seed: int


@dataclass(frozen=True)
class Occluder:
    """Something soft before the face: place and half size in picture widths, turn in radians, linear colour, kind 0..2."""

    centre: tuple[float, float]
    size: tuple[float, float]
    turn: float
    colour: tuple[float, float, float]
    kind: int
    seed: int


@dataclass(frozen=True)
class Scene:
    """All of it. pose: the head's (pitch, yaw, roll) in the sign convention of `Expression.pose`; trunk: the trunk's yaw."""

    pose: tuple[float, float, float]
    trunk: float
    camera: Camera
    lighting: Lighting
    backdrop: Backdrop
    finish: Finish
    occluder: Occluder | None


def check_yaw(max_yaw: float) -> None:
    """Raise ValueError for a bound of the head's turn that is no angle up to a quarter turn."""
    if not 0 <= max_yaw <= np.pi / 2:
        raise ValueError(f"max_yaw: expected 0 to 90 degrees, got {np.degrees(max_yaw):g}")


def sample_pose(rng: np.random.Generator, max_yaw: float = MAX_YAW) -> tuple[float, float, float]:
    """Pitch, yaw, roll: mostly near the camera, now and then up to max_yaw."""
    check_yaw(max_yaw)
    spread = 0.22 if rng.random() < 0.65 else 0.6
    yaw = float(np.clip(rng.normal(0, spread), -1.05, 1.05) / 1.05 * max_yaw) if max_yaw > 0 else 0.0
    return float(np.clip(rng.normal(0, 0.12), -0.4, 0.4)), yaw, float(np.clip(rng.normal(0, 0.09), -0.35, 0.35))


def sample_scene(
    rng: np.random.Generator, max_yaw: float = MAX_YAW, occluder_share: float = 0.07, finish_strength: float = 1.0
) -> Scene:
    """A scene. finish_strength scales noise, blur and compression; 0 leaves a clean picture."""
    pose = sample_pose(rng, max_yaw)
    backdrop = sample_backdrop(rng)
    return Scene(
        pose=pose,
        trunk=float(pose[1] * rng.uniform(0.2, 0.7) + rng.normal(0, 0.1)),
        camera=Camera(
            distance=float(rng.choice((rng.uniform(8, 14), rng.uniform(14, 30)))),
            eye_span=float(rng.uniform(0.19, 0.27)),
            shift=(float(rng.normal(0, 0.02)), float(0.04 + rng.normal(0, 0.02))),
        ),
        lighting=_sample_lighting(rng, backdrop),
        backdrop=backdrop,
        finish=_sample_finish(rng, finish_strength),
        occluder=_sample_occluder(rng) if rng.random() < occluder_share else None,
    )


def _direction(azimuth: float, height: float) -> tuple[float, float, float]:
    return (
        float(np.sin(azimuth) * np.cos(height)),
        float(np.sin(height)),
        float(np.cos(azimuth) * np.cos(height)),
    )


def _sample_lighting(rng: np.random.Generator, backdrop: Backdrop) -> Lighting:
    side = rng.choice((-1.0, 1.0))
    azimuth = side * abs(rng.normal(0.55, 0.35))
    key_colour = np.array(_KEY_COLOURS[str(rng.choice(list(_KEY_COLOURS), p=(0.4, 0.25, 0.1, 0.25)))])
    contrast = rng.beta(1.6, 2.0)
    key = key_colour * (1.0 + 0.9 * contrast)
    fill = np.array(_KEY_COLOURS[str(rng.choice(("white", "cool", "daylight", "warm")))]) * (0.55 - 0.42 * contrast)
    rim = np.array(_KEY_COLOURS[str(rng.choice(("white", "cool", "warm")))]) * rng.choice((0.0, rng.uniform(0.2, 1.0)))
    around = 0.22 * np.array(backdrop.tint) / max(*backdrop.tint, 1e-3) + 0.78
    sky = around * (0.62 - 0.34 * contrast)
    ground = around * np.array([1.0, 0.92, 0.84]) * (0.34 - 0.2 * contrast)
    return Lighting(
        key=Light(_direction(azimuth, rng.uniform(0.25, 0.95)), _triple(key)),
        fill=Light(_direction(-side * rng.uniform(0.5, 1.1), rng.uniform(-0.1, 0.5)), _triple(fill)),
        rim=Light(_direction(side * rng.uniform(2.2, 2.8), rng.uniform(0.2, 0.9)), _triple(rim)),
        sky=_triple(sky),
        ground=_triple(ground),
        softness=float(rng.uniform(0.2, 1.0)),
    )


def _sample_finish(rng: np.random.Generator, strength: float) -> Finish:
    rough = rng.random() < 0.35
    return Finish(
        exposure=float(rng.normal(0, 0.16)),
        contrast=float(rng.uniform(0.92, 1.12)),
        noise=float(strength * rng.exponential(0.006)),
        blur=float(strength * rng.uniform(0.5, 1.1)) if rough and rng.random() < 0.5 else 0.0,
        vignette=float(strength * rng.choice((0.0, rng.uniform(0, 0.35)))),
        jpeg=int(rng.integers(55, 96)) if strength > 0 and rng.random() < 0.6 else 0,
        seed=int(rng.integers(2**31)),
    )


def _sample_occluder(rng: np.random.Generator) -> Occluder:
    angle = rng.uniform(0, 2 * np.pi)
    reach = rng.uniform(0.26, 0.42)
    return Occluder(
        centre=(float(0.5 + reach * np.cos(angle)), float(0.58 + reach * np.sin(angle))),
        size=(float(rng.uniform(0.05, 0.14)), float(rng.uniform(0.08, 0.25))),
        turn=float(rng.uniform(0, np.pi)),
        colour=_triple(rng.uniform(0.02, 0.5) * rng.uniform(0.5, 1.0, 3)),
        kind=int(rng.integers(3)),
        seed=int(rng.integers(2**31)),
    )


def _triple(values: np.ndarray) -> tuple[float, float, float]:
    a, b, c = (float(value) for value in values)
    return a, b, c
