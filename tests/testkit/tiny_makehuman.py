"""A tiny asset folder in MakeHuman's layout: an egg with eyes and flat colours, nothing of MakeHuman's own."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np

from sfsr_model.expressions import ARKIT_NAMES
from sfsr_model.synthetic import topology as hm08
from sfsr_model.synthetic.arkit_table import parts_of
from sfsr_model.synthetic.cache import write_cache
from sfsr_model.synthetic.landmarks import IBUG_68

_CENTRE, _RADII = np.array([0.0, 7.2, 0.35]), np.array([0.78, 1.15, 1.15])
_ROWS, _COLUMNS = 48, 64
_EYE = np.array([0.31, 7.284, 1.27])
_X, _Y = np.eye(3)[0], np.eye(3)[1]
_FILLER = (0.0, -50.0, 0.0)


@cache
def tiny_folder() -> Path:
    """A folder with `data` (the assets) and `faces.npz` (their cache), made once a process and removed with it."""
    folder = Path(tempfile.mkdtemp(prefix="sfsr-tiny-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write_tiny_assets(folder / "data")
    write_cache(folder / "data", folder / "faces.npz")
    return folder


def write_tiny_assets(data: Path) -> None:
    """Write the folder; `data` must not exist."""
    vertices, grid = _head()
    groups: dict[str, list[list[int]]] = {}
    for group, joint, side in zip(hm08.EYE_GROUPS, hm08.EYE_JOINTS, (1, -1), strict=True):
        centre = _EYE * (side, 1, 1)
        groups[group] = [_add(vertices, (centre + 0.15 * axis for axis in (_X, _Y, -_X)))]
        groups[joint] = [_add(vertices, (centre + 0.02 * axis for axis in (_X, -_X, 0 * _Y)))]
    for joint, place in ((hm08.NECK_JOINT, (0, 5.9, 0.1)), (hm08.HEAD_JOINT, (0, 7.0, 0.2))):
        groups[joint] = [_add(vertices, (np.array(place) for _ in range(3)))]
    _write_base(data / hm08.BASE_MESH, vertices, grid, groups)
    lids = [IBUG_68[i] for i in (37, 38, 41, 40, 43, 44, 47, 46)]
    lips = [IBUG_68[i] for i in (60, 64, 66, 62)]
    crown = [int(grid[3, 40]), int(grid[3, 56]), int(grid[12, 56]), int(grid[12, 40])]
    _write_proxy(data / "teeth/teeth_base/teeth_base.mhclo", lips, (0, 0, -0.05))
    _write_proxy(data / "tongue/tongue01/tongue01.mhclo", lips, (0, -0.05, -0.2))
    for name in hm08.LASHES:
        _write_proxy(data / f"eyelashes/{name}/{name}.mhclo", lids, (0, 0, 0.02))
        _write_picture(data / f"eyelashes/{name}/{name}.png", (20, 20, 20, 200))
    for name in hm08.HAIRS:
        _write_proxy(data / f"hair/{name}/{name}.mhclo", crown, (0, 0.1, 0.0))
        _write_picture(data / f"hair/{name}/{name}_diffuse.png", (90, 70, 60, 255))
    brow = [IBUG_68[i] for i in (17, 20, 23, 26)]
    for name in hm08.BROWS:
        _write_proxy(data / f"eyebrows/{name}/{name}.mhclo", brow, (0, 0, 0.01))
        _write_picture(data / f"eyebrows/{name}/{name}.png", (30, 20, 10, 180))
    for number, name in enumerate(hm08.SKINS):
        _write_picture(data / f"skins/textures/{name}.png", (200, 150 - 3 * number, 120, 255))
    _write_picture(data / "teeth/materials/teeth.png", (230, 225, 215, 255))
    _write_picture(data / "tongue/tongue01/tongue01_diffuse.png", (180, 80, 80, 255))
    _write_targets(data)
    _write_rig(data)


def _head() -> tuple[list[np.ndarray], np.ndarray]:
    """Vertices with the landmarks' numbers where landmarks belong, and the grid [rows, columns] of vertex numbers."""
    theta = np.linspace(0.05, np.pi - 0.05, _ROWS)
    phi = np.linspace(-np.pi, np.pi, _COLUMNS, endpoint=False)
    t, p = np.meshgrid(theta, phi, indexing="ij")
    unit = np.stack((np.sin(t) * np.sin(p), np.cos(t), np.sin(t) * np.cos(p)), -1).reshape(-1, 3)
    places = _CENTRE + unit * _RADII
    number = np.full(len(places), -1)
    for vertex, (x, y) in zip(IBUG_68, _landmark_places(), strict=True):
        goal = np.array([x, y])
        distance = np.linalg.norm(places[:, :2] - goal, axis=1) + 10 * (places[:, 2] < _CENTRE[2]) + 100 * (number >= 0)
        number[int(distance.argmin())] = vertex
    free = iter(sorted(set(range(len(places) + len(IBUG_68))) - set(IBUG_68)))
    for index in np.flatnonzero(number < 0):
        number[index] = next(free)
    vertices = [np.array(_FILLER) for _ in range(max(number) + 1)]
    for place, vertex in zip(places, number, strict=True):
        vertices[vertex] = place
    return vertices, number.reshape(_ROWS, _COLUMNS)


def _landmark_places() -> list[tuple[float, float]]:
    """x, y in the base mesh of the 68 landmarks: x grows to the person's left, the picture's right."""
    jaw = [(0.74 * np.sin(a), 7.2 - 1.0 * (1 - abs(a) / 1.5) ** 0.8) for a in np.linspace(-1.5, 1.5, 17)]
    brows = [(-x, 7.5) for x in (0.58, 0.49, 0.4, 0.28, 0.16)] + [(x, 7.5) for x in (0.16, 0.28, 0.4, 0.49, 0.58)]
    nose = [(0, y) for y in (7.29, 7.18, 7.07, 6.97)] + [(x, 6.85) for x in (-0.14, -0.07, 0, 0.07, 0.14)]
    eye = [(-0.44, 7.284), (-0.35, 7.36), (-0.26, 7.36), (-0.17, 7.284), (-0.26, 7.2), (-0.35, 7.2)]
    other = [(0.17, 7.284), (0.26, 7.36), (0.35, 7.36), (0.44, 7.284), (0.35, 7.2), (0.26, 7.2)]
    outer = [(0.26 * np.cos(a), 6.6 + 0.1 * np.sin(a)) for a in np.pi - np.arange(12) * np.pi / 6]
    inner = [(0.2 * np.cos(a), 6.6 + 0.05 * np.sin(a)) for a in np.pi - np.arange(8) * np.pi / 4]
    return [*jaw, *brows, *nose, *eye, *other, *outer, *inner]


def _add(vertices: list[np.ndarray], places: Iterable[np.ndarray]) -> list[int]:
    start = len(vertices)
    vertices += [np.asarray(place, float) for place in places]
    return list(range(start, len(vertices)))


def _write_base(path: Path, vertices: list[np.ndarray], grid: np.ndarray, groups: dict[str, list[list[int]]]) -> None:
    lines = ["# a tiny head", *(f"v {x:.4f} {y:.4f} {z:.4f}" for x, y, z in vertices)]
    left, top, right, _ = hm08.SKIN_CROP
    for row in range(_ROWS):
        for column in range(_COLUMNS + 1):
            u = left + (right - left) * (0.02 + 0.96 * column / _COLUMNS)
            v = top + (hm08.MOUTH_TOP - 0.02 - top) * (0.02 + 0.96 * row / _ROWS)
            lines.append(f"vt {u:.5f} {1 - v:.5f}")
    lines.append("g body")
    for row in range(_ROWS - 1):
        for column in range(_COLUMNS):
            corners = ((row, column), (row + 1, column), (row + 1, column + 1), (row, column + 1))
            lines.append("f " + " ".join(f"{grid[r, c % _COLUMNS] + 1}/{r * (_COLUMNS + 1) + c + 1}" for r, c in corners))
    for name, faces in groups.items():
        lines.append(f"g {name}")
        lines += ["f " + " ".join(str(vertex + 1) for vertex in face) for face in faces]
    _write(path, lines)


def _write_proxy(path: Path, refs: list[int], offset: tuple[float, float, float]) -> None:
    move = " ".join(f"{value:.3f}" for value in offset)
    header = [f"name {path.stem}", f"obj_file {path.stem}.obj"]
    header += [f"{axis}_scale {refs[0]} {refs[1]} 1.0" for axis in "xyz"]
    _write(path, [*header, "verts 0", *(f"{ref} {ref} {ref} 1.0 0.0 0.0 {move}" for ref in refs)])
    quads = range(len(refs) // 4)
    uv = ["vt 0.1 0.1", "vt 0.9 0.1", "vt 0.9 0.9", "vt 0.1 0.9"]
    faces = ["f " + " ".join(f"{4 * quad + i + 1}/{i + 1}" for i in range(4)) for quad in quads]
    _write(path.with_suffix(".obj"), [*(f"v {i} 0 0" for i in range(len(refs))), *uv, *faces])


def _write_picture(path: Path, colour: tuple[int, int, int, int]) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGBA", (128, 128), colour).save(path)


def _write_targets(data: Path) -> None:
    chin, brow = IBUG_68[8], IBUG_68[19]
    for race in hm08.MACRO_RACES:
        for sex in hm08.MACRO_SEXES:
            for age in hm08.MACRO_AGES:
                _write(data / hm08.macro_path(race, sex, age), [f"{chin} 0 -.0{len(race) % 7} .02"])
                universal = data / f"targets/macrodetails/universal-{sex}-{age}-averagemuscle-averageweight.target"
                _write(universal, [f"{brow} 0 .01 0"])
    for number, folder in enumerate(hm08.SLIDER_FOLDERS):
        vertex = IBUG_68[number * 6]
        for end, sign in (("decr", "-"), ("incr", "")):
            _write(data / f"targets/{folder}/{folder}-size-{end}.target", ["# comment", f"{vertex} {sign}.05 {sign}.1 0"])
    for side, vertex in (("l", IBUG_68[45]), ("r", IBUG_68[36])):
        _write(data / f"targets/eyes/{side}-eye-bag-in.target", [f"{vertex} 0 .02 0"])
        _write(data / f"targets/eyes/{side}-eye-bag-out.target", [f"{vertex} 0 -.02 0"])
    for index, name in enumerate(ARKIT_NAMES):
        vertices = {"jawOpen": (57, 66, 8), "eyeBlinkLeft": (43, 44), "eyeBlinkRight": (37, 38)}.get(name, (index,))
        _write(data / f"targets/faceunits/{name}.target", [f"{IBUG_68[v]} 0 -.12 0" for v in vertices])
        for kind, unit, _ in parts_of(name):
            if kind == "target":
                for race in hm08.MACRO_RACES:
                    _write(data / f"targets/expression/units/{race}/{unit}.target", [f"{IBUG_68[index]} 0 .03 0"])


def _write_rig(data: Path) -> None:
    units = ["Rest", *sorted({unit for name in ARKIT_NAMES for kind, unit, _ in parts_of(name) if kind == "pose"})]
    _write(data / "poseunits/face-poseunits.json", [json.dumps({"framemapping": units})])
    head = IBUG_68[27]
    skeleton = {"bones": {"root": {"head": "a"}, "brow": {"head": "b"}}, "joints": {"a": [head], "b": [IBUG_68[30]]}}
    _write(data / "rigs/default.mhskel", [json.dumps(skeleton)])
    weights = {"weights": {"root": [[head, 1.0]], "brow": [[IBUG_68[19], 1.0], [IBUG_68[24], 1.0]]}}
    _write(data / "rigs/default_weights.mhw", [json.dumps(weights)])
    channels = "Xrotation Yrotation Zrotation"
    tree = ["HIERARCHY", "ROOT root", "{", "OFFSET 0 0 0", f"CHANNELS 6 Xposition Yposition Zposition {channels}"]
    tree += ["JOINT brow", "{"]
    tree += ["OFFSET 0 0 1", f"CHANNELS 3 {channels}", "End Site", "{", "OFFSET 0 0 1", "}", "}", "}"]
    frames = [f"0 0 0 0 0 0 {5 * min(number, 1)} 0 0" for number in range(len(units))]
    _write(data / "poseunits/face-poseunits.bvh", [*tree, "MOTION", f"Frames: {len(units)}", "Frame Time: 0.04", *frames])


def _write(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
