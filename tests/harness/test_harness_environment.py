"""The managed environment, built from tiny wheels by a real venv and a real pip."""

import base64
import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from harness.environment import Environment, Stage, explain_venv_failure, standard_stages
from harness.errors import SetupError
from harness.pip import run_pip
from harness.steps import run_steps

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
INSTALL_IN_ANOTHER_PROCESS = """
import sys
from pathlib import Path
from harness.environment import Environment, Stage
from harness.steps import run_steps
cache = Path(sys.argv[1])
run_steps(Environment(cache).steps([Stage("tiny", "tiny", ("sfsr-tiny==1.0",), 0)]), cache)
"""
TINY = Stage("tiny", "the tiny package", ("sfsr-tiny==1.0",), 0)


def digest(text: str) -> str:
    """A file's hash as a wheel's RECORD writes it."""
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def make_wheel(folder: Path, name: str, version: str = "1.0") -> Path:
    """A wheel with a module of two files."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    files = {
        f"{module}/__init__.py": f"VERSION = {version!r}\n",
        f"{module}/part.py": "PART = 1\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},sha256={digest(text)},{len(text)}\n" for path, text in files.items())
    folder.mkdir(exist_ok=True)
    wheel = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in (files | {f"{info}/RECORD": record + f"{info}/RECORD,,\n"}).items():
            archive.writestr(path, text)
    return wheel


@pytest.fixture(scope="module")
def bare(tmp_path_factory) -> Path:
    """A cache whose environment holds nothing yet."""
    cache = tmp_path_factory.mktemp("bare")
    run_steps(Environment(cache).steps([]), cache)
    return cache


@pytest.fixture
def wheels(tmp_path, monkeypatch) -> Path:
    """An empty folder, the only place that pip looks into."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def cache(bare, wheels) -> Path:
    """The bare environment, emptied of what the test before installed."""
    environment = Environment(bare)
    for path in list(environment.folder.rglob("sfsr_*")):
        shutil.rmtree(path, ignore_errors=True)
    for path in (environment.folder / ".stages").iterdir():
        if path.name not in ("venv.done", "constraints.txt"):
            path.unlink()
    return bare


def imports(cache: Path, code: str) -> bool:
    return subprocess.run([Environment(cache).python, "-c", code], capture_output=True, check=False).returncode == 0


def test_stages_are_announced_and_done_once(cache, wheels, capsys):
    make_wheel(wheels, "sfsr-tiny")
    run_steps(Environment(cache).steps([TINY]), cache)
    assert capsys.readouterr().out == "[1/1] the tiny package\n"
    assert imports(cache, "import sfsr_tiny.part")
    assert Environment(cache).steps([TINY]) == []


def test_a_failed_stage_is_not_trusted_and_a_second_run_mends_it(cache, wheels):
    with pytest.raises(SetupError, match=r"the tiny package could not be installed: .*has no sfsr-tiny==1\.0.*log is in"):
        run_steps(Environment(cache).steps([TINY]), cache)
    assert [step.title for step in Environment(cache).steps([TINY])] == ["the tiny package"]
    make_wheel(wheels, "sfsr-tiny")
    run_steps(Environment(cache).steps([TINY]), cache)
    assert Environment(cache).steps([TINY]) == []


def test_stages_before_a_failure_are_kept(cache, wheels):
    make_wheel(wheels, "sfsr-tiny")
    missing = Stage("missing", "the missing package", ("sfsr-missing==1.0",), 0)
    with pytest.raises(SetupError):
        run_steps(Environment(cache).steps([TINY, missing]), cache)
    assert [step.title for step in Environment(cache).steps([TINY, missing])] == ["the missing package"]


@pytest.mark.skipif(os.name == "nt", reason="kills a process group")
def test_a_killed_install_is_not_trusted_and_a_second_run_mends_it(cache, wheels, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        index = {"PIP_INDEX_URL": f"http://127.0.0.1:{silent.getsockname()[1]}/simple", "PYTHONPATH": str(SCRIPTS)}
        environment = {name: value for name, value in os.environ.items() if name != "PIP_NO_INDEX"} | index
        environment["PIP_EXTRA_INDEX_URL"] = ""
        command = [sys.executable, "-c", INSTALL_IN_ANOTHER_PROCESS, str(cache)]
        installing = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)
        silent.settimeout(60)
        connection, _ = silent.accept()
        # pip now waits for an answer: the middle of a stage.
        os.killpg(installing.pid, signal.SIGKILL)
        installing.wait(60)
        connection.close()
    assert [step.title for step in Environment(cache).steps([TINY])] == ["the tiny package"]
    make_wheel(wheels, "sfsr-tiny")
    run_steps(Environment(cache).steps([TINY]), cache)
    assert imports(cache, "import sfsr_tiny.part")


def test_a_half_written_package_is_written_anew(cache, wheels):
    make_wheel(wheels, "sfsr-tiny")
    run_steps(Environment(cache).steps([TINY]), cache)
    marks = Environment(cache).folder / ".stages"
    # What a kill in the middle of pip's copying leaves: metadata there, a file missing, the stage begun and not done.
    next(Environment(cache).folder.rglob("sfsr_tiny/part.py")).unlink()
    (marks / "tiny.done").unlink()
    (marks / "tiny.started").touch()
    started = time.time() - 1
    os.utime(marks / "tiny.started", (started, started))
    for folder in Environment(cache).folder.rglob("sfsr_tiny-1.0.dist-info"):
        os.utime(folder)
    run_steps(Environment(cache).steps([TINY]), cache)
    assert imports(cache, "import sfsr_tiny.part")
    assert not (marks / "tiny.started").exists()


def test_an_environment_without_its_mark_is_built_anew(tmp_path, wheels):
    folder = Environment(tmp_path).folder
    (folder / "bin").mkdir(parents=True)
    (folder / "left-over").write_text("")
    run_steps(Environment(tmp_path).steps([]), tmp_path)
    assert not (folder / "left-over").exists()
    assert Environment(tmp_path).steps([]) == []


def test_an_environment_whose_interpreter_is_gone_is_built_anew(cache, wheels, tmp_path):
    make_wheel(wheels, "sfsr-tiny")
    run_steps(Environment(cache).steps([TINY]), cache)
    environment = Environment(cache)
    aside = environment.python.with_name("aside")
    environment.python.rename(aside)
    try:
        assert [step.title.split()[0] for step in environment.steps([TINY])] == ["virtual", "the"]
    finally:
        aside.rename(environment.python)


def test_changed_requirements_repeat_only_their_stage(cache, wheels, tmp_path):
    make_wheel(wheels, "sfsr-tiny")
    make_wheel(wheels, "sfsr-other")
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("sfsr-other\n")
    pack = Stage("pack", "the pack", ("-r", str(requirements)), 0)
    run_steps(Environment(cache).steps([TINY, pack]), cache)
    assert Environment(cache).steps([TINY, pack]) == []
    requirements.write_text("sfsr-other==1.0\n")
    assert [step.title for step in Environment(cache).steps([TINY, pack])] == ["the pack"]


def test_nothing_may_replace_the_pinned_torch(cache, wheels):
    make_wheel(wheels, "torch", "99.0")
    stage = Stage("greedy", "a package that wants another torch", ("torch>=99",), 0)
    with pytest.raises(SetupError, match=r"2\.13\.0"):
        run_steps(Environment(cache).steps([stage]), cache)


def test_no_network_is_one_sentence(cache, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{port}/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    with pytest.raises(SetupError) as caught:
        run_steps(Environment(cache).steps([TINY]), cache)
    assert "no network" in str(caught.value)
    assert "PIP_INDEX_URL" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert len(Environment(cache).steps([TINY])) == 1


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for pip is a shell script")
def test_a_disk_that_fills_up_is_one_sentence(tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\n echo 'ERROR: Could not install: [Errno 28] No space left on device'\nexit 1\n")
    python.chmod(0o755)
    with pytest.raises(SetupError, match=r"the disk is full.*SFSR_CACHE"):
        run_pip(python, ("install", "x"), tmp_path / "log", "x")


def test_any_other_failure_shows_the_end_of_the_log(cache):
    with pytest.raises(SetupError, match=r"no such option: --nonsense"):
        run_pip(Environment(cache).python, ("install", "--nonsense"), cache / "logs" / "x.log", "x")


def test_missing_venv_module_names_the_package_to_install():
    text = explain_venv_failure(
        "The virtual environment was not created because ensurepip is not available.", "/usr/bin/python3"
    )
    assert re.search(r"apt install python3\.\d+-venv", text)
    assert "segfault" in explain_venv_failure("first\nsegfault\n", "python3")


def test_pip_is_not_led_out_of_the_environment(cache, wheels, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_TARGET", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    make_wheel(wheels, "sfsr-tiny")
    run_steps(Environment(cache).steps([TINY]), cache)
    assert not (tmp_path / "elsewhere").exists()
    assert imports(cache, "import sfsr_tiny")


def test_the_standard_stages_begin_with_torch_and_end_with_the_pack(tmp_path):
    requirements = tmp_path / "requirements.txt"
    names = [stage.name for stage in standard_stages(requirements)]
    assert names == ["torch", "torchvision", "torchaudio", "comfyui", "pack"]
