"""`python -m sfsr_model.evaluation`: how well a checkpoint makes the person and the expression that were asked for."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

from .encoders.command import add_command

_WORDS = ("joy", "amusement", "sadness", "anger", "fear", "surprise", "disgust", "pride")


def main(arguments: list[str] | None = None) -> int:
    """Run a command; 0, 2 with one line on stderr for bad input, 130 after an interrupt."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on where it stopped", file=sys.stderr)
        return 130
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except MemoryError:
        print("error: not enough memory; ask for a smaller --batch", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sfsr_model.evaluation", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    run = commands.add_parser("run", help="generate held-out faces and measure them; run it again to resume")
    run.add_argument("--judge", type=Path, help="ONNX file or pack of the recogniser that measures (default: --recogniser)")
    run.add_argument(
        "--expression-judge",
        type=Path,
        help="face_landmarker.task, or ONNX file of this project's expression encoder, that reads expression and pose",
    )
    run.add_argument("--out", type=Path, required=True, help="folder of the results; new, empty, or of the same run")
    run.add_argument("--people", type=int, default=200, help="held-out people, and the 1:N of the retrieval (default 200)")
    run.add_argument("--primary-people", type=int, default=20, help="of these with each primary emotion (default 20)")
    run.add_argument("--max-yaw", type=float, default=60.0, help="largest turn of a head in degrees (default 60)")
    run.add_argument("--batch", type=int, default=16, help="pictures made at once (default 16)")
    run.add_argument("--sheet-rows", type=int, default=12, help="rows of sheet.jpg (default 12)")
    run.set_defaults(run=_run)
    words = commands.add_parser("words", help="a sheet of held-out people times words")
    words.add_argument("--out", type=Path, required=True, help="the sheet to write, a .jpg")
    words.add_argument("--people", type=int, default=6, help="rows (default 6)")
    words.add_argument("--first", type=int, default=0, help="number of the first person (default 0)")
    words.add_argument("--words", nargs="+", default=list(_WORDS), metavar="WORD",
                       help=f"columns (default {', '.join(_WORDS)})")  # fmt: skip
    words.set_defaults(run=_words)
    for command in (run, words):
        command.add_argument("--steps", type=int, default=12, help="of the improved midpoint solver (default 12)")
        command.add_argument(
            "--order", type=int, default=2, choices=(1, 2), help="of the solver: evaluations a step (default 2)"
        )
        command.add_argument("--identity-guidance", type=float, default=2.0, help="scale of the identity (default 2)")
        command.add_argument("--expression-guidance", type=float, default=2.0, help="scale of the expression (default 2)")
        command.add_argument(
            "--start", choices=("noise", "background"), default="noise", help="what is denoised (default noise)"
        )
        command.add_argument("--anchoring", type=float, default=1.0,
                             help="how firmly the background is put back, 0 to 1 (default 1)")  # fmt: skip
    balance = commands.add_parser("balance", help="token RMS and attention mass of each stream")
    balance.add_argument("--out", type=Path, help="folder for balance.json and balance.png")
    balance.set_defaults(run=_balance)
    estimators = commands.add_parser("estimators", help="reconstruction error of every estimator of x0*, by noise level")
    estimators.add_argument("--out", type=Path, required=True, help="folder for estimators.json, .md and .png")
    estimators.add_argument("--background", choices=("known", "free"), default="known",
                            help="known: put back after every estimate; free: left as estimated (default known)")  # fmt: skip
    estimators.set_defaults(run=_estimators)
    for command in (balance, estimators):
        command.add_argument("--samples", type=int, default=32, help="held-out triplets (default 32)")
        command.add_argument("--batch", type=int, default=8, help="triplets at once (default 8)")
        command.add_argument("--timesteps", type=int, nargs="+", default=list(range(100, 1000, 100)),
                             help="noise levels, 1 to 999 (default 100 200 .. 900)")  # fmt: skip
    for command in (run, words, balance, estimators):
        command.add_argument("--checkpoint", type=Path, required=True, help="safetensors file of this project's format")
        command.add_argument("--cache", type=Path, required=True, help="the renderer's cache file, such as faces.npz")
        command.add_argument("--recogniser", default="rendered",
                             help="ONNX file or pack that the checkpoint was trained with, or 'rendered' for the "
                             "renderer's own vectors (default rendered)")  # fmt: skip
        command.add_argument("--seed", type=int, default=1_000_003, help="of the held-out samples, never trained on (1000003)")
        command.add_argument("--no-pose", dest="pose", action="store_false", help="do not tell the network the head's pose")
        command.add_argument("--size", type=int, help="pixels of a picture's side (default: the checkpoint's)")
        command.add_argument("--device", default="cpu", help="such as cpu or cuda (default cpu)")
    add_command(commands)
    return parser


def _sampling(options: argparse.Namespace):
    from .generate import Sampling
    from .network import Guidance

    guidance = Guidance(options.identity_guidance, options.expression_guidance)
    return Sampling(options.steps, options.order, guidance, options.start, options.anchoring, options.pose)


def _words(options: argparse.Namespace) -> int:
    from .word_sheet import WordSheet, draw_words

    plan = WordSheet(
        options.checkpoint, options.cache, options.recogniser, options.out, options.people, options.first,
        tuple(options.words), options.seed, options.size, _sampling(options), options.device,
    )  # fmt: skip
    print(draw_words(plan))
    return 0


def _run(options: argparse.Namespace) -> int:
    from .run import Plan, run

    plan = Plan(
        options.checkpoint, options.cache, options.out, options.recogniser, options.judge, options.expression_judge,
        options.people, options.primary_people, options.seed, math.radians(options.max_yaw), options.size, options.batch,
        options.sheet_rows, _sampling(options), options.device,
    )  # fmt: skip
    print(run(plan))
    return 0


def _balance(options: argparse.Namespace) -> int:
    from .balance import balance

    print(balance(_study(options), options.out))
    return 0


def _estimators(options: argparse.Namespace) -> int:
    from .estimator_errors import estimator_errors

    print(estimator_errors(_study(options), options.background == "known", options.out))
    return 0


def _study(options: argparse.Namespace):
    from .study import Study

    return Study(
        options.checkpoint, options.cache, options.recogniser, options.seed, options.samples, options.batch,
        tuple(options.timesteps), options.size, options.device, options.pose,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
