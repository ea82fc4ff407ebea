"""The cache folder, its lock, and the check for disk space."""

import subprocess
import sys
from pathlib import Path

import pytest
from harness.cache import cache_folder, locked, require_space, write_atomically
from harness.errors import SetupError
from harness.steps import Step, run_steps

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
HUGE = 10**18
LOCK_IN_ANOTHER_PROCESS = """
import sys
from pathlib import Path
from harness.cache import locked
with locked(Path(sys.argv[1]), say=lambda text: print(text, flush=True)):
    print("got it", flush=True)
"""


def test_named_folder_is_created(tmp_path, monkeypatch):
    monkeypatch.setenv("SFSR_CACHE", str(tmp_path / "a" / "b"))
    assert cache_folder() == tmp_path / "a" / "b"
    assert (tmp_path / "a" / "b").is_dir()


@pytest.mark.skipif(sys.platform != "linux", reason="the place differs by platform")
@pytest.mark.parametrize("cache_home", [None, "elsewhere"])
def test_default_folder_follows_the_platform(cache_home, tmp_path, monkeypatch):
    monkeypatch.delenv("SFSR_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    if cache_home is None:
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / cache_home))
    assert cache_folder() == tmp_path / (cache_home or ".cache") / "sfsr"


def test_a_folder_that_cannot_be_made_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SFSR_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(SetupError, match=r"file.cache cannot be created.*SFSR_CACHE"):
        cache_folder()


def test_too_little_space_says_needed_found_and_what_to_do(tmp_path):
    with pytest.raises(SetupError, match=r"Not enough disk space.*GiB needed, [\d.]+ GiB free.*SFSR_CACHE"):
        require_space(tmp_path, HUGE, "the set-up")


def test_no_step_runs_when_all_together_do_not_fit(tmp_path):
    ran = []
    steps = [Step("small", 1, lambda: ran.append(1)), Step("huge", HUGE, lambda: ran.append(2))]
    with pytest.raises(SetupError, match="Not enough disk space"):
        run_steps(steps, tmp_path)
    assert ran == []


def test_steps_run_in_order_and_are_announced(tmp_path, capsys):
    ran = []
    run_steps([Step("one", 0, lambda: ran.append(1)), Step("two", 0, lambda: ran.append(2))], tmp_path)
    assert ran == [1, 2]
    assert capsys.readouterr().out == "[1/2] one\n[2/2] two\n"


def test_a_failing_step_stops_the_rest(tmp_path):
    ran = []

    def fail() -> None:
        raise SetupError("no")

    with pytest.raises(SetupError):
        run_steps([Step("one", 0, fail), Step("two", 0, lambda: ran.append(2))], tmp_path)
    assert ran == []


def test_atomic_write_leaves_only_the_file(tmp_path):
    write_atomically(tmp_path / "mark", "done")
    assert [path.name for path in tmp_path.iterdir()] == ["mark"]
    assert (tmp_path / "mark").read_text() == "done"


def test_a_second_process_waits_for_the_lock(tmp_path):
    command = [sys.executable, "-c", LOCK_IN_ANOTHER_PROCESS, str(tmp_path)]
    with locked(tmp_path):
        other = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": str(SCRIPTS)})
        assert other.stdout.readline().startswith("Waiting for another set-up")
        assert other.poll() is None
    assert other.communicate(timeout=60)[0] == "got it\n"
