"""The options of the command `encoders`."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any


def add_command(commands: Any) -> None:
    """Add the command to the parsers of `python -m sfsr_model.evaluation`."""
    parser = commands.add_parser("encoders", help="recognisers, expression encoders and detectors on held-out people")
    parser.add_argument("--out", type=Path, required=True, help="folder for encoders.json and encoders.md")
    parser.add_argument("--recogniser", type=Path, action="append", default=[],
                        help="ONNX file, pack or dlib's .dat; may be repeated")  # fmt: skip
    parser.add_argument("--expression", type=Path, action="append", default=[],
                        help="an expression encoder's .onnx or a face_landmarker.task; may be repeated")  # fmt: skip
    parser.add_argument("--detector", type=Path, action="append", default=[],
                        help="ONNX file of SCRFD's kind or YuNet's, insightface pack, face_landmarker.task, or this pack's "
                        "folder of weights; may be repeated")  # fmt: skip
    parser.add_argument("--cache", type=Path, help="the renderer's cache file, such as faces.npz")
    parser.add_argument("--photos", type=Path, help="folder of photos; its subfolders are people")
    parser.add_argument("--people", type=int, default=200, help="held-out people, and the 1:N of the retrieval (default 200)")
    parser.add_argument("--seed", type=int, default=1_000_003, help="of the held-out people, never trained on (1000003)")
    parser.add_argument("--size", type=int, default=128, help="pixels of an aligned picture's side (default 128)")
    parser.add_argument("--scene", type=int, default=320, help="pixels of a picture with a face to find (default 320)")
    parser.add_argument("--max-yaw", type=float, default=60.0, help="largest turn of a head in degrees (default 60)")
    labelled = parser.add_argument_group("labelled photos")
    labelled.add_argument("--labelled", type=Path, help="folder of labelled photos, with index.csv and labels.npz")
    labelled.add_argument("--landmarker", type=Path, help="face_landmarker.task that says where the labelled faces are")
    labelled.add_argument(
        "--witness",
        type=Path,
        action="append",
        default=[],
        help="detector whose finds are never others' false ones, such as YuNet's; may be repeated",
    )
    labelled.add_argument("--split", default="val", help="rows of the index to look at (default val)")
    labelled.add_argument("--limit", type=int, help="at most so many rows of each source, for trying out")
    labelled.add_argument("--speed", action="store_true", help="time every encoder on one core, beside the landmarker")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from .labelled_run import LabelledPlan
    from .run import Plan, measure_encoders

    labelled = None
    if options.labelled is not None:
        if options.landmarker is None:
            raise ValueError("landmarker: --labelled needs one to know where faces are; give MediaPipe's face_landmarker.task")
        labelled = LabelledPlan(
            options.labelled, options.landmarker, tuple(options.witness), options.split, options.limit, options.seed,
            options.scene, options.speed,
        )  # fmt: skip
    plan = Plan(
        options.out, tuple(options.recogniser), tuple(options.expression), tuple(options.detector), options.cache,
        options.people, options.seed, options.size, options.scene, math.radians(options.max_yaw), options.photos, labelled,
    )  # fmt: skip
    print(measure_encoders(plan))
    return 0
