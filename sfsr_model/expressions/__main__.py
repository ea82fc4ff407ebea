"""`python -m sfsr_model.expressions`: list the words, show one, or print the closest pairs.

`python -m sfsr_model.expressions library --gallery DIR --encoder FILE --out FILE` reads a folder of photos, one subfolder a
word, into an expression library.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from pathlib import Path

from .vocabulary import Word, all_words, lookup, sources


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0, or 2 with a message on stderr for an unknown word, a bad intensity, or what is wrong with a gallery.

    Listing the words needs no PyTorch.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["library"]:
        return _library(arguments[1:])
    parser = argparse.ArgumentParser(
        prog="python -m sfsr_model.expressions", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("word", nargs="?", help="name or number of the word to show; without it all are listed")
    parser.add_argument("--intensity", type=float, default=1.0, help="scale of the shown coefficients (default 1)")
    parser.add_argument(
        "--distances", type=int, nargs="?", const=20, metavar="N", help="print the N (20) closest pairs of words"
    )
    options = parser.parse_args(arguments)
    try:
        if options.distances is not None:
            _print_distances(options.distances)
        elif options.word is not None:
            _print_word(options.word, options.intensity)
        else:
            for word in all_words():
                print(f"{word.number:3d}  {word.word:15s} {word.primary + '/' + word.group:24s} {_units(word)}")
        sys.stdout.flush()
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read the list has seen enough; nor may the interpreter flush it at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _library(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m sfsr_model.expressions library", description="Read a folder of photos into a library."
    )
    parser.add_argument("--gallery", type=Path, required=True, help="folder with one subfolder of photos for each word")
    parser.add_argument("--encoder", type=Path, required=True, help="MediaPipe's face_landmarker.task")
    parser.add_argument("--out", type=Path, required=True, help="the library to write, .safetensors")
    options = parser.parse_args(arguments)
    # The command stands above all floors; the package itself imports nothing from up there.
    from ..landmarker import load_expression_encoder
    from ..landmarker.photos import read_gallery

    try:
        library = read_gallery(options.gallery, load_expression_encoder(options.encoder))
        library.save(options.out)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{options.out}: {len(library.words)} words from {sum(library.counts)} photos")
    return 0


def _units(word: Word) -> str:
    return " + ".join(f"{unit.code}:{unit.intensity:g}{unit.source}" for unit in word.action_units)


def _print_word(text: str, intensity: float) -> None:
    from .arkit import ARKIT_NAMES
    from .value import POSE_AXES
    from .words import word_expression

    word = lookup(text)
    expression = word_expression(word.word, intensity)
    print(f"{word.word}: {word.primary}/{word.group}, number {word.number or 'none'}")
    print("\naction units, intensity, source")
    for unit in word.action_units:
        print(f"  {unit.code:>3s} {unit.intensity:5.2f}  {sources()[unit.source]}")
    print(f"\nARKit coefficients above 0, at intensity {intensity:g}")
    for name, value in zip(ARKIT_NAMES, expression.coefficients[0].tolist(), strict=True):
        if value > 0:
            print(f"  {name:20s} {value:.3f}")
    if expression.pose is not None:
        angles = zip(POSE_AXES, expression.pose[0].tolist(), strict=True)
        print("head pose in degrees: " + ", ".join(f"{axis} {math.degrees(angle):.1f}" for axis, angle in angles))


def _print_distances(count: int) -> None:
    import torch

    from .words import all_word_expressions

    words = all_words()
    distances = torch.pdist(all_word_expressions().coefficients)  # pairs in the order of triu_indices
    rows, columns = torch.triu_indices(len(words), len(words), offset=1).tolist()
    print("L2 distance over the 52 coefficients, closest first")
    for index in distances.argsort()[: max(count, 0)].tolist():
        first, second = words[rows[index]], words[columns[index]]
        relation = first.group if first.group == second.group else f"{first.group} | {second.group}"
        print(f"  {distances[index]:.3f}  {first.word:15s} {second.word:15s} {relation}")


if __name__ == "__main__":
    sys.exit(main())
