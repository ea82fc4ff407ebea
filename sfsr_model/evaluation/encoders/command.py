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
    parser.add_argument("--recogniser", type=Path, action="append", default=[], help="ONNX file or pack; may be repeated")
    parser.add_argument("--expression", type=Path, action="append", default=[],
                        help="an expression encoder's .onnx or a face_landmarker.task; may be repeated")  # fmt: skip
    parser.add_argument("--detector", type=Path, action="append", default=[], help="ONNX file or pack; may be repeated")
    parser.add_argument("--cache", type=Path, help="the renderer's cache file, such as faces.npz")
    parser.add_argument("--photos", type=Path, help="folder of photos; its subfolders are people")
    parser.add_argument("--people", type=int, default=200, help="held-out people, and the 1:N of the retrieval (default 200)")
    parser.add_argument("--seed", type=int, default=1_000_003, help="of the held-out people, never trained on (1000003)")
    parser.add_argument("--size", type=int, default=128, help="pixels of an aligned picture's side (default 128)")
    parser.add_argument("--scene", type=int, default=320, help="pixels of a picture with a face to find (default 320)")
    parser.add_argument("--max-yaw", type=float, default=60.0, help="largest turn of a head in degrees (default 60)")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from .run import Plan, measure_encoders

    plan = Plan(
        options.out, tuple(options.recogniser), tuple(options.expression), tuple(options.detector), options.cache,
        options.people, options.seed, options.size, options.scene, math.radians(options.max_yaw), options.photos,
    )  # fmt: skip
    print(measure_encoders(plan))
    return 0
