"""FaceFrame: one detected face and everything that cutting it out and pasting it back need."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor
from torch.nn import functional as F

from .crop import apply_affine, crop_transform
from .landmarks import five_points
from .mask import face_mask


@dataclass(frozen=True, eq=False)
class FaceFrame:
    """A face's place in one picture.

    landmarks: canonical five points [5, 2], picture pixels, float64.
    transform: similarity [2, 3] from picture to crop pixels, float64 (pixel-centre convention of `crop.py`).
    crop_size: side S of the crop. image_size: (height, width) of the picture.
    score: the detector's confidence, higher is surer; its scale is the detector's own.
    index: the face's number in its picture, counted from 0 in the order the faces were sorted by.
    mask: [S, S] float32, 0..1, the area that may be replaced, in crop pixels.
    picture: the number of the picture in its batch, counted from 0. pictures: how many that batch had.
    opacity: how much of a new face is seen when it is pasted, 0..1.
    warnings: what should be known of the choice of this face.
    shot: the number of the shot of a film, within which what belongs to the face changes slowly; None for a picture of its own.
    """

    landmarks: Tensor
    transform: Tensor
    crop_size: int
    image_size: tuple[int, int]
    score: float
    index: int
    mask: Tensor
    picture: int = 0
    pictures: int = 1
    opacity: float = 1.0
    warnings: tuple[str, ...] = ()
    shot: int | None = None

    def resized(self, size: int) -> FaceFrame:
        """The same face in a crop of another side, for what was made of the crop at that size."""
        ratio = size / self.crop_size
        transform = self.transform * ratio
        transform[:, 2] += 0.5 * ratio - 0.5  # pixel centres are whole numbers at every size
        mask = F.interpolate(self.mask[None, None], (size, size), mode="bilinear", antialias=True)[0, 0]
        return replace(self, transform=transform, crop_size=size, mask=mask)

    def __post_init__(self) -> None:
        expected = {"landmarks": (5, 2), "transform": (2, 3), "mask": (self.crop_size, self.crop_size)}
        for name, shape in expected.items():
            found = tuple(getattr(self, name).shape)
            if found != shape:
                raise ValueError(f"face frame: {name} has shape {found}, expected {shape}")


def face_frame(
    points: Tensor, image_size: tuple[int, int], crop_size: int, score: float = 1.0, index: int = 0, picture: int = 0
) -> FaceFrame:
    """Build the frame of the face with these landmarks.

    points: 5, 68, 468 or 478 landmarks [N, 2] in picture pixels; image_size: (height, width).
    Raises ValueError for landmarks that are not finite or coincide, an empty picture or a crop below MIN_CROP_SIZE.
    """
    height, width = (int(side) for side in image_size)
    if height < 1 or width < 1:
        raise ValueError(f"image size: expected a picture of at least 1 x 1 pixels, got {width} x {height}")
    landmarks = five_points(points)
    transform = crop_transform(landmarks, crop_size)
    mask = face_mask(apply_affine(transform, landmarks), crop_size)
    return FaceFrame(landmarks, transform, crop_size, (height, width), float(score), int(index), mask, int(picture))
