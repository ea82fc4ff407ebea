"""Faces as lines on black, as ControlNetMediaPipeFace was trained on them; and a smoother drawing for people to look at."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .edges import (
    IRISES,
    LEFT_IRIS,
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    NOSE,
    PARTS,
    RIGHT_IRIS,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
)

POINTS = 478
MIN_FACE = 64
"""The shorter side, in pixels, of the box around all points from which on a face is drawn."""
THICKNESS = 2
_PUPIL = 2
_EYES = ((RIGHT_IRIS, RIGHT_LOWER_LID + RIGHT_UPPER_LID[::-1]), (LEFT_IRIS, LEFT_LOWER_LID + LEFT_UPPER_LID[::-1]))
_NOSE_COLOUR = (90, 90, 90)
_SHIFT = 4  # bits of a pixel's fractions that OpenCV draws smooth lines with


def normalised(landmarks: Tensor, size: tuple[int, int]) -> Tensor:
    """Places in 0..1 of a picture of size (height, width), float32 [..., 2], of landmarks [..., 2 or 3] in its pixels (whole
    numbers are pixel centres)."""
    height, width = size
    return ((landmarks[..., :2].double() + 0.5) / landmarks.new_tensor([width, height], dtype=torch.float64)).float()


def draw_faces(places: Tensor, size: tuple[int, int], thickness: int = THICKNESS, min_face: float = MIN_FACE) -> Tensor:
    """The drawing uint8 [H, W, 3] of faces with points at `places` [F, 478, 2] in 0..1 of a picture of size (height, width).

    With the defaults it is, byte for byte, the drawing that the network was trained on: lines of 2 pixels without smoothing;
    a line with an end outside the picture is left out, as is a face of less than `min_face` pixels; pupils are squares.
    Raises ValueError for places of another shape and for an empty picture.
    """
    import cv2

    canvas = _canvas(places, size)
    for face in places.detach().cpu().float().numpy():
        if not min_face <= _shorter_side(face, size):
            continue
        pixels = [_pixel(float(x), float(y), size) for x, y in face]
        for part in PARTS.values():
            for start, end in part.edges:
                first, last = pixels[start], pixels[end]
                if first is not None and last is not None:
                    cv2.line(canvas, first, last, part.colour, thickness)
        for point, colour in IRISES.items():
            _square(canvas, float(face[point, 0]), float(face[point, 1]), colour, _PUPIL * thickness // THICKNESS or 1)
    return torch.from_numpy(canvas)


def draw_smooth(landmarks: Tensor, size: tuple[int, int], thickness: int = 2) -> Tensor:
    """The same lines, uint8 [H, W, 3], smoothed, with a nose and with round irises behind the lids, for people: of
    landmarks [F, 478, 2 or 3] in pixels, which may lie outside the picture. Raises ValueError as `draw_faces` does.
    """
    import cv2

    canvas = _canvas(landmarks, size)
    for face in landmarks.detach().cpu().double().numpy()[..., :2]:
        fixed = np.round(face * 2**_SHIFT).astype(np.int32)
        for iris, lids in _EYES:
            shown, open_eye = np.zeros_like(canvas), np.zeros(size, np.uint8)
            cv2.fillPoly(open_eye, [fixed[list(lids)]], 255, cv2.LINE_AA, _SHIFT)
            radius = float(np.linalg.norm(face[list(iris[1:])] - face[iris[0]], axis=1).mean()) * 2**_SHIFT
            middle, colour = (int(fixed[iris[0], 0]), int(fixed[iris[0], 1])), IRISES[iris[0]]
            cv2.circle(shown, middle, int(radius), colour, thickness, cv2.LINE_AA, _SHIFT)
            cv2.circle(shown, middle, int(radius / 3), colour, -1, cv2.LINE_AA, _SHIFT)
            canvas = np.maximum(canvas, np.where(open_eye[..., None] > 127, shown, 0))
        cv2.polylines(canvas, [fixed[list(NOSE)].reshape(-1, 1, 2)], False, _NOSE_COLOUR, thickness, cv2.LINE_AA, _SHIFT)
        for part in PARTS.values():
            chains = [fixed[list(chain)].reshape(-1, 1, 2) for chain in part.chains]
            cv2.polylines(canvas, chains, False, part.colour, thickness, cv2.LINE_AA, _SHIFT)
    return torch.from_numpy(canvas)


def _canvas(points: Tensor, size: tuple[int, int]) -> np.ndarray[Any, Any]:
    if points.ndim != 3 or points.shape[1] != POINTS or points.shape[2] < 2:
        raise ValueError(f"points: shape {list(points.shape)}; expected [faces, {POINTS}, 2]")
    if min(size) < 1:
        raise ValueError(f"size: {size[1]} x {size[0]} pixels; expected a picture of at least 1 x 1")
    return np.zeros((*size, 3), np.uint8)


def is_drawn(face: Tensor, size: tuple[int, int], min_face: float = MIN_FACE) -> bool:
    """Whether a face with points at `face` [478, 2] in 0..1 of a picture (height, width) is large enough to be drawn."""
    return _shorter_side(face.detach().cpu().float().numpy(), size) >= min_face


def _shorter_side(face: np.ndarray, size: tuple[int, int]) -> float:
    low, high = face.min(0).astype(np.float64), face.max(0).astype(np.float64)
    return float(min((high[0] - low[0]) * size[1], (high[1] - low[1]) * size[0]))


def _pixel(x: float, y: float, size: tuple[int, int]) -> tuple[int, int] | None:
    """The pixel of a place; None outside the picture, whose right and lower edges count as inside."""
    height, width = size
    if not (0 <= x <= 1 and 0 <= y <= 1):
        return None
    return min(math.floor(x * width), width - 1), min(math.floor(y * height), height - 1)


def _square(canvas: np.ndarray, x: float, y: float, colour: tuple[int, int, int], half: int) -> None:
    """A pupil of 2 * half pixels a side. One that the upper or left edge cuts is left out, as where the network learned."""
    if not (0 <= x < 1 and 0 <= y < 1):
        return
    row, column = int(canvas.shape[0] * y), int(canvas.shape[1] * x)
    canvas[row - half : row + half, column - half : column + half] = colour
