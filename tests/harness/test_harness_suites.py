"""scripts/test.py: what counts as passed, and what it says when a browser cannot be had."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from harness.errors import SetupError
from harness.host import OLDEST
from harness.server import REPOSITORY
from testkit.browser_tools import browser_steps
from testkit.suites import Suite, run_all

PASSES = "def test_one():\n    pass\n"
FAILS = "def test_one():\n    assert not 'this'\n"
ASKS_FOR_ITS_HOST = """
import os

def test_variables():
    assert os.environ["SFSR_TEST_HOST_VERSION"] == "0.18.2"
    assert os.environ["SFSR_TEST_HOST"].endswith("ComfyUI-0.18.2")
    assert os.environ["SFSR_EXTRA"] == "given"
    assert os.environ.get("SFSR_FULL") == "1"
    assert "COMFYUI_PATH" not in os.environ
"""


@pytest.fixture
def suite(tmp_path):
    """Makes a suite of one file."""

    def make(name: str, program: str, **options) -> Suite:
        folder = tmp_path / name
        folder.mkdir()
        if program:
            (folder / f"test_{name}.py").write_text(program)
        return Suite(name, str(folder), **options)

    return make


def run(suites: list[Suite], cache: Path, *extra: str, full: bool = False) -> int:
    return run_all(suites, Path(sys.executable), cache, ["-p", "no:cacheprovider", *extra], full=full)


def test_all_passing_is_success_with_one_closing_line(suite, tmp_path, capfd):
    assert run([suite("one", PASSES), suite("two", PASSES)], tmp_path) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[-1].startswith("PASSED: one passed (")
    assert "two passed" in lines[-1]
    assert sum("1 passed" in line for line in lines) == 2


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core")
def test_the_files_of_a_suite_run_side_by_side(suite, tmp_path, capfd):
    assert run([suite("one", PASSES)], tmp_path) == 0
    output = capfd.readouterr().out
    assert "workers [1 item]" in output
    assert "1 passed" in output


def test_one_failure_fails_the_whole_and_the_rest_still_runs(suite, tmp_path, capfd):
    assert run([suite("one", FAILS), suite("two", PASSES)], tmp_path) == 1
    closing = capfd.readouterr().out.splitlines()[-1]
    assert closing.startswith("FAILED: one FAILED (")
    assert "two passed" in closing


def test_an_empty_suite_fails_unless_tests_were_selected(suite, tmp_path):
    empty = suite("empty", "")
    assert run_all([empty], Path(sys.executable), tmp_path, [], full=False) == 1
    assert run([suite("one", PASSES)], tmp_path, "-k", "nothing_of_this_name") == 0


def test_a_suite_learns_its_host_and_whether_to_run_in_full(suite, tmp_path, monkeypatch):
    monkeypatch.setenv("COMFYUI_PATH", "/somewhere")
    asking = suite("asking", ASKS_FOR_ITS_HOST, release=OLDEST, variables={"SFSR_EXTRA": "given"})
    assert run([asking], tmp_path, full=True) == 0


def test_without_a_browser_it_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("SFSR_CHROMIUM", raising=False)
    with pytest.raises(SetupError, match=r"need Chromium.*--no-browser"):
        browser_steps(tmp_path)


def test_without_node_it_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("SFSR_CHROMIUM", sys.executable)
    with pytest.raises(SetupError, match=r"need node and npm.*--no-browser"):
        browser_steps(tmp_path)


def test_ci_runs_exactly_the_test_script():
    lines = (REPOSITORY / ".ci" / "run").read_text().splitlines()
    assert lines[-1] == "exec python3 scripts/test.py"
    subprocess.run(["bash", "-n", str(REPOSITORY / ".ci" / "run")], check=True)
