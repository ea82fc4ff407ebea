"""The command line's options that several commands share, and what they stand for."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

_PRIMARY_PEOPLE = 20

if TYPE_CHECKING:
    from .generate import Sampling
    from .run import Plan
    from .study import Study


def add_faces(parser: argparse.ArgumentParser) -> None:
    """Who is drawn, and on what machine."""
    parser.add_argument("--cache", type=Path, required=True, help="the renderer's cache file, such as faces.npz")
    parser.add_argument("--recogniser", default="rendered",
                        help="ONNX file or pack that the checkpoint was trained with, or 'rendered' for the renderer's own "
                        "vectors (default rendered)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=1_000_003, help="of the held-out samples, never trained on (1000003)")
    add_pose(parser)
    parser.add_argument("--size", type=int, help="pixels of a picture's side (default: the checkpoint's)")
    add_device(parser)


def add_pose(parser: argparse.ArgumentParser) -> None:
    """Whether the network is told how the head is turned."""
    parser.add_argument("--no-pose", dest="pose", action="store_false", help="do not tell the network the head's pose")


def add_device(parser: argparse.ArgumentParser) -> None:
    """What the network runs on."""
    parser.add_argument("--device", default="cpu", help="such as cpu or cuda (default cpu)")


def add_checkpoint(parser: argparse.ArgumentParser) -> None:
    """The one network that a command looks at."""
    parser.add_argument("--checkpoint", type=Path, required=True, help="safetensors file of this project's format")


def add_judges(parser: argparse.ArgumentParser) -> None:
    """Who measures the pictures."""
    parser.add_argument("--judge", type=Path, help="ONNX file or pack of the recogniser that measures (default: --recogniser)")
    parser.add_argument("--expression-judge", type=Path,
                        help="face_landmarker.task, or ONNX file of this project's expression encoder, that reads expression "
                        "and pose")  # fmt: skip


def add_guidance(parser: argparse.ArgumentParser) -> None:
    """Both scales."""
    parser.add_argument("--identity-guidance", type=float, default=2.0, help="scale of the identity (default 2)")
    parser.add_argument("--expression-guidance", type=float, default=2.0, help="scale of the expression (default 2)")


def add_guided(parser: argparse.ArgumentParser) -> None:
    """What leads, what measures, and how often."""
    parser.add_argument("--guide", type=Path, required=True, help="ONNX file or pack of the recogniser that leads")
    parser.add_argument("--expression-guide", type=Path, required=True,
                        help="ONNX file of this project's expression encoder that leads")  # fmt: skip
    parser.add_argument("--judge", type=Path, required=True, help="ONNX file or pack of another recogniser, which measures")
    parser.add_argument("--expression-judge", type=Path, required=True,
                        help="face_landmarker.task, or ONNX file of another expression encoder, which measures")  # fmt: skip
    parser.add_argument("--samples", type=int, default=50, help="held-out people (default 50)")
    parser.add_argument("--batch", type=int, default=10, help="people at once (default 10)")
    parser.add_argument("--solver-steps", type=int, default=12, help="of the improved midpoint, even (default 12)")
    parser.add_argument("--guided", type=int, nargs="+", default=[0, 1, 2, 4, 8],
                        help="steps that are guided, about the middle of the run (default 0 1 2 4 8)")  # fmt: skip
    parser.add_argument("--compared", type=int, default=4, help="guided steps where estimates are compared (default 4)")
    parser.add_argument("--identity-scale", type=float, default=1.0, help="of the identity's gradient; 0 is off (default 1)")
    parser.add_argument("--expression-scale", type=float, default=5.0, help="of the expression's; 0 is off (default 5)")
    parser.add_argument("--views", type=int, default=1, help="looks that each gradient is the mean of (default 1)")


def add_run(parser: argparse.ArgumentParser, steps: str = "--steps") -> None:
    """What an evaluation is made of, beside the faces, the checkpoint and the folder. steps: the solver's option."""
    add_judges(parser)
    parser.add_argument("--people", type=int, default=200, help="held-out people, and the 1:N of the retrieval (default 200)")
    parser.add_argument("--primary-people", type=int, help="of these with each primary emotion (default 20, or all if fewer)")
    parser.add_argument("--max-yaw", type=float, default=60.0, help="largest turn of a head in degrees (default 60)")
    parser.add_argument("--batch", type=int, default=16, help="pictures made at once (default 16)")
    parser.add_argument("--sheet-rows", type=int, default=12, help="rows of sheet.jpg (default 12)")
    add_sampling(parser, steps)


def add_sampling(parser: argparse.ArgumentParser, steps: str = "--steps") -> None:
    """How pictures are made. steps: the solver's option."""
    parser.add_argument(steps, dest="solver_steps", type=int, default=12, help="of the improved midpoint solver (default 12)")
    parser.add_argument("--order", type=int, default=2, choices=(1, 2), help="of the solver: evaluations a step (default 2)")
    add_guidance(parser)
    parser.add_argument("--start", choices=("noise", "background"), default="noise", help="what is denoised (default noise)")
    parser.add_argument("--anchoring", type=float, default=1.0, help="how firmly the background is kept, 0 to 1 (default 1)")
    parser.add_argument(
        "--eta", type=float, default=1.0, help="fresh noise a step, 0 to 1: as an ancestral sampler (default 1)"
    )


def add_noise(parser: argparse.ArgumentParser, samples: int) -> None:
    """How many triplets are looked at, and under how much noise. samples: as many if left out."""
    parser.add_argument("--samples", type=int, default=samples, help=f"held-out triplets (default {samples})")
    parser.add_argument("--timesteps", type=int, nargs="+", default=list(range(100, 1000, 100)),
                        help="noise levels, 1 to 999 (default 100 200 .. 900)")  # fmt: skip


def add_background(parser: argparse.ArgumentParser) -> None:
    """How all estimates alike are treated outside the mask."""
    parser.add_argument("--background", choices=("known", "free"), default="known",
                        help="known: put back after every estimate; free: left as estimated (default known)")  # fmt: skip


def sampling_of(options: argparse.Namespace) -> Sampling:
    """How pictures are made, as `add_sampling` and `add_pose` asked."""
    from .generate import Sampling
    from .network import Guidance

    guidance = Guidance(options.identity_guidance, options.expression_guidance)
    return Sampling(options.solver_steps, options.order, guidance, options.start, options.anchoring, options.pose, options.eta)


def _primary_people(options: argparse.Namespace) -> int:
    if options.primary_people is not None:
        return options.primary_people
    return min(_PRIMARY_PEOPLE, options.people) if options.people > 1 else 0


def plan_of(options: argparse.Namespace, checkpoint: Path, out: Path) -> Plan:
    """An evaluation of a checkpoint, as `add_faces` and `add_run` asked."""
    from .run import Plan

    return Plan(
        checkpoint, options.cache, out, options.recogniser, options.judge, options.expression_judge, options.people,
        _primary_people(options), options.seed, math.radians(options.max_yaw), options.size, options.batch, options.sheet_rows,
        sampling_of(options), options.device,
    )  # fmt: skip


def study_of(options: argparse.Namespace, checkpoint: Path | None = None) -> Study:
    """Triplets under noise, as `add_faces` and `add_noise` asked, with a batch. checkpoint: the option's where left out."""
    from .study import Study

    return Study(
        options.checkpoint if checkpoint is None else checkpoint, options.cache, options.recogniser, options.seed,
        options.samples, options.batch, options.size, options.device, options.pose, tuple(options.timesteps),
    )  # fmt: skip
