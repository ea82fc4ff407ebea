"""Labelled photos: the reader, the store with what teachers say, and what the encoders' tasks make of them beside renders."""

import shutil

import numpy as np
import pytest
import torch
from testkit.onnx_nets import save_se_recogniser
from testkit.tiny_landmarker import write_tiny_task
from testkit.tiny_training import write_labelled, write_portraits, write_settings, write_triplets

from sfsr_model.encoders.alignment import align_faces
from sfsr_model.encoders.pack import load_recogniser
from sfsr_model.expressions import ARKIT_INDEX, ARKIT_NAMES
from sfsr_model.landmarker import UNREAD
from sfsr_model.training import taught
from sfsr_model.training.__main__ import main
from sfsr_model.training.aligned import mirrored_points, misplaced_faces, photo_faces
from sfsr_model.training.data import PHOTO, open_mixed, step_batches
from sfsr_model.training.detector import DetectorTask
from sfsr_model.training.expression_encoder import ExpressionTask, crop_points
from sfsr_model.training.labelled import LabelledError, load_labelled
from sfsr_model.training.loop import train
from sfsr_model.training.points import PointsTask
from sfsr_model.training.recogniser import RecogniserTask, angle_loss, blended, half_blended, length_loss
from sfsr_model.training.scenes import compose, heads_of, within
from sfsr_model.training.settings import SettingsError, load_settings
from sfsr_model.training.taught import StoreError, TaughtFaces, prepare_labelled, scaled_points
from sfsr_model.training.teachers import load_teacher

TASKS = {"recogniser": RecogniserTask, "expression": ExpressionTask, "detector": DetectorTask, "points": PointsTask}
PHOTOS = 4


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shared")
    write_labelled(folder / "photos")
    write_tiny_task(folder / "tiny.task")
    save_se_recogniser(folder / "teacher.onnx")
    prepare_labelled(folder / "photos", folder / "store", 64, folder / "tiny.task", [folder / "teacher.onnx"])
    write_triplets(folder / "triplets")
    write_portraits(folder / "portraits")
    return folder


@pytest.fixture
def started(shared, tmp_path):
    """Settings and task of a name, with photos beside renders; changes replace settings."""

    def make(name, photos=None, **changes):
        photos = {"path": str(shared / "store"), "batch": PHOTOS, **(photos or {})}
        if name == "recogniser":
            photos["teacher"] = "teacher"
        data = shared / ("portraits" if name == "detector" else "triplets")
        entries = {"task": name, "batch": 2, "photos": photos, **changes}
        settings = load_settings(write_settings(tmp_path, data, tmp_path / "none", **entries))
        return settings, TASKS[name](settings)

    return make


def first_sample(settings, dataset):
    return dataset.__getitems__(next(iter(step_batches(settings, dataset, 0))))


def test_rows_are_chosen_by_split_and_source(shared):
    photos = load_labelled(shared / "photos")
    assert len(photos) == 8
    train_rows, news = photos.chosen("train"), photos.chosen("train", ["news"])
    assert train_rows.files == tuple(f"{('nobody', 'news')[n % 2]}/{n}.png" for n in (0, 1, 2, 4, 5, 6))
    assert news.files == ("news/1.png", "news/5.png")
    assert torch.equal(news.points, photos.points[[1, 5]])
    assert news.picture(0).shape == (64, 64, 3)
    # The labels' order is not ARKit's, and most of its names are not there.
    with np.load(shared / "photos/labels.npz") as labels:
        jaw, blink = labels["coefficients"][:, 1], labels["coefficients"][:, 2]
    assert np.allclose(photos.coefficients[:, ARKIT_INDEX["jawOpen"]], jaw)
    assert np.allclose(photos.coefficients[:, ARKIT_INDEX["eyeBlinkLeft"]], blink)
    assert photos.coefficients.count_nonzero(0).count_nonzero() == 2


def test_what_is_no_folder_of_labelled_photos_is_named(shared, tmp_path):
    with pytest.raises(LabelledError, match=r"index\.csv: no such file"):
        load_labelled(tmp_path)
    with pytest.raises(LabelledError, match=r"sources: elsewhere not in .*it has news, nobody"):
        load_labelled(shared / "photos").chosen(sources=["elsewhere"])
    with pytest.raises(LabelledError, match="no photo of split other"):
        load_labelled(shared / "photos").chosen("other")
    folder = tmp_path / "photos"
    shutil.copytree(shared / "photos", folder)
    lines = (folder / "index.csv").read_text(encoding="utf-8").splitlines()
    (folder / "index.csv").write_text("\n".join(lines[:-1]), encoding="utf-8")
    with pytest.raises(LabelledError, match=r"expected points \[7, 5, 2\].*found \[8, 5, 2\]"):
        load_labelled(folder)
    (folder / "labels.npz").write_bytes(b"none")
    with pytest.raises(LabelledError, match="cannot be read as labelled photos"):
        load_labelled(folder)


def test_a_store_holds_pictures_of_one_size_and_what_teachers_say(shared):
    photos, store = load_labelled(shared / "photos").chosen("train"), TaughtFaces(shared / "store", "teacher")
    assert len(store) == len(photos) == 6
    sample = store[0]
    assert sample["image"].shape == (3, 64, 64)
    # 80 pixels brought to 64: the border of the picture stays its border.
    corner = torch.tensor([-0.5, 79.5])
    assert torch.allclose(scaled_points(corner, 80, 64), torch.tensor([-0.5, 63.5]))
    assert torch.allclose(sample["points"].double(), scaled_points(photos.points[0], 80, 64), atol=1e-4)
    assert torch.equal(store[1]["image"], (photos.picture(1) * 255).round().byte().movedim(-1, 0))
    teacher = load_teacher(shared / "teacher.onnx")
    given = torch.stack([teacher.embed(photos.picture(row), photos.points[row]) for row in range(6)])
    wanted = torch.nn.functional.normalize(given - given.mean(0), dim=1)
    assert torch.allclose(store.vectors, wanted, atol=1e-5)
    assert torch.equal(store.people == store.people[0], torch.tensor([person == "nobody-0" for person in photos.people]))
    some = TaughtFaces(shared / "store", sources=["news"])
    assert len(some) == 2
    assert torch.equal(some[0]["image"], store[1]["image"])
    assert some[0]["vector"].shape == (0,)


def test_a_stopped_preparation_goes_on(shared, tmp_path, monkeypatch):
    monkeypatch.setattr(taught, "_BLOCK", 2)
    made = []

    def vectors(photos, teacher, rows):
        made.append(rows)
        if len(made) == 2:
            raise KeyboardInterrupt
        return real(photos, teacher, rows)

    real = taught._vectors
    monkeypatch.setattr(taught, "_vectors", vectors)
    arguments = (shared / "photos", tmp_path / "store", 64, shared / "tiny.task", [shared / "teacher.onnx"])
    with pytest.raises(KeyboardInterrupt):
        prepare_labelled(*arguments)
    with pytest.raises(StoreError, match=r"teacher\.npy is missing \(teachers there: none\)"):
        TaughtFaces(tmp_path / "store", "teacher")
    pictures = (tmp_path / "store/pictures.npy").stat().st_mtime_ns
    assert prepare_labelled(*arguments).teachers == ("teacher",)
    assert made == [range(2), range(2, 4), range(2, 4), range(4, 6)]
    assert (tmp_path / "store/pictures.npy").stat().st_mtime_ns == pictures
    for name in ("pictures.npy", "teacher.npy"):
        assert np.array_equal(np.load(tmp_path / "store" / name), np.load(shared / "store" / name))
    with pytest.raises(StoreError, match="made of other photos or at another size"):
        prepare_labelled(shared / "photos", tmp_path / "store", 72, shared / "tiny.task")


def test_the_command_prepares_and_names_what_is_wrong(shared, tmp_path, capsys):
    command = ["labelled", "--folder", str(shared / "photos"), "--landmarker", str(shared / "tiny.task"), "--size", "64"]
    assert main([*command, "--out", str(tmp_path / "store"), "--sources", "nobody"]) == 0
    assert "4 photos of 1 sources" in capsys.readouterr().out
    assert main([*command, "--out", str(tmp_path / "other"), "--teacher", str(tmp_path / "none.onnx")]) == 2
    assert "none.onnx does not exist" in capsys.readouterr().err
    assert main([*command, "--out", str(shared / "photos")]) == 2
    assert "is not empty and holds no store" in capsys.readouterr().err


@pytest.mark.parametrize("name", TASKS)
def test_each_step_has_its_share_of_photos(started, name):
    settings, task = started(name, steps=5)
    dataset = task.dataset()
    batches = list(step_batches(settings, dataset, 0))
    renders = dataset.counts[0]
    assert [(sum(index < renders for index in batch), sum(index >= renders for index in batch)) for batch in batches] == [
        (2, PHOTOS)
    ] * 5
    assert list(step_batches(settings, dataset, 3)) == batches[3:]
    # One pass sees every photo once.
    assert sorted(index for batch in batches for index in batch if index >= renders)[: 3 * PHOTOS] != batches[0]
    assert {index - renders for batch in batches[:3] for index in batch if index >= renders} == set(range(6))


@pytest.mark.parametrize("name", TASKS)
def test_every_task_learns_and_goes_on_where_it_stopped(started, name, tmp_path):
    settings, task = started(name, steps=4, state="whole")
    figures = []
    train(settings, task, lambda step, values: figures.append(values))
    assert all(np.isfinite(value) for values in figures for value in values.values())
    if name == "recogniser":
        assert {"photos", "length", "match"} <= figures[0].keys()
    whole = {key: value.clone() for key, value in task.network.state_dict().items()}
    begun, first = started(name, steps=4, state="parts")

    def stop(step, values):
        if step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(begun, first, stop)
    _, second = started(name, steps=4, state="parts")
    train(begun, second)
    assert all(torch.equal(value, whole[key]) for key, value in second.network.state_dict().items())


def test_a_mirrored_photo_is_the_mirror_image_of_its_face(started):
    settings, task = started("expression")
    sample = first_sample(settings, task.dataset())
    plain = photo_faces(sample, crop_points(), 128)
    seen = photo_faces(sample, crop_points(), 128, mirrored=torch.tensor([True, False, True, False]))
    # Nose tips are not in the middle, so the two crops differ by parts of a pixel.
    assert (seen[0].flip(-1) - plain[0]).abs().mean() < 0.03 < (seen[0] - plain[0]).abs().mean()
    assert torch.equal(seen[1], plain[1])
    points = torch.tensor([[1.0, 2], [5, 2], [3, 4], [2, 6], [4, 6]])
    assert mirrored_points(points, 8).tolist() == [[2, 2], [6, 2], [4, 4], [3, 6], [5, 6]]


def test_mirrored_photos_exchange_left_and_right(started):
    _, task = started("expression", encoder={"errors": "squared"})
    coefficients, pose = torch.zeros(2, 52), torch.tensor([[0.1, 0.2, 0.3], [torch.nan] * 3])
    coefficients[:, ARKIT_INDEX["eyeBlinkLeft"]] = 0.7
    coefficients[:, ARKIT_INDEX["jawOpen"]] = 0.4
    from sfsr_model.training.expression_encoder import _of_photos, _pose_error

    wanted = _of_photos({PHOTO + "coefficients": coefficients, PHOTO + "pose": pose}, torch.tensor([True, False]))
    assert wanted.coefficients[0, ARKIT_INDEX["eyeBlinkRight"]] == pytest.approx(0.7)
    assert wanted.coefficients[0, ARKIT_INDEX["eyeBlinkLeft"]] == 0
    assert wanted.coefficients[1, ARKIT_INDEX["eyeBlinkLeft"]] == pytest.approx(0.7)
    assert wanted.coefficients[:, ARKIT_INDEX["jawOpen"]].tolist() == pytest.approx([0.4, 0.4])
    assert wanted.pose[0].tolist() == pytest.approx([0.1, -0.2, -0.3])
    # What MediaPipe cannot see is not learned from it, and a pose that was not read is none.
    assert {name for name, known in zip(ARKIT_NAMES, wanted.known.tolist(), strict=True) if not known} == set(UNREAD)
    assert float(_pose_error(torch.zeros(2, 3), wanted.pose)) == pytest.approx(0.2)
    read = wanted.coefficients.clone()
    read[:, ARKIT_INDEX["cheekPuff"]] = 1.0
    assert float(task._error(read, wanted)) == 0
    read[:, ARKIT_INDEX["jawOpen"]] += 0.1
    assert float(task._error(read, wanted)) > 0


def test_only_what_is_a_face_has_a_long_vector():
    faces, others = torch.full((1, 4), 1.0), torch.full((1, 4), 0.2)
    assert float(length_loss(faces, others)) == 0
    assert float(length_loss(faces * 0.5, others)) == pytest.approx(0.25, abs=1e-4)
    assert float(length_loss(faces, faces)) == pytest.approx(0.75**2, abs=1e-4)


def test_renders_are_taught_where_the_settings_name_who_teaches_them(started, tmp_path):
    """A teacher's own numbers are found again: none of its angles is left, but for a dull vector or one of fewer numbers."""
    vectors = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    assert float(angle_loss(vectors, vectors * 3)) == pytest.approx(0, abs=1e-6)
    assert float(angle_loss(vectors, -vectors)) == pytest.approx(2, abs=1e-6)
    short = torch.cat((vectors[:, :5], torch.zeros(4, 3)), 1)
    assert float(angle_loss(short, vectors[:, :5])) == pytest.approx(0, abs=1e-6)
    settings, task = started("recogniser", steps=2)
    teacher = tmp_path / "teacher.onnx"
    train(settings, task)
    task.export(settings, teacher)
    settings, task = started("recogniser", steps=12, state="taught", encoders={"identity": str(teacher)})
    figures = []
    train(settings, task, lambda step, values: figures.append(values))
    assert {"rendered", "photos", "length"} <= figures[0].keys()
    assert "match" not in figures[0]
    assert figures[-1]["rendered"] < 0.8 * figures[0]["rendered"]


def test_blends_show_both_faces():
    faces, others = torch.zeros(64, 3, 16, 16), torch.ones(64, 3, 16, 16)
    found = blended(faces, others, torch.Generator().manual_seed(0))
    even = (found.amax((1, 2, 3)) - found.amin((1, 2, 3))) < 1e-6
    assert 16 < int(even.sum()) < 48
    assert float(found[even].min()) >= 0.3
    assert float(found[even].max()) <= 0.7
    split = found[~even]
    assert torch.equal(split[:, :, :5], torch.zeros(len(split), 3, 5, 16))
    assert torch.equal(split[:, :, -3:], torch.ones(len(split), 3, 3, 16))


def test_the_teacher_is_asked_about_half_of_the_photos(shared, started):
    asked = str(shared / "teacher.onnx")
    settings, task = started("recogniser", photos={"asked": asked})
    teacher = load_recogniser(shared / "teacher.onnx", "CPU").differentiable()
    faces, people = torch.rand(4, 3, 112, 112, generator=torch.Generator().manual_seed(0)), torch.randn(4, teacher.dim)
    shown, wanted = half_blended(teacher, faces, people, torch.Generator().manual_seed(1))
    assert torch.equal(shown[:2], blended(faces[:2], faces[2:], torch.Generator().manual_seed(1)))
    assert torch.equal(shown[2:], faces[2:])
    torch.testing.assert_close(wanted, torch.cat((teacher(shown[:2]), people[2:])))
    figures = []
    train(settings, task, lambda step, values: figures.append(values))
    assert {"photos", "length"} <= figures[0].keys()
    with pytest.raises(SettingsError, match=r"photos\.asked: .*nowhere\.onnx does not exist"):
        started("recogniser", photos={"asked": str(shared / "nowhere.onnx")})


def test_misplaced_crops_are_no_faces(started):
    settings, task = started("recogniser", photos={"batch": 6})
    sample = first_sample(settings, task.dataset())
    sample = {key: value.repeat_interleave(16, 0) if key.startswith(PHOTO) else value for key, value in sample.items()}
    template = crop_points()
    found = misplaced_faces(sample, template, 128, torch.Generator().manual_seed(1))
    assert len(found) == 8
    right = align_faces(
        sample[PHOTO + "image"][:8].movedim(1, -1).float() / 255, sample[PHOTO + "points"][:8].double(), template, 128
    )
    assert float((found - right).abs().mean((1, 2, 3)).min()) > 0.05


@pytest.mark.parametrize("name", ["detector", "points"])
def test_detector_and_second_look_are_trained_on(started, tmp_path, name):
    """An exported file's weights are taken over: the network says what it said."""
    settings, task = started(name, steps=2)
    train(settings, task)
    out = tmp_path / "first.onnx"
    task.export(settings, out)
    _, again = started(name, steps=2, encoder={"initial": str(out)})
    side = 96 if name == "points" else 128
    shown = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        first, second = (list(one.network.eval()(shown)) for one in (task, again))
    for before, after in zip(first, second, strict=True):
        # Weights lie in the file in 8 bits.
        assert float((after - before).abs().max()) < 0.1 * float(before.abs().max() + 1)


def test_photos_lie_in_scenes_by_their_boxes(started):
    settings, task = started("detector", photos={"batch": 6})
    sample = first_sample(settings, task.dataset())
    boxes = torch.tensor([[10.0, 20.0, 50.0, 60.0]]).repeat(6, 1)
    boxes[3] = torch.nan
    sample[PHOTO + "box"] = boxes
    heads = heads_of(sample, torch.Generator().manual_seed(0))
    # Two drawn portraits, and the five photos in which a face was seen.
    assert len(heads.pictures) == len(heads.scraps) == len(heads.outlines) == len(heads.points) == 7
    outline = within(boxes[:1])[0]
    assert torch.allclose(torch.cat((outline.amin(0), outline.amax(0))), boxes[0], atol=0.3)
    assert torch.equal(heads.outlines[2], outline)
    assert torch.equal(heads.points[-1], sample[PHOTO + "points"][5])
    scenes = compose(sample, 16, torch.Generator().manual_seed(3))
    turn = torch.atan2(*(scenes.points[..., 1, :] - scenes.points[..., 0, :]).unbind(-1)[::-1]).rad2deg().abs()
    assert 30 < float(turn[scenes.certain].max()) < 62  # drawn eyes are level, photos' nearly


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "autoencoder", "data": {"kind": "photos"}}, "they stand beside rendered data"),
        ({"task": "sfsr"}, "photos are read by them; give encoders.identity and encoders.expression"),
        ({"task": "expression", "photos": {"teacher": "teacher"}}, "no other task takes one"),
        ({"task": "recogniser", "photos": {"teacher": None}}, "the task recogniser needs one"),
    ],
)
def test_settings_that_do_not_fit_are_named(shared, tmp_path, changes, message):
    entries = {"photos": {"path": str(shared / "store")}, **changes}
    entries["photos"] = {"path": str(shared / "store"), **entries["photos"]}
    with pytest.raises(SettingsError, match=message):
        load_settings(write_settings(tmp_path, shared / "triplets", tmp_path / "none", **entries))


def test_sources_are_chosen_in_the_settings(shared, started):
    settings, _ = started("expression", photos={"sources": ["nobody"], "batch": 2})
    assert open_mixed(settings).counts == (6, 4)
    settings, _ = started("expression")
    with pytest.raises(ValueError, match=r"photos: .*has no source london; found news, nobody"):
        open_mixed(settings.model_copy(update={"photos": settings.photos.model_copy(update={"sources": ("london",)})}))
