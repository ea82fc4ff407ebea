"""The five canonical landmarks of a face, and whether five points can be one.

All coordinates are picture pixels (x, y), y downwards, in the pixel-centre convention of `crop.py`.

The canonical order is insightface's: left eye centre, right eye centre, nose tip, left mouth corner, right mouth corner,
left and right as seen in the picture of an upright face (so the person's own right eye comes first). The eye centre is the
middle of the lids' contour, not the pupil: it must not follow the gaze.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

# Proportions of an average adult face in units of the distance between the eye centres, rounded from the usual
# anthropometric means (pupils 63 mm apart, mouth 52 mm wide and 70 mm below them, nose tip 38 mm below and 31 mm in front).
MOUTH_HALF_WIDTH = 0.41
EYES_TO_MOUTH = 1.12
EYES_TO_NOSE = 0.60
NOSE_PROTRUSION = 0.50

# Landmarks whose mean is one canonical point. 68 points: iBUG 300-W numbering. Mesh: MediaPipe's numbering, on which the
# six lid points per eye lie where iBUG puts its own.
_IBUG_68 = (range(36, 42), range(42, 48), (30,), (48,), (54,))
MESH_GROUPS = ((33, 160, 158, 133, 153, 144), (362, 385, 387, 263, 373, 380), (4,), (61,), (291,))
_GROUPS = {5: tuple((i,) for i in range(5)), 68: _IBUG_68, 468: MESH_GROUPS, 478: MESH_GROUPS}

# Bounds of `plausible`. They contain a rigid average face under yaw up to 60 and pitch up to 30 degrees, with margins for
# individual proportions, an open jaw and detector noise.
MIN_SIZE_PX = 6.0
_EYES_OVER_DROP = (0.25, 1.9)
_MOUTH_OVER_EYES = (0.3, 2.0)
_NOSE_DROP = (0.05, 1.0)
_MAX_YAW = math.radians(75)
_MAX_EYE_TILT = math.radians(55)


@dataclass(frozen=True)
class FaceAxes:
    """A face's own coordinate system in the picture; every field has the leading shape of the landmarks it came from.

    origin [..., 2] is the midpoint of the eyes; right and down [..., 2] are unit vectors, down pointing from there to the
    midpoint of the mouth. Lengths are pixels: eye_span is the eyes' distance along `right`, drop the distance from eyes to
    mouth, nose_shift the nose tip's distance from the middle along `right`. yaw is in radians, positive when the nose points
    to the picture's right; eye_distance is what eye_span would be without it.
    """

    origin: Tensor
    right: Tensor
    down: Tensor
    eye_span: Tensor
    drop: Tensor
    nose_shift: Tensor
    yaw: Tensor
    eye_distance: Tensor


def five_points(landmarks: Tensor) -> Tensor:
    """Return the canonical five points [..., 5, 2] (float64) of 5, 68 (iBUG) or 468/478 (MediaPipe mesh) landmarks.

    landmarks: [..., N, 2], or [..., N, 3] whose third column (depth) is ignored; pixels.
    Raises ValueError for another count, another shape or values that are not finite.
    """
    landmarks = torch.as_tensor(landmarks).detach().to("cpu", torch.float64)
    if landmarks.ndim < 2 or landmarks.shape[-2] not in _GROUPS or landmarks.shape[-1] not in (2, 3):
        raise ValueError(
            f"landmarks: expected 5, 68, 468 or 478 points as [N, 2] pixels, got shape {tuple(landmarks.shape)}; "
            "pass one face's landmarks, x before y"
        )
    if not torch.isfinite(landmarks[..., :2]).all():
        raise ValueError("landmarks: NaN or infinite coordinates; the detector that made them failed on this picture")
    groups = _GROUPS[landmarks.shape[-2]]
    return torch.stack([landmarks[..., list(group), :2].mean(-2) for group in groups], dim=-2)


def mirrored_points(points: Tensor, width: int) -> Tensor:
    """Canonical points [..., 5, 2] of mirrored pictures `width` pixels wide: left and right change names."""
    return torch.stack((width - 1 - points[..., 0], points[..., 1]), -1)[..., [1, 0, 2, 4, 3], :]


def face_axes(points: Tensor) -> FaceAxes:
    """Measure the axes of canonical points [..., 5, 2].

    A rigid face turned by yaw shows its eyes cos(yaw) closer together, and its nose tip, which stands NOSE_PROTRUSION before
    the eyes, sin(yaw) off the middle; both are measured across `down`, which makes them independent of the pitch.
    Raises ValueError where eyes and mouth coincide and no direction exists.
    """
    points = five_points(points)
    left_eye, right_eye, nose, left_mouth, right_mouth = points.unbind(-2)
    origin = (left_eye + right_eye) / 2
    to_mouth = (left_mouth + right_mouth) / 2 - origin
    drop = to_mouth.norm(dim=-1)
    if (drop < 1e-6).any():
        raise ValueError("landmarks: eyes and mouth lie at one place, so the face has no direction; check the detection")
    down = to_mouth / drop[..., None]
    right = torch.stack((down[..., 1], -down[..., 0]), dim=-1)
    eye_span = ((right_eye - left_eye) * right).sum(-1)
    nose_shift = ((nose - origin) * right).sum(-1)
    turned = nose_shift / NOSE_PROTRUSION
    return FaceAxes(
        origin, right, down, eye_span, drop, nose_shift,
        yaw=torch.atan2(turned, eye_span), eye_distance=torch.hypot(eye_span, turned),
    )  # fmt: skip


def plausible(points: Tensor, min_size: float = MIN_SIZE_PX) -> str | None:
    """Say why canonical points [5, 2] cannot be a face, or return None when they can.

    Any roll, yaw up to 60 and pitch up to 30 degrees pass. min_size: least distance from eyes to mouth, in pixels.
    Raises ValueError for points of a wrong shape or with values that are not finite.
    """
    points = five_points(points)
    if points.ndim != 2:
        raise ValueError(f"points: expected one face [5, 2], got {tuple(points.shape)}")
    eye_middle, mouth_middle = points[:2].mean(0), points[3:].mean(0)
    if (mouth_middle - eye_middle).norm() < min_size:
        return f"too small: eyes and mouth are less than {min_size:g} px apart"
    axes = face_axes(points)
    span, drop, yaw = axes.eye_span.item(), axes.drop.item(), axes.yaw.item()
    mouth = ((points[4] - points[3]) @ axes.right).item()
    nose_drop = ((points[2] - axes.origin) @ axes.down).item() / drop
    tilt = math.atan2(((points[1] - points[0]) @ axes.down).abs().item(), span)
    if span <= 0 or mouth <= 0:
        return "mirrored or upside down: seen with the eyes above the mouth, left and right are exchanged"
    checks = (
        (tilt <= _MAX_EYE_TILT, f"eye line tilted {math.degrees(tilt):.0f} degrees against the face"),
        (abs(yaw) <= _MAX_YAW, f"nose too far to one side (would be a yaw of {math.degrees(yaw):.0f} degrees)"),
        (_EYES_OVER_DROP[0] <= span / drop <= _EYES_OVER_DROP[1], f"eye distance is {span / drop:.2f} of eyes to mouth"),
        (_MOUTH_OVER_EYES[0] <= mouth / span <= _MOUTH_OVER_EYES[1], f"mouth is {mouth / span:.2f} of the eye distance"),
        (_NOSE_DROP[0] <= nose_drop <= _NOSE_DROP[1], f"nose tip at {nose_drop:.2f} of the way from eyes to mouth"),
    )
    return next((reason for passed, reason in checks if not passed), None)
