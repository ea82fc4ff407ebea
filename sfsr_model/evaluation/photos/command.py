"""The options of the command `photos`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ...bundled import BUNDLED
from .. import options as shared


def add_command(commands: Any) -> None:
    """Add the command to the parsers of `python -m sfsr_model.evaluation`."""
    parser = commands.add_parser("photos", help="swap faces between labelled photos and measure them; run it again to resume")
    parser.add_argument("--photos", type=Path, required=True, help="folder of labelled photos, with index.csv and labels.npz")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results; new, empty, or of the same run")
    parser.add_argument(
        "--checkpoint", type=Path, default=BUNDLED.checkpoint, help="safetensors file (default: the bundled one)"
    )
    parser.add_argument("--recogniser", type=Path, help="of the checkpoint's space (default: the bundled one)")
    parser.add_argument("--forerunner", type=Path, help="another checkpoint to measure beside it")
    parser.add_argument("--forerunner-recogniser", type=Path, help="of the forerunner's space (default: as --recogniser)")
    parser.add_argument("--expression", type=Path, default=BUNDLED.expression,
                        help="ONNX file of the encoder that reads photos for the network (default: the bundled)")  # fmt: skip
    parser.add_argument("--judge", type=Path, action="append", default=[],
                        help="recogniser beside the bundled judge: dlib's .dat, whose figures head the table, an ONNX file "
                        "or a pack; may be repeated")  # fmt: skip
    parser.add_argument("--landmarker", type=Path, help="MediaPipe's face_landmarker.task, which reads expressions")
    parser.add_argument("--cache", type=Path, help="the renderer's cache file, such as faces.npz: what the words look like")
    parser.add_argument("--detector", type=Path, nargs="?", const=BUNDLED.folder,
                        help="cut faces out where a detector finds them, not at their labelled points (alone: the pack's "
                        "own; or a file or folder as `encoders` takes them)")  # fmt: skip
    parser.add_argument("--gallery", type=int, default=150, help="people to be told from each other (default 150)")
    parser.add_argument("--swaps", type=int, default=3000, help="results on other people's pictures (default 3000)")
    parser.add_argument("--word-people", type=int, default=60, help="people with each primary emotion (default 60)")
    parser.add_argument("--own", type=int, default=300, help="results on a person's own other photos (default 300)")
    parser.add_argument("--split", default="val", help="rows of the index to look at (default val)")
    parser.add_argument("--seed", type=int, default=1_000_003, help="of the cases and their noise (default 1000003)")
    parser.add_argument("--batch", type=int, default=8, help="pictures made at once (default 8)")
    parser.add_argument("--limit", type=int, help="at most so many cases of each kind, for trying out")
    parser.add_argument("--sheet-rows", type=int, default=12, help="swaps on contact.jpg, which shows people (default 12)")
    shared.add_sampling(parser)
    shared.add_pose(parser)
    shared.add_device(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from .cast import Numbers
    from .plan import Plan, Subject
    from .run import run

    forerunner = None
    if options.forerunner is not None:
        forerunner = Subject(options.forerunner, options.forerunner_recogniser)
    elif options.forerunner_recogniser is not None:
        raise ValueError("forerunner-recogniser: it belongs to a --forerunner, and none was given")
    plan = Plan(
        options.photos, options.out, Subject(options.checkpoint, options.recogniser), forerunner, options.expression,
        tuple(options.judge), options.landmarker, options.cache, options.detector,
        Numbers(options.gallery, options.swaps, options.word_people, options.own), options.split, options.seed, options.batch,
        options.limit, options.sheet_rows, shared.sampling_of(options), options.device,
    )  # fmt: skip
    print(run(plan))
    return 0
