"""A detector of SCRFD's kind, run through insightface: which sizes it looks at, and what counts as a face."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .detection import LARGER, Detection, accepted, judged, share_within
from .points import PointsReader

# The sides in pixels that a picture is brought to, in the order of trying.
DETECTION_SIZES = (640, 320, 160)
# A detector's own default. Fainter finds down to DOUBTFUL_SCORE are kept for messages only.
MIN_SCORE, DOUBTFUL_SCORE = 0.5, 0.3
# The side at which a picture is looked at lying on its side and upside down, where it has no upright face.
TURNED_SIZE = 320
# Width of the border for the second look at a picture, as a share of its longer side: SCRFD misses faces that fill it.
BORDER = 0.5


@dataclass(frozen=True, eq=False)
class FaceDetector:
    """model: insightface's, with a threshold of DOUBTFUL_SCORE. name: of its file. largest: side in pixels of the largest face
    that the detector finds as a whole and well, if known: larger ones are taken from the next smaller size. closely: what
    takes a second look at every find, if anything does."""

    name: str
    model: Any
    largest: float | None = None
    closely: PointsReader | None = None

    def detect(self, image: Tensor | np.ndarray) -> list[Detection]:
        """Faces of a picture [H, W, 3], float RGB in 0..1 or what `bgr` made of it, and doubtful finds marked as refused.

        Smaller analysis sizes and a border around the picture are tried while nothing is found, the picture turned by quarters
        while nothing is sure: a face upside down may be taken for an upright one within it.
        """
        picture = image if isinstance(image, np.ndarray) else bgr(image)
        found = self._upright(picture)
        faces = accepted(found)
        if any(one.sure for one in faces):
            return found
        turned = [one for one in self._turned(picture) if one.sure or not faces]
        return [*(_refused_within(one, turned) for one in found), *turned]

    def _upright(self, picture: np.ndarray) -> list[Detection]:
        """Faces that stand upright or nearly so, or what was doubtful."""
        doubtful: list[Detection] = []
        for border in (0, round(BORDER * max(picture.shape[:2]))):
            framed = np.pad(picture, ((border, border), (border, border), (0, 0))) if border else picture
            sizes = self._sizes(framed)
            for size in sizes:
                found = self._detect_at(framed, size, border)
                if any(one.refused is None for one in found):
                    large = self._too_large_for(size, [other for other in sizes if other < size], framed, border)
                    return large + [one for one in found if not any(share_within(one.box, whole.box) > 0.5 for whole in large)]
                doubtful += found
        return doubtful

    def _turned(self, picture: np.ndarray) -> list[Detection]:
        """Faces on their side or upside down: of the three ways to turn the picture, that which has the surest find."""
        sizes = self._sizes(picture)
        if not sizes:
            return []
        size = min(sizes, key=lambda one: abs(one - TURNED_SIZE))
        best: list[Detection] = []
        for quarters in (1, 2, 3):
            shown = np.ascontiguousarray(np.rot90(picture, quarters))
            found = accepted(self._detect_at(shown, size, 0))
            if found and max(one.score for one in found) > max((one.score for one in best), default=0.0):
                best = [_turned_back(one, quarters, shown.shape[:2]) for one in found]
        return best

    def _too_large_for(self, size: int, smaller: list[int], picture: np.ndarray, border: int) -> list[Detection]:
        """Faces beyond what the detector knows at an analysis size, as the next smaller one shows them."""
        if self.largest is None or not smaller:
            return []
        scale = size / max(picture.shape[:2])
        found = accepted(self._detect_at(picture, max(smaller), border))
        return [one for one in found if (one.box[2:] - one.box[:2]).max().item() * scale > self.largest]

    def _sizes(self, picture: np.ndarray) -> list[int]:
        """Analysis sizes to try: the one that the detector's file fixes, or several; none that would flatten the picture."""
        fixed = self.model.session.get_inputs()[0].shape[-1]
        sizes = (fixed,) if isinstance(fixed, int) else DETECTION_SIZES
        short, long = sorted(picture.shape[:2])
        return [size for size in sizes if short * size >= long]

    def _detect_at(self, picture: np.ndarray, size: int, border: int) -> list[Detection]:
        """Finds at one analysis size, judged, in pixels of the picture without its border."""
        # input_size as an argument works in every insightface; setting the attribute does nothing in 1.0 and later.
        boxes, points = self.model.detect(picture, input_size=(size, size))
        if points is None:
            return []
        height, width = (side - 2 * border for side in picture.shape[:2])
        found = [
            Detection(
                torch.from_numpy(box[:4].astype(np.float64) - border),
                torch.from_numpy(five.astype(np.float64) - border),
                float(box[4]),
                float(box[4]),
                None if box[4] >= MIN_SCORE else f"its score is below {MIN_SCORE:g}",
                LARGER,
            )
            for box, five in zip(boxes, points, strict=True)
        ]
        seen = [judged(one, (height, width)) for one in found]
        if self.closely is None:
            return seen
        inner = picture[border : border + height, border : border + width] if border else picture
        return [judged(one, (height, width)) for one in self.closely.look(inner, seen)]


def _turned_back(found: Detection, quarters: int, size: tuple[int, int]) -> Detection:
    """A find in a picture that numpy turned by quarters, of size (height, width) then, as it lies in the picture before."""
    points = torch.cat((found.points, found.box.reshape(2, 2)))
    height, width = size
    for _ in range(quarters):
        # A quarter brings the last column to the first row.
        points = torch.stack((height - 1 - points[:, 1], points[:, 0]), -1)
        height, width = width, height
    corners = points[5:]
    return replace(found, points=points[:5], box=torch.cat((corners.amin(0), corners.amax(0))))


def _refused_within(found: Detection, turned: list[Detection]) -> Detection:
    """The find, refused where most of it lies within a face that was found in the picture turned."""
    if found.refused is not None or not any(share_within(found.box, one.box) > 0.5 for one in turned):
        return found
    return replace(found, refused="a face that is not upright lies there")


def bgr(image: Tensor) -> np.ndarray:
    """Float RGB [H, W, 3] in 0..1 to the uint8 BGR that insightface takes. Raises ValueError for values that are not finite."""
    import cv2

    picture = image.detach()[..., :3].cpu().float().contiguous()
    low, high = (float(bound) for bound in torch.aminmax(picture))
    if not math.isfinite(low + high):
        raise ValueError("image: it contains NaN or infinite values; check the node that made it")
    height, width = picture.shape[:2]
    # OpenCV scales, rounds, clips at 255 and narrows in one pass over the picture; of values below 0 it would take the size.
    values = (picture if low >= 0 else picture.clamp_min(0.0)).numpy().reshape(height, width * 3)
    pixels = cv2.convertScaleAbs(values, alpha=255.0).reshape(height, width, 3)
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
