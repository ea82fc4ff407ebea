"""Install the pack's requirements into an existing ComfyUI's Python, touching nothing that is there.

Run it with ComfyUI's own Python: `python scripts/install.py`. It does what `pip install -r requirements.txt` does, and three
things that one command cannot:
- torch, torchvision, torchaudio and numpy stay at exactly the versions that are installed;
- where PyTorch is a CUDA build, the GPU build of ONNX Runtime is put on top of the CPU build that insightface brings, in the
  release that fits PyTorch's CUDA;
- it looks at the result and says which providers ONNX Runtime offers.
Standard library only; `--dry-run` shows the commands.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parent.parent / "requirements.txt"
KEPT = ("torch", "torchvision", "torchaudio", "numpy")
FIRST_FOR_CUDA_13 = "1.27"
CHECK = "import onnxruntime; print(onnxruntime.__version__, *onnxruntime.get_available_providers())"
TORCH_CUDA = "import torch; print(torch.version.cuda or '')"


def kept_versions() -> list[str]:
    """Exact pins for what must not change. A local label such as +cpu is part of the pin: it is a build of its own."""
    pins = []
    for package in KEPT:
        try:
            pins.append(f"{package}=={metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    return pins


def onnxruntime_for(cuda: str) -> str:
    """The requirement of the GPU build that fits a CUDA version: releases from 1.27 on are built for CUDA 13."""
    return "onnxruntime-gpu" if int(cuda.partition(".")[0]) >= 13 else f"onnxruntime-gpu<{FIRST_FOR_CUDA_13}"


def ask(code: str) -> str:
    """What a fresh interpreter prints; empty when the import fails."""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return answer.stdout.strip() if answer.returncode == 0 else ""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Install the pack's requirements without changing torch or numpy.")
    parser.add_argument("--dry-run", action="store_true", help="print the pip commands and change nothing")
    options = parser.parse_args(arguments)
    pip = [sys.executable, "-m", "pip", "install"]
    pins = kept_versions()
    if not any(pin.startswith("torch==") for pin in pins):
        print(f"Error: {sys.executable} has no torch. Run this with the Python that runs ComfyUI.", file=sys.stderr)
        return 2
    print(f"Kept as they are: {', '.join(pins)}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text("\n".join(pins) + "\n", encoding="utf-8")
        commands = [[*pip, "-r", str(REQUIREMENTS), "-c", str(constraints)]]
        if cuda := ask(TORCH_CUDA):
            commands.append([*pip, "--force-reinstall", "--no-deps", onnxruntime_for(cuda)])
        for command in commands:
            print(" ".join(command), flush=True)
            if not options.dry_run and (status := subprocess.run(command, check=False).returncode):
                print(
                    "Error: pip failed, see above. If it says that a pinned version conflicts, this Python's numpy is too old "
                    "for insightface's own requirements; update ComfyUI first.",
                    file=sys.stderr,
                )
                return status
    if not options.dry_run:
        found = ask(CHECK)
        if not found:
            print("Error: ONNX Runtime was installed but does not import.", file=sys.stderr)
            return 1
        print(f"ONNX Runtime {found}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
