"""scripts/train_demo.py on six triplets, one step a network: in which order things are made, going on, and failures."""

import importlib.util
import sys
from pathlib import Path

import pytest
from testkit.tiny_makehuman import tiny_folder
from testkit.tiny_training import write_triplets

from sfsr_model.network import load_checkpoint
from sfsr_model.training.settings import load_settings

ROOT = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location("train_demo", ROOT / "scripts" / "train_demo.py")
script = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = script  # which dataclasses look for
spec.loader.exec_module(script)

NETWORK = ("recogniser.onnx", "autoencoder.safetensors", "network.safetensors")


@pytest.fixture
def made_of_noise(monkeypatch, tmp_path):
    """The triplets are there, and their command is one that leaves a mark."""
    work = tmp_path / "work"
    write_triplets(work / "triplets")
    monkeypatch.setattr(script, "_rendering", lambda options, name: script.Job(name, (), (("touch", str(work / "rendered")),)))
    return work


def command(work: Path, *more: str) -> list[str]:
    tiny = {"steps": 1, "batch": 2, "data.size": 64, "precision": "no", "sample_every": 100}
    sets = [text for entry, value in tiny.items() for text in ("--set", f"{entry}={value}")]
    return ["--cache", str(tiny_folder() / "faces.npz"), "--work", str(work), *sets, *more]


def test_a_network_is_made_of_what_it_needs(made_of_noise, capfd):
    work = made_of_noise
    assert script.main(command(work, "--only", "network.safetensors", "--at-once", "2")) == 0
    told = capfd.readouterr().out
    assert all((work / name).is_file() for name in NETWORK)
    assert (work / "rendered").exists()
    assert {path.name for path in work.glob("*.onnx")} == {"recogniser.onnx", "demo_expression.onnx", "expression.onnx"}
    ends = [told.index(f"{name}: made in") for name in NETWORK[:2]]
    assert told.index("triplets: made in") < told.index("recogniser.onnx: begun")
    assert max(ends) < told.index("network.safetensors: begun")
    assert load_checkpoint(work / "network.safetensors").metadata.step == 1
    before = {path: path.stat().st_mtime_ns for path in work.iterdir() if path.is_file()}
    assert script.main(command(work, "--only", *NETWORK)) == 0
    assert {path: path.stat().st_mtime_ns for path in work.iterdir() if path.is_file()} == before


def test_what_fails_is_named_and_the_rest_is_made(made_of_noise, capfd):
    work = made_of_noise
    (work / "demo_autoencoder.yaml").write_text("task: autoencoder\nstepz: 1\n")
    assert script.main(command(work, "--only", "network.safetensors", "--at-once", "2")) == 2
    error = capfd.readouterr().err
    assert "autoencoder_pixels.safetensors: sfsr_model.training run ended with status 2; the end of" in error
    assert "stepz: there is no such entry" in error
    assert (work / "recogniser.onnx").is_file()
    assert not (work / "network.safetensors").exists()
    assert not (work / "logs" / "network.safetensors.log").exists()


@pytest.mark.parametrize(
    ("more", "told"),
    [(("--at-once", "0"), "at-once: expected at least 1, found 0"), (("--set", "steps"), "--set steps: expected ENTRY=VALUE")],
)
def test_bad_input_is_named(made_of_noise, more, told, capfd):
    assert script.main(command(made_of_noise, *more)) == 2
    assert told in capfd.readouterr().err


def test_photos_are_prepared_for_what_learns_from_them(made_of_noise, tmp_path):
    photos = ("--photos", str(tmp_path / "photos"), "--landmarker", str(tmp_path / "a.task"), "--teacher", "dlib.dat")
    options = script._parser().parse_args(command(made_of_noise, *photos, "--sources", "fake", "omi"))
    jobs = script.planned(options)
    assert jobs["labelled"].commands[0][-3:] == ("--sources", "fake", "omi")
    assert str(Path("dlib.dat").resolve()) in jobs["labelled"].commands[0]
    large = jobs["labelled_large"].commands[0]
    assert large[large.index("--size") + 1] == "304"
    assert "--teacher" not in large
    learning = ("detector", "points", "recogniser", "judge_recogniser", "expression_first", "expression", "judge_expression")
    assert {name for name, job in jobs.items() if "labelled" in job.needs} == {f"photo_{name}.onnx" for name in learning}
    assert "labelled" not in script.planned(script._parser().parse_args(command(made_of_noise)))
    with pytest.raises(ValueError, match="photos: give --photos and --landmarker"):
        script.planned(script._parser().parse_args(command(made_of_noise, "--only", "photo_recogniser.onnx")))


def test_the_network_of_photos_grows_from_the_demo(made_of_noise, tmp_path):
    photos = ("--photos", str(tmp_path / "photos"), "--landmarker", str(tmp_path / "a.task"), "--only", "photos.safetensors")
    options = script._parser().parse_args(command(made_of_noise, *photos))
    jobs = script.planned(options)
    ((*started, settings),) = [job[:5] for job in jobs["grown.safetensors"].commands]
    assert (started[-1], Path(settings).name) == ("grow", "photo_network.yaml")
    assert {"demo.safetensors", "recogniser.onnx", "photo_recogniser.onnx", "photo_autoencoder.safetensors", "triplets"} <= set(
        jobs["grown.safetensors"].needs
    )
    assert set(jobs) >= {need for job in jobs.values() for need in job.needs}
    (made_of_noise / "grown.safetensors").touch()
    assert "grown.safetensors" not in script.planned(options)


@pytest.mark.parametrize("name", script.TRAININGS)
def test_what_is_needed_is_what_the_settings_read(name):
    stem, needs = script.TRAININGS[name]
    settings = load_settings(ROOT / "sfsr_model/training/configs" / f"{stem}.yaml")
    read = [
        settings.data.path, settings.autoencoder, settings.network.initial, settings.codec.initial, settings.encoder.initial,
        settings.encoders.identity, settings.encoders.expression, settings.photos and settings.photos.path,
    ]  # fmt: skip
    assert sorted(path.name for path in read if path is not None) == sorted(needs)
