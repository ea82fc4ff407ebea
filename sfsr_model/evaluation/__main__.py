"""`python -m sfsr_model.evaluation`: how well a checkpoint makes the person and the expression that were asked for."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..command import exit_status
from . import options as shared
from .drawing.command import add_command as add_drawing
from .encoders.command import add_command
from .film import add_command as add_film
from .paper.options import PARTS, add_paper, paper_of
from .photos.command import add_command as add_photos

_WORDS = ("joy", "amusement", "sadness", "anger", "fear", "surprise", "disgust", "pride")


def main(arguments: list[str] | None = None) -> int:
    """Run a command; 0, 2 with one line on stderr for bad input, 130 after an interrupt."""
    options = _parser().parse_args(arguments)
    return exit_status(
        lambda: options.run(options), "interrupted; the same command goes on where it stopped", "ask for a smaller --batch"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sfsr_model.evaluation", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    run = commands.add_parser("run", help="generate held-out faces and measure them; run it again to resume")
    run.add_argument("--out", type=Path, required=True, help="folder of the results; new, empty, or of the same run")
    shared.add_run(run)
    run.set_defaults(run=_run)
    words = commands.add_parser("words", help="a sheet of held-out people times words")
    words.add_argument("--out", type=Path, required=True, help="the sheet to write, a .jpg")
    words.add_argument("--people", type=int, default=6, help="rows (default 6)")
    words.add_argument("--first", type=int, default=0, help="number of the first person (default 0)")
    words.add_argument("--words", nargs="+", default=list(_WORDS), metavar="WORD",
                       help=f"columns (default {', '.join(_WORDS)})")  # fmt: skip
    shared.add_sampling(words)
    words.set_defaults(run=_words)
    balance = commands.add_parser("balance", help="token RMS and attention mass of each stream")
    balance.add_argument("--out", type=Path, help="folder for balance.json and balance.png")
    balance.set_defaults(run=_balance)
    estimators = commands.add_parser("estimators", help="reconstruction error of every estimator of x0*, by noise level")
    estimators.add_argument("--out", type=Path, required=True, help="folder for estimators.json, .md and .png")
    shared.add_background(estimators)
    estimators.set_defaults(run=_estimators)
    for command in (balance, estimators):
        shared.add_noise(command, samples=32)
        command.add_argument("--batch", type=int, default=8, help="triplets at once (default 8)")
    for command in (run, words, balance, estimators):
        shared.add_checkpoint(command)
        shared.add_faces(command)
    add_command(commands)
    add_photos(commands)
    add_drawing(commands)
    add_film(commands)
    solvers = commands.add_parser("solvers", help="the improved midpoint solver against stock samplers at equal cost")
    solvers.add_argument("--out", type=Path, required=True, help="folder of the results; new, empty, or of the same comparison")
    solvers.add_argument("--samples", type=int, default=32, help="held-out triplets (default 32)")
    solvers.add_argument("--batch", type=int, default=8, help="triplets at once (default 8)")
    solvers.add_argument("--evaluations", type=int, nargs="+", default=[8, 12, 16, 24, 32],
                         help="of the guided network, that a solver may take (default 8 12 16 24 32)")  # fmt: skip
    solvers.add_argument("--levels", default="normal", help="noise levels, as ComfyUI's scheduler: normal or karras (normal)")
    solvers.add_argument("--exact-steps", type=int, default=1000, help="of euler, for the exact solution (default 1000)")
    for add in (shared.add_checkpoint, shared.add_faces, shared.add_judges, shared.add_guidance):
        add(solvers)
    solvers.set_defaults(run=_solvers)
    guidance = commands.add_parser("guidance", help="guidance of x0* with both streams off, and which estimate is best guided")
    guidance.add_argument("--out", type=Path, required=True, help="folder of the results; new, empty, or of the same study")
    shared.add_guided(guidance)
    for add in (shared.add_checkpoint, shared.add_faces):
        add(guidance)
    guidance.set_defaults(run=_guidance)
    study = commands.add_parser("study", help=f"the paper's study in its parts: {', '.join(PARTS)}; run it again to resume")
    add_paper(study)
    study.set_defaults(run=_paper)
    return parser


def _run(options: argparse.Namespace) -> int:
    from .run import run

    print(run(shared.plan_of(options, options.checkpoint, options.out)))
    return 0


def _words(options: argparse.Namespace) -> int:
    from .word_sheet import WordSheet, draw_words

    plan = WordSheet(
        options.checkpoint, options.cache, options.recogniser, options.out, options.people, options.first,
        tuple(options.words), options.seed, options.size, shared.sampling_of(options), options.device,
    )  # fmt: skip
    print(draw_words(plan))
    return 0


def _balance(options: argparse.Namespace) -> int:
    from .balance import balance

    print(balance(shared.study_of(options), options.out))
    return 0


def _estimators(options: argparse.Namespace) -> int:
    from .estimator_errors import estimator_errors

    study = shared.study_of(options)
    print(estimator_errors(study, options.background == "known", options.out))
    return 0


def _solvers(options: argparse.Namespace) -> int:
    from .network import Guidance
    from .solvers.comparison import Comparison, compare_solvers
    from .study import Study

    study = Study(
        options.checkpoint, options.cache, options.recogniser, options.seed, options.samples, options.batch, options.size,
        options.device, options.pose,
    )  # fmt: skip
    guidance = Guidance(options.identity_guidance, options.expression_guidance)
    plan = Comparison(
        study, options.out, tuple(options.evaluations), options.levels, guidance, options.exact_steps, options.judge,
        options.expression_judge,
    )  # fmt: skip
    print(compare_solvers(plan))
    return 0


def _guidance(options: argparse.Namespace) -> int:
    from .guided.study import GuidedStudy, study_guidance
    from .study import Study

    study = Study(
        options.checkpoint, options.cache, options.recogniser, options.seed, options.samples, options.batch, options.size,
        options.device, options.pose,
    )  # fmt: skip
    plan = GuidedStudy(
        study, options.out, options.guide, options.expression_guide, options.judge, options.expression_judge,
        options.solver_steps, tuple(options.guided), options.compared, options.identity_scale, options.expression_scale,
        options.views,
    )  # fmt: skip
    print(study_guidance(plan))
    return 0


def _paper(options: argparse.Namespace) -> int:
    for told in paper_of(options):
        print(told)
    return 0


if __name__ == "__main__":
    sys.exit(main())
