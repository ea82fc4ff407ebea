"""Say what files of weights are: kind, entries, shapes, types and hash, one page for a report.

python scripts/describe_weights.py FILE ...

FILE: an adapter, SMIRK's file, a text encoder, any other file of tensors, or an ONNX network. Entries whose names differ in
numbers alone are one line. Nothing but tensors is unpickled, and no weight is printed. In a Python with
PyTorch, safetensors and einops, for ONNX files the package onnx.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "scripts")]

from convert_adapter import with_companion  # noqa: E402

from sfsr_model.files import digest_of, flat_tensors, read_foreign_tensors  # noqa: E402

if TYPE_CHECKING:
    from torch import Tensor

_UNKNOWN = "an unknown file"


def main(arguments: list[str]) -> int:
    """Print the pages; 1 where a file could not be read."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    status = 0
    for path in parser.parse_args(arguments).files:
        try:
            print("\n".join(described(path)), end="\n\n")
        except (ValueError, OSError, ImportError) as error:
            print(f"Error: {error}", file=sys.stderr)
            status = 1
    return status


def described(path: Path) -> list[str]:
    """The lines of one file. Raises ValueError naming one that cannot be read."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    about = _onnx(path) if path.suffix == ".onnx" else _tensors(path)
    return [path.name, f"  size: {path.stat().st_size} bytes", f"  sha256: {digest_of(path)}", *(f"  {one}" for one in about)]


def _tensors(path: Path) -> Iterator[str]:
    tensors = dict(flat_tensors(read_foreign_tensors(path)))
    yield f"kind: {kind_of(with_companion(path), path.name)}"
    yield f"entries: {len(tensors)}, {sum(one.numel() for one in tensors.values())} numbers"
    yield from grouped(tensors)


def kind_of(tensors: dict[str, Tensor], name: str) -> str:
    """What a file with these entries is, in words."""
    from sfsr_model.adapters.adapter import AdapterError
    from sfsr_model.adapters.files import read_adapter
    from sfsr_model.adapters.others import what_it_is

    try:
        adapter = read_adapter(tensors, name)
    except AdapterError as error:
        what, _ = what_it_is(tensors)
        return str(error) if what.startswith(_UNKNOWN) else what
    told = f"{adapter.facts.title} (gives the {adapter.stream}), {adapter.tokens} tokens of width {adapter.context_dim}"
    return f"{told}, {len(adapter.keys_values)} layers, base {adapter.base}, {'with' if adapter.lora else 'no'} LoRA"


def grouped(tensors: dict[str, Tensor]) -> Iterator[str]:
    """Entries, those whose names differ in numbers alone as one line, with how many of them have which shape."""
    groups: dict[tuple[str, str], Counter[tuple[int, ...]]] = {}
    for name, tensor in tensors.items():
        alike = re.sub(r"(?<=\.)\d+(?=\.)|^\d+(?=\.)", "N", name), str(tensor.dtype).removeprefix("torch.")
        groups.setdefault(alike, Counter())[tuple(tensor.shape)] += 1
    for (name, dtype), shapes in groups.items():
        told = ", ".join(f"{count} of {list(shape)}" if count > 1 else str(list(shape)) for shape, count in shapes.items())
        yield f"{shapes.total():4d} x {name}, {dtype}: {told}"


def _onnx(path: Path) -> Iterator[str]:
    import onnx

    from sfsr_model.encoders.onnx_files import inspect_onnx

    try:
        found, graph = inspect_onnx(path), onnx.load(str(path), load_external_data=False).graph
    except Exception as error:  # whatever onnx raises for what is no ONNX file
        raise ValueError(f"{path.name}: cannot be read as an ONNX network ({error}); get the file again") from error
    weights = {weight.name for weight in graph.initializer}
    yield f"kind: an ONNX network for {found.task}"
    yield f"inputs: {', '.join(one.name for one in graph.input if one.name not in weights)}: {_shapes(found.inputs)}"
    yield f"outputs: {_shapes(found.outputs)}"
    counts = Counter(node.op_type for node in graph.node)
    yield "operations: " + ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))


def _shapes(shapes: tuple[tuple[int | None, ...], ...]) -> str:
    return ", ".join(str(["any" if axis is None else axis for axis in shape]) for shape in shapes).replace("'", "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
