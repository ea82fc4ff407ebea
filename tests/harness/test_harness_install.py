"""scripts/install.py: torch and numpy stay, and a CUDA machine gets the ONNX Runtime that fits."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import install
import pytest

SCRIPT = Path(install.__file__)


def test_pins_are_what_is_installed():
    from importlib import metadata

    pins = install.kept_versions()
    assert f"numpy=={metadata.version('numpy')}" in pins
    assert f"torch=={metadata.version('torch')}" in pins


@pytest.mark.parametrize(
    ("cuda", "requirement"), [("12.8", "onnxruntime-gpu<1.27"), ("13.0", "onnxruntime-gpu"), ("14.1", "onnxruntime-gpu")]
)
def test_release_by_cuda(cuda, requirement):
    assert install.onnxruntime_for(cuda) == requirement


def test_gpu_build_goes_on_top_of_the_cpu_build(monkeypatch, capsys):
    monkeypatch.setattr(install, "ask", lambda code: "12.8" if code == install.TORCH_CUDA else "")
    assert install.main(["--dry-run"]) == 0
    first, second = [line for line in capsys.readouterr().out.splitlines() if " -m pip install " in line]
    assert "-r " in first
    assert " -c " in first
    assert second.endswith("--force-reinstall --no-deps onnxruntime-gpu<1.27")


def test_without_cuda_nothing_is_put_on_top(monkeypatch, capsys):
    monkeypatch.setattr(install, "ask", lambda code: "")
    assert install.main(["--dry-run"]) == 0
    assert capsys.readouterr().out.count(" -m pip install ") == 1


def test_a_standing_environment_is_left_alone():
    before = subprocess.run([sys.executable, "-m", "pip", "freeze"], capture_output=True, text=True, check=True).stdout
    answer = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "CPUExecutionProvider" in answer.stdout
    after = subprocess.run([sys.executable, "-m", "pip", "freeze"], capture_output=True, text=True, check=True).stdout
    assert before == after


def test_the_wrong_python_is_told_apart(tmp_path):
    venv.create(tmp_path / "bare", with_pip=False)
    python = tmp_path / "bare" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    answer = subprocess.run([python, str(SCRIPT)], capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert "has no torch. Run this with the Python that runs ComfyUI." in answer.stderr


@pytest.mark.full
def test_numpy_1_stays(tmp_path):
    """Plain pip would raise numpy 1.26, because the newest OpenCV wants numpy 2; the pins make it choose an older OpenCV."""
    venv.create(tmp_path / "old", with_pip=True)
    python = tmp_path / "old" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    from importlib import metadata

    torch = metadata.version("torch").partition("+")[0]
    subprocess.run([python, "-m", "pip", "install", "-q", f"torch=={torch}", "numpy==1.26.4"], check=True)
    subprocess.run([python, str(SCRIPT)], check=True)
    code = "import numpy, torch, insightface.app, cv2, onnxruntime; print(numpy.__version__, torch.__version__)"
    answer = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["1.26.4", metadata.version("torch")]
