"""The whole command on a tiny untrained network: results, resuming after a kill, and inputs that do not fit."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from testkit.onnx_models import save_recogniser
from testkit.onnx_nets import save_mobilefacenet, save_se_recogniser
from testkit.tiny_landmarker import write_tiny_task
from testkit.tiny_makehuman import tiny_folder

from sfsr_model.encoders.pack import load_recogniser
from sfsr_model.evaluation.__main__ import main
from sfsr_model.evaluation.expression_judges import READABLE, load_expression_judge
from sfsr_model.evaluation.metrics import active_errors
from sfsr_model.network import UNetConfig, save_checkpoint, untrained_checkpoint

ROOT = Path(__file__).parents[2]
SMALL = UNetConfig(model_channels=32, channel_mult=(1, 2), attention=(False, True), context_dim=24, head_channels=16)
RESULTS = {"metrics.json", "tables.md", "metrics.png", "bins.png", "sheet.jpg", "run.json", "pictures"}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A folder with a checkpoint trained on the space of its recogniser, a judge and an expression judge."""
    folder = tmp_path_factory.mktemp("inputs")
    save_mobilefacenet(folder / "recogniser.onnx")
    save_se_recogniser(folder / "judge.onnx", seed=1)
    write_tiny_task(folder / "judge.task")
    write_checkpoint(folder)
    return folder


def write_checkpoint(folder: Path, name: str = "small", **metadata) -> Path:
    checkpoint = untrained_checkpoint(unet=SMALL)
    facts = {
        "resolution": 64,
        "identity_space": load_recogniser(folder / "recogniser.onnx", "CPU").space,
        "training_data": "rendered triplets, seed 7",
        **metadata,
    }
    path = folder / f"{name}.safetensors"
    save_checkpoint(replace(checkpoint, metadata=replace(checkpoint.metadata, **facts)), path)
    return path


def command(inputs: Path, out: Path, **changes) -> list[str]:
    options = {
        "checkpoint": inputs / "small.safetensors", "cache": tiny_folder() / "faces.npz",
        "recogniser": inputs / "recogniser.onnx", "judge": inputs / "judge.onnx", "expression-judge": inputs / "judge.task",
        "out": out, "people": 3, "primary-people": 2, "steps": 1, "batch": 7, "seed": 5, "sheet-rows": 2,
    }  # fmt: skip
    options |= {name.replace("_", "-"): value for name, value in changes.items()}
    return ["run", *(str(part) for name, value in options.items() if value is not None for part in (f"--{name}", value))]


@pytest.fixture(scope="module")
def finished(inputs, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "whole"
    assert main(command(inputs, out)) == 0
    return out


def test_it_writes_everything(finished):
    assert {path.name for path in finished.iterdir()} == RESULTS
    document = json.loads((finished / "metrics.json").read_text())
    assert document["run"]["people"] == 3
    assert document["run"]["notes"][0] == "held out: trained on seed 7, evaluated on seed 5"
    for kinds in document["metrics"].values():
        assert set(kinds) == {"generated", "answer", "round_trip"}
    assert sum(part["count"] for part in document["bins"]["yaw"]) == 3
    with Image.open(finished / "sheet.jpg") as sheet:
        assert sheet.width == 6 * 64
    for name in ("metrics.png", "bins.png"):
        with Image.open(finished / name) as plot:
            plot.verify()


def test_what_must_hold_for_any_network(finished):
    metrics = json.loads((finished / "metrics.json").read_text())["metrics"]
    for kind in ("generated", "answer", "round_trip"):
        assert metrics["outside_largest"][kind]["value"] == 0
    assert metrics["inside_difference"]["answer"]["value"] == 0
    assert metrics["identity_moved_beyond_answer"]["answer"]["value"] == 0
    assert metrics["inside_difference"]["generated"]["value"] > 10
    # The tiny judge reads something of every answer it sees a face in.
    assert metrics["expression_error"]["generated"]["count"] > 0


def test_a_killed_run_goes_on_to_the_same_figures(inputs, finished, tmp_path):
    out = tmp_path / "killed"
    with subprocess.Popen(
        [sys.executable, "-m", "sfsr_model.evaluation", *command(inputs, out)], cwd=ROOT, stderr=subprocess.DEVNULL
    ) as one:
        deadline = time.monotonic() + 120
        while not list(out.glob("pictures/part-*.npz")) and one.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(one.pid, signal.SIGKILL)
    assert list(out.glob("pictures/part-*.npz"))
    assert not (out / "metrics.json").exists()
    first = out / "pictures" / "part-0000.npz"
    # What was stored whole is kept; what was damaged meanwhile is made again.
    kept = first.stat().st_mtime_ns
    (out / "pictures" / "part-0002.npz").write_bytes(first.read_bytes()[:2000])
    assert main(command(inputs, out)) == 0
    assert first.stat().st_mtime_ns == kept
    assert (out / "metrics.json").read_text() == (finished / "metrics.json").read_text()


def test_a_finished_run_makes_nothing_again_and_takes_another_judge(inputs, finished, tmp_path):
    out = tmp_path / "copy"
    shutil.copytree(finished, out)
    parts = sorted(out.glob("pictures/part-*.npz"))
    assert len(parts) == 3
    before = [part.stat().st_mtime_ns for part in parts]
    assert main(command(inputs, out, judge=None, expression_judge=None)) == 0
    document = json.loads((out / "metrics.json").read_text())
    assert document["metrics"]["expression_error"]["generated"]["value"] is None
    assert any("flatter" in note for note in document["run"]["notes"])
    assert any("expression and pose were not measured" in note for note in document["run"]["notes"])
    assert [part.stat().st_mtime_ns for part in parts] == before


def test_the_projects_own_encoder_judges_expressions(inputs, finished, tmp_path):
    """On the pictures that are there. It reads every face, and all coefficients, also those the landmarker is blind to."""
    out = tmp_path / "copy"
    shutil.copytree(finished, out)
    reader = save_recogniser(tmp_path / "expression.onnx", dim=55, size=128)
    assert main(command(inputs, out, expression_judge=reader)) == 0
    document = json.loads((out / "metrics.json").read_text())
    assert document["run"]["judge of expression"] == "expression.onnx"
    answers = document["metrics"]["expression_error"]["answer"]
    judge = load_expression_judge(reader)
    arrays = [np.load(part) for part in sorted(out.glob("pictures/part-*.npz"))]
    pictures, points, wanted = (
        torch.from_numpy(np.concatenate([part[name] for part in arrays]))[:3]
        for name in ("answer", "answer_points", "coefficients")
    )
    read = judge.read(pictures.float() / 255, judge.places(pictures, points))[0]
    everything = torch.ones(52, dtype=torch.bool)
    assert answers["value"] == pytest.approx(float(active_errors(read, wanted, everything).nanmean()), rel=1e-5)
    assert answers["value"] != pytest.approx(float(active_errors(read, wanted, READABLE).nanmean()), rel=1e-3)
    assert document["metrics"]["face_seen"]["answer"]["value"] is None


def refused(capsys, arguments: list[str]) -> str:
    capsys.readouterr()
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error.splitlines()[-1]


def test_a_folder_of_another_run_is_left_alone(inputs, finished, tmp_path, capsys):
    before = (finished / "metrics.json").read_bytes()
    error = refused(capsys, command(inputs, finished, seed=6, steps=2))
    assert "holds another run" in error
    assert "seed: 5 then, 6 now" in error
    assert (finished / "metrics.json").read_bytes() == before
    (tmp_path / "letter.txt").write_text("mine")
    assert "no folder of an evaluation and not empty" in refused(capsys, command(inputs, tmp_path))
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "run.json").write_text("{")
    assert "run.json cannot be read" in refused(capsys, command(inputs, broken))


def test_faces_that_training_saw_are_refused(inputs, tmp_path, capsys):
    error = refused(capsys, command(inputs, tmp_path / "out", seed=7))
    assert "seed: small.safetensors was trained on rendered faces of seed 7" in error
    assert not (tmp_path / "out").exists()


def test_the_recogniser_that_conditions_must_be_the_trained_one(inputs, tmp_path, capsys):
    error = refused(capsys, command(inputs, tmp_path / "out", recogniser=inputs / "judge.onnx"))
    assert "recogniser:" in error
    assert "was trained on" in error
    assert "as --judge" in error
    assert "of the space 'rendered person'" in refused(capsys, command(inputs, tmp_path / "out", recogniser="rendered"))
    write_checkpoint(inputs, "any", identity_space="any")
    changes = {"checkpoint": inputs / "any.safetensors", "recogniser": inputs / "judge.onnx"}
    assert "makes vectors of 128 numbers, any.safetensors takes 512" in refused(
        capsys, command(inputs, tmp_path / "out", **changes)
    )


def test_the_renderers_own_vectors(inputs, tmp_path, capsys):
    """They need a judge beside them, and a checkpoint of their width."""
    path = write_checkpoint(inputs, "own", identity_space="rendered person")
    own = {"checkpoint": path, "recogniser": "rendered"}
    assert "own vectors cannot judge pictures" in refused(capsys, command(inputs, tmp_path / "one", **own, judge=None))
    assert "rendered makes vectors of 30 numbers, own.safetensors takes 512" in refused(
        capsys, command(inputs, tmp_path / "two", **own)
    )
    assert not any(tmp_path.iterdir())


def test_inputs_that_are_missing_or_damaged(inputs, tmp_path, capsys):
    junk = tmp_path / "junk"
    junk.write_bytes(b"\xff" * 64)
    cache = tmp_path / "faces.npz"
    cache.write_bytes((tiny_folder() / "faces.npz").read_bytes()[:5000])
    other = write_checkpoint(inputs, "other", unet=replace(SMALL, model_channels=64))
    out = tmp_path / "out"
    for changes, message in (
        ({"checkpoint": tmp_path / "gone.safetensors"}, "checkpoint: gone.safetensors: no such file"),
        ({"checkpoint": junk}, "junk: not a readable safetensors file"),
        ({"checkpoint": other}, "other.safetensors: does not fit its own metadata"),
        ({"cache": cache}, "faces.npz"),
        ({"cache": tmp_path / "gone.npz"}, "gone.npz"),
        ({"judge": tmp_path / "gone.onnx"}, "judge: " + str(tmp_path / "gone.onnx") + " does not exist"),
        ({"judge": junk}, "junk cannot be read as an ONNX network"),
        ({"expression_judge": junk}, "junk"),
        ({"expression_judge": inputs / "judge.onnx"}, "judge.onnx: gives an output of [2, 128] for two faces; expected"),
        ({"expression_judge": tmp_path / "gone.task"}, "gone.task"),
        ({"people": 1}, "people: expected at least 2, found 1"),
        ({"batch": 0}, "batch: expected at least 1, found 0"),
        ({"size": 0}, "size: expected a multiple of 16 pixels for this network, found 0"),
        ({"size": 60}, "size: expected a multiple of 16 pixels"),
        ({"seed": -1}, "seed: expected 0 to"),
        ({"device": "warp"}, "device: 'warp' cannot be used here"),
    ):
        assert message in refused(capsys, command(inputs, out, **changes)), message
    assert not out.exists()


def test_a_full_disk_is_named_and_what_is_there_stays(inputs, tmp_path, capsys, monkeypatch):
    out = tmp_path / "full"
    saved, calls = np.savez, []

    def fills_up(file, **arrays):
        calls.append(1)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        saved(file, **arrays)

    monkeypatch.setattr("sfsr_model.evaluation.store.np.savez", fills_up)
    capsys.readouterr()
    assert main(command(inputs, out)) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert [path.name for path in (out / "pictures").iterdir()] == ["part-0000.npz"]
