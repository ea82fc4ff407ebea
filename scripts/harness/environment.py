"""The managed virtual environment: one for each Python version and set of pins, built in resumable stages.

A stage counts as done only if its marker, written after its success, carries the fingerprint of what the stage would
install today. A stage that was cut short leaves a "started" mark, and packages that were half written are removed
before it runs again.
"""

from __future__ import annotations

import hashlib
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.cache import GIB, write_atomically
from harness.errors import SetupError
from harness.pip import clean_environment, run_pip
from harness.repair import remove_half_installed
from harness.steps import Step
from harness.torch_cpu import mend_torchaudio, mend_torchvision

INSTALL = Path(__file__).resolve().parents[1] / "install.py"
TORCH = "torch==2.13.0"
TORCHVISION = "torchvision==0.28.0"
TORCHAUDIO = "torchaudio==2.11.0"
# What ComfyUI 0.30.0 needs to run headless and to serve its page, at the versions it asks for itself.
COMFYUI_PACKAGES = (
    "comfyui-frontend-package==1.47.12",
    "comfy-kitchen==0.2.26",
    "comfy-aimdo==0.4.11",
    "torchsde",
    "numpy>=1.25.0",
    "einops",
    "transformers>=4.50.3",
    "tokenizers>=0.13.3",
    "sentencepiece",
    "safetensors>=0.4.2",
    "aiohttp>=3.11.8",
    "yarl>=1.18.0",
    "pyyaml",
    "Pillow",
    "scipy",
    "tqdm",
    "psutil",
    "alembic",
    "SQLAlchemy>=2.0.0",
    "filelock",
    "av>=16.0.0",
    "requests",
    "simpleeval>=1.0.0",
    "blake3",
    "kornia>=0.7.1",
    "spandrel",
    "pydantic~=2.0",
    "pydantic-settings~=2.0",
)
# Linux wheels usually bring CUDA's libraries.
_TORCH_SIZE = (5 if sys.platform == "linux" else 1) * GIB


@dataclass(frozen=True)
class Stage:
    """One pip call: its arguments after `install`, the bytes it occupies, what to do after it."""

    name: str
    title: str
    arguments: tuple[str, ...]
    size: int
    afterwards: Callable[[Path], None] | None = None

    def fingerprint(self) -> str:
        """Digest of what would be installed, requirement files by content."""
        digest = hashlib.sha256()
        for argument in self.arguments:
            path = Path(argument)
            digest.update(path.read_bytes() if path.suffix == ".txt" and path.is_file() else argument.encode())
        return digest.hexdigest()


def standard_stages(requirements: Path) -> list[Stage]:
    """What ComfyUI and the pack need; `requirements` is installed just as a user would."""
    return [
        Stage("torch", _spoken(TORCH), (TORCH,), _TORCH_SIZE),
        Stage("torchvision", _spoken(TORCHVISION), (TORCHVISION,), GIB // 20, mend_torchvision),
        # Its own requirement of a matching torch is wrong: this pair works.
        Stage("torchaudio", _spoken(TORCHAUDIO), (TORCHAUDIO, "--no-deps"), GIB // 20, mend_torchaudio),
        Stage("comfyui", "the packages of ComfyUI 0.30.0", COMFYUI_PACKAGES, GIB),
        Stage("pack", f"this pack's {requirements.name}", ("-r", str(requirements)), GIB, _put_right_runtime_on_top),
    ]


def _put_right_runtime_on_top(python: Path) -> None:
    """What a user does after pip: on CUDA the GPU build of ONNX Runtime has to lie over the CPU build."""
    command = [str(python), str(INSTALL)]
    answer = subprocess.run(command, capture_output=True, text=True, env=clean_environment(), check=False)
    if answer.returncode:
        raise SetupError(f"scripts/install.py failed in {python}: {(answer.stderr or answer.stdout).strip()}")


class Environment:
    """The environment of the running Python's version under `cache`; `steps` lists what is left to build."""

    def __init__(self, cache: Path) -> None:
        pins = "\n".join((TORCH, TORCHVISION, TORCHAUDIO, *COMFYUI_PACKAGES))
        key = hashlib.sha256(pins.encode()).hexdigest()[:10]
        tag = f"py{sys.version_info[0]}.{sys.version_info[1]}-{platform.machine().lower()}-{key}"
        self.folder = cache / "environments" / tag
        self.log = cache / "logs" / f"setup-{tag}.log"
        self._marks = self.folder / ".stages"

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        windows = sys.platform == "win32"
        return self.folder / ("Scripts/python.exe" if windows else "bin/python")

    def steps(self, stages: Sequence[Stage]) -> list[Step]:
        """What is left to do until the environment stands and holds all the stages."""
        steps = []
        if not self._marker("venv").is_file() or not self._answers():
            steps.append(Step(f"virtual environment for Python {platform.python_version()}", 0, self._create))
        for stage in stages:
            if steps or not self._is_done(stage):
                steps.append(Step(stage.title, stage.size, lambda stage=stage: self._install(stage)))
        return steps

    @property
    def _constraints(self) -> Path:
        return self._marks / "constraints.txt"

    def _marker(self, name: str) -> Path:
        return self._marks / f"{name}.done"

    def _is_done(self, stage: Stage) -> bool:
        marker = self._marker(stage.name)
        return marker.is_file() and marker.read_text(encoding="utf-8") == stage.fingerprint()

    def _answers(self) -> bool:
        try:
            return subprocess.run([self.python, "-c", ""], check=False, capture_output=True).returncode == 0
        except OSError:
            return False

    def _create(self) -> None:
        if self.folder.exists():
            shutil.rmtree(self.folder)
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "venv", str(self.folder)]
        answer = subprocess.run(command, capture_output=True, text=True, env=clean_environment(), check=False)
        if answer.returncode != 0:
            raise SetupError(explain_venv_failure(answer.stdout + answer.stderr, sys.executable))
        self._marks.mkdir()
        self._constraints.write_text("\n".join((TORCH, TORCHVISION, TORCHAUDIO)) + "\n", encoding="utf-8")
        write_atomically(self._marker("venv"), platform.python_version())

    def _install(self, stage: Stage) -> None:
        self._marker(stage.name).unlink(missing_ok=True)
        started = self._marks / f"{stage.name}.started"
        if started.is_file():
            remove_half_installed(self.python, since=started.stat().st_mtime)
        else:
            started.touch()
        run_pip(self.python, ("install", *stage.arguments, "-c", str(self._constraints)), self.log, stage.title)
        if stage.afterwards is not None:
            stage.afterwards(self.python)
        write_atomically(self._marker(stage.name), stage.fingerprint())
        started.unlink()


def explain_venv_failure(output: str, python: str) -> str:
    """A sentence for a failed `python -m venv`."""
    if re.search(r"ensurepip|No module named '?venv", output):
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        return (
            f"{python} has no working venv module. On Debian and Ubuntu install it with"
            f" `apt install python{version}-venv`, then start again."
        )
    lines = output.strip().splitlines() or ["no output"]
    return f"The virtual environment could not be created: {lines[-1]}"


def _spoken(pin: str) -> str:
    return pin.replace("==", " ")
