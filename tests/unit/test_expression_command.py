"""`python -m sfsr_model.expressions`."""

import subprocess
import sys
from pathlib import Path

import pytest

from sfsr_model.expressions.__main__ import main

ROOT = Path(__file__).parents[2]


def test_runs_from_the_repository_root():
    done = subprocess.run(
        [sys.executable, "-m", "sfsr_model.expressions", "8"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("amazement: surprise/surprise, number 8")


def test_a_reader_may_have_seen_enough():
    """What `| head -1` does to the list, before it is written."""
    with subprocess.Popen(
        [sys.executable, "-m", "sfsr_model.expressions"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as done:
        done.stdout.close()
        assert done.stderr.read() == ""
    assert done.returncode == 0


def test_lists_all_words(capsys):
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 135
    assert lines[22].split()[:3] == ["23", "contempt", "anger/disgust"]


def test_shows_units_coefficients_and_pose(capsys):
    assert main(["shame", "--intensity", "0.5"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("shame: sadness/shame, number 115\n")
    assert "Cordaro" in shown
    assert "eyeLookDownLeft      0.400" in shown
    assert "pitch -8.0, yaw 0.0, roll 0.0" in shown
    assert "jawOpen" not in shown
    assert main(["neutral"]) == 0
    assert capsys.readouterr().out.startswith("neutral: neutral/neutral, number none\n")


def test_distances_come_closest_first(capsys):
    assert main(["--distances", "12"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    values = [float(row[0]) for row in rows]
    assert len(values) == 12
    assert values == sorted(values)
    assert values[0] >= 0.1
    assert rows[0][1:] == ["happiness", "joy", "cheerfulness"]
    assert rows[1][1:] == ["affection", "gladness", "affection", "|", "cheerfulness"]


@pytest.mark.parametrize("arguments", [["amazment"], ["joy", "--intensity", "-1"]])
def test_bad_input_is_one_line_and_a_status(arguments, capsys):
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: ")
    assert len(shown.err.splitlines()) == 1
