"""Faces that another node found: ComfyUI's own FACE_LANDMARKS (0.23 and later) and BOUNDING_BOX.

FACE_LANDMARKS is a dictionary: "frames" holds a list of faces for each picture, "image_size" is (height, width); a face has
"landmarks_xy" [478, 2] and "bbox_xyxy" [4] in picture pixels, and "score". A BOUNDING_BOX is a dictionary of "x", "y", "width"
and "height" in picture pixels, a list of them for every picture, or a list of such lists, one a picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ...sfsr_model.encoders.choosing import look_in
from ...sfsr_model.encoders.detection import Detection, judged
from ...sfsr_model.encoders.identity import IDEncoder
from ...sfsr_model.face import five_points

_LANDMARKS, _BOXES = "connect Detect Face Landmarks (MediaPipe)", "connect bounding boxes of faces in picture pixels"


def given_faces(images: Tensor, encoder: IDEncoder | None, face_landmarks: Any, bboxes: Any) -> list[list[Detection]] | None:
    """The finds in each of the pictures [B, H, W, 3] that came over the two sockets, or None; landmarks go before boxes.

    In a box the encoder's detector looks, or the carried one. Raises as the two functions below do.
    """
    if face_landmarks is not None:
        return landmark_faces(face_landmarks, len(images), (images.shape[1], images.shape[2]))
    if bboxes is None:
        return None
    boxes = given_boxes(bboxes, len(images))
    return [look_in(picture, encoder, some) for picture, some in zip(images, boxes, strict=True)]


def landmark_faces(value: Any, pictures: int, size: tuple[int, int]) -> list[list[Detection]]:
    """The faces of each picture (size: height, width), those that cannot be faces marked as refused.

    Raises TypeError for another structure and ValueError for landmarks of other pictures, naming what was found.
    """
    frames = value.get("frames") if isinstance(value, dict) else None
    if not isinstance(frames, Sequence) or isinstance(frames, str):
        raise TypeError(f"face_landmarks: found a {type(value).__name__} without frames; {_LANDMARKS}")
    if len(frames) not in (1, pictures):
        raise ValueError(
            f"face_landmarks: found in {len(frames)} pictures, but {pictures} are connected; find them in the same pictures"
        )
    try:
        height, width = value.get("image_size", size)
        found = (int(height), int(width))
    except (TypeError, ValueError) as error:
        raise TypeError(f"face_landmarks: its image_size is {value['image_size']!r}; {_LANDMARKS}") from error
    if found != size:
        raise ValueError(
            f"face_landmarks: found in pictures of {found[1]} x {found[0]} pixels, but images are {size[1]} x {size[0]}; "
            "find them in the same pictures"
        )
    read = []
    for number, faces in enumerate(frames):
        if not isinstance(faces, Sequence):
            raise TypeError(f"face_landmarks: picture {number}: found a {type(faces).__name__}, no list of faces; {_LANDMARKS}")
        read.append([_landmark_face(face, number, size) for face in faces])
    return read if len(read) == pictures else read * pictures


def _landmark_face(face: Any, number: int, size: tuple[int, int]) -> Detection:
    try:
        points = five_points(torch.as_tensor(face["landmarks_xy"], dtype=torch.float64))
        box = torch.as_tensor(face["bbox_xyxy"], dtype=torch.float64).reshape(4)
        score = float(face.get("score", 1.0))
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise TypeError(
            f"face_landmarks: picture {number}: a face lacks what it should hold ({error}); {_LANDMARKS}"
        ) from error
    except ValueError as error:
        raise ValueError(f"face_landmarks: picture {number}: {error}") from error
    # The host's score is 0..1 above a threshold that its user chose.
    return judged(Detection(box, points, max(score, 1e-6), max(0.0, min(score, 1.0))), size)


def given_boxes(value: Any, pictures: int) -> list[list[tuple[Tensor, float]]]:
    """The boxes [4] (left, top, right, bottom; picture pixels) of each picture, with their scores.

    Raises TypeError for another structure and ValueError for other numbers of pictures.
    """
    lists = value if isinstance(value, list) else [value]
    if not any(isinstance(one, list) for one in lists):
        lists = [lists] * pictures
    if len(lists) not in (1, pictures):
        raise ValueError(f"bboxes: found boxes for {len(lists)} pictures, but {pictures} are connected; give one list each")
    for number, boxes in enumerate(lists):
        if not isinstance(boxes, list):
            raise TypeError(f"bboxes: picture {number}: found a {type(boxes).__name__}, no list of boxes; {_BOXES}")
    read = [[_given_box(box, number) for box in boxes] for number, boxes in enumerate(lists)]
    return read if len(read) == pictures else read * pictures


def _given_box(box: Any, number: int) -> tuple[Tensor, float]:
    try:
        x, y, width, height = (float(box[name]) for name in ("x", "y", "width", "height"))
        score = float(box.get("score", 1.0))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TypeError(f"bboxes: picture {number}: a box lacks x, y, width or height ({error}); {_BOXES}") from error
    edges = torch.tensor([x, y, x + width, y + height], dtype=torch.float64)
    if not bool(edges.isfinite().all()) or width <= 0 or height <= 0:
        raise ValueError(f"bboxes: picture {number}: found a box of {width:g} x {height:g} at ({x:g}, {y:g}); {_BOXES}")
    # Pixel centres are whole numbers here, so a pixel's left edge lies half a pixel before it.
    return edges - 0.5, score
