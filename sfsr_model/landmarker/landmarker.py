"""The chain from pixels to an expression: faces, 478 landmarks, 52 coefficients, the head's pose."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn

from ..expressions import ARKIT_INDEX, ARKIT_NAMES
from ..files import state_of
from .bundle import Bundle, LandmarkerFileError, read_bundle
from .network import Network
from .pose import head_pose
from .regions import REGION, anchors, decode, face_regions, merge, placed, to_picture, views, warp
from .tflite import TfliteError

POINTS = 478
MIN_PRESENCE = 0.5
# The 146 landmarks that the last network reads: kLandmarksSubsetIdxs in
# mediapipe/tasks/cc/vision/face_landmarker/face_blendshapes_graph.cc.
_SUBSET = (
    0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66, 67, 70, 78, 80, 81, 82, 84,
    87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145, 146, 148, 149, 150, 152, 153, 154, 155, 157, 158, 159,
    160, 161, 162, 163, 168, 172, 173, 176, 178, 181, 185, 191, 195, 197, 234, 246, 249, 251, 263, 267, 269, 270, 276, 282, 283,
    284, 285, 288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314, 317, 318, 321, 323, 324, 332, 334, 336, 338, 356, 361,
    362, 365, 373, 374, 375, 377, 378, 379, 380, 381, 382, 384, 385, 386, 387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415,
    454, 466, 468, 469, 470, 471, 472, 473, 474, 475, 476, 477,
)  # fmt: skip
_MISSING = "tongueOut"
# kBlendshapeNames in the same file: sorted by name, `_neutral` first, which no ARKit coefficient corresponds to.
_OUTPUTS = ("_neutral", *sorted(set(ARKIT_NAMES) - {_MISSING}))


@dataclass(frozen=True, eq=False)
class FaceReading:
    """What is seen of M faces.

    landmarks: [M, 478, 3], x and y in picture pixels (integers are pixel centres), z in the same unit, growing away from the
    viewer. presence: [M], how sure the network is that it looks at a face, 0..1. coefficients: [M, 52] in `ARKIT_NAMES`
    order, tongueOut always 0. pose: [M, 3], as `Expression.pose`.
    """

    landmarks: Tensor
    presence: Tensor
    coefficients: Tensor
    pose: Tensor


class FaceLandmarker(nn.Module):
    """MediaPipe's face landmarker. Everything after the choice of the regions is differentiable in the pixels.

    Raises LandmarkerFileError when the networks are not the expected three.
    """

    anchors: Tensor
    vertices: Tensor
    weights: Tensor
    subset: Tensor
    order: Tensor
    known: Tensor

    def __init__(self, bundle: Bundle, name: str = "face landmarker") -> None:
        super().__init__()
        self.name = name
        try:
            self.detector, self.mesh = Network(bundle.detector), Network(bundle.mesh)
            self.blendshapes = Network(bundle.blendshapes)
        except TfliteError as error:
            raise LandmarkerFileError(f"{name}: {error}") from error
        self._boxes = _output(self.detector, (896, 16), name)
        self._scores = _output(self.detector, (896, 1), name)
        self._points = _output(self.mesh, (1, 1, 3 * POINTS), name)
        self._presence = _output(self.mesh, (1, 1, 1), name)
        if self.blendshapes.input_shape[1:] != (len(_SUBSET), 2) or self.blendshapes.output_shapes[0][-1] != len(_OUTPUTS):
            raise LandmarkerFileError(
                f"{name}: {self.blendshapes.name} does not take {len(_SUBSET)} points; get the file again"
            )
        with torch.inference_mode(False):
            self.register_buffer("anchors", anchors())
            self.register_buffer("vertices", bundle.vertices.clone())
            self.register_buffer("weights", bundle.weights.clone())
            self.register_buffer("subset", torch.tensor(_SUBSET))
            names = [_OUTPUTS.index(name) if name != _MISSING else 0 for name in ARKIT_NAMES]
            self.register_buffer("order", torch.tensor(names))
            known = torch.ones(len(ARKIT_NAMES))
            known[ARKIT_INDEX[_MISSING]] = 0
            self.register_buffer("known", known)

    @torch.no_grad()
    def find(self, pictures: Tensor, view: int = 0) -> list[tuple[Tensor, Tensor]]:
        """Regions [K, 5] (columns: `regions.REGION`) and scores [K] of the faces of each picture, best first, on the CPU.

        pictures: [N, H, W, 3], float RGB in 0..1. view: which of `regions.views` to search; 0 is what MediaPipe does.
        """
        pixels = _channels_first(pictures, self.anchors)
        size = self.detector.input_shape[1]
        squares, padding = views(*pixels.shape[-2:])[view]
        count = len(squares)
        regions = squares.to(pixels).repeat(len(pixels), 1)
        # Of one picture no copies are made: nine of a picture of 8K are gigabytes.
        shown = warp(pixels[:, None].expand(-1, count, -1, -1, -1).flatten(0, 1), regions, size, padding)
        outputs = self.detector((shown * 2 - 1).permute(0, 2, 3, 1))
        boxes, logits, centres = outputs[self._boxes].cpu(), outputs[self._scores].cpu(), self.anchors.cpu()
        results = []
        for first in range(0, len(boxes), count):
            parts = [
                placed(merge(decode(boxes[first + place], logits[first + place], centres, float(size))), square)
                for place, square in enumerate(squares)
            ]
            found = parts[0]
            if count > 1:
                found = torch.cat(parts)
                found = merge(found[found[:, 16].argsort(descending=True, stable=True)])
            results.append((face_regions(found), found[:, 16]))
        return results

    def measure(self, pictures: Tensor, regions: Tensor, owners: Tensor | None = None) -> FaceReading:
        """Read the face in each region [M, 5].

        pictures: [N, H, W, 3], float RGB in 0..1; owners: [M], the picture of each region, left out when M is N.
        """
        if regions.ndim != 2 or regions.shape[1] != len(REGION):
            raise ValueError(f"regions: shape {list(regions.shape)}; expected [M, {len(REGION)}]: {', '.join(REGION)}")
        pixels = _channels_first(pictures, self.anchors)
        if owners is not None:
            one = len(pixels) == 1
            pixels = pixels.expand(len(owners), -1, -1, -1) if one else pixels[owners.to(pixels.device)]
        if len(pixels) != len(regions):
            raise ValueError(f"regions: {len(regions)} for {len(pixels)} pictures; say which picture owns which")
        regions = regions.to(pixels)
        size = self.mesh.input_shape[1]
        outputs = self.mesh(warp(pixels, regions, size, "border").permute(0, 2, 3, 1))
        raw = outputs[self._points].reshape(-1, POINTS, 3) / size
        flat = to_picture(raw[..., :2] - 0.5, regions)
        landmarks = torch.cat((flat, raw[..., 2:] * regions[:, 2, None, None]), -1)
        presence = torch.sigmoid(outputs[self._presence].reshape(-1))
        return FaceReading(landmarks, presence, self.coefficients(landmarks), self.pose(landmarks))

    def coefficients(self, landmarks: Tensor) -> Tensor:
        """Coefficients [M, 52] in `ARKIT_NAMES` order of landmarks [M, 478, 2 or 3] in pixels."""
        scores = self.blendshapes(landmarks[:, self.subset, :2])[0]
        return scores[:, self.order] * self.known

    def pose(self, landmarks: Tensor) -> Tensor:
        """Pitch, yaw, roll [M, 3] of landmarks [M, 478, 3]."""
        return head_pose(landmarks, self.vertices, self.weights)


def load_landmarker(path: Path) -> FaceLandmarker:
    """The landmarker of a file, loaded once while the file stays as it is; raises LandmarkerFileError."""
    return _load_once(str(path), state_of(path)) if path.is_file() else _load(path)


@lru_cache(maxsize=4)
def _load_once(path: str, state: tuple) -> FaceLandmarker:
    return _load(Path(path))


def _load(path: Path) -> FaceLandmarker:
    with torch.inference_mode(False):
        return FaceLandmarker(read_bundle(path), path.name).eval()


def _output(network: Network, shape: tuple[int, ...], name: str) -> int:
    places = [place for place, found in enumerate(network.output_shapes) if found == (1, *shape)]
    if not places:
        found = ", ".join(str(list(one)) for one in network.output_shapes)
        raise LandmarkerFileError(f"{name}: {network.name} gives {found}, expected {[1, *shape]}; it is of another version")
    return places[0]


def _channels_first(pictures: Tensor, like: Tensor) -> Tensor:
    if pictures.ndim != 4 or pictures.shape[-1] != 3 or 0 in pictures.shape:
        raise ValueError(f"pictures: expected RGB [N, H, W, 3], found shape {list(pictures.shape)}")
    return pictures.to(like).permute(0, 3, 1, 2)
