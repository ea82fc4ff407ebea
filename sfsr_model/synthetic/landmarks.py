"""Landmarks from fixed points of the mesh: 68 in iBUG's numbering, and the five canonical ones made of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .errors import AssetError

# Vertices of hm08 in iBUG 300-W order: jaw 0-16, brows 17-26, nose 27-35, eyes 36-47, mouth 48-67. The person's right comes
# first, as it lies left in the picture.
IBUG_68: tuple[int, ...] = (
    5385, 5201, 5098, 869, 5241, 741, 3696, 913, 747, 7615, 10364, 7461, 11850, 7574, 11713, 11812, 11985,
    261, 225, 206, 205, 208,
    6983, 6980, 6981, 6999, 7030,
    133, 5063, 201, 294, 286, 313, 317, 7076, 7055,
    1063, 6, 54, 73, 47, 6776,
    6857, 6838, 6790, 7755, 13372, 6831,
    3736, 411, 456, 455, 7215, 7171, 10404, 7233, 7241, 492, 486, 478,
    3733, 453, 474, 7213, 10401, 7236, 523, 481,
)  # fmt: skip


def landmark_points(number: Mapping[int, int]) -> np.ndarray:
    """Numbers [68] of the points that are landmarks, by the numbers of the kept vertices; raises AssetError where one lacks."""
    try:
        return np.array([number[vertex] for vertex in IBUG_68])
    except KeyError as error:
        raise AssetError(f"cache: has no vertex {error} for a landmark; build it from MakeHuman's own base mesh") from None
