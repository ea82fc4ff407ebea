"""Run the test suites one after the other, on the hosts they need; the files of a suite on several cores."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.cache import GIB, cache_folder, locked
from harness.environment import Environment, Stage, standard_stages
from harness.errors import HarnessError
from harness.host import NEWEST, OLDEST, Release, install_steps, installed_folder
from harness.pip import clean_environment
from harness.server import REPOSITORY
from harness.standing import REQUIREMENTS
from harness.steps import run_steps

from testkit.browser_tools import browser_environment, browser_steps

_TEST_TOOLS = (
    "pytest",
    "pytest-xdist",
    "hypothesis",
    "jsonschema",
    "ruff",
    "mypy",
    "accelerate",
    "diffusers",
    "scikit-image",
    "timm",
    "numba",
    # Pinned: a test names what it finds.
    "comfy-test==0.4.15",
    # Pinned: its operators say which faults are drawn.
    "mutmut==3.8.1",
)
TEST_STAGE = Stage("tests", "test tools", _TEST_TOOLS, GIB // 4)
_NO_TESTS = 5
# Each takes up to 2 GiB, and a host of its own where the suite asks for one.
_MOST_WORKERS = 4


@dataclass(frozen=True)
class Suite:
    """A folder of tests and the host they run on."""

    name: str
    folder: str
    release: Release = NEWEST
    variables: dict[str, str] = field(default_factory=dict)


def main(arguments: list[str]) -> int:
    """Set up, run all suites, print one closing line; returns 0 only if all passed."""
    options, pytest_arguments = _parse(arguments)
    cache = None
    try:
        cache = cache_folder()
        environment = Environment(cache)
        with locked(cache):
            browser = [] if options.no_browser else browser_steps(cache)
            steps = environment.steps([*standard_stages(REQUIREMENTS), TEST_STAGE])
            for release in (NEWEST, OLDEST):
                steps += install_steps(cache, release, environment.python)
            run_steps([*steps, *browser], cache)
    except HarnessError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    suites = [
        Suite("unit", "tests/unit"),
        Suite("harness", "tests/harness"),
        Suite(f"host {NEWEST.version}", "tests/host"),
        Suite(f"host {OLDEST.version}", "tests/host", OLDEST),
    ]
    if not options.no_browser:
        suites.append(Suite("browser", "tests/browser", variables=browser_environment(cache)))
    return run_all(suites, environment.python, cache, pytest_arguments, full=options.full)


def _parse(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        prog="test.py", description="Set up and run all tests.", epilog="Arguments after -- go to pytest."
    )
    parser.add_argument("--no-browser", action="store_true", help="leave out the tests that need Chromium")
    parser.add_argument("--full", action="store_true", help="add the tests that are too long for every run")
    split = arguments.index("--") if "--" in arguments else len(arguments)
    return parser.parse_args(arguments[:split]), arguments[split + 1 :]


def run_all(suites: Sequence[Suite], python: Path, cache: Path, extra: list[str], *, full: bool) -> int:
    """Run the suites one after the other; returns 0 only if all passed."""
    results = []
    passed = True
    for suite in suites:
        print(f"\n=== {suite.name} ===", flush=True)
        start = time.monotonic()
        status = _run(suite, python, cache, extra, full=full)
        # Selecting tests by an argument may leave a suite empty; without one, an empty suite is a mistake.
        good = status == 0 or (status == _NO_TESTS and bool(extra))
        passed = passed and good
        results.append(f"{suite.name} {'passed' if good else 'FAILED'} ({time.monotonic() - start:.0f} s)")
    print(f"\n{'PASSED' if passed else 'FAILED'}: {', '.join(results)}", flush=True)
    return 0 if passed else 1


def _run(suite: Suite, python: Path, cache: Path, extra: list[str], *, full: bool) -> int:
    environment = clean_environment() | suite.variables
    environment["SFSR_CACHE"] = str(cache)
    environment["SFSR_TEST_HOST"] = str(installed_folder(cache, suite.release))
    environment["SFSR_TEST_HOST_VERSION"] = suite.release.version
    environment.pop("COMFYUI_PATH", None)
    if full:
        environment["SFSR_FULL"] = "1"
    command = [str(python), "-m", "pytest", suite.folder]
    workers = min(os.cpu_count() or 1, _MOST_WORKERS)
    if workers > 1:
        command += ["--numprocesses", str(workers), "--dist", "loadfile"]
        environment.setdefault("OMP_NUM_THREADS", "1")
    command += extra
    return subprocess.run(command, cwd=REPOSITORY, env=environment, check=False).returncode
