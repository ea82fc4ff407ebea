"""FACE_LANDMARKS, the plain dictionaries that ComfyUI's own landmark node (0.23 and later) hands over, as an expression.

"frames" holds a list of faces for each picture; a face has "bbox_xyxy", "blendshapes" by name, "score" and mostly
"transformation_matrix" [4, 4], a scaled rotation of MediaPipe's canonical face.
"""

from __future__ import annotations

from typing import Any

import torch

from ..encoders.detection import Detection, choose_face
from ..expressions import ARKIT_NAMES, Expression, concatenate
from .pose import rotation_angles

_MAKER = "connect Detect Face Landmarks (MediaPipe)"


def landmarks_expression(landmarks: Any, order: str, index: int) -> Expression:
    """One expression for each picture, of face number `index` in the given order.

    Raises TypeError for a value of another structure and ValueError naming a picture without such a face.
    """
    frames = landmarks.get("frames") if isinstance(landmarks, dict) else None
    if not isinstance(frames, list) or not frames:
        raise TypeError(f"face_landmarks: found a {type(landmarks).__name__} without pictures; {_MAKER}")
    return concatenate([_expression(faces, number, order, index) for number, faces in enumerate(frames)])


def _expression(faces: Any, number: int, order: str, index: int) -> Expression:
    if not faces:
        raise ValueError(f"face_landmarks: picture {number}: no face found; use a picture in which the face is larger")
    try:
        found = [Detection(_box(face), torch.zeros(5, 2), float(face["score"])) for face in faces]
        chosen = choose_face(found, order, index)
        face = next(face for face, one in zip(faces, found, strict=True) if one is chosen)
        shapes = dict(face["blendshapes"])
        values = torch.tensor([[float(shapes.get(name, 0.0)) for name in ARKIT_NAMES]])
        return Expression(values.clamp(0, 1), _pose(face.get("transformation_matrix")))
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise TypeError(
            f"face_landmarks: picture {number}: an expression cannot be read from it ({error}); {_MAKER}"
        ) from error
    except ValueError as error:
        raise ValueError(f"face_landmarks: picture {number}: {error}") from error


def _pose(matrix: Any) -> torch.Tensor | None:
    if matrix is None:
        return None
    rotation = torch.as_tensor(matrix, dtype=torch.float64).reshape(4, 4)[:3, :3]
    return rotation_angles((rotation / rotation[:, 0].norm())[None]).float()


def _box(face: Any) -> torch.Tensor:
    return torch.as_tensor(face["bbox_xyxy"], dtype=torch.float64).reshape(4)
