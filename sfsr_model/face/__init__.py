"""Faces in pictures: canonical landmarks, the one crop rule, the one face mask, and the warp there and back."""

from .crop import crop_transform, invert_affine
from .frame import FaceFrame, face_frame
from .landmarks import five_points, plausible
from .mask import face_mask, feather
from .warp import crop_face, paste_face, paste_into, seam_colours, warp_mask

__all__ = [
    "FaceFrame",
    "crop_face",
    "crop_transform",
    "face_frame",
    "face_mask",
    "feather",
    "five_points",
    "invert_affine",
    "paste_face",
    "paste_into",
    "plausible",
    "seam_colours",
    "warp_mask",
]
