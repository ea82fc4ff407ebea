"""`python -m sfsr_model.film`: films of people who do not exist, with everything that is known of each frame."""

from __future__ import annotations

import argparse
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np

from ..command import exit_status
from ..files import whole_file


def main(arguments: list[str] | None = None) -> int:
    """Run a command; 0, 2 with one line on stderr for bad input, 130 after an interrupt."""
    options = _parser().parse_args(arguments)
    return exit_status(lambda: _render(options), "interrupted; nothing was written", "ask for a smaller --size")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sfsr_model.film", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    render = commands.add_parser("render", help="somebody talks, blinks and turns the head, as an MP4")
    render.add_argument("--cache", type=Path, required=True, help="the renderer's cache file, see docs/synthetic.md")
    render.add_argument("--out", type=Path, required=True, help="film to write, an .mp4")
    render.add_argument("--truth", type=Path, help="coefficients, pose and points of each frame as well, an .npz")
    render.add_argument("--seed", type=int, default=0, help="what the person does (default 0)")
    render.add_argument("--person", type=int, default=0, help="who it is, in which light (default 0)")
    render.add_argument("--frames", type=int, default=90, help="(default 90)")
    render.add_argument("--rate", type=int, default=30, help="frames a second (default 30)")
    render.add_argument("--size", type=int, default=256, help="pixels of a frame's side, an even number (default 256)")
    render.add_argument("--turn", type=float, default=25.0, help="how far the head turns, in degrees (default 25)")
    render.add_argument("--turn-rate", type=float, default=60.0, help="how fast, in degrees a second (default 60)")
    render.add_argument("--crf", type=int, default=26, help="compression: 18 is large and clean, 30 small (default 26)")
    render.add_argument("--procedural-skin", action="store_true", help="as `python -m sfsr_model.synthetic` has it")
    return parser


def _render(options: argparse.Namespace) -> int:
    try:
        import av
    except ImportError as error:
        raise ImportError(f"films are written by PyAV ({error}); install it with `pip install av`") from error
    from ..synthetic.model import FaceModel
    from .rendered import render_film, shot

    if options.size % 2:
        raise ValueError(f"size: expected an even number of pixels, got {options.size}")
    film = shot(
        options.seed, options.frames, options.size, rate=options.rate, turn=options.turn, turn_rate=options.turn_rate,
        person=options.person,
    )  # fmt: skip
    model = FaceModel.load(options.cache, options.procedural_skin)
    truth = []
    with whole_file(options.out) as partial, av.open(str(partial), "w", format="mp4") as container:
        stream = container.add_stream("h264", rate=Fraction(options.rate))
        stream.width = stream.height = options.size
        stream.pix_fmt, stream.options = "yuv420p", {"crf": str(options.crf), "preset": "veryslow"}
        for picture in render_film(model, film):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture.image, format="rgb24")))
            truth.append((picture.coefficients, picture.pose, picture.five))
        container.mux(stream.encode())
    if options.truth:
        coefficients, pose, five = (np.array(column, np.float32) for column in zip(*truth, strict=True))
        with whole_file(options.truth) as partial, partial.open("wb") as file:
            np.savez_compressed(file, coefficients=coefficients, pose=pose, five=five, rate=options.rate)
    print(f"{options.out}: {len(truth)} frames, {options.out.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
