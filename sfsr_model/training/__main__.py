"""`python -m sfsr_model.training`: train the autoencoder or the network from one YAML file, and export the weights."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    """Run a command; 0, 2 with one line on stderr for bad input, 130 after an interrupt."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from the last saved state", file=sys.stderr)
        return 130
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sfsr_model.training", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    run = commands.add_parser("run", help="train; run it again to go on where it stopped")
    run.set_defaults(run=_run)
    export = commands.add_parser("export", help="write the newest state's averaged weights, small enough to share")
    export.add_argument("--out", type=Path, required=True, help="safetensors file to write")
    export.set_defaults(run=_export)
    for command in (run, export):
        command.add_argument("settings", type=Path, help="YAML file; its entries: sfsr_model/training/settings.py")
        command.add_argument(
            "--set", action="append", default=[], metavar="ENTRY=VALUE", help="change an entry, such as optimiser.rate=1e-4"
        )
    return parser


def _settings(options: argparse.Namespace):
    from .settings import SettingsError, load_settings

    changes = {}
    for text in options.set:
        entry, separator, value = text.partition("=")
        if not separator:
            raise SettingsError(f"--set {text}: expected ENTRY=VALUE")
        changes[entry] = value
    settings = load_settings(options.settings, changes)
    if settings.task != "autoencoder":
        raise SettingsError(f"{options.settings}: task: only autoencoder can be trained yet")
    return settings


def _run(options: argparse.Namespace) -> int:
    settings = _settings(options)
    from .autoencoder import AutoencoderTask
    from .loop import train

    train(settings, AutoencoderTask(settings))
    return 0


def _export(options: argparse.Namespace) -> int:
    settings = _settings(options)
    from .autoencoder import AutoencoderTask

    AutoencoderTask(settings).export(settings, options.out)
    print(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
