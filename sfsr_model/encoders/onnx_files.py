"""What an ONNX file is for, told as insightface tells it: by the shapes of inputs and outputs, without loading a session."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

DETECTION, RECOGNITION = "detection", "recognition"
# A detector with so many outputs gives five points a face; one with 6 or 10 gives boxes alone (SCRFD, 3 or 5 scales).
_WITH_POINTS = (9, 15)


@dataclass(frozen=True)
class OnnxFile:
    """A file's shapes. Axes without a fixed size are None. task: as `insightface.model_zoo` routes it, or "unknown".

    metadata: its names and texts; `onnx_about.py` reads this project's own.
    """

    path: Path
    inputs: tuple[tuple[int | None, ...], ...]
    outputs: tuple[tuple[int | None, ...], ...]
    metadata: tuple[tuple[str, str], ...] = ()

    @property
    def task(self) -> str:
        if len(self.outputs) >= 5:
            return DETECTION
        shape = self.inputs[0] if self.inputs else ()
        if len(shape) != 4:
            return "unknown"
        height, width = shape[2:]
        if height != width or height is None:
            return "unknown"
        if len(self.inputs) == 2 and height == 128:
            return "face swapping"
        known = {192: "landmarks", 96: "attributes"}.get(height)
        return known or (RECOGNITION if height >= 112 and height % 16 == 0 else "unknown")

    @property
    def gives_points(self) -> bool:
        return len(self.outputs) in _WITH_POINTS


def inspect_onnx(path: Path) -> OnnxFile:
    """Read a file's shapes and metadata. Raises whatever the package onnx raises for what is no ONNX file."""
    stat = path.stat()
    return _inspect(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=64)
def _inspect(path: Path, mtime: int, size: int) -> OnnxFile:
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    graph = model.graph
    if not graph.node:
        raise ValueError("its graph holds no nodes")
    weights = {weight.name for weight in graph.initializer}

    def shape(value) -> tuple[int | None, ...]:
        return tuple(axis.dim_value or None for axis in value.type.tensor_type.shape.dim)

    inputs = tuple(shape(value) for value in graph.input if value.name not in weights)
    metadata = tuple((entry.key, entry.value) for entry in model.metadata_props)
    return OnnxFile(path, inputs, tuple(shape(value) for value in graph.output), metadata)
