"""`python -m sfsr_model.training`: train the autoencoder or the network from one YAML file, and export the weights."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..command import exit_status

if TYPE_CHECKING:
    from .loop import Task
    from .settings import Settings


def main(arguments: list[str] | None = None) -> int:
    """Run a command; 0, 2 with one line on stderr for bad input, 130 after an interrupt."""
    options = _parser().parse_args(arguments)
    return exit_status(lambda: options.run(options), "interrupted; the same command goes on from the last saved state")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sfsr_model.training", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    run = commands.add_parser("run", help="train; run it again to go on where it stopped")
    run.set_defaults(run=_run)
    export = commands.add_parser("export", help="write the newest state's averaged weights, small enough to share")
    export.add_argument("--out", type=Path, required=True, help="safetensors or ONNX file to write")
    export.add_argument("--step", type=int, help="of the state, where keep_every kept it (default: the newest)")
    export.set_defaults(run=_export)
    balance = commands.add_parser("balance", help="say how hard each loss pulls at the weights that the training starts from")
    balance.add_argument("--batches", type=int, default=4, help="of the training to look at (4)")
    balance.set_defaults(run=_balance)
    grown = commands.add_parser("grow", help="carry a trained network over to the settings' autoencoder and recogniser")
    grown.add_argument("--forerunner", type=Path, required=True, help="SFSR checkpoint with a network of the settings' sizes")
    grown.add_argument("--recogniser", type=Path, required=True, help="ONNX file whose identities the forerunner knows")
    grown.add_argument("--out", type=Path, required=True, help="checkpoint to write, for network.initial")
    grown.set_defaults(run=_grow)
    for command in (run, export, balance, grown):
        command.add_argument("settings", type=Path, help="YAML file; its entries: sfsr_model/training/settings.py")
        command.add_argument(
            "--set", action="append", default=[], metavar="ENTRY=VALUE", help="change an entry, such as optimiser.rate=1e-4"
        )
    photos = commands.add_parser("photos", help="find, cut out, read and embed the faces of a folder of photos, for training")
    photos.add_argument("--folder", type=Path, required=True, help="folder with the photos, its subfolders included")
    photos.add_argument("--out", type=Path, required=True, help="new folder for the crops; an unfinished one is gone on with")
    photos.add_argument("--size", type=int, required=True, help="side of the aligned crops in pixels, a multiple of 8")
    photos.add_argument("--id-encoder", type=Path, help="recogniser ONNX or insightface pack that embeds identities")
    photos.add_argument("--expression", type=Path, help="face_landmarker.task that reads expressions")
    photos.set_defaults(run=_photos)
    labelled = commands.add_parser(
        "labelled", help="prepare labelled photos, and what teachers say of them, for encoders to learn from"
    )
    labelled.add_argument("--folder", type=Path, required=True, help="folder with index.csv, labels.npz and the pictures")
    labelled.add_argument("--out", type=Path, required=True, help="new folder for the store; an unfinished one is gone on with")
    labelled.add_argument("--size", type=int, default=208, help="side in pixels that all pictures are brought to (208)")
    labelled.add_argument("--landmarker", type=Path, required=True, help="face_landmarker.task that gives boxes and poses")
    labelled.add_argument(
        "--teacher", type=Path, action="append", default=[], help="recogniser: .onnx, or dlib's .dat; may be repeated"
    )
    labelled.add_argument("--sources", nargs="+", default=[], help="sources of the index to take (all)")
    labelled.add_argument("--split", default="train", help="rows of the index to take (train)")
    labelled.set_defaults(run=_labelled)
    return parser


def _task(options: argparse.Namespace) -> tuple[Settings, Task]:
    from .settings import changes_of, load_settings

    settings = load_settings(options.settings, changes_of(options.set))
    if settings.task == "autoencoder":
        from .autoencoder import AutoencoderTask

        return settings, AutoencoderTask(settings)
    if settings.task == "recogniser":
        from .recogniser import RecogniserTask

        return settings, RecogniserTask(settings)
    if settings.task == "expression":
        from .expression_encoder import ExpressionTask

        return settings, ExpressionTask(settings)
    if settings.task == "detector":
        from .detector import DetectorTask

        return settings, DetectorTask(settings)
    if settings.task == "points":
        from .points import PointsTask

        return settings, PointsTask(settings)
    from .network import NetworkTask

    return settings, NetworkTask(settings)


def _run(options: argparse.Namespace) -> int:
    from .loop import train

    train(*_task(options))
    return 0


def _export(options: argparse.Namespace) -> int:
    from .state import require_writable

    require_writable(options.out.parent, "--out")
    settings, task = _task(options)
    task.export(settings, options.out, options.step)
    print(options.out)
    return 0


def _balance(options: argparse.Namespace) -> int:
    from .balance import pulls

    if options.batches < 1:
        raise ValueError(f"--batches: expected at least 1, found {options.batches}")
    print("loss         value    weight  weighted gradient  its cosine with the whole one")
    for one in pulls(*_task(options), options.batches):
        print(f"{one.name:<11} {one.value:>6.4f} {one.weight:>9g} {one.norm:>18.3g} {one.along:>30.2f}")
    return 0


def _grow(options: argparse.Namespace) -> int:
    from .grown import grow
    from .settings import changes_of, load_settings

    fit = grow(load_settings(options.settings, changes_of(options.set)), options.forerunner, options.recogniser, options.out)
    print(
        f"{options.out}; explained: {fit.into_old:.0%} of the old latents, {fit.into_new:.0%} of the new ones, "
        f"{fit.identities:.0%} of the old identities"
    )
    return 0


def _photos(options: argparse.Namespace) -> int:
    from .photos import prepare_photos

    if options.size < 16 or options.size % 8:
        raise ValueError(f"--size: found {options.size}, expected a multiple of 8 from 16 on")
    print(prepare_photos(options.folder, options.out, options.size, options.id_encoder, options.expression).summary())
    return 0


def _labelled(options: argparse.Namespace) -> int:
    from .taught import prepare_labelled

    made = prepare_labelled(
        options.folder, options.out, options.size, options.landmarker, options.teacher, options.sources, options.split
    )
    print(
        f"{len(made.files)} photos of {len(set(made.sources))} sources in {made.folder}; teachers: {', '.join(made.teachers)}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
