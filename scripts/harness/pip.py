"""Run pip in an interpreter and turn its failures into sentences."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from harness.errors import SetupError

# Variables that would make pip write elsewhere than into the interpreter it was started with.
_MISLEADING = ("PYTHONPATH", "PYTHONHOME", "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "__PYVENV_LAUNCHER__")
_NO_NETWORK = re.compile(
    r"NewConnectionError|ConnectTimeoutError|ReadTimeoutError|ProxyError|Temporary failure in name resolution"
    r"|Name or service not known|getaddrinfo failed|nodename nor servname|Network is unreachable"
    r"|Connection refused|Connection reset|Connection aborted|IncompleteRead|Max retries exceeded"
)
_DISK_FULL = re.compile(r"No space left on device|Errno 28|not enough space on the disk", re.IGNORECASE)
_WRONG_HASH = re.compile(r"(\S+) from (\S+).*\s+Expected sha256 (\w+)\s+Got\s+(\w+)")
_NO_WHEEL = re.compile(r"No matching distribution found for (\S+)")
TAIL_LINES = 12


def clean_environment() -> dict[str, str]:
    """The caller's environment without what would lead an interpreter or pip astray."""
    environment = {name: value for name, value in os.environ.items() if name not in _MISLEADING}
    environment.update(PIP_NO_INPUT="1", PIP_DISABLE_PIP_VERSION_CHECK="1")
    return environment


def run_pip(python: Path, arguments: Sequence[str], log: Path, purpose: str) -> None:
    """Run `python -m pip`, appending its output to `log`.

    Raises SetupError with one sentence for a missing network, a full disk or a missing wheel, and the tail of the log
    for anything else.
    """
    # Without a retry pip does not say that an index could not be reached, only that it found nothing.
    command = [str(python), "-m", "pip", "--retries", "3", *arguments]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a+", encoding="utf-8", errors="replace") as stream:
        stream.write(f"\n$ {' '.join(command)}\n")
        stream.flush()
        start = stream.tell()
        status = subprocess.run(
            command, stdout=stream, stderr=subprocess.STDOUT, env=clean_environment(), check=False
        ).returncode
        stream.seek(start)
        output = stream.read()
    if status != 0:
        raise SetupError(f"{purpose} could not be installed: {_explain(output)} The whole log is in {log}.")


def _explain(output: str) -> str:
    if _DISK_FULL.search(output):
        return "the disk is full. Free some space, or name a folder on a larger disk in SFSR_CACHE, and start again."
    if wrong := _WRONG_HASH.search(output):
        name, origin, expected, found = wrong.groups()
        return (
            f"{name} from {origin} is not the file this project was made with: SHA-256 expected {expected}, found {found}."
            " Nothing of it was used. Check the package index or proxy that pip is set up for."
        )
    if _NO_NETWORK.search(output):
        return (
            "no network, pip cannot reach a package index. Connect, or name a reachable one in PIP_INDEX_URL, and start"
            f" again; what is already installed is kept. {_last_error(output)}"
        )
    if missing := _NO_WHEEL.search(output):
        return (
            f"the package index that pip is set up for has no {missing.group(1)} for this Python and platform."
            " Try another Python from 3.10 to 3.13, or another PIP_INDEX_URL."
        )
    lines = [line for line in output.splitlines() if line.strip() and not line.startswith("WARNING")]
    return "pip ended with:\n  " + "\n  ".join(lines[-TAIL_LINES:]) + "\n"


def _last_error(output: str) -> str:
    errors = [line.partition(":")[2].strip() for line in output.splitlines() if line.startswith("ERROR:")]
    return f"(pip: {errors[-1]})" if errors else ""
