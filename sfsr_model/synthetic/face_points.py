"""Where MediaPipe's 478 points lie on the assets' mesh, and how each coefficient moves them.

MediaPipe's landmarker finds the points in renders of many people, views and openings of the mouth. Each find is carried to the
skin that is seen there, as a triangle and a place in it, and of all finds of a point (its mirror image's too, mirrored) the one
nearest to the others is taken. So a point at the lips' or the lids' seam stays on one side of it. Irises lie on the eyeballs.
The assets' movements are then made as strong as MediaPipe's last network reads them: at a coefficient of a half it reads a
half. Where it reads nothing they stay as strong as the assets have them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..drawing.edges import LEFT_IRIS, RIGHT_IRIS
from ..drawing.face_points import FacePoints
from ..drawing.head import uncrossed
from ..drawing.lines import POINTS
from ..expressions import ARKIT_INDEX, ARKIT_NAMES, MOVEMENTS
from ..files import whole_file
from .errors import AssetError
from .identity import IdentitySpace
from .look import SHAVED, sample_look
from .model import FaceModel
from .raster import draw_opaque
from .render import finish, render_light, to_camera, wearer
from .rig import head_share, pose_matrix
from .sample import generator
from .shape import Shape, make_shape, neutral_points
from .sheet import plain_scene

if TYPE_CHECKING:
    from ..landmarker import FaceLandmarker

_SKIN_POINTS = POINTS - 10
_SIZE = 512
# Openings of the mouth, in turn: closed lips show where the seam lies, open ones which points belong to which lip.
_OPENINGS = (0.0, 0.3, 0.0, 0.55)
_MAX_YAW, _MAX_PITCH = 0.45, 0.25
_FRONTAL = 0.15
# How far beside the skin that is seen a point may lie, in pixels of a picture of _SIZE; lids' and lips' points do.
_REACH = 9
_FEWEST_FINDS = 5
_SAVE_EVERY = 20
# Strengths that are tried (from, to, how many), coefficients at which they are compared, what the network must read to tell
# anything, and the eyes' distance of the faces it reads.
_STRENGTHS, _COEFFICIENTS, _READ, _PIXELS = (0.2, 1.25, 22), (0.25, 0.5, 0.75, 1.0), 0.25, 100.0


@dataclass(frozen=True)
class Plan:
    """How many pictures, of which seed, with whose landmarker and cache (SHA-256)."""

    pictures: int
    seed: int
    landmarker: str
    cache: str


@dataclass(frozen=True)
class Finds:
    """Of each picture and point: the corners [N, 468, 3] of the triangle of skin it lies on (-1 where on none), its place in
    it [N, 468, 3], and the irises [N, 2, 5, 2]: from their middle, in radii of the eyeball, x to the right, y up; NaN where the
    head is turned."""

    corners: np.ndarray
    places: np.ndarray
    irises: np.ndarray


def face_points(
    model: FaceModel, landmarker: FaceLandmarker, plan: Plan, kept: Path, told: Callable[[int], None] = lambda _: None
) -> FacePoints:
    """The mean face and its displacements. kept: a file beside the result that a stopped run goes on from.

    Raises AssetError where the landmarker finds no faces in the renders, ValueError for fewer than one picture.
    """
    if plan.pictures < 1:
        raise ValueError(f"pictures: {plan.pictures}; expected at least 1")
    finds = _find(model, landmarker, plan, kept, told)
    corners, places = _placed(model, finds, _mirrored(landmarker))
    space = IdentitySpace.of(model)
    neutral = neutral_points(model, space, np.zeros(len(space.names), np.float32))
    irises = np.nanmedian(finds.irises, axis=0)

    def points_of(coefficients: np.ndarray) -> np.ndarray:
        shape = make_shape(model, neutral, coefficients)
        skin = np.einsum("pk,pkc->pc", places, shape.points[corners])
        return np.concatenate((skin, *_iris_points(shape, irises))) * (1.0, -1.0, -1.0)

    rest = points_of(np.zeros(len(ARKIT_NAMES), np.float32))
    moves = np.stack([points_of(row) - rest for row in np.eye(len(ARKIT_NAMES), dtype=np.float32)])
    return _as_strong_as_read(FacePoints.of(rest, moves), landmarker)


def _as_strong_as_read(points: FacePoints, landmarker: FaceLandmarker) -> FacePoints:
    """The movements times the strength, one for both sides, at which what is read is nearest to the coefficients."""
    import torch

    tried, wanted = torch.linspace(*_STRENGTHS), torch.tensor(_COEFFICIENTS)
    strengths = torch.ones(len(points.moves))
    for sides in map(list, MOVEMENTS):
        scales = tried[:, None] * wanted
        moved = scales.reshape(-1, 1, 1) * points.moves[sides].sum(0)
        with torch.no_grad():
            faces = torch.stack([uncrossed(points.mean + move) for move in moved])
            read = landmarker.coefficients(faces * _PIXELS)[:, sides].mean(1).reshape(scales.shape)
        if float(read.max()) >= _READ:
            strengths[sides] = tried[(read - wanted).square().sum(1).argmin()]
    return FacePoints(points.mean, points.moves * strengths[:, None, None])


def _find(model: FaceModel, landmarker: FaceLandmarker, plan: Plan, kept: Path, told: Callable[[int], None]) -> Finds:
    rows = _read(kept, plan)
    for number in range(len(rows), plan.pictures):
        rows.append(_look(model, landmarker, plan.seed, number))
        if (number + 1) % _SAVE_EVERY == 0 or number + 1 == plan.pictures:
            _write(kept, plan, rows)
        told(number + 1)
    finds = Finds(*(np.stack(column) for column in zip(*rows, strict=True)))
    if (finds.corners[..., 0] >= 0).sum(0).min() < min(_FEWEST_FINDS, plan.pictures) or np.isnan(finds.irises).all():
        raise AssetError("landmarker: finds too few of its points in the renders; ask for more --pictures")
    return finds


def _read(kept: Path, plan: Plan) -> list[tuple[np.ndarray, ...]]:
    if not kept.is_file():
        return []
    with np.load(kept) as file:
        found = json.loads(str(file["plan"]))
        if {**found, "pictures": plan.pictures} != asdict(plan):
            raise ValueError(f"{kept}: is of another seed, landmarker or cache; delete it, or choose another --out")
        columns = file["corners"], file["places"], file["irises"]
    return list(zip(*(column[: plan.pictures] for column in columns), strict=True))


def _write(kept: Path, plan: Plan, rows: list[tuple[np.ndarray, ...]]) -> None:
    corners, places, irises = (np.stack(column) for column in zip(*rows, strict=True))
    with whole_file(kept) as partial, partial.open("wb") as file:
        np.savez_compressed(file, plan=json.dumps(asdict(plan)), corners=corners, places=places, irises=irises)


def _look(model: FaceModel, landmarker: FaceLandmarker, seed: int, number: int) -> tuple[np.ndarray, ...]:
    """One picture's row of `Finds`."""
    import torch

    rng = generator(seed, number)
    space = IdentitySpace.of(model)
    identity = space.sample(rng)
    coefficients = np.zeros(len(ARKIT_NAMES), np.float32)
    coefficients[ARKIT_INDEX["jawOpen"]] = _OPENINGS[number % len(_OPENINGS)]
    look = replace(sample_look(rng, (float(identity[0]) + 1) / 2), glasses=None, hair=SHAVED)
    pose = (float(rng.uniform(-_MAX_PITCH, _MAX_PITCH)), float(rng.uniform(-_MAX_YAW, _MAX_YAW)), 0.0)
    if number % 3 == 0:
        pose = (0.0, 0.0, 0.0)
    scene = replace(plain_scene(seed), pose=pose, trunk=0.0)
    face = wearer(model, identity, coefficients)
    light, truth = render_light(model, face, None, look, scene, _SIZE)
    picture = torch.from_numpy(finish(light, truth, scene).image).float()[None] / 255
    corners = np.full((_SKIN_POINTS, 3), -1, np.int32)
    places, irises = np.zeros((_SKIN_POINTS, 3), np.float32), np.full((2, 5, 2), np.nan, np.float32)
    with torch.no_grad():
        regions, _ = landmarker.find(picture)[0]
        if not len(regions):
            return corners, places, irises
        landmarks = landmarker.measure(picture, regions[:1]).landmarks[0].double().numpy()
    head = pose_matrix(pose)
    points = to_camera(model, face.shape.points, head_share(model.base), face.shape, head, scene.trunk)
    seen = _seen_skin(model, truth.view.screen(points), truth.labels)
    flat = truth.view.project(points.astype(np.float64))
    for point in range(_SKIN_POINTS):
        triangle = _nearest_triangle(seen, landmarks[point, :2])
        if triangle >= 0:
            corners[point] = model.skin_triangles[triangle]
            places[point] = _barycentric(flat[corners[point]], landmarks[point, :2])
    if max(abs(pose[0]), abs(pose[1])) < _FRONTAL:
        for side, iris in enumerate((LEFT_IRIS, RIGHT_IRIS)):
            eye = face.shape.eyes[side]
            radius = eye.radius * float(np.hypot(*truth.view.linear[0]))
            around = landmarks[list(iris), :2]
            irises[side] = (around - around[0]) / radius * (1.0, -1.0)
    return corners, places, irises


def _seen_skin(model: FaceModel, screen: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The triangle of the face's skin that each pixel shows, int32 [H, W]; -1 where eyes, teeth, lashes or nothing is seen."""
    depth, seen = np.zeros((2 * _SIZE, 2 * _SIZE), np.float32), np.full((2 * _SIZE, 2 * _SIZE), -1, np.int32)
    draw_opaque(screen, model.skin_triangles.astype(np.int32), 0, len(model.skin_triangles), True, depth, seen)
    seen = seen[::2, ::2]
    bare = (seen >= 0) & (model.skin_kind[seen.clip(0)] == 0) & (labels == 1)
    return np.where(bare, seen, -1)


def _nearest_triangle(seen: np.ndarray, place: np.ndarray) -> int:
    column, row = (round(float(value)) for value in place)
    top, left = max(row - _REACH, 0), max(column - _REACH, 0)
    window = seen[top : row + _REACH + 1, left : column + _REACH + 1] if row >= 0 and column >= 0 else seen[:0, :0]
    rows, columns = np.nonzero(window >= 0)
    if not len(rows):
        return -1
    distance = (rows + top - place[1]) ** 2 + (columns + left - place[0]) ** 2
    best = int(distance.argmin())
    return int(window[rows[best], columns[best]]) if distance[best] <= _REACH**2 else -1


def _barycentric(corners: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Weights [3] of a triangle's corners [3, 2] for a place [2], of one beside it those of a place at its rim."""
    (bx, by), (cx, cy) = corners[1:] - corners[0]
    x, y = place - corners[0]
    area = bx * cy - by * cx
    v, w = ((x * cy - y * cx) / area, (bx * y - by * x) / area) if area else (0.0, 0.0)
    weights = np.clip((1 - v - w, v, w), 0, None)
    return weights / weights.sum()


def _mirrored(landmarker: FaceLandmarker) -> np.ndarray:
    """The number [468] of each point's mirror image, by MediaPipe's canonical face."""
    vertices = landmarker.vertices.numpy()
    apart = np.linalg.norm((vertices * (-1.0, 1.0, 1.0))[:, None] - vertices[None], axis=2)
    return apart.argmin(1)


def _placed(model: FaceModel, finds: Finds, mirror: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corners [468, 3] and weights [468, 3] of each point: its find that lies nearest to all others."""
    base = model.base
    other_side = np.arange(len(base))
    skin = np.unique(model.skin_triangles)
    for start in range(0, len(skin), 256):
        part = skin[start : start + 256]
        apart = np.linalg.norm((base[part] * (-1.0, 1.0, 1.0))[:, None] - base[skin][None], axis=2)
        other_side[part] = skin[apart.argmin(1)]
    corners, places = np.zeros((_SKIN_POINTS, 3), np.int64), np.zeros((_SKIN_POINTS, 3))
    for point in range(_SKIN_POINTS):
        twin = int(mirror[point])
        own, others = finds.corners[:, point, 0] >= 0, finds.corners[:, twin, 0] >= 0
        where = np.concatenate((finds.corners[own, point], other_side[finds.corners[others, twin]]))
        weights = np.concatenate((finds.places[own, point], finds.places[others, twin]))
        spots = np.einsum("nk,nkc->nc", weights, base[where])
        best = np.linalg.norm(spots[:, None] - spots[None], axis=2).mean(1).argmin()
        corners[point], places[point] = where[best], weights[best]
    return corners, places


def _iris_points(shape: Shape, irises: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The points [5, 3] of the right and of the left iris on their eyeballs."""
    result = []
    for side in (1, 0):
        eye = shape.eyes[side]
        across = irises[side]
        forward = np.sqrt(np.clip(1 - (across**2).sum(1, keepdims=True), 0, 1))
        result.append(eye.centre + eye.radius * np.concatenate((across, forward), 1) @ eye.turn.T)
    return result[0], result[1]
