"""One mesh of everything a picture shows: skin, eyes, mouth, lashes, hair and spectacles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from . import params as k
from . import topology as hm08
from .look import SHAVED, Look
from .model import EYE, GLASSES, HAIR, LASH, MOUTH, SKIN, TEETH, TONGUE, TRUNK, FaceModel
from .shape import Eye, Shape
from .spectacles import spectacles_mesh

_KINDS = np.array([SKIN, MOUTH, TRUNK], np.uint8)
# The front teeth stand a little high and the lower ones show too much; in decimetres.
_UPPER_TEETH, _LOWER_TEETH, _BITE = -0.012, -0.045, 6.64
_LID_SHADE = 0.055
_HAIR_OCCLUSION = 0.85
_FRINGE = 0.05


@dataclass(frozen=True)
class Layout:
    """What does not change with the face: triangles [T, 3], texture places [T, 3, 2], parts [T], resting places [V, 3] and
    the first and last triangle of each drawn range and the first vertex of each mesh."""

    triangles: np.ndarray
    uv: np.ndarray
    parts: np.ndarray
    rest: np.ndarray
    ranges: dict[str, tuple[int, int]]
    starts: dict[str, int]


@dataclass(frozen=True)
class Assembly:
    """Vertices [V, 3] at rest pose, attributes [V, 3], hair opacity factors [V], and the layout they belong to."""

    vertices: np.ndarray
    attributes: np.ndarray
    fade: np.ndarray
    layout: Layout


def assemble(
    model: FaceModel, shape: Shape, look: Look, lashes: int, lash_density: float, inner: np.ndarray, frame: Shape
) -> Assembly:
    """Put a face and its look together. inner [P]: share of the inner person's skin. frame: the shape that carries the
    hair, which may be another's."""
    layout = _layout(model, look.hair, lashes)
    parts = [shape.points, *(_eye_ball(model, eye) for eye in shape.eyes)]
    teeth = model.proxies["teeth"].fit(shape.points, shape.neutral)
    lower = layout.rest[layout.starts["teeth"] : layout.starts["tongue"], 1] < _BITE
    teeth[:, 1] += np.where(lower, _LOWER_TEETH, _UPPER_TEETH)
    parts += [teeth, model.proxies["tongue"].fit(shape.points, shape.neutral)]
    parts.append(model.proxies[hm08.LASHES[lashes]].fit(shape.points, shape.neutral))
    if look.hair != SHAVED:
        parts.append(_hair(model, look, frame))
    triangles, uv, kinds, rest, ranges = layout.triangles, layout.uv, layout.parts, layout.rest, dict(layout.ranges)
    if look.glasses is not None:
        vertices, faces = _glasses(model, look, shape)
        ranges["glasses"] = (len(triangles), len(triangles) + len(faces))
        triangles = np.concatenate((triangles, faces + sum(map(len, parts)))).astype(np.int32)
        uv = np.concatenate((uv, np.zeros((len(faces), 3, 2), np.float32)))
        kinds = np.concatenate((kinds, np.full(len(faces), GLASSES, np.uint8)))
        rest = np.concatenate((rest, vertices))
        parts.append(vertices)
    layout = Layout(triangles, uv, kinds, rest, ranges, layout.starts)
    vertices = np.concatenate(parts).astype(np.float32)
    fade = _fade(model, look, frame, layout, vertices, lash_density)
    return Assembly(vertices, _attributes(model, shape, inner, layout), fade, layout)


def _eye_ball(model: FaceModel, eye: Eye) -> np.ndarray:
    directions, _ = model.eye_ball
    return eye.centre + eye.radius * directions @ eye.turn.T


@lru_cache(maxsize=64)
def _layout(model: FaceModel, hair: int, lashes: int) -> Layout:
    directions, ball = model.eye_ball
    blocks: list[tuple[str, np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []

    def add(name: str, triangles: np.ndarray, uv: np.ndarray, parts: np.ndarray | int, rest: np.ndarray) -> None:
        kinds = np.full(len(triangles), parts, np.uint8) if isinstance(parts, int) else parts
        blocks.append((name, triangles, uv, kinds, rest))

    add("skin", model.skin_triangles, model.skin_uv, _KINDS[model.skin_kind], model.base)
    for side in ("left eye", "right eye"):
        add(side, ball, np.zeros((len(ball), 3, 2), np.float32), EYE, directions)
    proxies = [("teeth", "teeth", TEETH), ("tongue", "tongue", TONGUE), ("lashes", hm08.LASHES[lashes], LASH)]
    if hair != SHAVED:
        proxies.append(("hair", hm08.HAIRS[hair], HAIR))
    for name, key, part in proxies:
        proxy = model.proxies[key]
        add(name, proxy.triangles, proxy.uv, part, proxy.fit(model.base, model.base).astype(np.float32))
    starts, ranges, first, vertex, triangles = {}, {}, 0, 0, []
    for name, faces, _, _, rest in blocks:
        starts[name], ranges[name] = vertex, (first, first + len(faces))
        triangles.append(faces + vertex)
        vertex += len(rest)
        first += len(faces)
    return Layout(
        np.concatenate(triangles).astype(np.int32),
        np.concatenate([block[2] for block in blocks]).astype(np.float32),
        np.concatenate([block[3] for block in blocks]),
        np.concatenate([block[4] for block in blocks]).astype(np.float32),
        ranges,
        starts,
    )


def _hair(model: FaceModel, look: Look, frame: Shape) -> np.ndarray:
    vertices = model.proxies[hm08.HAIRS[look.hair]].fit(frame.neutral, frame.neutral)
    crown = np.array([0.0, frame.eyes[0].centre[1] + 0.3, 0.3])
    return crown + (vertices - crown) * look.lift


def _glasses(model: FaceModel, look: Look, shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    eyes = np.stack([eye.centre for eye in shape.eyes])
    skin = shape.neutral[model.skin_points]
    near = (np.abs(skin[:, 1] - eyes[0, 1]) < 0.25) & (np.abs(np.abs(skin[:, 0]) - abs(eyes[0, 0])) < 0.25)
    front = float(skin[near, 2].max()) + 0.02
    temple = skin[(np.abs(skin[:, 1] - eyes[0, 1]) < 0.15) & (np.abs(skin[:, 2] - 0.5) < 0.25)]
    ears = np.array([[x, eyes[0, 1], 0.15] for x in (temple[:, 0].max(), temple[:, 0].min())])
    assert look.glasses is not None
    return spectacles_mesh(look.glasses, eyes, front, ears)


def _attributes(model: FaceModel, shape: Shape, inner: np.ndarray, layout: Layout) -> np.ndarray:
    attributes = np.ones((len(layout.rest), 3), np.float32)
    count = len(model.base)
    attributes[:count, k.OCCLUSION] = model.occlusion
    attributes[:count, k.INNER] = inner
    attributes[:count, k.TEXTURED] = model.textured
    balls = len(model.eye_ball[0])
    for side, eye in enumerate(shape.eyes):
        start = layout.starts[("left eye", "right eye")[side]]
        upper, lower = model.lid_edges[side]
        ball = _eye_ball(model, eye)
        below = np.linalg.norm(ball[:, None] - shape.points[upper][None], axis=2).min(1)
        above = np.linalg.norm(ball[:, None] - shape.points[lower][None], axis=2).min(1)
        shade = np.minimum(0.25 + 0.75 * (below / _LID_SHADE), 0.55 + 0.45 * (above / (0.5 * _LID_SHADE)))
        attributes[start : start + balls, k.OCCLUSION] = shade.clip(0.2, 1.0)
    if "hair" in layout.starts:
        attributes[layout.starts["hair"] :, k.OCCLUSION] = _HAIR_OCCLUSION
    return attributes


def _fade(model: FaceModel, look: Look, frame: Shape, layout: Layout, vertices: np.ndarray, lash: float) -> np.ndarray:
    """Opacity factors, cut to 0..1 where they are drawn: hair ends at its cut, no fringe hangs before the eyes, and men's
    lashes are thinner."""
    fade = np.ones(len(vertices), np.float32)
    first = layout.starts["lashes"]
    fade[first : layout.starts.get("hair", first + len(layout.rest))] = lash
    if look.hair == SHAVED:
        return fade
    first = layout.starts["hair"]
    hair = vertices[first : first + len(model.proxies[hm08.HAIRS[look.hair]].refs)]
    eyes = np.stack([eye.centre for eye in frame.eyes])
    brow = eyes[:, 1].mean() + 0.20
    before = np.maximum(hair[:, 1] - brow, eyes[:, 2].mean() - 0.25 - hair[:, 2])
    before = np.maximum(before, np.abs(hair[:, 0]) - np.abs(eyes[:, 0]).max() - 0.30)
    fade[first : first + len(hair)] = np.minimum(before / _FRINGE, (hair[:, 1] - look.cut) / 0.25)
    return fade
