"""MediaPipe's face_landmarker.task: a zip file of three networks and the canonical face.

The canonical face is a protocol buffer (mediapipe/tasks/cc/vision/face_geometry/proto/geometry_pipeline_metadata.proto and
mesh_3d.proto): field 1 the mesh, whose field 3 holds x, y, z, u, v of each vertex as floats; field 2, repeated, a landmark
number (1) and its weight (2) in the rigid fit. Centimetres; x to the viewer's right, y up, z towards the viewer.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from .tflite import Graph, TfliteError, read_graph

DETECTOR, MESH, BLENDSHAPES = "face_detector.tflite", "face_landmarks_detector.tflite", "face_blendshapes.tflite"
GEOMETRY = "geometry_pipeline_metadata_landmarks.binarypb"
_LARGEST = 64 << 20
_SOURCE = "Get face_landmarker.task from MediaPipe's page on its Face Landmarker (the model bundle with blendshapes)"


class LandmarkerFileError(ValueError):
    """The file is no usable face landmarker; the message names it, what was found and what to get."""


@dataclass(frozen=True, eq=False)
class Bundle:
    """vertices: float64 [468, 3] of the canonical face; weights: float64 [468], 0 for points that the rigid fit leaves out."""

    detector: Graph
    mesh: Graph
    blendshapes: Graph
    vertices: Tensor
    weights: Tensor


def read_bundle(path: Path) -> Bundle:
    """Read the file; raises LandmarkerFileError for one that is missing, damaged or of another kind."""
    if not path.is_file():
        raise LandmarkerFileError(f"{path.name}: no such file. {_SOURCE}")
    parts = _parts(path)
    try:
        detector, mesh, blendshapes = (read_graph(parts[part], part) for part in (DETECTOR, MESH, BLENDSHAPES))
        vertices, weights = _geometry(parts[GEOMETRY])
    except (TfliteError, _DamagedError) as error:
        raise LandmarkerFileError(f"{path.name}: {error}") from error
    return Bundle(detector, mesh, blendshapes, vertices, weights)


class _DamagedError(ValueError):
    pass


def _parts(path: Path) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
            missing = [part for part in (DETECTOR, MESH, BLENDSHAPES, GEOMETRY) if part not in sizes]
            if missing:
                inside = ", ".join(sorted(sizes)[:6]) or "nothing"
                raise LandmarkerFileError(
                    f"{path.name}: {missing[0]} is not in it (found {inside}); it is a bundle of another kind. {_SOURCE}"
                )
            parts = {}
            for part in (DETECTOR, MESH, BLENDSHAPES, GEOMETRY):
                if sizes[part] > _LARGEST:
                    raise LandmarkerFileError(f"{path.name}: {part} is larger than {_LARGEST >> 20} MiB. {_SOURCE}")
                parts[part] = archive.read(part)
            return parts
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise LandmarkerFileError(
            f"{path.name}: cannot be read as a MediaPipe bundle ({error}); it is cut off or something else. {_SOURCE}"
        ) from error


def _geometry(data: bytes) -> tuple[Tensor, Tensor]:
    mesh = b"".join(value for number, value in _fields(data) if number == 1 and isinstance(value, bytes))
    numbers: list[float] = []
    for number, value in _fields(mesh):
        if number == 3 and isinstance(value, float):
            numbers.append(value)
        elif number == 3 and isinstance(value, bytes):
            numbers.extend(struct.unpack(f"<{len(value) // 4}f", value[: len(value) // 4 * 4]))
    if not numbers or len(numbers) % 5:
        raise _DamagedError(f"{GEOMETRY}: {len(numbers)} numbers are no vertices of 5 each; get the file again")
    vertices = torch.tensor(numbers, dtype=torch.float64).reshape(-1, 5)[:, :3]
    weights = torch.zeros(len(vertices), dtype=torch.float64)
    for number, value in _fields(data):
        if number != 2 or not isinstance(value, bytes):
            continue
        entry = dict(_fields(value))
        place, weight = entry.get(1, 0), entry.get(2, 0.0)
        if not isinstance(place, int) or not 0 <= place < len(weights) or not isinstance(weight, float) or not weight >= 0:
            raise _DamagedError(f"{GEOMETRY}: a weight for landmark {place!r} of {len(weights)}; get the file again")
        weights[place] = weight
    if int((weights > 0).sum()) < 4 or not bool(vertices.isfinite().all()):
        raise _DamagedError(f"{GEOMETRY}: too few landmarks for a rigid fit; get the file again")
    return vertices, weights


def _fields(data: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """Field numbers and values of one protocol-buffer message, in order (wire types 0, 1, 2 and 5)."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        number, kind = key >> 3, key & 7
        value: int | float | bytes
        if kind == 0:
            value, place = _varint(data, place)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            value = struct.unpack("<d" if kind == 1 else "<f", _cut(data, place, size))[0]
            place += size
        elif kind == 2:
            size, place = _varint(data, place)
            value = _cut(data, place, size)
            place += size
        else:
            raise _DamagedError(f"{GEOMETRY}: a field of wire type {kind}; get the file again")
        yield number, value


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = _cut(data, place, 1)[0]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            break
    return value, place


def _cut(data: bytes, place: int, size: int) -> bytes:
    if place + size > len(data):
        raise _DamagedError(f"{GEOMETRY}: ends at byte {len(data)} in the middle of a field; get the file again")
    return data[place : place + size]
