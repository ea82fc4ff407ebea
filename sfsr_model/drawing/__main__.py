"""`python -m sfsr_model.drawing`: words as line drawings of the mean face, on one labelled picture."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..command import exit_status

_WORDS = ("neutral", "joy", "sadness", "anger", "fear", "surprise", "disgust", "pride")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0, 2 with one line on stderr for bad input, or 130 where it was interrupted."""
    parser = argparse.ArgumentParser(prog="python -m sfsr_model.drawing", description=__doc__)
    parser.add_argument("words", nargs="*", default=list(_WORDS), metavar="WORD", help=f"(default {' '.join(_WORDS)})")
    parser.add_argument("--out", type=Path, required=True, help="picture to write, such as words.png")
    parser.add_argument("--in-a-row", type=int, default=4, help="(default 4)")
    parser.add_argument("--size", type=int, default=144, help="pixels of a drawing's side (default 144)")
    options = parser.parse_args(arguments)
    return exit_status(lambda: _draw(options), "stopped: no picture was written")


def _draw(options: argparse.Namespace) -> int:
    from PIL import Image

    from ..expressions import word_expression
    from ..files import whole_file
    from ..sheet import draw_sheet, result_rows
    from .preview import preview

    if options.in_a_row < 1:
        raise ValueError(f"in-a-row: {options.in_a_row}; expected at least 1")
    faces = [preview(word_expression(word), options.size)[0] for word in options.words]
    rows, labels = result_rows(faces, options.words, max(2, options.in_a_row))
    sheet = draw_sheet(rows, labels, (), (options.size, options.size), len(rows))
    with whole_file(options.out) as partial:
        Image.fromarray((sheet[0].numpy() * 255).astype("uint8")).quantize(64).save(partial, "PNG", optimize=True)
    print(f"{options.out}: {options.out.stat().st_size / 1e3:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
