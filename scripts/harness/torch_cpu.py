"""Mend torchvision and torchaudio where they are linked to CUDA but torch is a CPU build.

Package indexes serve one torchvision and one torchaudio for a platform, linked to CUDA where torch has a CUDA build
there. Nothing is touched where the plain import works.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from harness.errors import SetupError
from harness.pip import clean_environment

_SHIM = Path(__file__).parent / "in_venv" / "sfsr_torchvision_ops.py"


def mend_torchvision(python: Path) -> None:
    """Make `import torchvision` work; raises SetupError if it cannot."""
    if _import_fault(python, "torchvision") is None:
        return
    site_packages = _site_packages(python)
    shutil.copyfile(_SHIM, site_packages / _SHIM.name)
    loader = f"import {_SHIM.stem}; {_SHIM.stem}.install()\n"
    (site_packages / f"{_SHIM.stem}.pth").write_text(loader, encoding="utf-8")
    _require_import(python, "torchvision")


def mend_torchaudio(python: Path) -> None:
    """Make `import torchaudio` work by setting its C extensions aside; raises SetupError if it cannot."""
    if _import_fault(python, "torchaudio") is None:
        return
    for library in (_site_packages(python) / "torchaudio" / "lib").glob("*.so"):
        library.rename(library.with_name(library.name + ".aside"))
    _require_import(python, "torchaudio")


def _run(python: Path, code: str) -> subprocess.CompletedProcess[str]:
    command = [str(python), "-c", code]
    return subprocess.run(command, capture_output=True, text=True, env=clean_environment(), check=False)


def _import_fault(python: Path, module: str) -> str | None:
    answer = _run(python, f"import {module}")
    return None if answer.returncode == 0 else answer.stderr.strip() or f"exit status {answer.returncode}"


def _require_import(python: Path, module: str) -> None:
    if fault := _import_fault(python, module):
        raise SetupError(f"{module} was installed but does not import in {python}: {fault.splitlines()[-1]}")


def _site_packages(python: Path) -> Path:
    answer = _run(python, "import sysconfig; print(sysconfig.get_path('platlib'))")
    return Path(answer.stdout.strip())
