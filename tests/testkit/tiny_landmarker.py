"""A face landmarker of a few kilobytes, written with the `flatbuffers` package: for tests without MediaPipe's file.

Field numbers: TensorFlow's tensorflow/compiler/mlir/lite/schema/schema.fbs. The tiny networks see one face in the middle of
a bright picture and none in a dark one; their landmarks are a fixed cloud that moves a little with the picture's colour.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

FLOAT32, FLOAT16, INT32, INT8 = 0, 1, 2, 9
_CODES = {np.dtype(np.float32): FLOAT32, np.dtype(np.float16): FLOAT16, np.dtype(np.int32): INT32, np.dtype(np.int8): INT8}
ADD, CONCATENATION, CONV, DEPTHWISE, DEQUANTIZE, LOGISTIC, MAX_POOL, MUL = 0, 2, 3, 4, 6, 14, 17, 18
RESHAPE, PAD, TRANSPOSE, MEAN, STRIDED_SLICE, PRELU, SQUARED_DIFFERENCE = 22, 34, 39, 40, 45, 54, 99


@dataclass
class TinyNetwork:
    """Collects tensors and operations, then writes the file's bytes. Tensors are referred to by the number they get."""

    tensors: list[tuple[tuple[int, ...], np.ndarray | None, int]] = field(default_factory=list)
    operations: list[tuple[int, list[int], list[int], dict[int, tuple[str, int]]]] = field(default_factory=list)

    def value(self, *shape: int) -> int:
        self.tensors.append((shape, None, FLOAT32))
        return len(self.tensors) - 1

    def constant(self, array: np.ndarray) -> int:
        self.tensors.append((array.shape, array, _CODES[array.dtype]))
        return len(self.tensors) - 1

    def half(self, array: np.ndarray) -> int:
        """A float16 constant and the DEQUANTIZE that widens it."""
        return self.apply(DEQUANTIZE, [self.constant(array.astype(np.float16))], array.shape)

    def apply(self, code: int, inputs: Sequence[int], shape: Sequence[int], **options: tuple[str, int]) -> int:
        """options: f0=("Int32", 2) is field 0 of the operator's table of options."""
        output = self.value(*shape)
        fields = {int(name[1:]): value for name, value in options.items()}
        self.operations.append((code, list(inputs), [output], fields))
        return output

    def write(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        import flatbuffers

        builder = flatbuffers.Builder(1024)
        buffers = [_table(builder, {})]
        tensors = []
        for shape, array, kind in self.tensors:
            number = 0
            if array is not None:
                number = len(buffers)
                buffers.append(_table(builder, {0: builder.CreateByteVector(array.tobytes())}))
            tensors.append(_table(builder, {0: _integers(builder, shape)}, {1: ("Int8", kind), 2: ("Uint32", number)}))
        codes = sorted({code for code, *_ in self.operations})
        entries = []
        for code, sources, targets, options in self.operations:
            offsets = {1: _integers(builder, sources), 2: _integers(builder, targets)}
            if options:
                offsets[4] = _table(builder, {}, options)
            entries.append(_table(builder, offsets, {0: ("Uint32", codes.index(code))}))
        graph = _table(
            builder,
            {
                0: _offsets(builder, tensors),
                1: _integers(builder, inputs),
                2: _integers(builder, outputs),
                3: _offsets(builder, entries),
            },
        )
        operators = [_table(builder, {}, {0: ("Int8", min(code, 127)), 3: ("Int32", code)}) for code in codes]
        parts = {1: _offsets(builder, operators), 2: _offsets(builder, [graph]), 4: _offsets(builder, buffers)}
        builder.Finish(_table(builder, parts, {0: ("Uint32", 3)}), b"TFL3")
        return bytes(builder.Output())


def tiny_detector() -> bytes:
    net = TinyNetwork()
    picture = net.value(1, 128, 128, 3)
    mean = net.apply(MEAN, [picture, net.constant(np.array([1, 2], np.int32))], (1, 1, 1, 3), f0=("Bool", 1))
    anchor = 2 * (8 * 16 + 8)  # the first anchor of the cell right below the middle of the finer grid
    boxes = np.zeros((896, 16), np.float32)
    boxes[:, 2:4] = 64
    boxes[:, 4:8] = -16, -10, 16, -10
    scores, bias = np.zeros((896, 1, 1, 3), np.float32), np.full(896, -90, np.float32)
    scores[anchor], bias[anchor] = 20, 5
    flat = _conv(net, mean, np.zeros((896 * 16, 1, 1, 3), np.float32), boxes.reshape(-1))
    logits = _conv(net, mean, scores, bias)
    outputs = [net.apply(RESHAPE, [flat], (1, 896, 16)), net.apply(RESHAPE, [logits], (1, 896, 1))]
    return net.write([picture], outputs)


def tiny_mesh(points: np.ndarray) -> bytes:
    """points: [478, 3] in crop pixels."""
    net = TinyNetwork()
    picture = net.value(1, 256, 256, 3)
    mean = net.apply(MEAN, [picture, net.constant(np.array([1, 2], np.int32))], (1, 1, 1, 3), f0=("Bool", 1))
    weights = np.random.default_rng(1).normal(0, 3, (1434, 1, 1, 3)).astype(np.float32)
    landmarks = _conv(net, mean, weights, points.astype(np.float32).reshape(-1))
    presence = _conv(net, mean, np.zeros((1, 1, 1, 3), np.float32), np.full(1, 4, np.float32))
    other = net.apply(RESHAPE, [net.apply(LOGISTIC, [presence], (1, 1, 1, 1))], (1, 1))
    return net.write([picture], [landmarks, presence, other])


def tiny_blendshapes() -> bytes:
    net = TinyNetwork()
    points = net.value(1, 146, 2)
    middle = net.apply(MEAN, [points, net.constant(np.array(1, np.int32))], (1, 1, 2), f0=("Bool", 1))
    spread = net.apply(SQUARED_DIFFERENCE, [points, middle], (1, 146, 2))
    flat = net.apply(RESHAPE, [spread], (1, 1, 1, 292))
    weights = np.random.default_rng(2).normal(0, 1e-7, (52, 1, 1, 292)).astype(np.float32)
    scores = net.apply(LOGISTIC, [_conv(net, flat, weights, np.linspace(-2, 1, 52, dtype=np.float32))], (1, 1, 1, 52))
    row = net.apply(RESHAPE, [scores], (1, 52))
    ends = [net.constant(np.array(pair, np.int32)) for pair in ((0, 0), (1, 52), (1, 1))]
    masks = {"f0": ("Int32", 2), "f1": ("Int32", 2), "f4": ("Int32", 1)}
    return net.write([points], [net.apply(STRIDED_SLICE, [row, *ends], (52,), **masks)])


def tiny_geometry(vertices: np.ndarray) -> bytes:
    """The canonical face [V, 3] as MediaPipe's protocol buffer, each of the first 30 points with weight 1."""
    numbers = np.concatenate((vertices, np.zeros((len(vertices), 2))), 1).astype("<f4").reshape(-1)
    mesh = b"".join(b"\x1d" + struct.pack("<f", number) for number in numbers)
    basis = b"".join(b"\x12\x07\x08" + bytes([place]) + b"\x15" + struct.pack("<f", 1.0) for place in range(30))
    return b"\x0a" + _varint(len(mesh)) + mesh + basis


def face_cloud() -> np.ndarray:
    """Points [478, 3] of a face as a bent sheet, x right, y up, z towards the viewer, about 14 units high."""
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, (478, 2)) * (6, 7)
    return np.concatenate((points, 4 - 0.08 * (points**2).sum(1, keepdims=True)), 1)


def write_tiny_task(path: Path, **parts: bytes | None) -> Path:
    """Write a whole tiny bundle; parts by file stem replace a file's bytes, or leave it out with None."""
    cloud = face_cloud()
    contents: dict[str, bytes | None] = {
        "face_detector.tflite": tiny_detector(),
        "face_landmarks_detector.tflite": tiny_mesh(cloud * (10, -10, -10) + (128, 128, 0)),
        "face_blendshapes.tflite": tiny_blendshapes(),
        "geometry_pipeline_metadata_landmarks.binarypb": tiny_geometry(cloud[:468]),
    }
    for stem, data in parts.items():
        contents[next(name for name in contents if name.startswith(stem + "."))] = data
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            if content is not None:
                archive.writestr(name, content)
    return path


def _conv(net: TinyNetwork, value: int, weights: np.ndarray, bias: np.ndarray) -> int:
    options = {"f0": ("Int8", 1), "f1": ("Int32", 1), "f2": ("Int32", 1)}
    return net.apply(CONV, [value, net.half(weights), net.constant(bias)], (1, 1, 1, len(bias)), **options)


def _table(builder: Any, offsets: dict[int, int], numbers: dict[int, tuple[str, int]] | None = None) -> int:
    builder.StartObject(max([*offsets, *(numbers or {}), 0]) + 1)
    for number, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(number, offset, 0)
    for number, (kind, value) in (numbers or {}).items():
        getattr(builder, f"Prepend{kind}Slot")(number, value, 0)
    return builder.EndObject()


def _offsets(builder: Any, entries: Sequence[int]) -> int:
    builder.StartVector(4, len(entries), 4)
    for entry in reversed(entries):
        builder.PrependUOffsetTRelative(entry)
    return builder.EndVector()


def _integers(builder: Any, values: Sequence[int]) -> int:
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependInt32(value)
    return builder.EndVector()


def _varint(value: int) -> bytes:
    digits = bytearray()
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    return bytes([*digits, value])
