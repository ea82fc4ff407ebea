"""Rendering one picture of one face, with everything that is known about it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .assemble import Assembly, assemble
from .backdrop import draw_backdrop
from .develop import develop, draw_occluder
from .identity import Details, IdentitySpace, details_of
from .look import Look
from .model import FaceModel
from .pack import pack_parameters
from .raster import draw_opaque, draw_strands, normalise, vertex_normals
from .rig import head_share, matrix_pose, pose_matrix, tilt, turn_head
from .scene import Scene
from .shade import shade_picture
from .shape import Shape, make_shape, neutral_points
from .view import ShadowView, View

LABELS = ("background", "skin", "cloth", "eyes", "mouth", "hair", "glasses", "occluder")
_OCCLUDER = LABELS.index("occluder")
MIN_SIZE, MAX_SIZE = 32, 2048


def check_size(size: int) -> None:
    """Raise ValueError for a picture's side that cannot be rendered; the bound keeps a process within 1.5 GB."""
    if not isinstance(size, (int, np.integer)) or size < MIN_SIZE:
        raise ValueError(f"size: expected at least {MIN_SIZE} pixels, got {size}")
    if size > MAX_SIZE:
        raise ValueError(f"size: expected at most {MAX_SIZE} pixels, got {size}")


@dataclass(frozen=True)
class Picture:
    """A rendered face and its truth; H = W = size.

    image uint8 [H, W, 3] sRGB. identity float32 [D]. coefficients float32 [52]. pose: (pitch, yaw, roll) in radians.
    landmarks float64 [68, 2] in pixels, iBUG order. labels uint8 [H, W]: LABELS. depth float32 [H, W]: decimetres from
    the camera, 0 for the background.
    """

    image: np.ndarray
    identity: np.ndarray
    coefficients: np.ndarray
    pose: tuple[float, float, float]
    landmarks: np.ndarray
    labels: np.ndarray
    depth: np.ndarray

    @property
    def five(self) -> np.ndarray:
        """The canonical five points [5, 2] of `sfsr_model.face`."""
        import torch

        from ..face import five_points

        return five_points(torch.from_numpy(self.landmarks)).numpy()

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of the face: the landmarks' box, raised to the middle of the forehead."""
        low, high = self.landmarks.min(0), self.landmarks.max(0)
        top = low[1] - 0.25 * (high[1] - low[1])
        return float(low[0]), float(top), float(high[0]), float(high[1])


@dataclass(frozen=True)
class Wearer:
    """Whose face a picture shows: identity vector, its details and its shape with the expression on it."""

    identity: np.ndarray
    details: Details
    shape: Shape


def wearer(model: FaceModel, identity: np.ndarray, coefficients: np.ndarray, neutral: np.ndarray | None = None) -> Wearer:
    """Raises ValueError for an identity or coefficients of a wrong length or range. neutral: the person's resting points,
    where they are known already."""
    space = IdentitySpace.of(model)
    identity = space.check(identity)
    if neutral is None:
        neutral = neutral_points(model, space, identity)
    return Wearer(identity, details_of(identity), make_shape(model, neutral, coefficients))


def render(
    model: FaceModel, identity: np.ndarray, coefficients: np.ndarray, look: Look, scene: Scene, size: int, aligned: bool = False
) -> Picture:
    """A picture of one person. aligned: framed by the crop rule of `sfsr_model.face` instead of by the scene's camera, so the
    picture is the aligned crop itself; the pose then lacks the turn that the crop takes out.

    Raises ValueError for an identity, coefficients or a size that cannot be rendered.
    """
    face = wearer(model, identity, coefficients)
    light, truth = render_light(model, face, None, look, scene, size, aligned)
    return finish(light, truth, scene)


@dataclass(frozen=True)
class Truth:
    """What is known of a picture before it is developed; fields as in `Picture`."""

    identity: np.ndarray
    coefficients: np.ndarray
    pose: tuple[float, float, float]
    landmarks: np.ndarray
    labels: np.ndarray
    depth: np.ndarray
    view: View


def finish(light: np.ndarray, truth: Truth, scene: Scene) -> Picture:
    """Develop linear light [H, W, 3] into a picture."""
    image = develop(light, scene.finish)
    return Picture(image, truth.identity, truth.coefficients, truth.pose, truth.landmarks, truth.labels, truth.depth)


@dataclass(frozen=True)
class Frame:
    """Another's head that carries a face: its wearer, the share [P] of points and skin that are the face's, and the view."""

    wearer: Wearer
    inner: np.ndarray
    view: View


def render_light(
    model: FaceModel, face: Wearer, frame: Frame | None, look: Look, scene: Scene, size: int, aligned: bool = False
) -> tuple[np.ndarray, Truth]:
    """Linear light [H, W, 3] and the truth. frame: the head that carries the face, where that is another's; face's shape
    is then already fitted to it."""
    check_size(size)
    host = frame.wearer if frame else face
    inner = frame.inner if frame else np.ones(len(model.base), np.float32)
    mesh = assemble(model, face.shape, look, face.details.lashes, 0.9 - 0.55 * face.details.male, inner, host.shape)
    head = pose_matrix(scene.pose)
    points = _placed(model, mesh, host.shape, head, scene.trunk)
    anchors = points[model.landmark_points]
    eyes = np.stack([eye.centre for eye in host.shape.eyes])
    view = frame.view if frame else View.of(scene.camera, float(np.linalg.norm(eyes[0] - eyes[1])), size)
    if aligned and not frame:
        view = _aligned_view(view, anchors, size)
    turn = float(np.arctan2(view.linear[1, 0], view.linear[0, 0]))

    normals = np.zeros_like(points)
    vertex_normals(points, mesh.layout.triangles, 0, len(mesh.layout.triangles), normals)
    normalise(normals)
    shadows = ShadowView.of(scene.lighting.key.direction, scene.lighting.softness)
    shadow = _shadow_map(model, mesh, look, shadows.screen(points), shadows.size)
    F, C = pack_parameters(
        face.details, host.details, look, scene.lighting, face.shape.coefficients, shadows, head, view.distance,
        model.eye_height,
    )  # fmt: skip
    light = draw_backdrop(scene.backdrop, size)
    labels, depth = np.zeros((size, size), np.uint8), np.zeros((size, size), np.float32)
    level = _texture_level(view)
    screen = view.screen(points)
    seen = _visibility(model, mesh, look, face.details.lashes, screen, size)
    hair = model.hair_pictures[max(look.hair, 0)][1]
    layout = mesh.layout
    surface = (screen, points, normals, layout.rest, mesh.attributes, layout.triangles, layout.uv, layout.parts)
    brow = model.brow_levels[level][face.details.brow]
    paint = (model.skin_levels[level], brow, model.brow_box, hair, model.teeth_picture, shadow)
    shade_picture(seen, surface, paint, F, C, light, labels, depth)
    if scene.occluder is not None:
        labels[draw_occluder(light, scene.occluder)] = _OCCLUDER
    truth = Truth(
        face.identity, face.shape.coefficients, matrix_pose(tilt(head, turn)), view.project(anchors.astype(np.float64)),
        labels, depth, view,
    )  # fmt: skip
    return light, truth


def _placed(model: FaceModel, mesh: Assembly, host: Shape, head: np.ndarray, trunk: float) -> np.ndarray:
    """Vertices in the camera's axes, the origin in the middle of the host's face."""
    share = head_share(mesh.layout.rest)
    first, last = mesh.layout.starts["left eye"], mesh.layout.starts["teeth"]
    share[first:last] = 1.0
    if "glasses" in mesh.layout.ranges:
        share[mesh.layout.triangles[mesh.layout.ranges["glasses"][0] :].min() :] = 1.0
    return to_camera(model, mesh.vertices, share, host, head, trunk)


def to_camera(
    model: FaceModel, vertices: np.ndarray, share: np.ndarray, host: Shape, head: np.ndarray, trunk: float
) -> np.ndarray:
    """Vertices [N, 3] of a head at rest in the camera's axes, float32, the origin in the middle of the host's face. share [N]:
    how far each follows the head's turn [3, 3], see `head_share`; trunk: the trunk's yaw."""
    points = turn_head(vertices, share, head, pose_matrix((0.0, trunk, 0.0)))
    middle = host.neutral[model.landmark_points[27:36]].mean(0)
    origin = turn_head(middle[None], np.ones(1), head, head)[0]
    return np.ascontiguousarray(points - origin, np.float32)


def _aligned_view(view: View, anchors: np.ndarray, size: int) -> View:
    import torch

    from ..face import crop_transform

    pixels = view.project(anchors.astype(np.float64))
    return view.turned(crop_transform(torch.from_numpy(pixels), size).numpy())


def _texture_level(view: View) -> int:
    """The reduction of the skin's texture, which has about 400 texels a decimetre, that fits the picture's pixels."""
    scale = float(np.hypot(view.linear[0, 0], view.linear[1, 0]))
    return int(np.clip(np.floor(np.log2(210.0 / scale)), 0, 2))


def _visibility(
    model: FaceModel, mesh: Assembly, look: Look, lashes: int, screen: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """seen, soft seen, soft opacity, depth and soft depth of 2 x 2 samples a pixel."""
    shape = (2 * size, 2 * size)
    depth, soft_depth, soft_alpha = (np.zeros(shape, np.float32) for _ in range(3))
    seen, soft_seen = np.full(shape, -1, np.int32), np.full(shape, -1, np.int32)
    triangles, ranges = mesh.layout.triangles, mesh.layout.ranges
    for name in ("skin", "left eye", "right eye", "teeth", "tongue"):
        draw_opaque(screen, triangles, *ranges[name], True, depth, seen)
    if "glasses" in ranges:
        draw_opaque(screen, triangles, *ranges["glasses"], False, depth, seen)
    for name, alpha in (("lashes", model.lashes[lashes]), ("hair", model.hair_pictures[max(look.hair, 0)][0])):
        if name in ranges:
            buffers = (depth, seen, soft_depth, soft_seen, soft_alpha)
            draw_strands(screen, triangles, mesh.layout.uv, mesh.fade, *ranges[name], alpha, *buffers)
    return seen, soft_seen, soft_alpha, depth, soft_depth


def _shadow_map(model: FaceModel, mesh: Assembly, look: Look, screen: np.ndarray, size: int) -> np.ndarray:
    shape = (size, size)
    depth, soft_depth, soft_alpha = (np.zeros(shape, np.float32) for _ in range(3))
    seen, soft_seen = np.full(shape, -1, np.int32), np.full(shape, -1, np.int32)
    triangles, ranges = mesh.layout.triangles, mesh.layout.ranges
    draw_opaque(screen, triangles, *ranges["skin"], False, depth, seen)
    if "glasses" in ranges:
        draw_opaque(screen, triangles, *ranges["glasses"], False, depth, seen)
    if "hair" in ranges:
        alpha = model.hair_pictures[look.hair][0]
        buffers = (depth, seen, soft_depth, soft_seen, soft_alpha)
        draw_strands(screen, triangles, mesh.layout.uv, mesh.fade, *ranges["hair"], alpha, *buffers)
    return depth


__all__ = ["LABELS", "Frame", "Picture", "Truth", "Wearer", "check_size", "finish", "render", "render_light", "to_camera",
           "wearer"]  # fmt: skip
