"""The demo as a user starts it: bad input, and the whole job in a real ComfyUI."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from harness.client import ApiClient
from harness.server import REPOSITORY
from PIL import Image
from testkit.tiny_landmarker import write_tiny_task

DEMO = REPOSITORY / "scripts" / "demo.py"


def start(*arguments: str, cwd: Path, **variables: str) -> subprocess.Popen:
    """Start the demo; what it and its host put into temporary folders lies below `cwd`."""
    environment = {name: value for name, value in os.environ.items() if name != "COMFYUI_PATH"} | variables
    environment["TMPDIR"] = str(cwd)
    command = [sys.executable, str(DEMO), *arguments]
    return subprocess.Popen(
        command,
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
        preexec_fn=None if os.name == "nt" else _heed_ctrl_c,  # noqa: PLW1509 - the tests start no threads
    )


def _heed_ctrl_c() -> None:
    """A shell's background job, and what it starts, is born deaf to Ctrl-C; the demo under test is not one."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def demo(*arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess:
    """Run the demo to its end."""
    running = start(*arguments, cwd=cwd, **variables)
    output, errors = running.communicate()
    return subprocess.CompletedProcess(arguments, running.returncode, output, errors)


def hosts_of(cwd: Path) -> list[int]:
    """Process ids of the hosts that a demo started in `cwd` has running: their base folder lies below it."""
    found = psutil.process_iter(["cmdline"])
    return [one.pid for one in found if any(part.startswith(f"{cwd}{os.sep}sfsr-host-") for part in one.info["cmdline"] or ())]


@pytest.fixture(autouse=True)
def nothing_left_running():
    """A failing test must not leave its demo behind."""
    yield
    for child in psutil.Process().children():
        if str(DEMO) in child.cmdline() or "harness.demo_run" in child.cmdline():
            child.terminate()
            child.wait(60)


@pytest.fixture
def in_host(host_path):
    """Options that use the host under test and this interpreter."""
    return ("--comfyui", str(host_path), "--python", sys.executable, "--cpu")


def dying_host(folder: Path) -> Path:
    (folder / "comfy").mkdir(parents=True)
    (folder / "models").mkdir()
    (folder / "comfyui_version.py").write_text('__version__ = "0.30.0"\n')
    (folder / "main.py").write_text("raise SystemExit('no room on the GPU')\n")
    return folder


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--expression", "amazment"), "Did you mean amazement"),
        (("--expression", "1000"), "words are numbered 1 to 135, found 1000"),
        (("--expression", ""), "an empty text is none of the 135 words"),
        (("--expression", "."), "--expression: . is a folder"),
        (("--python", "/nowhere/python"), "--python: there is no file /nowhere/python"),
        (("--models", "nowhere"), "--models: there is no folder nowhere"),
        (("--output", "taken.txt"), "--output: pictures cannot be written to"),
        (("--output", "taken.txt/below"), "--output: pictures cannot be written to"),
    ],
)
def test_what_can_be_seen_at_once_is_said_at_once(arguments, message, tmp_path):
    (tmp_path / "taken.txt").write_text("a file")
    answer = demo(*arguments, cwd=tmp_path)
    assert answer.returncode == 2
    assert message in answer.stderr
    assert "Starting ComfyUI" not in answer.stdout


@pytest.mark.parametrize("option", ["--identity", "--target", "--expression"])
def test_a_missing_picture(option, tmp_path):
    answer = demo(option, "nowhere.png", cwd=tmp_path)
    assert answer.returncode == 2
    assert answer.stderr == f"Error: {option}: nowhere.png cannot be read (No such file or directory).\n"


@pytest.mark.parametrize("option", ["--identity", "--target", "--expression"])
def test_a_file_that_is_no_picture(option, tmp_path):
    (tmp_path / "notes.png").write_text("just text")
    answer = demo(option, "notes.png", cwd=tmp_path)
    assert answer.returncode == 2
    assert f"{option}: notes.png is not a picture" in answer.stderr


@pytest.mark.parametrize("option", ["--identity", "--target", "--expression"])
def test_a_damaged_picture_is_refused_before_the_host_starts(option, tmp_path, in_host):
    Image.effect_noise((64, 64), 50).save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:500])
    answer = demo(option, "cut.png", *in_host, cwd=tmp_path)
    assert answer.returncode == 2
    assert f"Error: {option}: {tmp_path / 'cut.png'} is damaged" in answer.stderr
    assert "Starting ComfyUI" not in answer.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--steps", "0"), "'0' is no whole number from 1 to 10000"),
        (("--seed", "-1"), "'-1' is no whole number from 0 to 18446744073709551615"),
        (("--seed", str(2**64)), "no whole number from 0 to 18446744073709551615"),
        (("--workflow", "nowhere.json"), "--workflow: nowhere.json cannot be read"),
        (("--comfyui", "."), "--comfyui: . is not a ComfyUI folder"),
    ],
)
def test_other_bad_options(arguments, message, tmp_path):
    answer = demo(*arguments, cwd=tmp_path)
    assert answer.returncode == 2
    assert message in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_wrong_variable_is_named(tmp_path):
    answer = demo(cwd=tmp_path, COMFYUI_PATH=str(tmp_path))
    assert answer.returncode == 2
    assert "COMFYUI_PATH: " in answer.stderr


def test_an_option_without_its_node_names_the_title(tmp_path, in_host):
    workflow = tmp_path / "w.json"
    workflow.write_text(json.dumps({"1": {"class_type": "PreviewImage", "inputs": {}}}))
    answer = demo("--workflow", str(workflow), "--steps", "3", *in_host, cwd=tmp_path)
    assert answer.returncode == 2
    assert "--steps: the workflow has no node titled 'Steps'" in answer.stderr


def test_a_host_that_dies_while_starting(tmp_path):
    host = dying_host(tmp_path / "host")
    answer = demo("--comfyui", str(host), "--python", sys.executable, "--cpu", cwd=tmp_path)
    assert answer.returncode == 1
    assert "ComfyUI ended with status 1 while it started" in answer.stderr
    assert "no room on the GPU" in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize("full_of", ["environment"])
def test_a_cache_that_cannot_be_written(full_of, tmp_path):
    (tmp_path / full_of).write_text("a file in the place of the folder")
    answer = demo(cwd=tmp_path, SFSR_CACHE=str(tmp_path / full_of))
    assert answer.returncode == 1
    assert re.fullmatch(r"Error: The cache folder .* cannot be created .*SFSR_CACHE\.\n", answer.stderr)


def test_a_workflow_with_a_missing_node_stops_the_host(tmp_path, in_host):
    workflow = tmp_path / "w.json"
    workflow.write_text(json.dumps({"1": {"class_type": "NodeOfAnAbsentPack", "inputs": {}}}))
    answer = demo("--workflow", str(workflow), *in_host, cwd=tmp_path)
    assert answer.returncode == 1
    assert "Error: Node 1: this ComfyUI has no node type 'NodeOfAnAbsentPack'" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert not hosts_of(tmp_path)


@pytest.mark.parametrize("option", ["--identity", "--target", "--expression"])
def test_a_picture_without_a_face_is_named_by_its_option(option, tmp_path, in_host):
    Image.new("RGB", (300, 200), "gray").save(tmp_path / "wall.png")
    answer = demo(option, "wall.png", "--steps", "1", *in_host, cwd=tmp_path)
    assert answer.returncode == 1
    assert re.search(rf"^Error: {option}: Node \w+ \(\w+\) failed: images?: picture 0.* no face", answer.stderr, re.MULTILINE)
    assert "Traceback" not in answer.stderr


@pytest.mark.skipif(os.name == "nt", reason="sends the signal of Ctrl-C")
def test_the_whole_job_writes_a_picture_and_a_report_and_keeps_the_page_until_ctrl_c(tmp_path, in_host):
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / "portrait_0001.png").write_bytes(b"mine")
    (tmp_path / "models" / "mediapipe").mkdir(parents=True)
    write_tiny_task(tmp_path / "models" / "mediapipe" / "tiny.task")
    shutil.copy(REPOSITORY / "workflows" / "samples" / "portrait_09.jpg", tmp_path / "smile.jpg")
    photo = ("--expression", "smile.jpg", "--models", "models")
    running = start("--steps", "2", "--seed", "3", "--keep-running", *photo, *in_host, cwd=tmp_path)
    lines = []
    for line in running.stdout:
        lines.append(line)
        if line.startswith("The page is at "):
            break
    output = "".join(lines)
    address = re.search(r"^The page is at (\S+)/\?template=portrait&source=ComfyUI-DiffSFSR until", output, re.MULTILINE)
    assert address, output + running.stderr.read()
    assert hosts_of(tmp_path)
    client = ApiClient(address.group(1))
    client.upload_image(tmp_path / "smile.jpg", "mine.jpg")
    # The photo is read by the bundled encoder, whatever models there are.
    assert client.options("SFSRLoadExpressionEncoder", "encoder")[1:] == ["mediapipe/tiny.task"]
    running.send_signal(signal.SIGINT)
    assert running.wait(60) == 0
    assert not hosts_of(tmp_path)
    kept = tmp_path / "output" / "comfyui"
    assert {path.name for path in (kept / "input").iterdir()} >= {"mine.jpg", "smile.jpg"}
    assert list((kept / "output").glob("*.png"))
    assert (kept / "user" / "default").is_dir()
    assert "Prompt executed" in (kept / "comfyui.log").read_text(encoding="utf-8")

    picture = Path(re.search(r"^Picture: (.*)$", output, re.MULTILINE).group(1))
    assert picture == tmp_path / "output" / "portrait_0002.png"
    assert min(Image.open(picture).size) >= 64
    assert (tmp_path / "output" / "portrait_0001.png").read_bytes() == b"mine"
    for label in ("Identity cosine: ", "Expression error: ", "Seconds: "):
        assert label in output
    assert "Note: the expression was read by bundled (comes with this pack)" in output.splitlines()
    assert "not measured" not in output


@pytest.mark.skipif(os.name == "nt", reason="sends a signal")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_polite_kill_or_a_closed_terminal_stops_the_host_too(name, tmp_path, in_host):
    running = start(*in_host, cwd=tmp_path)
    while not hosts_of(tmp_path) and running.poll() is None:
        time.sleep(0.1)
    running.send_signal(getattr(signal, name))
    assert running.wait(60) == 128 + getattr(signal, name)
    assert not hosts_of(tmp_path)
