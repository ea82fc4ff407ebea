"""FaceModel: the cache unpacked into the arrays that geometry and shading read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from . import sparse
from . import topology as hm08
from .assets import decode_picture
from .cache import read_cache
from .colours import LINEAR
from .errors import AssetError
from .landmarks import landmark_points

# Part numbers of triangles. Skin without texture is that of the trunk, below the pictures' edge.
SKIN, MOUTH, TRUNK, EYE, TEETH, TONGUE, LASH, HAIR, GLASSES = range(9)
_EYE_RINGS, _EYE_SPOKES, _EYE_REACH = 14, 26, 2.0


@dataclass(frozen=True)
class ProxyMesh:
    """A mesh carried by the points: see `assets.Proxy`; here refs and spans count kept points."""

    refs: np.ndarray
    weights: np.ndarray
    offsets: np.ndarray
    spans: np.ndarray
    lengths: np.ndarray
    triangles: np.ndarray
    uv: np.ndarray

    def fit(self, points: np.ndarray, neutral: np.ndarray) -> np.ndarray:
        """Vertices [N, 3] on the points; offsets scale with the neutral face, so that no expression swells them."""
        axis = np.arange(3)
        scale = np.abs(neutral[self.spans[:, 0], axis] - neutral[self.spans[:, 1], axis]) / self.lengths
        return np.einsum("nk,nkc->nc", self.weights, points[self.refs]) + self.offsets * scale


class FaceModel:
    """What one process needs to render; build it with `FaceModel.load`. All positions are decimetres, y up, z to the viewer."""

    def __init__(self, arrays: dict[str, np.ndarray], name: str = "cache", procedural_skin: bool = False) -> None:
        try:
            self._unpack(arrays)
        except KeyError as error:
            raise AssetError(f"{name}: lacks the entry {error}; build the cache again") from None
        self._arrays, self._name, self._procedural = arrays, name, procedural_skin

    @classmethod
    def load(cls, path: str | Path, procedural_skin: bool = False) -> FaceModel:
        """Read a cache file; raises AssetError for one that is missing, damaged or outdated.

        procedural_skin draws the skins (see `skin_paint`) instead of taking MakeHuman's pictures.
        """
        return cls(read_cache(Path(path)), str(path), procedural_skin)

    def _unpack(self, arrays: dict[str, np.ndarray]) -> None:
        self.ids = arrays["ids"]
        self.base = arrays["base"]
        self.number = {int(vertex): index for index, vertex in enumerate(self.ids)}
        self.macro = arrays["macro/move"].astype(np.float32) / sparse.SCALE
        self.slider_keys = tuple(str(key) for key in arrays["slider/keys"])
        self.sliders = sparse.Morphs.of({key: arrays[f"slider/{key}"] for key in ("start", "index", "move")})
        self.expressions = sparse.Morphs.of({key: arrays[f"expression/{key}"] for key in ("start", "index", "move")})
        self.skin_triangles = arrays["skin/triangles"]
        self.skin_uv = arrays["skin/uv"]
        self.skin_kind = arrays["skin/kind"]
        self.eye_points = [arrays[f"group/{group}"] for group in hm08.EYE_GROUPS]
        self.eye_joints = [arrays[f"group/{group}"] for group in hm08.EYE_JOINTS]
        self.occlusion = arrays["occlusion"].astype(np.float32) / 255.0
        self.brow_box = arrays["brow/box"]
        self.proxies = {
            name: ProxyMesh(*(arrays[f"proxy/{name}/{field}"] for field in ProxyMesh.__dataclass_fields__))
            for name in ("teeth", "tongue", *hm08.LASHES, *hm08.HAIRS)
        }

    def _picture(self, name: str) -> np.ndarray:
        if f"picture/{name}" not in self._arrays:
            raise AssetError(f"{self._name}: lacks the picture {name!r}; build the cache again")
        return decode_picture(self._arrays[f"picture/{name}"], f"{self._name}: {name}")

    @cached_property
    def skins(self) -> np.ndarray:
        """uint8 [S, H, W, 3]: the square root of linear colour over the face's own mean, times 128."""
        if self._procedural:
            return self._painted_skins()
        return np.stack([self._relative(self._picture(f"skin/{name}")[..., :3]) for name in hm08.SKINS])

    def _painted_skins(self) -> np.ndarray:
        from .skin_paint import procedural_skins

        marks = self.base[self.landmark_points]
        return procedural_skins(self.base, self.skin_triangles, self.skin_uv, self.skin_kind, marks)

    def _relative(self, pixels: np.ndarray) -> np.ndarray:
        texels = (self.face_uv * (pixels.shape[1], pixels.shape[0])).astype(int)
        face = pixels[texels[:, 1].clip(0, pixels.shape[0] - 1), texels[:, 0].clip(0, pixels.shape[1] - 1)]
        mean = LINEAR[face].mean(0)
        tables = np.sqrt(LINEAR[:, None] / np.maximum(mean, 1e-3)) * 128.0
        tables = np.round(tables.clip(0, 255)).astype(np.uint8)
        return np.stack([tables[:, channel][pixels[..., channel]] for channel in range(3)], -1)

    @cached_property
    def face_uv(self) -> np.ndarray:
        """Texture places [N, 2] of the bare skin of cheeks, nose and forehead."""
        centre = self.base[self.skin_triangles].mean(1)
        eyes = self.eye_height
        face = (self.skin_kind == 0) & (centre[:, 2] > 1.1) & (np.abs(centre[:, 0]) < 0.6)
        face &= (centre[:, 1] > eyes - 0.9) & (centre[:, 1] < eyes + 0.6)
        return self.skin_uv[face].mean(1)

    @cached_property
    def landmark_points(self) -> np.ndarray:
        """Numbers [68] of the points that are landmarks, in iBUG's order; raises AssetError where the cache lacks one."""
        return landmark_points(self.number)

    @cached_property
    def eye_height(self) -> float:
        """Height of the base mesh's eyes."""
        return float(np.mean([self.base[joint][:, 1].mean() for joint in self.eye_joints]))

    @cached_property
    def lid_points(self) -> list[np.ndarray]:
        """Points of the skin and the lashes within reach of each eyeball."""
        centres = [self.base[joint].mean(0) for joint in self.eye_joints]
        skin = np.unique(self.skin_triangles)
        near = np.union1d(skin, self.lash_points)
        radii = [np.linalg.norm(self.base[p] - c, axis=1).mean() for p, c in zip(self.eye_points, centres, strict=True)]
        distances = [np.linalg.norm(self.base[near] - centre, axis=1) for centre in centres]
        return [near[d < 1.6 * radius] for d, radius in zip(distances, radii, strict=True)]

    @cached_property
    def lash_points(self) -> np.ndarray:
        """Points that carry lashes: the lids' edges and what stands out from them."""
        return np.unique(np.concatenate([self.proxies[name].refs.ravel() for name in hm08.LASHES]))

    @cached_property
    def skin_points(self) -> np.ndarray:
        """Points of the textured skin."""
        return np.unique(self.skin_triangles[self.skin_kind == 0])

    @cached_property
    def textured(self) -> np.ndarray:
        """Share [P] of the skin's texture that shows; it fades towards the trunk, whose part of the texture is not kept."""
        trunk = self.base[np.unique(self.skin_triangles[self.skin_kind == 2])]
        if not len(trunk):
            return np.ones(len(self.base), np.float32)
        trunk = trunk[trunk[:, 1] < self.eye_height - 0.6]
        nearest = np.full(len(self.base), np.inf)
        for start in range(0, len(trunk), 256):
            part = trunk[start : start + 256]
            nearest = np.minimum(nearest, np.linalg.norm(self.base[:, None] - part[None], axis=2).min(1))
        return (nearest / 0.5).clip(0, 1).astype(np.float32)

    @cached_property
    def lid_edges(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """For each eye the points of its upper and of its lower lid's edge: the lash points nearest to the eyeball."""
        result = []
        for joint in self.eye_joints:
            centre = self.base[joint].mean(0)
            near = self.lash_points[self.base[self.lash_points, 0] * np.sign(centre[0]) > 0]
            distance = np.linalg.norm(self.base[near] - centre, axis=1)
            edge = near[distance < np.quantile(distance, 0.4)]
            above = self.base[edge, 1] > centre[1] - 0.01
            result.append((edge[above], edge[~above]))
        return result

    @cached_property
    def lid_middles(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """For each eye the lash points at the middle of its upper and of its lower lid."""
        result = []
        for joint in self.eye_joints:
            centre = self.base[joint].mean(0)
            middle = self.lash_points[np.abs(self.base[self.lash_points, 0] - centre[0]) < 0.06]
            above = self.base[middle, 1] > centre[1]
            result.append((middle[above], middle[~above]))
        return result

    @cached_property
    def brows(self) -> np.ndarray:
        """uint8 [B, H, W]: opacity of the brow styles over `brow_box`."""
        return np.stack([self._picture(f"brow/{name}")[..., 0] for name in hm08.BROWS])

    @cached_property
    def skin_levels(self) -> list[np.ndarray]:
        """`skins` and its reductions to a half and to a quarter; painted ones are of half size from the start."""
        levels = _halved(self.skins)
        return [levels[0], levels[0], levels[1]] if self._procedural else levels

    @cached_property
    def brow_levels(self) -> list[np.ndarray]:
        """`brows` and its reductions to a half and to a quarter."""
        return [level[..., 0] for level in _halved(self.brows[..., None])]

    @cached_property
    def lashes(self) -> list[np.ndarray]:
        """Opacity of the lash styles, uint8 [H, W] each."""
        return [np.ascontiguousarray(self._picture(f"lash/{name}")[..., 0]) for name in hm08.LASHES]

    @cached_property
    def hair_pictures(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Opacity uint8 [H, W] and brightness uint8 [H, W] (128 is the style's mean) of the hair styles."""
        result = []
        for name in hm08.HAIRS:
            pixels = self._picture(f"hair/{name}")
            bright = np.sqrt(LINEAR[pixels[..., :3]].mean(-1))
            mean = bright[pixels[..., 3] > 128].mean() if (pixels[..., 3] > 128).any() else 1.0
            level = np.round((128 * bright / max(mean, 1e-3)).clip(0, 255)).astype(np.uint8)
            result.append((np.ascontiguousarray(pixels[..., 3]), level))
        return result

    @cached_property
    def teeth_picture(self) -> np.ndarray:
        """Linear colour of the teeth, float32 [H, W, 3]."""
        return LINEAR[self._picture("teeth")[..., :3]]

    @cached_property
    def eye_ball(self) -> tuple[np.ndarray, np.ndarray]:
        """Unit directions [N, 3] and triangles [T, 3] of the eyeball's front, pole towards +z."""
        rings = np.linspace(0.0, _EYE_REACH, _EYE_RINGS + 1)[1:]
        spokes = np.arange(_EYE_SPOKES) * (2 * np.pi / _EYE_SPOKES)
        ring, spoke = np.meshgrid(rings, spokes, indexing="ij")
        directions = np.stack((np.sin(ring) * np.cos(spoke), np.sin(ring) * np.sin(spoke), np.cos(ring)), -1)
        directions = np.concatenate(([[0.0, 0.0, 1.0]], directions.reshape(-1, 3))).astype(np.float32)
        triangles = [[0, 1 + s, 1 + (s + 1) % _EYE_SPOKES] for s in range(_EYE_SPOKES)]
        for r in range(_EYE_RINGS - 1):
            inner, outer = 1 + r * _EYE_SPOKES, 1 + (r + 1) * _EYE_SPOKES
            for s in range(_EYE_SPOKES):
                n = (s + 1) % _EYE_SPOKES
                triangles += [[inner + s, outer + s, outer + n], [inner + s, outer + n, inner + n]]
        return directions, np.array(triangles, np.int32)


def _halved(pictures: np.ndarray) -> list[np.ndarray]:
    """uint8 [N, H, W, C] and two successive halvings by 2 x 2 means."""
    levels = [pictures]
    for _ in range(2):
        last = levels[-1]
        height, width = last.shape[1] // 2 * 2, last.shape[2] // 2 * 2
        even = last[:, :height, :width].astype(np.uint16)
        total = even[:, ::2, ::2] + even[:, 1::2, ::2] + even[:, ::2, 1::2] + even[:, 1::2, 1::2]
        levels.append(((total + 2) // 4).astype(np.uint8))
    return levels
