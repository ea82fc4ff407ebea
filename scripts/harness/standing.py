"""Bring an environment and a host into being, whatever part of them is there already."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.cache import cache_folder, locked
from harness.environment import Environment, standard_stages
from harness.host import NEWEST, Host, find_host, install_steps, managed_host
from harness.host_python import choose_python
from harness.server import REPOSITORY
from harness.steps import run_steps

REQUIREMENTS = REPOSITORY / "requirements.txt"


@dataclass(frozen=True)
class Standing:
    """A host and the interpreter that runs it and talks to it."""

    host: Host
    python: Path
    cache: Path


def set_up(script: Path, comfyui: str | None, python: str | None, environ: dict[str, str]) -> Standing:
    """Find a host or install the newest pinned one, and the environment if the host has no suitable Python.

    Raises UsageError or SetupError.
    """
    cache = cache_folder()
    host = find_host(script, comfyui, environ)
    chosen = None
    if host is not None:
        print(f"Using the ComfyUI {host.version} in {host.path}", flush=True)
        chosen = choose_python(host, python, REQUIREMENTS)
    elif python is not None:
        chosen = Path(python)
    if host is None or chosen is None:
        environment = Environment(cache)
        with locked(cache):
            steps = [] if chosen else environment.steps(standard_stages(REQUIREMENTS))
            chosen = chosen or environment.python
            steps += [] if host else install_steps(cache, NEWEST, chosen)
            run_steps(steps, cache)
    return Standing(host or managed_host(cache, NEWEST), chosen, cache)
