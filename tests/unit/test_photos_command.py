"""The command photos on tiny networks with a tiny folder of photos: results, going on, and inputs that do not fit."""

import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from testkit.onnx_models import save_recogniser
from testkit.onnx_nets import save_mobilefacenet, save_se_recogniser
from testkit.tiny_landmarker import write_tiny_task
from testkit.tiny_makehuman import tiny_folder
from testkit.tiny_training import save_labelled

from sfsr_model.encoders.pack import load_recogniser
from sfsr_model.evaluation.__main__ import main
from sfsr_model.evaluation.photos import renders
from sfsr_model.evaluation.photos.run import RESULTS
from sfsr_model.network import UNetConfig, save_checkpoint, untrained_checkpoint
from sfsr_model.synthetic.model import FaceModel
from sfsr_model.synthetic.sample import sample_picture

SMALL = UNetConfig(model_channels=32, channel_mult=(1, 2), attention=(False, True), context_dim=24, head_channels=16)
SIXTEEN = replace(SMALL, in_channels=33, out_channels=16)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Photos, a checkpoint of the space of its recogniser, its forerunner with another, and judges."""
    folder = tmp_path_factory.mktemp("photos")
    save_mobilefacenet(folder / "recogniser.onnx")
    save_recogniser(folder / "other.onnx", seed=1)
    save_se_recogniser(folder / "judge.onnx", seed=2)
    (folder / "dlib.dat").write_bytes(b"weights")
    write_tiny_task(folder / "judge.task")
    write_checkpoint(folder, "new", "recogniser.onnx", 64, SIXTEEN)
    write_checkpoint(folder, "old", "other.onnx", 32, SMALL)
    model = FaceModel.load(tiny_folder() / "faces.npz")
    rows = [("lfw", f"p{number // 3}", "val") for number in range(12)]
    rows += [("london", f"l{number // 2}", "val") for number in range(4)]
    people = {person: number for number, person in enumerate(dict.fromkeys(rows))}
    shown = [sample_picture(model, 3, people[person], 96) for person in rows]
    # A person's photos differ by their exposure.
    pictures = [(one.image * (1 - number % 3 / 20)).astype(np.uint8) for number, one in enumerate(shown)]
    save_labelled(folder / "photos", rows, pictures, [one.five for one in shown])
    return folder


def write_checkpoint(folder, name, recogniser, resolution, unet):
    checkpoint = untrained_checkpoint(unet=unet)
    space = load_recogniser(folder / recogniser, "CPU").space
    metadata = replace(checkpoint.metadata, resolution=resolution, identity_space=space, training_data="photos of split train")
    save_checkpoint(replace(checkpoint, metadata=metadata), folder / f"{name}.safetensors")


class Descriptor:
    def __init__(self, path):
        assert path.endswith("dlib.dat")

    def compute_face_descriptor(self, pixels):
        assert pixels.shape == (150, 150, 3)
        return [*pixels[25:125, 25:125].reshape(10, 10, 10, 10, 3).mean((1, 3)).flatten() / 255, 1.0]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A dlib of nothing, and few and small renders."""
    monkeypatch.setitem(sys.modules, "dlib", SimpleNamespace(face_recognition_model_v1=Descriptor))
    monkeypatch.setattr(renders, "PEOPLE", 2)
    monkeypatch.setattr(renders, "SIZE", 64)


def command(inputs, out, *more, **changes):
    options = {
        "photos": inputs / "photos", "out": out, "checkpoint": inputs / "new.safetensors",
        "recogniser": inputs / "recogniser.onnx", "gallery": 4, "swaps": 5, "word_people": 1, "own": 2, "batch": 4, "steps": 1,
        "landmarker": inputs / "judge.task", "judge": inputs / "dlib.dat", "sheet_rows": 2,
    }  # fmt: skip
    given = {name.replace("_", "-"): value for name, value in (options | changes).items() if value is not None}
    return ["photos", *(str(part) for name, value in given.items() for part in (f"--{name}", value)), *map(str, more)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs") / "whole"


def told(folder):
    return json.loads((folder / "photos.json").read_text())


def parts(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("part-*.npz")}


def test_it_writes_everything(inputs, folder):
    assert main(command(inputs, folder)) == 0
    assert {path.name for path in folder.iterdir()} == {
        *RESULTS, "run.json", "places", "photos", "checkpoint", "warped", "round_trip",
    }  # fmt: skip
    document = told(folder)
    headline = document["headline"]
    assert set(headline) == {"checkpoint", "warped", "target"}
    # The tiny landmarker always reads the same; the words need the renderer's cache.
    assert {name for name, figure in headline["checkpoint"].items() if figure["value"] is not None} >= {
        "carried", "retrieved", "target_instead", "source_instead", "pose", "seen", "sharpness", "step", "worst_step",
    }  # fmt: skip
    assert headline["checkpoint"]["words"]["value"] is None
    # Every fifth person is of london, and not looked for in the gallery.
    assert headline["checkpoint"]["carried"]["count"] == 5
    assert headline["checkpoint"]["retrieved"]["count"] == 4
    assert headline["target"]["target_instead"]["count"] == 4
    assert headline["target"]["sharpness"]["value"] == 1
    assert set(document["own"]) == {"checkpoint", "warped", "round_trip", "target"}
    assert document["own"]["target"]["error_active"]["value"] == 0
    assert document["own"]["round_trip"]["difference"]["value"] > 0
    assert set(document["identity"]) == {"dlib.dat", "judge_recogniser.onnx"}
    assert set(document["expression"]) == {"judge.task", "judge_expression.onnx"}
    assert document["levels"]["dlib.dat"].keys() == {"lfw", "london"}
    for name in ("yaw", "light", "tone", "target_tone"):
        assert sum(part["count"] for part in document["bins"][name]) == 5
    assert document["run"]["cases"] == "5 swaps, 6 words, 2 own"
    assert any(note.startswith("judge dlib.dat: dlib's ResNet") for note in document["run"]["notes"])
    assert any("cache was not given" in note for note in document["run"]["notes"])
    table = (folder / "photos.md").read_text()
    assert "| identity carried over | at least 0.4 | at least 0.8 |" in table
    assert "| expression: six primary words told apart | at least 55 % | at least 90 % | - | - |" in table
    for name in ("photos.png", "contact.jpg"):
        with Image.open(folder / name) as picture:
            picture.verify()


def test_it_goes_on_and_makes_only_what_is_new(inputs, folder):
    """The words with the renderer's cache, a forerunner and a judge come in without anything being made again."""
    before, first = parts(folder), told(folder)
    more = ["--judge", inputs / "judge.onnx", "--forerunner", inputs / "old.safetensors"]
    more += ["--forerunner-recogniser", inputs / "other.onnx", "--cache", tiny_folder() / "faces.npz"]
    assert main(command(inputs, folder, *more)) == 0
    after, document = parts(folder), told(folder)
    assert before.items() <= after.items()
    new = {path.relative_to(folder).parts[0] for path in after.keys() - before.keys()}
    assert new == {"forerunner", "renders", "checkpoint", "photos", "warped", "round_trip"}
    kinds = {path.parent.name for path in after.keys() - before.keys() if "checkpoint" in path.parts}
    assert kinds == {"words", "swaps", "own"}
    headline = document["headline"]
    assert headline["checkpoint"]["words"]["count"] == 6
    assert headline["warped"]["words"]["value"] is None
    assert document["expression"]["judge.task"]["renders"]["words"]["count"] == 12
    assert headline["checkpoint"]["carried"] == first["headline"]["checkpoint"]["carried"]
    assert headline["forerunner"]["step"]["value"] is not None
    assert list(document["identity"]) == ["dlib.dat", "judge.onnx", "judge_recogniser.onnx"]
    assert "32 pixels, conditioned on other.onnx" in document["run"]["forerunner"]
    # A part that was damaged is made again, to the same figures.
    part = next(folder.glob("checkpoint/pictures/swaps/part-0001.npz"))
    part.write_bytes(part.read_bytes()[:100])
    reading = next(folder.glob("checkpoint/dlib*/swaps/part-0001.npz"))
    reading.unlink()
    assert main(command(inputs, folder, *more)) == 0
    assert told(folder) == document
    assert {path for path, when in parts(folder).items() if when != after[path]} == {part, reading}


def test_a_detector_may_say_where_the_faces_are(inputs, tmp_path):
    """The pack's own, alone. It looks at each photo once; the labelled points serve where it sees nobody."""
    out = tmp_path / "found"
    assert main(command(inputs, out, "--detector", "--limit", 1, judge=None, landmarker=None)) == 0
    document = told(out)
    assert "cut out where weights finds them" in document["run"]["photos"]
    found = np.load(out / "places" / "part-0000.npz")
    assert len(found["points"]) == len(found["missed"])
    assert document["run"]["cases"] == "1 swaps, 1 words, 1 own"
    # Without dlib and the landmarker the table that they head is of dashes; what needs no judge is there.
    headline = document["headline"]["checkpoint"]
    assert {name for name, figure in headline.items() if figure["value"] is not None} == {"sharpness", "step", "worst_step"}
    assert document["identity"]["judge_recogniser.onnx"]["checkpoint"]["cosine"]["count"] == 1


def test_what_is_wrong_is_named(inputs, folder, tmp_path, capsys):
    out = tmp_path / "out"
    for changes, message in (
        ({"photos": tmp_path}, "photos: "),
        ({"split": "odd"}, "photos: "),
        ({"gallery": 5}, "gallery: expected at most 4"),
        ({"gallery": 2}, "gallery: expected at least 3"),
        ({"batch": 0}, "batch: expected at least 1"),
        ({"limit": 0}, "limit: expected at least 1"),
        ({"seed": -1}, "seed: expected"),
        ({"checkpoint": inputs / "judge.onnx"}, "checkpoint: judge.onnx"),
        ({"recogniser": inputs / "other.onnx"}, "recogniser: "),
        ({"recogniser": None}, "recogniser: new.safetensors takes identities of the space"),
        ({"forerunner": inputs / "old.safetensors"}, "forerunner-recogniser: old.safetensors takes identities"),
        ({"forerunner": inputs / "old.safetensors", "forerunner_recogniser": inputs / "gone.onnx"}, "forerunner-recogniser: "),
        ({"forerunner_recogniser": inputs / "other.onnx"}, "forerunner-recogniser: it belongs to a --forerunner"),
        ({"expression": inputs / "judge.onnx"}, "expression: "),
        ({"judge": inputs / "gone.onnx"}, "judge: "),
        ({"landmarker": inputs / "judge.onnx"}, "landmarker: "),
        ({"cache": inputs / "gone.npz"}, "cache: "),
        ({"detector": inputs / "gone.onnx"}, "detector: "),
    ):
        assert main(command(inputs, out, **changes)) == 2
        assert message in capsys.readouterr().err, message
    assert not out.exists()
    # Pictures of other settings are not mixed with those that are there.
    assert main(command(inputs, folder, steps=2)) == 2
    assert "holds another run (sampling" in capsys.readouterr().err
    assert main(command(inputs, folder, seed=5)) == 2
    assert "holds another run (seed" in capsys.readouterr().err
