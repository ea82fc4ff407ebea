"""Make a safetensors file of an adapter that is a PyTorch file (.bin, .pt, .pth, .ckpt), or of Arc2Face's text encoder.

python scripts/convert_adapter.py FILE [--out FILE]

Entries get flat names (image_proj.*, ip_adapter.*), as diffusers and others read them too; a text encoder keeps its own. Of
FineFace's two files give one: the other has to lie beside it, and both go into one. Nothing but tensors is unpickled. Left out,
--out is FILE with the ending .safetensors; nothing is overwritten. In a Python with PyTorch, safetensors and einops.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sfsr_model.files import flat_tensors, read_foreign_tensors, whole_file

if TYPE_CHECKING:
    from torch import Tensor


def main(arguments: list[str]) -> int:
    """Convert, and say what was written; 1 for what is no adapter, and for bad input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="the PyTorch file")
    parser.add_argument("--out", type=Path, help="the safetensors file to write")
    options = parser.parse_args(arguments)
    out = options.out or options.file.with_suffix(".safetensors")
    try:
        what = convert(options.file, out)
    except (ValueError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    print(f"{out}: {what}, {out.stat().st_size / 1e6:.1f} MB")
    return 0


def convert(path: Path, out: Path) -> str:
    """Write what `path` holds to `out`; returns what it is. Raises AdapterError for what is no adapter and no text encoder,
    ValueError for a file that cannot be read or may not be written."""
    from safetensors.torch import save_file

    if out.suffix != ".safetensors":
        raise ValueError(f"--out: {out.name} does not end in .safetensors; give a name that does")
    if out.exists():
        raise ValueError(f"--out: {out} is there; give another name with --out, or move it away")
    tensors = with_companion(path)
    what = _checked(tensors, path.name)
    # Clones: entries of a PyTorch file may share their memory, which a safetensors file cannot say.
    flat = {name: tensor.clone().contiguous() for name, tensor in tensors.items()}
    with whole_file(out) as partial:
        save_file(flat, partial, {"format": "pt"})
    return what


def with_companion(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, and of FineFace's other file where it lies beside it, by flat names. Raises ValueError as
    `read_foreign_tensors` does."""
    from sfsr_model.adapters.files import companion

    found: dict[str, Any] = read_foreign_tensors(path)
    other = companion(path.name)
    if other is not None and path.with_name(other).is_file():
        found = found | read_foreign_tensors(path.with_name(other))
    return dict(flat_tensors(found))


def _checked(tensors: dict[str, Tensor], name: str) -> str:
    from sfsr_model.adapters.arc2face import check_text_encoder
    from sfsr_model.adapters.files import read_adapter
    from sfsr_model.adapters.others import TEXT_ENCODER, what_it_is

    if what_it_is(tensors)[0] == TEXT_ENCODER:
        check_text_encoder(tensors, name)
        return TEXT_ENCODER
    return read_adapter(tensors, name).facts.title


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
