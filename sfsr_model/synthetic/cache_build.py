"""From MakeHuman's data folder to the arrays of the cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from . import sparse
from . import topology as hm08
from .assets import Mesh, Proxy, encode_picture, read_obj, read_picture, read_proxy, triangulate
from .brow_map import brow_maps
from .errors import AssetError
from .units import expression_morphs, macro_morphs, slider_morphs, slider_names

FORMAT = 1
PROXIES: dict[str, str] = {
    "teeth": "teeth/teeth_base/teeth_base.mhclo",
    "tongue": "tongue/tongue01/tongue01.mhclo",
    **{name: f"eyelashes/{name}/{name}.mhclo" for name in hm08.LASHES},
    **{name: f"hair/{name}/{name}.mhclo" for name in hm08.HAIRS},
}
_HAIR_SIZE, _LASH_SIZE, _TEETH_SIZE, _TONGUE_SIZE = 640, 256, 384, 128
_SKIN_QUALITY, _OTHER_QUALITY = 82, 75


def collect(data: Path, progress: Callable[[str], None] = lambda step: None) -> dict[str, np.ndarray]:
    """All arrays of a cache; raises AssetError naming the first missing or damaged file."""
    if not data.is_dir():
        raise AssetError(f"{data}: no such folder; point --assets at MakeHuman's data folder")
    progress("base mesh and proxies")
    mesh = read_obj(data / hm08.BASE_MESH)
    faces = _portrait_faces(mesh, data)
    mesh.check_uv(data / hm08.BASE_MESH, faces)
    proxies = {name: read_proxy(data / path, len(mesh.vertices)) for name, path in PROXIES.items()}
    kept = _kept_points(mesh, faces, proxies)
    number = np.full(len(mesh.vertices), -1, np.int32)
    number[kept] = np.arange(len(kept))

    arrays: dict[str, np.ndarray] = {"format": np.array(FORMAT), "ids": kept, "base": mesh.vertices[kept].astype(np.float32)}
    triangles = triangulate(mesh.corners[faces])
    arrays["skin/triangles"] = number[triangles[..., 0]]
    arrays["skin/uv"], arrays["skin/kind"] = _crop_uv(mesh.uv[triangles[..., 1]])
    for group in (*hm08.EYE_GROUPS, *hm08.EYE_JOINTS, hm08.NECK_JOINT, hm08.HEAD_JOINT):
        arrays[f"group/{group}"] = number[mesh.group_vertices(group)]
    for name, proxy in proxies.items():
        arrays |= _proxy_arrays(f"proxy/{name}", proxy, number)

    progress("targets")
    arrays["macro/move"] = _quantised(macro_morphs(data, mesh)[..., kept, :])
    names, keys, morphs = slider_names(data), [], []
    for name in names:
        for key, morph in slider_morphs(data, mesh, name).items():
            keys.append(f"{name}|{key}")
            morphs.append(morph[kept])
    arrays["slider/keys"] = np.array(keys)
    arrays |= {f"slider/{key}": value for key, value in sparse.pack(morphs).items()}
    progress("expressions")
    arrays |= {f"expression/{key}": value for key, value in sparse.pack(list(expression_morphs(data, mesh)[:, kept])).items()}
    progress("pictures")
    return arrays | _pictures(data, arrays)


def _portrait_faces(mesh: Mesh, data: Path) -> np.ndarray:
    body = mesh.groups.get("body")
    if body is None:
        raise AssetError(f"{data / hm08.BASE_MESH}: has no group `body`; this is not the mesh hm08")
    corners = mesh.corners[body, :, 0]
    points = mesh.vertices[np.where(corners < 0, corners[:, :1], corners)]
    inside = (points[..., 1] > hm08.LOWEST).all(1) & (np.abs(points[..., 0]) < hm08.WIDEST).all(1)
    if not inside.any():
        raise AssetError(f"{data / hm08.BASE_MESH}: no face of the body lies above y = {hm08.LOWEST}; this is not hm08")
    return body[inside]


def _kept_points(mesh: Mesh, faces: np.ndarray, proxies: dict[str, Proxy]) -> np.ndarray:
    groups = [*hm08.EYE_GROUPS, *hm08.EYE_JOINTS, hm08.NECK_JOINT, hm08.HEAD_JOINT]
    missing = [group for group in groups if group not in mesh.groups]
    if missing:
        raise AssetError(f"base mesh: has no group {missing[0]!r}; expected MakeHuman's hm08")
    corners = mesh.corners[faces, :, 0]
    needed = [corners[corners >= 0], *(mesh.group_vertices(group) for group in groups)]
    for proxy in proxies.values():
        needed += [proxy.refs.ravel(), proxy.spans.ravel()]
    return np.unique(np.concatenate(needed))


def _crop_uv(uv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """uv [T, 3, 2] within SKIN_CROP with v downwards, and each triangle's kind: 0 skin, 1 inside of the mouth, 2 no texture."""
    left, top, right, bottom = hm08.SKIN_CROP
    down = np.stack((uv[..., 0], 1 - uv[..., 1]), -1)
    outside = ((down < (left, top)) | (down > (right, bottom))).any((1, 2))
    mouth = ~outside & (down[..., 1] > hm08.MOUTH_TOP).all(1)
    kind = np.where(outside, 2, np.where(mouth, 1, 0)).astype(np.uint8)
    return ((down - (left, top)) / (right - left, bottom - top)).clip(0, 1).astype(np.float32), kind


def _proxy_arrays(prefix: str, proxy: Proxy, number: np.ndarray) -> dict[str, np.ndarray]:
    triangles = triangulate(proxy.mesh.corners)
    uv = proxy.mesh.uv[triangles[..., 1]]
    return {
        f"{prefix}/refs": number[proxy.refs],
        f"{prefix}/weights": proxy.weights.astype(np.float32),
        f"{prefix}/offsets": proxy.offsets.astype(np.float32),
        f"{prefix}/spans": number[proxy.spans],
        f"{prefix}/lengths": proxy.lengths.astype(np.float32),
        f"{prefix}/triangles": triangles[..., 0].astype(np.int32),
        f"{prefix}/uv": np.stack((uv[..., 0], 1 - uv[..., 1]), -1).astype(np.float32),
    }


def _quantised(moves: np.ndarray) -> np.ndarray:
    return np.round(moves * sparse.SCALE).clip(-32767, 32767).astype(np.int16)


def _pictures(data: Path, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    pictures: dict[str, np.ndarray] = {}
    left, top, right, bottom = hm08.SKIN_CROP
    for name in hm08.SKINS:
        full = read_picture(data / "skins" / "textures" / f"{name}.png")[..., :3]
        height, width = full.shape[:2]
        crop = full[int(top * height) : int(bottom * height), int(left * width) : int(right * width)]
        pictures[f"picture/skin/{name}"] = encode_picture(np.ascontiguousarray(crop), _SKIN_QUALITY)
    for name in hm08.HAIRS:
        strands = read_picture(data / "hair" / name / f"{name}_diffuse.png", (_HAIR_SIZE, _HAIR_SIZE))
        pictures[f"picture/hair/{name}"] = encode_picture(strands, _OTHER_QUALITY)
    for name in hm08.LASHES:
        alpha = read_picture(data / "eyelashes" / name / f"{name}.png", (_LASH_SIZE, _LASH_SIZE))[..., 3]
        pictures[f"picture/lash/{name}"] = encode_picture(np.ascontiguousarray(alpha), _OTHER_QUALITY)
    teeth = read_picture(data / "teeth" / "materials" / "teeth.png", (_TEETH_SIZE, _TEETH_SIZE))[..., :3]
    pictures["picture/teeth"] = encode_picture(np.ascontiguousarray(teeth), _OTHER_QUALITY)
    tongue = read_picture(data / "tongue" / "tongue01" / "tongue01_diffuse.png", (_TONGUE_SIZE, _TONGUE_SIZE))[..., :3]
    pictures["picture/tongue"] = encode_picture(np.ascontiguousarray(tongue), _OTHER_QUALITY)
    box, maps = brow_maps(data, arrays["base"], arrays["ids"], arrays["skin/triangles"], arrays["skin/uv"], arrays["skin/kind"])
    pictures["brow/box"] = box
    return pictures | {f"picture/brow/{name}": encode_picture(alpha, 100) for name, alpha in maps.items()}
