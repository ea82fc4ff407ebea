"""The demo's first half: options, checks and set-up, with the standard library alone.

The second half, `demo_run`, runs inside the environment.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from harness.errors import HarnessError, UsageError
from harness.pictures import SUFFIXES, require_picture
from harness.server import REPOSITORY
from harness.standing import Standing, set_up
from harness.words import require_word
from harness.workflow import load_workflow

DEFAULT_WORKFLOW = REPOSITORY / "workflows" / "api" / "portrait.json"


@dataclasses.dataclass(frozen=True)
class Plan:
    """Everything the second half needs; travels as JSON. Paths are absolute strings."""

    host: str
    python: str
    models: str | None
    log: str
    workflow: str
    identity: str | None
    target: str | None
    expression_word: str | None
    expression_picture: str | None
    steps: int | None
    seed: int | None
    output: str
    cpu: bool
    keep_running: bool


def main(script: str, arguments: list[str]) -> int:
    """Run the demo; returns the exit status: 1 for a failure, 2 for a bad option or input file."""
    options = _parse(arguments)
    try:
        plan = _check(options)
        standing = set_up(Path(script), options.comfyui, options.python, dict(os.environ))
    except HarnessError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("\nStopped. What is finished is kept; the next run goes on from there.", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return _run_inside(_complete(plan, standing))


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="demo.py", description="Put a person's identity and an expression into a portrait, in a real ComfyUI."
    )
    parser.add_argument("--identity", metavar="PICTURE", help="photo of the person; default: a rendered sample")
    parser.add_argument("--expression", metavar="WORD|PICTURE",
                        help="an emotion word or neutral, or a photo that shows it; default: the workflow's")  # fmt: skip
    parser.add_argument("--target", metavar="PICTURE", help="portrait that gets the face; default: a rendered sample")
    parser.add_argument("--steps", type=_steps, help="sampling steps; default: the workflow's")
    parser.add_argument("--seed", type=_seed, help="seed of the noise; default: the workflow's")
    parser.add_argument("--workflow", metavar="FILE", default=str(DEFAULT_WORKFLOW), help="workflow in API format")
    parser.add_argument("--output", metavar="FOLDER", default="output", help="where pictures go; default: ./output")
    parser.add_argument("--comfyui", metavar="FOLDER", help="an existing ComfyUI; default: COMFYUI_PATH, the one around"
                        " this folder, or one installed into the cache")  # fmt: skip
    parser.add_argument("--models", metavar="FOLDER", help="a folder laid out as ComfyUI's models folder; default: that of"
                        " --comfyui, and none for the installed one")  # fmt: skip
    parser.add_argument("--python", metavar="FILE", help="interpreter to run ComfyUI with")
    parser.add_argument("--cpu", action="store_true", help="do not use a GPU")
    parser.add_argument("--keep-running", action="store_true", help="leave ComfyUI's page open until Ctrl-C")
    return parser.parse_args(arguments)


def _steps(text: str) -> int:
    return _between(text, 1, 10_000)


def _seed(text: str) -> int:
    return _between(text, 0, 2**64 - 1)


def _between(text: str, least: int, most: int) -> int:
    """Raises for what is no whole number of the range, which is ComfyUI's for this input."""
    if not text.isdecimal() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least} to {most}")
    return int(text)


def _check(options: argparse.Namespace) -> Plan:
    """Refuse faulty files before anything is installed or started."""

    def picture(option: str, value: str | None) -> str | None:
        return None if value is None else str(require_picture(Path(value).expanduser(), option))

    expression = options.expression
    by_picture = expression is not None and _is_picture_name(expression)
    if expression is not None and not by_picture:
        if expression.strip() and Path(expression).is_dir():
            raise UsageError(f"--expression: {expression} is a folder. Give one of the 135 words, or one picture.")
        require_word(expression)
    if options.python is not None and not Path(options.python).is_file():
        raise UsageError(f"--python: there is no file {options.python}. Give the interpreter itself, not its folder.")
    if options.models is not None and not Path(options.models).expanduser().is_dir():
        raise UsageError(f"--models: there is no folder {options.models}.")
    _require_writable(Path(options.output).expanduser().absolute())
    workflow = Path(options.workflow).expanduser()
    load_workflow(workflow)
    return Plan(
        host="",
        python="",
        models=None if options.models is None else str(Path(options.models).expanduser().absolute()),
        log="",
        workflow=str(workflow.absolute()),
        identity=picture("--identity", options.identity),
        target=picture("--target", options.target),
        expression_word=None if by_picture else expression,
        expression_picture=picture("--expression", expression) if by_picture else None,
        steps=options.steps,
        seed=options.seed,
        output=str(Path(options.output).expanduser().absolute()),
        cpu=options.cpu,
        keep_running=options.keep_running,
    )


def _require_writable(folder: Path) -> None:
    """Raise UsageError for an output folder that could not be made or written to, before anything is computed for it."""
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    try:
        with tempfile.TemporaryDirectory(dir=existing):
            pass
    except OSError:
        reason = f"{existing} is no folder that can be written to"
        raise UsageError(f"--output: pictures cannot be written to {folder} ({reason}).") from None


def _is_picture_name(value: str) -> bool:
    return Path(value).suffix.lower() in SUFFIXES or Path(value).is_file()


def _complete(plan: Plan, standing: Standing) -> Plan:
    host = standing.host
    return dataclasses.replace(
        plan,
        host=str(host.path),
        python=str(standing.python),
        models=plan.models or (None if host.managed else str(host.path / "models")),
        log=str(standing.cache / "logs" / "demo-host.log"),
    )


def _run_inside(plan: Plan) -> int:
    """Hand over to the environment's interpreter."""
    command = [plan.python, "-m", "harness.demo_run", json.dumps(dataclasses.asdict(plan))]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "scripts")}
    sys.stdout.flush()
    if os.name == "posix":
        # One process only: a signal to the demo reaches the half that stops the host.
        os.execve(plan.python, command, environment)
    return subprocess.run(command, env=environment, check=False).returncode
