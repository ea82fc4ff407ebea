"""Find packages that a killed pip left half written, so that the next pip installs them afresh."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from harness.pip import clean_environment

# Runs inside the environment: lists dist-info folders with their time and whether their files are all there.
_PROBE = """
import importlib.metadata, json, sysconfig
from pathlib import Path

found = []
for folder in Path(sysconfig.get_path("platlib")).glob("*.dist-info"):
    record = folder / "RECORD"
    files = importlib.metadata.PathDistribution(folder).files if record.is_file() else None
    whole = bool(files) and all(Path(f.locate()).exists() for f in files)
    found.append({"folder": str(folder), "time": folder.stat().st_mtime, "whole": whole})
print(json.dumps(found))
"""
# Coarse clocks of some file systems round times down.
_CLOCK_SLACK_S = 2.0


def remove_half_installed(python: Path, since: float) -> list[str]:
    """Remove the metadata of packages written after `since` whose files are incomplete; returns their folders' names.

    Without its metadata pip takes a package as absent, and overwrites what is left of it.
    """
    command = [str(python), "-c", _PROBE]
    answer = subprocess.run(command, capture_output=True, text=True, env=clean_environment(), check=True)
    removed = []
    for entry in json.loads(answer.stdout):
        if not entry["whole"] and entry["time"] >= since - _CLOCK_SLACK_S:
            shutil.rmtree(entry["folder"])
            removed.append(Path(entry["folder"]).name)
    return removed
