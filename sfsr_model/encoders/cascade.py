"""A frontal-face detector that needs no download: the LBP cascade inside scikit-image's wheel, evaluated here.

scikit-image (a dependency of insightface) carries OpenCV's `lbpcascade_frontalface`: 20 stages of decision stumps over
multi-block local binary patterns (Zhang et al. 2007) in a window of 24 x 24 pixels. Its own search is slow and hides how many
windows agreed, which is the only confidence such a cascade has; evaluating the file over whole pictures at once gives both.

The search has two steps. A coarse one visits the picture at a fixed analysis size, at every scale and three rolls, and asks
for the first stages only, so that its wide steps miss no face. Around each of the best clusters of hits a dense one visits all
places, close scales and rolls with the whole cascade; the number of windows it accepts is the score, and their
weighted mean gives place, size and roll. The five points then follow from the mean geometry of faces in that window, whose
nose is in the middle: faces turned by more than about 30 degrees need a better detector.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import torch
from torch.nn import functional as F

from ..face.crop import apply_affine, invert_affine
from ..face.warp import resample

WINDOW = 24
MIN_SCORE = 40.0

_ANALYSIS_SIDE = 400
_MAX_ENLARGEMENT = 4.0
_COARSE_ROLLS = (-24.0, 0.0, 24.0)
_COARSE_STEP, _COARSE_STRIDE, _COARSE_STAGES = 1.2, 2, 13
# What makes a cluster worth the dense search: hits, share of the strongest cluster's margins; and how many at most.
_MIN_HITS, _MIN_SHARE, _MAX_CLUSTERS = 3, 0.3, 16
_DENSE_ROLLS = tuple(range(-24, 25, 8))
_DENSE_SCALES = tuple(1.1**k for k in range(-4, 5))
_DENSE_SIDE = 44
# Thresholds in the file are rounded sums of leaf values, which a window often hits exactly.
_ROUNDING = 1e-5
# Neighbours of a block in the bit order of the file, most significant first, as (row, column) of the 3 x 3 blocks.
_NEIGHBOURS = ((0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0))

# Canonical five points about the window's centre, in window sides: measured on the seven frontal faces of scikit-image's
# astronaut and insightface's sample pictures, and made symmetric.
_POINTS = ((-0.187, -0.112), (0.187, -0.112), (0.0, 0.115), (-0.155, 0.272), (0.155, 0.272))
# Face box about the same centre: half width, half height, centre's height.
_BOX = (0.48, 0.57, 0.04)

# A face's light and dark places as Gaussians (x, y, deviation x, deviation y, brightness) in window sides: eyes, brows, cheeks,
# mouth, ridge and base of the nose, forehead.
_BLOBS = (
    (-0.187, -0.112, 0.075, 0.04, -1.0),
    (0.187, -0.112, 0.075, 0.04, -1.0),
    (-0.19, -0.20, 0.09, 0.03, -0.5),
    (0.19, -0.20, 0.09, 0.03, -0.5),
    (-0.20, 0.06, 0.08, 0.07, 0.5),
    (0.20, 0.06, 0.08, 0.07, 0.5),
    (0.0, 0.27, 0.12, 0.035, -0.4),
    (0.0, -0.02, 0.05, 0.10, 0.5),
    (0.0, 0.16, 0.08, 0.03, -0.3),
    (0.0, -0.32, 0.15, 0.08, 0.5),
)
_LOOK_SIDE = 48
_MIN_LIKENESS = 0.25
_MIN_CONTRAST = 8.0  # grey levels


@dataclass(frozen=True, eq=False)
class Candidate:
    """A place where the cascade fired: box [4] xyxy and points [5, 2] in pixels, its score, and why it is refused, if it is."""

    box: torch.Tensor
    points: torch.Tensor
    score: float
    refused: str | None


@dataclass(frozen=True, eq=False)
class _Stump:
    x: int
    y: int
    width: int  # of one of the 3 x 3 blocks
    height: int
    votes: np.ndarray  # [256] float32, one per pattern


def find_candidates(grey: torch.Tensor, min_side: float = 1.0) -> list[Candidate]:
    """Return the candidates in a grey picture [H, W], float, 0..255, strongest first; overlapping ones are merged.

    min_side: side in pixels of the smallest window to look for; larger is faster. Raises ImportError without scikit-image.
    """
    clusters = _clusters(_coarse_hits(grey, min_side))
    found = sorted((_examine(grey, cluster) for cluster in clusters), key=lambda c: -c.score)
    kept: list[Candidate] = []
    for candidate in found:
        x, y = candidate.points.mean(0).tolist()
        if not any(k.box[0] < x < k.box[2] and k.box[1] < y < k.box[3] for k in kept):
            kept.append(candidate)
    return kept


@lru_cache(maxsize=1)
def load_cascade() -> list[tuple[float, list[_Stump]]]:
    """Read the cascade: per stage its threshold and stumps. Raises ImportError without scikit-image."""
    try:
        from skimage.data import lbp_frontal_face_cascade_filename
    except ImportError as error:
        raise ImportError(
            "the carried face detector needs scikit-image, which insightface installs; run: pip install scikit-image"
        ) from error
    path = Path(lbp_frontal_face_cascade_filename())
    cascade = ElementTree.fromstring(path.read_text(encoding="utf-8"))[0]
    blocks = [_numbers(feature, "rect") for feature in cascade.iterfind("features/_")]
    stages = []
    for stage in cascade.iterfind("stages/_"):
        stumps = []
        for weak in stage.iterfind("weakClassifiers/_"):
            _, _, feature, *words = _numbers(weak, "internalNodes")
            member, other = _numbers(weak, "leafValues")
            bits = (np.array(words, np.int64)[:, None] >> np.arange(32)) & 1
            x, y, width, height = (int(side) for side in blocks[int(feature)])
            stumps.append(_Stump(x, y, width, height, np.where(bits.ravel(), member, other).astype(np.float32)))
        stages.append((_numbers(stage, "stageThreshold")[0], stumps))
    if not stages:
        raise ValueError(f"{path}: holds no cascade; reinstall scikit-image")
    return stages


def _numbers(element: ElementTree.Element, tag: str) -> list[float]:
    return [float(word) for word in element.findtext(tag, default="").split()]


def accepted_windows(pictures: list[np.ndarray], stride: int = 1, stages: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Run the cascade at every stride-th place of grey pictures, each [H, W] of whole numbers 0..255.

    stages: how many of the cascade's stages a window must pass, all of them by default.
    Returns the accepted windows' (picture, left, top) [N, 3] and, for each, the sum of its margins over those stages [N].
    """
    # The leading empty entries let a picture too small for any window go through like every other.
    sums, grids, start = [np.zeros(1, np.int32)], [np.zeros((5, 0), np.int32)], 1
    for index, picture in enumerate(pictures):
        height, width = picture.shape
        table = np.zeros((height + 1, width + 1), np.int32)
        table[1:, 1:] = picture.cumsum(0, dtype=np.int32).cumsum(1, dtype=np.int32)
        sums.append(table.ravel())
        top, left = np.mgrid[0 : height - WINDOW + 1 : stride, 0 : width - WINDOW + 1 : stride].reshape(2, -1)
        place = start + top * (width + 1) + left
        grids.append(np.stack(np.broadcast_arrays(index, left, top, width + 1, place)).astype(np.int32))
        start += table.size
    flat, windows = np.concatenate(sums), np.concatenate(grids, 1)
    margins = np.zeros(windows.shape[1], np.float32)
    for threshold, stumps in load_cascade()[:stages]:
        pitch, place = windows[3], windows[4]
        votes = np.full(len(place), -threshold, np.float32)
        for stump in stumps:
            votes += stump.votes[_patterns(stump, flat, place, pitch)]
        passed = votes >= -_ROUNDING
        windows, margins = windows[:, passed], margins[passed] + votes[passed]
    return windows[:3].T, margins


def _patterns(stump: _Stump, sums: np.ndarray, place: np.ndarray, pitch: np.ndarray) -> np.ndarray:
    """Return each window's pattern [N] uint8; sums are flat integral images, place [N] the windows' corners in them."""
    corners = np.empty((4, 4, len(place)), np.int32)
    for row in range(4):
        line = place + (stump.y + row * stump.height) * pitch
        for column in range(4):
            np.take(sums, line + (stump.x + column * stump.width), out=corners[row, column], mode="clip")
    strips = corners[:, 1:] - corners[:, :-1]
    blocks = strips[1:] - strips[:-1]
    brighter = np.stack([blocks[row, column] >= blocks[1, 1] for row, column in _NEIGHBOURS])
    return np.packbits(brighter, axis=0)[0]


def _pose(centre: torch.Tensor, roll: float, scale: float, width: int, height: int) -> torch.Tensor:
    """Return the transform [2, 3] that turns a face of this roll (degrees) upright and centres it in width x height."""
    angle = math.radians(roll)
    cos, sin = math.cos(angle) * scale, math.sin(angle) * scale
    linear = torch.tensor([[cos, sin], [-sin, cos]], dtype=torch.float64)
    middle = torch.tensor([(width - 1) / 2, (height - 1) / 2], dtype=torch.float64)
    return torch.cat((linear, (middle - linear @ centre)[:, None]), 1)


def _coarse_hits(grey: torch.Tensor, min_side: float) -> np.ndarray:
    """Return hits [N, 5] over the whole picture: centre x, y and side in picture pixels, roll in degrees, margin."""
    height, width = grey.shape
    top_scale = min(_ANALYSIS_SIDE / max(height, width), _MAX_ENLARGEMENT, WINDOW / min_side)
    centre = torch.tensor([(width - 1) / 2, (height - 1) / 2], dtype=torch.float64)
    levels, views = [], []
    for roll in _COARSE_ROLLS:
        cos, sin = math.cos(math.radians(roll)), abs(math.sin(math.radians(roll)))
        turned_width, turned_height = width * cos + height * sin, width * sin + height * cos
        scale, base = top_scale, None
        while min(turned_width, turned_height) * scale >= WINDOW:
            w, h = int(turned_width * scale), int(turned_height * scale)
            if base is None:
                base = resample(grey[None, None], _pose(centre, roll, scale, w, h), (0, 0, w, h), padding="border")
            level = F.interpolate(base, size=(h, w), mode="bilinear", antialias=True)
            levels.append(level[0, 0].numpy().round())
            views.append((_pose(centre, roll, scale, w, h), WINDOW / scale, roll))
            scale /= _COARSE_STEP
    return _hits(accepted_windows(levels, _COARSE_STRIDE, _COARSE_STAGES), views)


def _dense_hits(grey: torch.Tensor, centre: torch.Tensor, side: float, roll: float) -> np.ndarray:
    """Return hits [N, 5] at all places, scales and rolls about a coarse find. Beyond the picture its border repeats."""
    # One upright-in-the-picture patch, reduced to the finest scale needed, from which all views are sampled.
    scale = WINDOW / (side * _DENSE_SCALES[0])
    reach = math.ceil(1.5 * _DENSE_SIDE * _DENSE_SCALES[-1] / _DENSE_SCALES[0])
    to_patch = _pose(centre, 0.0, scale, reach, reach)
    patch = resample(grey[None, None], to_patch, (0, 0, reach, reach), padding="border")
    looks = [(side * s, roll + r) for r in _DENSE_ROLLS for s in _DENSE_SCALES]
    views = [(_pose(centre, r, WINDOW / s, _DENSE_SIDE, _DENSE_SIDE), s, r) for s, r in looks]
    poses = torch.stack([pose for pose, _, _ in views])
    steps = torch.arange(_DENSE_SIDE, dtype=torch.float64)
    pixels = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1).reshape(1, -1, 2)
    source = apply_affine(to_patch, apply_affine(invert_affine(poses), pixels))
    grid = ((2 * source + 1) / reach - 1).reshape(-1, _DENSE_SIDE, _DENSE_SIDE, 2).to(patch)
    seen = F.grid_sample(patch.expand(len(views), -1, -1, -1), grid, padding_mode="border", align_corners=False)
    return _hits(accepted_windows(list(seen[:, 0].numpy().round())), views)


def _hits(found: tuple[np.ndarray, np.ndarray], views: list[tuple[torch.Tensor, float, float]]) -> np.ndarray:
    """Return hits [N, 5] of accepted windows; views: per picture the transform that made it, window side and roll."""
    places, margins = found
    if len(places) == 0:
        return np.zeros((0, 5))
    poses, sides, rolls = zip(*views, strict=True)
    backs = invert_affine(torch.stack(poses)).numpy()[places[:, 0]]
    middle = places[:, 1:] + (WINDOW - 1) / 2
    centres = (backs[:, :, :2] @ middle[..., None])[..., 0] + backs[:, :, 2]
    return np.column_stack((centres, np.array(sides)[places[:, 0]], np.array(rolls)[places[:, 0]], margins))


def _clusters(hits: np.ndarray) -> list[np.ndarray]:
    """Group hits about the strongest remaining one; the best groups first, weak ones left out."""
    groups = []
    while len(hits):
        best = hits[hits[:, 4].argmax()]
        near = np.hypot(*(hits[:, :2] - best[:2]).T) < 0.35 * best[2]
        near &= np.abs(np.log(hits[:, 2] / best[2])) < math.log(1.6)
        groups.append(hits[near])
        hits = hits[~near]
    groups = sorted((group for group in groups if len(group) >= _MIN_HITS), key=lambda group: -group[:, 4].sum())
    return [group for group in groups if group[:, 4].sum() >= _MIN_SHARE * groups[0][:, 4].sum()][:_MAX_CLUSTERS]


def _examine(grey: torch.Tensor, cluster: np.ndarray) -> Candidate:
    x, y, side, roll, _ = np.average(cluster, axis=0, weights=cluster[:, 4])
    dense = _dense_hits(grey, torch.tensor([x, y], dtype=torch.float64), side, roll)
    if len(dense):
        x, y, side, roll, _ = np.average(dense, axis=0, weights=dense[:, 4])
    centre = torch.tensor([x, y], dtype=torch.float64)
    upright = _pose(centre, roll, 1 / side, 1, 1)
    to_picture = invert_affine(upright)
    points = apply_affine(to_picture, torch.tensor(_POINTS, dtype=torch.float64))
    middle = apply_affine(to_picture, torch.tensor([[0.0, _BOX[2]]], dtype=torch.float64))[0]
    half = torch.tensor(_BOX[:2], dtype=torch.float64) * side
    box = torch.cat((middle - half, middle + half))
    return Candidate(box, points, float(len(dense)), _refusal(grey, centre, side, roll, len(dense)))


def points_in(box: torch.Tensor) -> torch.Tensor:
    """The five points [5, 2] of a mean face that fills a box [4] (left, top, right, bottom)."""
    half = (box[2:] - box[:2]) / 2
    width, height, down = _BOX
    middle = (box[2:] + box[:2]) / 2
    places = (torch.tensor(_POINTS, dtype=torch.float64) - torch.tensor([0.0, down])) / torch.tensor([width, height])
    return middle + places * half


def _refusal(grey: torch.Tensor, centre: torch.Tensor, side: float, roll: float, score: int) -> str | None:
    """Say why a find is no face: too few windows, hardly any contrast, or light and dark in places unlike a face's."""
    if score < MIN_SCORE:
        return f"{score} windows agree, {MIN_SCORE:g} are needed"
    size = _LOOK_SIDE
    to_look = _pose(centre, roll, size / side, size, size)
    seen = resample(grey[None, None], to_look, (0, 0, size, size), padding="border")
    face, inside = _likeness_template()
    if seen[0, 0][inside].std() < _MIN_CONTRAST:
        return "hardly any contrast"
    local = seen - F.avg_pool2d(F.pad(seen, (10,) * 4, mode="replicate"), 21, stride=1)
    likeness = torch.corrcoef(torch.stack((local[0, 0][inside], face[inside])))[0, 1].item()
    return None if likeness >= _MIN_LIKENESS else f"light and dark unlike a face's (correlation {likeness:.2f})"


@lru_cache(maxsize=1)
def _likeness_template() -> tuple[torch.Tensor, torch.Tensor]:
    """Return the brightness of _BLOBS [side, side] and where it counts (bool): an ellipse within the face."""
    steps = (torch.arange(_LOOK_SIDE) - (_LOOK_SIDE - 1) / 2) / _LOOK_SIDE
    x, y = steps[None, :], steps[:, None]
    blobs = [b * torch.exp(-(((x - u) / du) ** 2 + ((y - v) / dv) ** 2) / 2) for u, v, du, dv, b in _BLOBS]
    return torch.stack(blobs).sum(0), (x / 0.42) ** 2 + ((y + 0.03) / 0.42) ** 2 < 1
