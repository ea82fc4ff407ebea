"""Photos as training data: found, cut out, read and embedded once; stopped and gone on with; trained on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from testkit.onnx_nets import save_detector, save_se_recogniser
from testkit.tiny_landmarker import write_tiny_task
from testkit.tiny_training import SIZE, write_autoencoder, write_settings

from sfsr_model.face import face_mask
from sfsr_model.face.crop import template
from sfsr_model.training import photos as photos_module
from sfsr_model.training.__main__ import main
from sfsr_model.training.data import open_dataset
from sfsr_model.training.loop import train
from sfsr_model.training.network import NetworkTask
from sfsr_model.training.order import step_generator
from sfsr_model.training.photo_data import PhotoDataset, PhotoError
from sfsr_model.training.photos import prepare_photos
from sfsr_model.training.settings import Data, SettingsError, load_settings


def photo(path, number, face=True):
    """A bright picture with a green square, which the generated detector takes for a face."""
    pixels = 0.7 + 0.3 * torch.rand(20, 20, 3, generator=torch.Generator().manual_seed(number)).repeat_interleave(16, 0)
    pixels = pixels.repeat_interleave(16, 1)
    if face:
        x, y = 168 + 16 * (number % 2), 168
        pixels[y - 14 : y + 14, x - 14 : x + 14] = torch.tensor([0.0, 1.0, 0.0])
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((pixels * 255).round().to(torch.uint8).numpy()).save(path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shared")
    pack = folder / "pack"
    pack.mkdir()
    save_detector(pack / "det.onnx")
    save_se_recogniser(pack / "rec.onnx")
    write_tiny_task(folder / "tiny.task")
    write_autoencoder(folder / "autoencoder.safetensors")
    for number in range(5):
        photo(folder / f"photos/person{number % 2}/{number}.png", number)
    photo(folder / "photos/wall.png", 9, face=False)
    (folder / "photos/broken.jpg").write_bytes(b"no picture")
    (folder / "photos/notes.txt").write_text("not a picture, and not looked at")
    prepare_photos(folder / "photos", folder / "store", SIZE, pack, folder / "tiny.task")
    return folder


def test_a_store_holds_crops_and_what_was_read_of_them(shared):
    store = PhotoDataset(shared / "store")
    assert len(store) == 5
    assert store.identity_space.startswith("onnx-")
    sample = store[3]
    assert sample["image"].shape == (3, SIZE, SIZE)
    torch.testing.assert_close(sample["landmarks"], (template() * SIZE - 0.5).float(), atol=6.0, rtol=0)
    assert torch.equal(sample["mask"], (face_mask(sample["landmarks"], SIZE) * 255).round().to(torch.uint8))
    assert sample["identity"].shape == (store.identity_dim,)
    assert float(sample["identity"].norm()) == pytest.approx(1, abs=1e-5)
    assert sample["coefficients"].shape == (52,)
    assert sample["pose"].shape == (3,)
    inside = sample["image"].float()[:, sample["mask"] == 255].mean(1)
    assert inside[1] > inside[0] + 50  # the green square


def test_what_was_left_out_is_told_with_the_reason(shared):
    lines = dict(line.split("\t") for line in (shared / "store/skipped.txt").read_text().splitlines())
    assert lines.keys() == {"broken.jpg", "wall.png"}
    assert lines["broken.jpg"].startswith("unreadable: cannot be read as a picture")
    assert lines["wall.png"].startswith("no face: ")


def test_a_stopped_run_goes_on_without_looking_again(shared, tmp_path, monkeypatch):
    monkeypatch.setattr(photos_module, "BLOCK", 2)
    arguments = (shared / "photos", tmp_path / "store", SIZE, shared / "pack", shared / "tiny.task")
    looked_at = []
    record = photos_module.Readers.record

    def stops(self, path):
        looked_at.append(path.name)
        if len(looked_at) == 5:
            raise KeyboardInterrupt
        return record(self, path)

    monkeypatch.setattr(photos_module.Readers, "record", stops)
    with pytest.raises(KeyboardInterrupt):
        prepare_photos(*arguments)
    with pytest.raises(PhotoError, match="not finished; run the same photos command again"):
        PhotoDataset(tmp_path / "store")
    first = list(looked_at)
    prepared = prepare_photos(*arguments)
    assert looked_at[len(first) :] == [first[4], *sorted({"wall.png", "1.png", "3.png"} - {first[4]})]
    assert (prepared.used, len(prepared.skipped)) == (5, 2)
    assert "5 photos used, 2 skipped" in prepared.summary()
    one, other = PhotoDataset(tmp_path / "store"), PhotoDataset(shared / "store")
    for index in range(5):
        assert all(torch.equal(value, other[index][name]) for name, value in one[index].items())


def test_a_folder_without_a_usable_face_is_an_error(shared, tmp_path, capsys):
    photo(tmp_path / "photos/wall.png", 1, face=False)
    command = ["photos", "--folder", str(tmp_path / "photos"), "--out", str(tmp_path / "store"), "--size", str(SIZE)]
    assert main([*command, "--id-encoder", str(shared / "pack")]) == 2
    assert "none of its 1 pictures has a usable face; wall.png: no face" in capsys.readouterr().err
    with pytest.raises(PhotoError, match="not finished"):
        PhotoDataset(tmp_path / "store")


def test_a_face_too_small_for_its_crop_is_left_out(shared, tmp_path):
    photo(tmp_path / "photos/far.png", 1)
    with pytest.raises(PhotoError, match="face too small: its crop of 512 pixels would enlarge it"):
        prepare_photos(tmp_path / "photos", tmp_path / "store", 512, shared / "pack")


@pytest.mark.parametrize(
    ("folder", "message"),
    [("nowhere", "nowhere: no such folder"), ("empty", "empty: holds no picture; expected files that end")],
)
def test_a_folder_without_photos_is_named(tmp_path, folder, message):
    (tmp_path / "empty").mkdir()
    with pytest.raises(PhotoError, match=message):
        prepare_photos(tmp_path / folder, tmp_path / "store", SIZE)


def test_a_store_of_other_settings_and_a_folder_of_other_things_stay_untouched(shared, tmp_path):
    with pytest.raises(PhotoError, match="made with size 64, now 128; choose another folder"):
        prepare_photos(shared / "photos", shared / "store", 128, shared / "pack", shared / "tiny.task")
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(PhotoError, match="is not empty and holds no store of photos"):
        prepare_photos(shared / "photos", tmp_path, SIZE)
    with pytest.raises(PhotoError, match=r"letter\.txt: is a file; choose a new folder"):
        prepare_photos(shared / "photos", tmp_path / "letter.txt", SIZE)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes on Linux alone")
def test_a_photo_whose_name_is_no_text_can_be_left_out(shared, tmp_path):
    photo(tmp_path / "photos/0.png", 0)
    Path(os.fsdecode(os.fsencode(tmp_path / "photos") + b"/\xff.png")).write_bytes(b"no picture")
    prepare_photos(tmp_path / "photos", tmp_path / "store", SIZE, shared / "pack")
    assert "\\udcff.png\tunreadable" in (tmp_path / "store" / "skipped.txt").read_text(encoding="utf-8")


def test_a_store_that_lost_something_is_named(shared, tmp_path):
    with pytest.raises(SettingsError, match=r"holds crops of 64 pixels, data\.size is 128"):
        open_dataset(Data(path=shared / "store", kind="photos", size=128))
    with pytest.raises(PhotoError, match="holds no photos of format"):
        PhotoDataset(shared / "photos")
    (tmp_path / "photos.json").write_text((shared / "store/photos.json").read_text())
    (tmp_path / "photos-00000.npz").write_bytes((shared / "store/photos-00000.npz").read_bytes()[:-200])
    with pytest.raises(PhotoError, match=r"photos-00000\.npz: not whole"):
        PhotoDataset(tmp_path)


def settings(shared, folder, **changes):
    data = {"path": str(shared / "store"), "kind": "photos", "size": SIZE}
    path = write_settings(folder, shared / "store", shared / "autoencoder.safetensors", **{"data": data, **changes})
    return load_settings(path)


ALL_LOSSES = {"identity": 0.1, "expression": 0.1, "perceptual": 0.1, "background": 0.1, "share": 1.0}


def test_training_runs_on_photos_with_all_losses(shared, tmp_path):
    encoders = {"identity": str(shared / "pack/rec.onnx"), "expression": str(shared / "tiny.task")}
    run = settings(shared, tmp_path, losses=ALL_LOSSES, encoders=encoders, steps=2, batch=3, sample_every=2)
    seen = []
    train(run, NetworkTask(run, quiet=True), lambda step, values: seen.append(values))
    assert {"diffusion", "identity", "expression", "perceptual", "background"} <= seen[-1].keys()
    assert (tmp_path / "state/sample-00000002.png").is_file()


def test_cross_pairs_take_others_and_count_in_picture_losses_alone(shared, tmp_path):
    run = settings(
        shared, tmp_path, losses={"perceptual": 1.0, "cross": 1.0, "share": 1.0, "identity_drop": 0, "expression_drop": 0}
    )
    task = NetworkTask(run, quiet=True)
    given = []
    task.compound.register_forward_pre_hook(lambda _module, arguments: given.append(arguments))
    sample = torch.utils.data.default_collate([task.dataset()[index] for index in range(3)])
    _, parts = task.loss(task.modules, sample, step_generator(0, 0))
    (own, crossed) = given
    assert torch.equal(own[0], sample["identity"])
    assert torch.equal(crossed[0], sample["identity"].roll(-1, 0))
    assert torch.equal(crossed[1], sample["expression"].roll(-2, 0))
    assert torch.equal(crossed[2], sample["pose"])
    # There is no picture of the pair to compare with.
    assert parts["perceptual"] == 0
    alone = task.loss(task.modules, {name: value[:1] for name, value in sample.items()}, step_generator(0, 0))[1]
    assert alone["perceptual"] > 0


def test_photos_that_lack_something_or_are_of_another_recogniser_are_refused(shared, tmp_path):
    def prepared(**changes):
        folder = tmp_path / "store"
        folder.mkdir(exist_ok=True)
        manifest = json.loads((shared / "store/photos.json").read_text())
        (folder / "photos.json").write_text(json.dumps({**manifest, **changes}))
        (folder / "photos-00000.npz").write_bytes((shared / "store/photos-00000.npz").read_bytes())
        return {"data": {"path": str(folder), "kind": "photos", "size": SIZE}}

    with pytest.raises(SettingsError, match="carry no expressions; prepare them again with --expression"):
        NetworkTask(settings(shared, tmp_path, **prepared(expression="")))
    with pytest.raises(SettingsError, match="carry no identities; prepare them again with --id-encoder, or give encoders"):
        NetworkTask(settings(shared, tmp_path, **prepared(identity_dim=0)))
    encoders = {"encoders": {"identity": str(shared / "pack")}}
    with pytest.raises(SettingsError, match=r"encoders\.identity: its embeddings are of the space onnx-.*, those in"):
        NetworkTask(settings(shared, tmp_path, **prepared(identity_space="other"), **encoders))


def test_the_command_tells_what_it_did(shared, tmp_path):
    command = [
        sys.executable, "-m", "sfsr_model.training", "photos", "--folder", str(shared / "photos"), "--out", str(tmp_path / "s"),
        "--size", "64", "--id-encoder", str(shared / "pack/rec.onnx"), "--expression", str(shared / "tiny.task"),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # Without a detector of the pack's, the landmarker finds the faces; the tiny one takes any bright picture for a face.
    assert done.stdout.splitlines()[0] == "6 photos used, 1 skipped"
    assert done.stdout.splitlines()[1] == "  1 unreadable"
