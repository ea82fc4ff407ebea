"""The scripts under a Python that is too old or too new."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from harness.pythons import find_suitable, version_fault

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
# Runs a script as an interpreter of another version would see it.
AS_VERSION = (
    "import runpy, sys; sys.version_info = {version}; sys.argv = [{script!r}, '--help'];"
    " runpy.run_path({script!r}, run_name='__main__')"
)


def run_as(version: tuple, script: str, search_path: str) -> subprocess.CompletedProcess:
    code = AS_VERSION.format(version=version, script=str(SCRIPTS / script))
    environment = os.environ | {"PATH": search_path, "PYTHONPATH": str(SCRIPTS)}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)


@pytest.mark.parametrize("version", [(3, 10), (3, 11), (3, 12), (3, 13)])
def test_supported_versions_have_no_fault(version):
    assert version_fault(version) is None


@pytest.mark.parametrize(("version", "word"), [((2, 7), "too old"), ((3, 9), "too old"), ((3, 14), "newer"), ((4, 0), "newer")])
def test_other_versions_are_named_with_what_is_supported(version, word):
    fault = version_fault(version)
    assert f"Python {version[0]}.{version[1]} is {word}" in fault
    assert "3.10 to 3.13" in fault


@pytest.mark.parametrize("script", ["demo.py", "test.py"])
def test_too_old_without_another_python_is_one_line_and_a_failure(script, tmp_path):
    answer = run_as((3, 9, 18, "final", 0), script, str(tmp_path))
    assert answer.returncode == 1
    assert answer.stderr.startswith("Python 3.9 is too old: 3.10 to 3.13 are supported. None of python3.10")
    assert answer.stderr.count("\n") == 1


@pytest.mark.skipif(os.name == "nt", reason="makes an executable through a symlink")
def test_too_old_goes_on_with_a_supported_python_on_path(tmp_path):
    name = f"python3.{sys.version_info.minor}"
    (tmp_path / name).symlink_to(sys.executable)
    answer = run_as((3, 9, 18, "final", 0), "demo.py", str(tmp_path))
    assert answer.returncode == 0
    assert f"Going on with {tmp_path / name}" in answer.stderr
    assert answer.stdout.startswith("usage: demo.py")


@pytest.mark.skipif(os.name == "nt", reason="writes shell scripts")
def test_a_shim_that_does_not_run_is_passed_over(tmp_path):
    broken = tmp_path / "python3.11"
    broken.write_text("#!/bin/sh\nexit 127\n")
    broken.chmod(0o755)
    assert find_suitable(str(tmp_path)) is None


def test_help_needs_only_the_standard_library():
    run = AS_VERSION.format(version=tuple(sys.version_info), script=str(SCRIPTS / "demo.py"))
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(SCRIPTS)!r}); {run}"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    for option in ("--identity", "--expression", "--target", "--steps", "--seed", "--workflow", "--keep-running", "--comfyui"):
        assert option in answer.stdout


@pytest.mark.skipif(os.name == "nt", reason="writes shell scripts")
def test_a_python_of_another_version_than_its_name_is_passed_over(tmp_path):
    liar = tmp_path / "python3.11"
    liar.write_text("#!/bin/sh\nprintf 2.7\n")
    liar.chmod(0o755)
    assert find_suitable(str(tmp_path)) is None
