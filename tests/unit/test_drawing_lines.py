"""The drawing against the reference's own rules, written out with OpenCV."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch

from sfsr_model.drawing.edges import PARTS
from sfsr_model.drawing.lines import draw_faces, draw_smooth, is_drawn, normalised

# MediaPipe's FACEMESH_* sets, and the colours (BGR) that the annotator of ControlNetMediaPipeFace gives them.
OVAL = (
    "10-338 338-297 297-332 332-284 284-251 251-389 389-356 356-454 454-323 323-361 361-288 288-397 397-365 365-379 379-378 "
    "378-400 400-377 377-152 152-148 148-176 176-149 149-150 150-136 136-172 172-58 58-132 132-93 93-234 234-127 127-162 "
    "162-21 21-54 54-103 103-67 67-109 109-10"
)
LEFT_EYE = (
    "263-249 249-390 390-373 373-374 374-380 380-381 381-382 382-362 263-466 466-388 388-387 387-386 386-385 385-384 384-398 "
    "398-362"
)
LEFT_BROW = "276-283 283-282 282-295 295-285 300-293 293-334 334-296 296-336"
RIGHT_EYE = (
    "33-7 7-163 163-144 144-145 145-153 153-154 154-155 155-133 33-246 246-161 161-160 160-159 159-158 158-157 157-173 173-133"
)
RIGHT_BROW = "46-53 53-52 52-65 65-55 70-63 63-105 105-66 66-107"
LIPS = (
    "61-146 146-91 91-181 181-84 84-17 17-314 314-405 405-321 321-375 375-291 61-185 185-40 40-39 39-37 37-0 0-267 267-269 "
    "269-270 270-409 409-291 78-95 95-88 88-178 178-87 87-14 14-317 317-402 402-318 318-324 324-308 78-191 191-80 80-81 81-82 "
    "82-13 13-312 312-311 311-310 310-415 415-308"
)
REFERENCE = (
    (OVAL, (10, 200, 10)),
    (LEFT_EYE, (180, 200, 10)),
    (LEFT_BROW, (180, 220, 10)),
    (RIGHT_EYE, (10, 200, 180)),
    (RIGHT_BROW, (10, 220, 180)),
    (LIPS, (10, 180, 10)),
)
PUPILS = {468: (10, 200, 250), 473: (250, 200, 10)}


def reference(faces: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """What the annotator draws of faces [F, 478, 2] in 0..1: MediaPipe's draw_landmarks, then its own pupils, then RGB."""
    rows, columns = size
    image = np.zeros((rows, columns, 3), np.uint8)
    for face in faces.astype(np.float32):
        extent = face.max(0) - face.min(0)
        if min(float(extent[0]) * columns, float(extent[1]) * rows) < 64:
            continue
        pixels = {}
        for number, (x, y) in enumerate(face.tolist()):
            if all((value > 0 or math.isclose(0, value)) and (value < 1 or math.isclose(1, value)) for value in (x, y)):
                pixels[number] = min(math.floor(x * columns), columns - 1), min(math.floor(y * rows), rows - 1)
        for edges, colour in REFERENCE:
            for edge in edges.split():
                start, end = map(int, edge.split("-"))
                if start in pixels and end in pixels:
                    cv2.line(image, pixels[start], pixels[end], colour, 2)
        for number, colour in PUPILS.items():
            x, y = face[number].tolist()
            if not (x >= 1.0 or x < 0 or y >= 1.0 or y < 0):
                column, row = int(columns * x), int(rows * y)
                image[row - 2 : row + 2, column - 2 : column + 2, :] = colour
    return image[:, :, ::-1]


@pytest.mark.parametrize("trial", range(12))
def test_it_is_the_reference_drawing_byte_for_byte(trial):
    random = np.random.default_rng(trial)
    size = int(random.integers(8, 400)), int(random.integers(8, 400))
    count = int(random.integers(1, 4))
    # Faces small and large, inside the picture, across its edges and beyond them.
    faces = random.random((count, 478, 2)) * random.uniform(0.05, 1.4, (count, 1, 2)) + random.uniform(-0.4, 0.6, (count, 1, 2))
    if trial % 3 == 0:
        faces = faces.clip(0, 1)
    faces = faces.astype(np.float32)
    drawn = draw_faces(torch.from_numpy(faces), size).numpy()
    assert np.array_equal(drawn, reference(faces, size))


def test_edges_are_the_references():
    joined = {frozenset(edge): part.colour for part in PARTS.values() for edge in part.edges}
    wanted = {
        frozenset(map(int, edge.split("-"))): tuple(reversed(colour)) for edges, colour in REFERENCE for edge in edges.split()
    }
    assert len(wanted) == 124
    assert joined == wanted


def face_of(pixels: int, size: int) -> torch.Tensor:
    """A face whose points fill a square of so many pixels in a picture of `size`."""
    face = torch.rand(478, 2, generator=torch.Generator().manual_seed(1)) * pixels / size + 0.1
    face[0], face[1] = torch.tensor([0.1, 0.1]), torch.tensor([0.1, 0.1]) + pixels / size
    return face


def test_a_small_face_is_left_out():
    size = (256, 256)
    for pixels, drawn in ((62, False), (66, True)):
        face = face_of(pixels, 256)
        assert is_drawn(face, size) is drawn
        assert bool(draw_faces(face[None], size).any()) is drawn


def test_a_pupil_at_the_upper_edge_is_left_out_and_one_at_the_lower_edge_is_cut():
    face = face_of(200, 256)
    colour = torch.tensor([10, 200, 250], dtype=torch.uint8)
    for y, seen in ((1.5 / 256, 0), (255.5 / 256, 4 * 3)):
        face[473] = torch.tensor([0.99 - 20 / 256, y])
        drawn = draw_faces(face[None], (256, 256))
        assert int((drawn == colour).all(-1).sum()) == seen


def test_pixels_and_places():
    # The centre of the first pixel is half a pixel within the picture.
    places = normalised(torch.tensor([[0.0, 0.0, 5.0], [511.0, 255.0, 0.0]]), (256, 512))
    assert places.dtype == torch.float32
    assert torch.allclose(places, torch.tensor([[0.5 / 512, 0.5 / 256], [511.5 / 512, 255.5 / 256]]))


def test_a_smooth_drawing_shows_points_beyond_the_picture():
    face = face_of(200, 256) * 256
    face[10:200] -= 300
    assert draw_smooth(face[None], (256, 256)).any()


def test_what_cannot_be_drawn_is_named():
    with pytest.raises(ValueError, match=r"points: shape \[1, 468, 2\]"):
        draw_faces(torch.zeros(1, 468, 2), (64, 64))
    with pytest.raises(ValueError, match="size: 0 x 64"):
        draw_smooth(torch.zeros(1, 478, 2), (64, 0))
