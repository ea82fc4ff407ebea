"""Turning the head on the trunk, and angles to matrices and back in the convention of `Expression.pose`."""

from __future__ import annotations

import numpy as np

# The head turns about a place between the ears' height and the nape; both in the base mesh's coordinates.
PIVOT = np.array([0.0, 6.55, 0.15], np.float32)
# Along y + _LEAN (z - PIVOT z), from where on points begin to follow the head and where they follow it fully: the jaw
# belongs to the head, the throat and the nape lie between.
_LEAN, _START, _FULL = 0.5, 5.45, 6.5
_LEVELS = 33


def pose_matrix(pose: tuple[float, float, float]) -> np.ndarray:
    """R = R_y(yaw) R_x(-pitch) R_z(-roll), [3, 3], of a pose in radians."""
    pitch, yaw, roll = pose
    return _about(1, yaw) @ _about(0, -pitch) @ _about(2, -roll)


def matrix_pose(matrix: np.ndarray) -> tuple[float, float, float]:
    """The (pitch, yaw, roll) of a rotation [3, 3]; inverse of `pose_matrix` for pitches within a quarter turn."""
    pitch = np.arcsin(np.clip(matrix[1, 2], -1, 1))
    yaw = np.arctan2(matrix[0, 2], matrix[2, 2])
    roll = -np.arctan2(matrix[1, 0], matrix[1, 1])
    return float(pitch), float(yaw), float(roll)


def tilt(matrix: np.ndarray, angle: float) -> np.ndarray:
    """The rotation as seen when the picture is turned clockwise by an angle in radians."""
    return _about(2, -angle) @ matrix


def head_share(rest: np.ndarray) -> np.ndarray:
    """How far points [N, 3] at rest follow the head, 0..1."""
    along = rest[:, 1] + _LEAN * (rest[:, 2] - PIVOT[2])
    share = ((along - _START) / (_FULL - _START)).clip(0, 1)
    return share * share * (3 - 2 * share)


def turn_head(points: np.ndarray, share: np.ndarray, head: np.ndarray, trunk: np.ndarray) -> np.ndarray:
    """Points [N, 3] turned about PIVOT: by `head` where share is 1, by `trunk` where it is 0, along the arc between."""
    axis, angle = _axis_angle(head @ trunk.T)
    levels = np.stack([_rotation(axis, angle * level) @ trunk for level in np.linspace(0, 1, _LEVELS)]).astype(np.float32)
    place = share * (_LEVELS - 1)
    low = np.minimum(place.astype(int), _LEVELS - 2)
    fraction = (place - low)[:, None].astype(np.float32)
    offset = (points - PIVOT).astype(np.float32)
    result = np.empty_like(offset)
    full, none = share >= 1, share <= 0
    result[full] = offset[full] @ levels[-1].T
    result[none] = offset[none] @ levels[0].T
    between = ~(full | none)
    part = offset[between]
    near = np.einsum("nij,nj->ni", levels[low[between]], part)
    far = np.einsum("nij,nj->ni", levels[low[between] + 1], part)
    result[between] = near + (far - near) * fraction[between]
    return result


def _about(axis: int, angle: float) -> np.ndarray:
    i, j = ((1, 2), (2, 0), (0, 1))[axis]
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = np.cos(angle)
    matrix[j, i], matrix[i, j] = np.sin(angle), -np.sin(angle)
    return matrix


def _axis_angle(matrix: np.ndarray) -> tuple[np.ndarray, float]:
    angle = float(np.arccos(np.clip((np.trace(matrix) - 1) / 2, -1, 1)))
    if angle < 1e-6:
        return np.array([0.0, 1.0, 0.0]), 0.0
    skew = np.array([matrix[2, 1] - matrix[1, 2], matrix[0, 2] - matrix[2, 0], matrix[1, 0] - matrix[0, 1]])
    return skew / np.linalg.norm(skew), angle


def _rotation(axis: np.ndarray, angle: float) -> np.ndarray:
    """Rodrigues' formula."""
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
