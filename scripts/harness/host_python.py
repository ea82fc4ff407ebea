"""Which interpreter can run an existing ComfyUI together with this pack."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from harness.errors import UsageError
from harness.host import Host
from harness.pip import clean_environment

# Runs inside the candidate. Looks modules and packages up without importing them: torch alone takes seconds.
_PROBE = r"""
import importlib.metadata, importlib.util, re, sys

try:
    from packaging.markers import Marker
except ImportError:
    from pip._vendor.packaging.markers import Marker

missing = [name for name in sys.argv[2].split(",") if importlib.util.find_spec(name) is None]
for line in open(sys.argv[1], encoding="utf-8"):
    requirement, _, marker = line.partition("#")[0].partition(";")
    name = re.match(r"[A-Za-z0-9._-]*", requirement.strip()).group()
    if name and (not marker.strip() or Marker(marker.strip()).evaluate()):
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
print(",".join(dict.fromkeys(missing)))
"""
# Without torchvision: in the managed environment the mere search for it imports torch.
_HOST_MODULES = "torch,torchaudio,torchsde,transformers,aiohttp,numpy,PIL,yaml,safetensors,einops,scipy,psutil"


def choose_python(host: Host, explicit: str | None, requirements: Path) -> Path | None:
    """The interpreter for an existing host: `--python`, the host's own, the running one; None if none will do.

    Raises UsageError if the one named by `--python` lacks something.
    """
    if explicit:
        if fault := python_fault(Path(explicit), requirements):
            raise UsageError(f"--python {explicit}: {fault}")
        return Path(explicit)
    for candidate in _candidates(host):
        fault = python_fault(candidate, requirements)
        if fault is None:
            return candidate
        if candidate != Path(sys.executable):
            print(f"Not using the ComfyUI's own Python {candidate}: {fault}")
    return None


def python_fault(python: Path, requirements: Path) -> str | None:
    """None if the interpreter has what ComfyUI and the pack need, else a sentence naming what it lacks."""
    command = [str(python), "-c", _PROBE, str(requirements), _HOST_MODULES]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, env=clean_environment(), check=False)
    except OSError as error:
        return f"it cannot be run ({error.strerror})."
    if answer.returncode != 0:
        return f"it cannot be asked for its packages ({answer.stderr.strip().splitlines()[-1]})."
    missing = answer.stdout.strip()
    if not missing:
        return None
    return f"it lacks {missing.replace(',', ', ')}. Install: {python} -m pip install -r {requirements}"


def _candidates(host: Host) -> list[Path]:
    inner = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
    places = [host.path.joinpath(folder, *inner) for folder in ("venv", ".venv")]
    places.append(host.path.parent / "python_embeded" / "python.exe")
    return [*(place for place in places if place.is_file()), Path(sys.executable)]
