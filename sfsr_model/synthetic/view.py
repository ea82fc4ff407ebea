"""The camera's view and the key light's: where points fall on the picture and on the shadow map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .scene import Camera

# The shadow map covers a square of this half width around the face, in decimetres.
SHADOW_REACH = 2.6
# Map sizes of the hardest and of the softest shadows: the coarser the map, the wider its filter.
_SHARP, _SOFT = 340, 150
_FAR = 20.0


@dataclass(frozen=True)
class View:
    """A perspective camera on the z axis at `distance`, looking at the origin.

    A point (x, y, z) appears at pixel linear @ (x, -y) * distance / (distance - z) + shift, with (0, 0) the centre of the
    top-left pixel. linear [2, 2] holds scale and turn.
    """

    distance: float
    linear: np.ndarray
    shift: np.ndarray

    @classmethod
    def of(cls, camera: Camera, eye_distance: float, size: int) -> View:
        """The view of a face whose eyes are eye_distance decimetres apart on a picture of size x size pixels."""
        scale = camera.eye_span * size / eye_distance
        return cls(camera.distance, np.eye(2) * scale, (np.array(camera.shift) + 0.5) * size - 0.5)

    def turned(self, transform: np.ndarray) -> View:
        """The same view with a similarity [2, 3] applied to its pixels."""
        return View(self.distance, transform[:, :2] @ self.linear, transform[:, :2] @ self.shift + transform[:, 2])

    def project(self, points: np.ndarray) -> np.ndarray:
        """Pixels [N, 2] of points [N, 3]."""
        flat = points[:, :2] * (self.distance / (self.distance - points[:, 2:3])) * (1.0, -1.0)
        return flat @ self.linear.T + self.shift

    def screen(self, points: np.ndarray) -> np.ndarray:
        """x, y in half pixels and 1 / distance [N, 3] float32, for the rasteriser."""
        away = self.distance - points[:, 2]
        return np.column_stack((2 * self.project(points) + 0.5, 1 / np.maximum(away, 0.1))).astype(np.float32)


@dataclass(frozen=True)
class ShadowView:
    """An orthographic view along a light: axes [3, 3] (x, y, towards the light) in map pixels, and shift [3]; the map is
    size x size."""

    axes: np.ndarray
    shift: np.ndarray
    size: int

    @classmethod
    def of(cls, direction: tuple[float, float, float], softness: float) -> ShadowView:
        """The view from a unit direction; softness 0..1 of the shadows sets the map's size."""
        size = round(_SHARP + (_SOFT - _SHARP) * softness)
        towards = np.array(direction)
        side = np.cross([0.0, 1.0, 0.0] if abs(direction[1]) < 0.95 else [0.0, 0.0, 1.0], towards)
        side /= np.linalg.norm(side)
        scale = size / (2 * SHADOW_REACH)
        axes = np.stack((side * scale, -np.cross(towards, side) * scale, towards))
        return cls(axes, np.array([size / 2, size / 2, _FAR]), size)

    def screen(self, points: np.ndarray) -> np.ndarray:
        """x, y in map pixels and nearness to the light [N, 3] float32."""
        return (points @ self.axes.T + self.shift).astype(np.float32)
