"""The options of the command `drawing`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

SOURCES = ("london", "omi_people")


def add_command(commands: Any) -> None:
    """Add the command to the parsers of `python -m sfsr_model.evaluation`."""
    parser = commands.add_parser("drawing", help="landmarks moved to another expression, against photos that show it")
    parser.add_argument("--photos", type=Path, required=True, help="folder of labelled photos, with index.csv and labels.npz")
    parser.add_argument("--landmarker", type=Path, required=True, help="MediaPipe's face_landmarker.task")
    parser.add_argument("--out", type=Path, required=True, help="folder for drawing.json and drawing.md")
    parser.add_argument("--face-points", type=Path, help="file of the mean face and its movements (default: the bundled one)")
    parser.add_argument("--source", nargs="+", default=list(SOURCES), help=f"of the photos (default {' '.join(SOURCES)})")
    parser.add_argument("--split", default="val", help="rows of the index to look at (default val)")
    parser.add_argument("--faces", type=int, default=24, help="people and strengths of each movement (default 24)")
    parser.add_argument("--seed", type=int, default=1_000_003, help="of the people and the movements (default 1000003)")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from .run import Plan, measure_drawing

    plan = Plan(
        options.photos, options.landmarker, options.out, tuple(options.source), options.split, options.faces, options.seed,
        options.face_points,
    )  # fmt: skip
    print(measure_drawing(plan))
    return 0
