"""The paper's ablation from one base checkpoint: fine-tune without the losses and with each estimator's x0*, and compare.

python scripts/run_ablation.py SETTINGS.yaml --work FOLDER --cache faces.npz --judge ONNX --expression-judge TASK \\
    [--steps 600] [--seeds 0 1 2] [--variants none one_step midpoint improved_midpoint] [--set ENTRY=VALUE] [options of run]

SETTINGS is a training file of the task sfsr with network.initial, the base, and losses on pictures. Every variant of a seed
sees the same data in the same order under the same noise. Run it again to go on. In FOLDER: finetunes/ with a checkpoint each,
evaluations/, the shared latents/, and ablation/ with the table and the plot. A fine-tune's training state goes once it is
exported. --recogniser is the settings' encoders.identity where left out.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 0, 2 with one line on stderr for bad input, 130 after an interrupt."""
    options = _parser().parse_args(arguments)
    from sfsr_model.command import exit_status

    def run() -> int:
        print(run_ablation(options))
        return 0

    return exit_status(run, "interrupted; the same command goes on where it stopped")


def _parser() -> argparse.ArgumentParser:
    from sfsr_model.evaluation import options as shared
    from sfsr_model.evaluation.paper.ablation import VARIANTS

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", type=Path, help="YAML file of the fine-tunes")
    parser.add_argument("--work", type=Path, required=True, help="folder of everything that is made")
    parser.add_argument(
        "--variants", nargs="+", default=list(VARIANTS), help="none, or estimators by name (default: the paper's)"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the fine-tunes (default 0 1 2)")
    parser.add_argument("--steps", type=int, default=600, help="of each fine-tune (default 600)")
    parser.add_argument("--set", action="append", default=[], metavar="ENTRY=VALUE", help="change an entry of the settings")
    shared.add_faces(parser)
    shared.add_run(parser, steps="--solver-steps")
    parser.set_defaults(recogniser=None)
    return parser


def run_ablation(options: argparse.Namespace) -> str:
    """Train, evaluate and compare what is not there yet; returns the table. Raises ValueError or OSError for bad input."""
    from sfsr_model.evaluation.options import plan_of
    from sfsr_model.evaluation.paper.ablation import ablation
    from sfsr_model.evaluation.run import run

    # All settings are read before the first fine-tune, so that a wrong one costs nothing.
    wanted = {
        f"{variant}-seed{seed}": settings_of(options, variant, seed) for seed in options.seeds for variant in options.variants
    }
    evaluated = []
    for name, settings in wanted.items():
        if options.recogniser is None:
            options.recogniser = str(settings.encoders.identity or "rendered")
        checkpoint = fine_tuned(settings, options.work / "finetunes" / name)
        evaluated.append(options.work / "evaluations" / name)
        run(plan_of(options, checkpoint, evaluated[-1]))
    return ablation(evaluated, options.work / "ablation")


def settings_of(options: argparse.Namespace, variant: str, seed: int) -> Any:
    """A fine-tune's settings; raises SettingsError where the file is not one of an ablation."""
    from sfsr_model.training.settings import SettingsError, changes_of, load_settings

    work = options.work.resolve()
    changes = changes_of(options.set) | {
        "seed": str(seed),
        "steps": str(options.steps),
        "state": json.dumps(str(work / "finetunes" / f"{variant}-seed{seed}" / "state")),
        "latents": json.dumps(str(work / "latents")),
    }
    changes["losses.share" if variant == "none" else "losses.estimator"] = "0" if variant == "none" else variant
    settings = load_settings(options.settings, changes)
    if settings.task != "sfsr" or settings.network.initial is None:
        raise SettingsError(f"{options.settings}: network.initial: expected a base checkpoint, for the task sfsr, to fine-tune")
    if variant != "none" and not settings.losses.on_pictures:
        raise SettingsError(
            f"{options.settings}: losses: none is on pictures, so all variants would be alike; give losses.identity a weight"
        )
    return settings


def fine_tuned(settings: Any, folder: Path) -> Path:
    """The checkpoint of a fine-tune, which is trained or gone on with where it is not there yet."""
    from sfsr_model.evaluation.store import RunFolder
    from sfsr_model.training.loop import fingerprint, train
    from sfsr_model.training.network import NetworkTask

    RunFolder(folder, json.loads(fingerprint(settings)), settings.state.name)
    checkpoint = folder / f"{folder.name}.safetensors"
    if not checkpoint.exists():
        task = NetworkTask(settings)
        train(settings, task)
        task.export(settings, checkpoint)
        shutil.rmtree(settings.state)
    return checkpoint


if __name__ == "__main__":
    sys.exit(main())
