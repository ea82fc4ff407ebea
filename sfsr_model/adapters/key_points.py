"""The five points of a face drawn as InstantID's ControlNet was trained to see them (Wang et al. 2024)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Eyes, nose and corners of the mouth, left of the picture first; what joins to the nose, and how thick.
_COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255))
_NOSE = 2
_LIMB_WIDTH, _LIMB_LIGHT = 4, 0.6
_RADIUS = 10


def draw_key_points(points: Tensor, size: tuple[int, int]) -> Tensor:
    """A picture [H, W, 3] in 0..1 of five points [5, 2] in its pixels, on black. size: (height, width)."""
    import cv2
    import numpy as np

    places = points.double().tolist()
    canvas = np.zeros((*size, 3), np.uint8)
    for number in (0, 1, 3, 4):
        (x, y), (nose_x, nose_y) = places[number], places[_NOSE]
        centre = int((x + nose_x) / 2), int((y + nose_y) / 2)
        half = int(math.hypot(x - nose_x, y - nose_y) / 2)
        angle = int(math.degrees(math.atan2(y - nose_y, x - nose_x)))
        limb = np.asarray(cv2.ellipse2Poly(centre, (half, _LIMB_WIDTH), angle, 0, 360, 1))
        cv2.fillConvexPoly(canvas, limb, _COLOURS[number])
    canvas = (canvas * _LIMB_LIGHT).astype(np.uint8)
    for (x, y), colour in zip(places, _COLOURS, strict=True):
        cv2.circle(canvas, (int(x), int(y)), _RADIUS, colour, -1)
    return torch.from_numpy(canvas).float() / 255
