"""comfy-test, which others test their packs with: its levels that only read sources find nothing in this pack."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from harness.server import REPOSITORY
from testkit.node_texts import SNAPSHOT, read_json

# What its reports may name: how often, and why it stays.
KNOWN = {
    "weights": 0,  # the file of a person among the samples
    "cv2-contrib": 0,  # insightface brings OpenCV; asking for one of its builds by name would put two beside each other
    "hardcoded-precision": 2,  # of files alone: latents of training and points of the mean face are stored as float16
}


@pytest.fixture(scope="module")
def pack(tmp_path_factory) -> Path:
    """What a host loads of the pack, without the weights: they come along on purpose."""
    folder = tmp_path_factory.mktemp("comfy-test") / "sfsr"
    folder.mkdir()
    for name in ("__init__.py", "pyproject.toml", "requirements.txt", "comfy-test.toml"):
        shutil.copy(REPOSITORY / name, folder)
    for name in ("nodes", "sfsr_model", "web", "workflows"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "weights"))
    return folder


def comfy_test(*arguments, folder) -> subprocess.CompletedProcess:
    places = {"COMFY_TEST_LOGS_DIR": str(folder.parent / "logs"), "COMFY_TEST_WORKSPACE_DIR": str(folder.parent / "work")}
    command = [sys.executable, "-m", "comfy_test", *arguments]
    return subprocess.run(
        command, cwd=folder, env=os.environ | places, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )


def test_sources_and_scripts_of_the_page():
    """SYNTAX and JAVASCRIPT, of everything in the repository: letters, calls, and names that other packs may have."""
    answer = comfy_test("lint", "--strict", folder=REPOSITORY)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert re.findall(r"\[(\w+)\] PASSED", answer.stdout) == ["SYNTAX", "JAVASCRIPT"]


def test_every_node_is_in_a_workflow(pack, tmp_path):
    """COVERAGE, told of the nodes in the way of older packs, the only one it reads."""
    shutil.copytree(pack / "workflows", tmp_path / "workflows")
    nodes = ", ".join(f"{name!r}: None" for name in read_json(SNAPSHOT))
    (tmp_path / "registered.py").write_text(f"NODE_CLASS_MAPPINGS = {{{nodes}}}\n", encoding="utf-8")
    answer = comfy_test("coverage", "--strict", "--json", folder=tmp_path)
    found = json.loads(answer.stdout)
    assert (found["untested"], found["registered_count"], answer.returncode) == ([], len(read_json(SNAPSHOT)), 0)


def test_reports_name_nothing_new(pack):
    """WARNINGS and HAZARDS, which never fail by themselves."""
    answer = comfy_test("run", "--level", "hazards", folder=pack)
    assert re.findall(r"\[(\w+)\] PASSED", answer.stdout) == ["SYNTAX", "WARNINGS", "HAZARDS"], answer.stdout + answer.stderr
    parts = re.split(r"^\[(?:warnings|hazards)\] ([\w-]+)", answer.stdout, flags=re.MULTILINE)
    found = dict(zip(parts[1::2], parts[2::2], strict=True))
    assert {name: len(re.findall(r"^ .*\b\w+\.\w+:\d+", text, re.MULTILINE)) for name, text in found.items()} == KNOWN, (
        answer.stdout
    )
