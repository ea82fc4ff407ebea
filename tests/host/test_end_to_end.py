"""From nothing to a picture, small: faces rendered, both networks trained with every loss, measured, used in ComfyUI."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from harness.client import PromptFailed
from harness.workflow import titled
from testkit.onnx_nets import save_mobilefacenet
from testkit.tiny_landmarker import write_tiny_task
from testkit.tiny_makehuman import tiny_folder
from testkit.tiny_training import SIZE, TINY_UNET

from sfsr_model.evaluation.__main__ import main as evaluation
from sfsr_model.network import load_checkpoint
from sfsr_model.samples import load_sample
from sfsr_model.synthetic.__main__ import main as synthetic
from sfsr_model.training.__main__ import main as training

LOSSES = ("identity", "expression", "perceptual", "background")
SEED, CHANNELS = 11, 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Everything of one run: the triplets, the frozen encoders, the settings."""
    place = tmp_path_factory.mktemp("run")
    (place / "models" / "sfsr").mkdir(parents=True)
    save_mobilefacenet(place / "recogniser.onnx")
    write_tiny_task(place / "face.task")
    run = {"state": "state/autoencoder", "steps": 3, "batch": 2, "optimiser": {"warmup": 0, "rate": 0.001}, "log_every": 1}
    run |= {"data": {"kind": "shards", "path": "triplets", "size": SIZE}}
    write(place / "autoencoder.yaml", run | {"task": "autoencoder", "codec": {"channels": CHANNELS}})
    network = {"task": "sfsr", "state": "state/network", "autoencoder": "autoencoder.safetensors"}
    network |= {"network": TINY_UNET | {"latent_channels": CHANNELS}}
    network |= {"encoders": {"identity": "recogniser.onnx", "expression": "face.task"}}
    network |= {"losses": dict.fromkeys(LOSSES, 0.1) | {"share": 0.5}}
    write(place / "network.yaml", run | network)
    return place


def write(path: Path, entries: dict) -> None:
    path.write_text(yaml.safe_dump(entries), encoding="utf-8")


@pytest.fixture(scope="module")
def checkpoint(folder) -> Path:
    """The commands of docs/training.md, in their order."""
    cache = str(tiny_folder() / "faces.npz")
    dataset = ["--out", str(folder / "triplets"), "--count", "6", "--size", str(SIZE), "--seed", str(SEED), "--workers", "1"]
    out = folder / "models" / "sfsr" / "tiny.safetensors"
    assert synthetic(["dataset", "--cache", cache, *dataset]) == 0
    assert training(["run", str(folder / "autoencoder.yaml")]) == 0
    assert training(["export", str(folder / "autoencoder.yaml"), "--out", str(folder / "autoencoder.safetensors")]) == 0
    assert training(["run", str(folder / "network.yaml")]) == 0
    assert training(["export", str(folder / "network.yaml"), "--out", str(out)]) == 0
    return out


def test_the_checkpoint_says_what_it_is(checkpoint):
    about = load_checkpoint(checkpoint).metadata
    assert about.trained
    assert about.resolution == SIZE
    assert np.shape(about.latent_rgb) == (CHANNELS + 1, 3)
    assert f"seed {SEED}" in about.training_data


def test_it_is_measured_on_people_it_never_saw(folder, checkpoint, capsys):
    command = ["run", "--checkpoint", str(checkpoint), "--cache", str(tiny_folder() / "faces.npz"), "--steps", "1"]
    command += ["--recogniser", str(folder / "recogniser.onnx"), "--expression-judge", str(folder / "face.task")]
    command += ["--people", "3", "--primary-people", "2", "--sheet-rows", "2", "--out", str(folder / "results")]
    assert evaluation([*command, "--seed", str(SEED)]) == 2
    assert "not held out" in capsys.readouterr().err
    assert evaluation(command) == 0
    figures = json.loads((folder / "results" / "metrics.json").read_text(encoding="utf-8"))
    assert figures
    assert {path.name for path in (folder / "results").iterdir()} >= {"tables.md", "metrics.png", "sheet.jpg"}


def test_comfyui_runs_it_and_changes_the_face_alone(server, folder, checkpoint, run_portrait, client, portrait):
    models = server.base_dir / "models"
    for path, place in ((checkpoint, models / "sfsr"), (folder / "recogniser.onnx", models / "insightface")):
        place.mkdir(parents=True, exist_ok=True)
        (place / path.name).write_bytes(path.read_bytes())
    changes = {
        "Load_SFSR_Model": {"checkpoint": checkpoint.name},
        "Load_ID_Encoder": {"encoder": "recogniser.onnx"},
        "Face_Crop": {"size": SIZE},
    }
    before, after = (load_sample("portrait_20")[0].numpy() * 255).round().astype(np.uint8), run_portrait(**changes)
    changed = (before != after).any(axis=-1)
    assert changed[120:220, 140:200].mean() > 0.9
    assert not changed[:50].any()
    assert not changed[:, :50].any()
    prompt = portrait(**changes, Seed={"noise_seed": 9})
    report = json.loads(client.run(prompt, timeout=600).outputs[titled(prompt, "Report")]["text"][0])
    assert report["trained"]
    assert not any("untrained" in note for note in report["notes"])
    # Made for this recogniser's people, the checkpoint refuses another's.
    stand_in = {"Load_ID_Encoder": {"encoder": "untrained demo recogniser (random weights)"}}
    with server.expecting_error(""), pytest.raises(PromptFailed, match="this checkpoint was trained on"):
        client.run(portrait(**(changes | stand_in)), timeout=600)
