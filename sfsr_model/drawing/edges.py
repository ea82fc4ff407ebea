"""Which of MediaPipe's 478 points a drawn face joins, and in which colours.

The numbers are those of MediaPipe's face mesh (mediapipe/python/solutions/face_mesh_connections.py, The MediaPipe Authors,
Apache License 2.0). The choice of parts, their order and their colours are those ControlNetMediaPipeFace was trained with.
Left and right are the person's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

Colour = tuple[int, int, int]

# Chains of points; a part's edges join neighbours in a chain.
OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152,
    148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109, 10,
)  # fmt: skip
LEFT_LOWER_LID = (263, 249, 390, 373, 374, 380, 381, 382, 362)
LEFT_UPPER_LID = (263, 466, 388, 387, 386, 385, 384, 398, 362)
RIGHT_LOWER_LID = (33, 7, 163, 144, 145, 153, 154, 155, 133)
RIGHT_UPPER_LID = (33, 246, 161, 160, 159, 158, 157, 173, 133)
LEFT_BROW = ((276, 283, 282, 295, 285), (300, 293, 334, 296, 336))
RIGHT_BROW = ((46, 53, 52, 65, 55), (70, 63, 105, 66, 107))
OUTER_LOWER_LIP = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
OUTER_UPPER_LIP = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
INNER_LOWER_LIP = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
INNER_UPPER_LIP = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
NOSE = (64, 98, 97, 2, 326, 327, 294)
"""The nose's base; no part of what the network was trained on."""
RIGHT_IRIS, LEFT_IRIS = (468, 469, 470, 471, 472), (473, 474, 475, 476, 477)
"""An iris' middle, then four points of its rim."""


@dataclass(frozen=True)
class Part:
    """Lines of one colour, RGB."""

    colour: Colour
    chains: tuple[tuple[int, ...], ...]

    @property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """Pairs of points that a line joins."""
        return tuple(edge for chain in self.chains for edge in pairwise(chain))


PARTS: dict[str, Part] = {
    "oval": Part((10, 200, 10), (OVAL,)),
    "left eye": Part((10, 200, 180), (LEFT_LOWER_LID, LEFT_UPPER_LID)),
    "left brow": Part((10, 220, 180), LEFT_BROW),
    "right eye": Part((180, 200, 10), (RIGHT_LOWER_LID, RIGHT_UPPER_LID)),
    "right brow": Part((180, 220, 10), RIGHT_BROW),
    "lips": Part((10, 180, 10), (OUTER_LOWER_LIP, OUTER_UPPER_LIP, INNER_LOWER_LIP, INNER_UPPER_LIP)),
}
"""In the order in which they are drawn, later ones over earlier ones."""
IRISES: dict[int, Colour] = {RIGHT_IRIS[0]: (250, 200, 10), LEFT_IRIS[0]: (10, 200, 250)}
