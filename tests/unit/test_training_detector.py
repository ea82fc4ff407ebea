"""The detector: scenes, what its anchors answer for, what it learns, and that insightface runs its file as it is."""

import cv2
import numpy as np
import pytest
import torch
from harness.tiny_training import drawn_face, write_portraits, write_settings, write_triplets

from sfsr_model.encoders.onnx_files import inspect_onnx
from sfsr_model.training.__main__ import main
from sfsr_model.training.data import collated, open_dataset
from sfsr_model.training.detector import DetectorTask, found_boxes
from sfsr_model.training.detector_loss import assign, detector_loss, overlaps
from sfsr_model.training.detector_network import Candidates, places
from sfsr_model.training.loop import train
from sfsr_model.training.scenes import SIDE, Scenes, compose, face_box
from sfsr_model.training.settings import load_settings

STEPS = 60


@pytest.fixture(scope="module")
def portraits(tmp_path_factory):
    return write_portraits(tmp_path_factory.mktemp("data") / "portraits")


@pytest.fixture(scope="module")
def trained(portraits, tmp_path_factory):
    """Settings file, task and losses of a short run."""
    folder = tmp_path_factory.mktemp("run")
    path = write_settings(
        folder, portraits, folder / "none", task="detector", steps=STEPS, batch=8, save_every=STEPS, sample_every=STEPS,
        optimiser={"rate": 0.004, "warmup": 10, "ema": 0.9},
    )  # fmt: skip
    settings, losses = load_settings(path), []
    task = DetectorTask(settings)
    train(settings, task, lambda step, values: losses.append(values["loss"]))
    return path, task, losses


def scenes_with(*boxes, certain=True):
    """One black scene with these boxes, whose five points lie about the middle."""
    found = torch.tensor(boxes, dtype=torch.float32)[None]
    middle = (found[..., None, :2] + found[..., None, 2:]) / 2
    points = middle + torch.tensor([[-5.0, -5], [5, -5], [0, 0], [-4, 5], [4, 5]])
    flags = torch.full((1, len(boxes)), certain)
    return Scenes(torch.zeros(1, 3, SIDE, SIDE), found, points, flags, ~flags)


def planted(scenes, assignment, score=20.0):
    """What a network says that is right about everything."""
    centres, strides = places(SIDE, SIDE)
    face = assignment.face[0].clamp_min(0)
    box, points = scenes.boxes[0, face], scenes.points[0, face]
    distances = torch.cat((centres - box[:, :2], box[:, 2:] - centres), -1) / strides[:, None]
    offsets = (points - centres[:, None]).flatten(1) / strides[:, None]
    scores = torch.where(assignment.face >= 0, score, -score)
    return Candidates(scores, distances[None], offsets[None])


def test_a_faces_box_holds_its_forehead():
    """Brows at 30, base of the nose at 60: the hairline is at 0."""
    landmarks = torch.full((68, 2), 60.0)
    landmarks[17:27, 1], landmarks[33, 1] = 30.0, 60.0
    landmarks[0, 0], landmarks[16, 0], landmarks[8, 1] = 10.0, 110.0, 95.0
    assert face_box(landmarks).tolist() == [10.0, 0.0, 110.0, 95.0]


def test_a_scene_says_where_its_faces_are(portraits, tmp_path):
    """Drawn skin is redder than blue, eyes are dark: under the points and between the eyes of a face to be found."""
    settings = load_settings(write_settings(tmp_path, portraits, tmp_path / "none", task="detector"))
    sample = collated(open_dataset(settings.data, ("pictures",)), 0, 8)
    scenes, again = (compose(sample, 32, torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(scenes.images, again.images)
    assert not torch.equal(scenes.images, compose(sample, 32, torch.Generator().manual_seed(5)).images)
    assert 0 <= float(scenes.images.min()) <= float(scenes.images.max()) <= 1
    sizes = scenes.boxes[..., 2:] - scenes.boxes[..., :2]
    skin = []
    for scene, number in scenes.certain.nonzero().tolist():
        box, points = scenes.boxes[scene, number], scenes.points[scene, number]
        assert ((points >= box[:2]) & (points <= box[2:])).all()
        x, y = points[:2].mean(0).round().long().clamp(0, SIDE - 1).tolist()
        skin.append(bool(scenes.images[scene, 0, y, x] > scenes.images[scene, 2, y, x]))
    assert len(skin) > 25
    assert np.mean(skin) > 0.85
    assert 23 <= float(sizes[scenes.certain].amax(-1).min()) < 40
    assert not scenes.certain.all(1).all()
    assert scenes.doubtful.any()
    assert not (scenes.doubtful & scenes.certain).any()


def test_triplets_make_scenes_too(tmp_path):
    data = write_triplets(tmp_path / "triplets")
    path = write_settings(tmp_path, data, tmp_path / "none", task="detector", steps=1, batch=2)
    task = DetectorTask(load_settings(path))
    loss, parts = task.loss(task.modules, collated(task.dataset(), 0, 2), torch.Generator().manual_seed(0))
    assert torch.isfinite(loss)
    assert parts.keys() == {"score", "box", "points", "overlap"}


@pytest.mark.parametrize(("side", "strides"), [(9, {8}), (20, {8}), (64, {16}), (104, {16, 32}), (180, {32})])
def test_a_faces_size_chooses_its_anchors(side, strides):
    low = SIDE / 2 - side / 2 + 3
    found = assign(scenes_with((low, low, low + side, low + side)), SIDE, SIDE)
    centres, stride = places(SIDE, SIDE)
    chosen = found.face[0] == 0
    assert set(stride[chosen].tolist()) == strides
    assert ((centres[chosen] - (SIDE / 2 + 3)).abs().amax(-1) <= 1.5 * stride[chosen]).all()
    assert found.judged.all()


def test_a_doubtful_face_is_not_judged():
    found = assign(scenes_with((40.0, 40.0, 100.0, 100.0), certain=False), SIDE, SIDE)
    centres, _ = places(SIDE, SIDE)
    inside = ((centres >= 40) & (centres <= 100)).all(-1)
    assert (found.face == -1).all()
    assert torch.equal(found.judged[0], ~inside)


def test_overlaps():
    """Half of each of two squares shared: IoU 1 / 3; apart by their own width: 0, and a third of the hull empty."""
    square = torch.tensor([[0.0, 0.0, 2.0, 2.0]])
    for other, iou, generalised in (((1.0, 0, 3, 2), 1 / 3, 1 / 3), ((4.0, 0, 6, 2), 0.0, -1 / 3)):
        found = overlaps(square, torch.tensor([other]))
        assert [float(value) for value in found] == pytest.approx([iou, generalised])


def test_what_is_right_costs_nothing():
    scenes = scenes_with((20.0, 20.0, 60.0, 70.0), (90.0, 80.0, 180.0, 185.0))
    assignment = assign(scenes, SIDE, SIDE)
    right = planted(scenes, assignment)
    parts = detector_loss(right, scenes, assignment)
    assert [float(parts[name]) for name in ("score", "box", "points", "overlap")] == pytest.approx([0, 0, 0, 1], abs=1e-5)
    boxes = found_boxes(right, SIDE, SIDE)[0]
    assert {tuple(box) for box in boxes.round().tolist()} == {(20, 20, 60, 70), (90, 80, 180, 185)}
    for wrong in (
        Candidates(-right.scores, right.boxes, right.points),
        Candidates(right.scores, right.boxes * 1.2, right.points),
        Candidates(right.scores, right.boxes, right.points + 0.2),
    ):
        assert float(sum(detector_loss(wrong, scenes, assignment).values())) > 1.02


def test_a_scene_without_faces_costs_its_false_finds_alone():
    scenes = scenes_with((0.0, 0.0, 0.0, 0.0), certain=True)
    scenes = Scenes(scenes.images, scenes.boxes, scenes.points, ~scenes.certain, scenes.doubtful)
    assignment = assign(scenes, SIDE, SIDE)
    parts = detector_loss(planted(scenes, assignment, score=-5.0), scenes, assignment)
    assert float(parts["score"]) > 1
    assert float(parts["box"]) == float(parts["points"]) == 0


def test_it_learns(trained):
    path, _, losses = trained
    assert sum(losses[-10:]) < 0.75 * sum(losses[:10])
    assert (path.parent / f"state/sample-{STEPS:08d}.png").is_file()


def test_insightface_finds_a_face_with_the_exported_file(trained, tmp_path):
    from insightface.app import FaceAnalysis

    path, _, _ = trained
    out = tmp_path / "pack" / "detector.onnx"
    assert main(["export", str(path), "--out", str(out)]) == 0
    assert out.stat().st_size < 2 * 1024 * 1024
    kept = inspect_onnx(out)
    assert (kept.task, kept.gives_points) == ("detection", True)
    app = FaceAnalysis(name=str(out.parent), providers=["CPUExecutionProvider"])
    app.prepare(ctx_id=-1, det_thresh=0.1, det_size=(SIDE, SIDE))
    face = drawn_face(np.random.default_rng(7), 128)
    # Not square, so that rows and columns cannot be exchanged.
    picture = cv2.copyMakeBorder(face["image"], 40, 24, 20, 12, cv2.BORDER_CONSTANT, value=(90, 120, 60))
    boxes, points = app.det_model.detect(np.ascontiguousarray(picture[..., ::-1]))
    shift = torch.tensor([20.0, 40.0])
    wanted = face_box(torch.from_numpy(face["landmarks"]) + shift)
    overlap, _ = overlaps(torch.from_numpy(boxes[:1, :4]), wanted[None])
    assert float(overlap) > 0.35
    eyes = torch.from_numpy(points[0, :2]).mean(0)
    assert float((eyes - (torch.from_numpy(face["landmarks"])[36:48].mean(0) + shift)).norm()) < 15


def test_photos_have_no_landmarks_to_learn_from(portraits, tmp_path, capsys):
    path = write_settings(tmp_path, portraits, tmp_path / "none", task="detector", data={"kind": "photos"})
    assert main(["run", str(path)]) == 2
    assert "task: detector learns from rendered" in capsys.readouterr().err


def test_a_set_of_another_kind_is_named(portraits, tmp_path, capsys):
    path = write_settings(tmp_path, portraits, tmp_path / "none", task="recogniser")
    assert main(["run", str(path)]) == 2
    assert "holds pictures of 64 pixels; expected triplets of 64" in capsys.readouterr().err
    assert main(["run", str(path), "--set", "task=detector", "--set", "data.size=128"]) == 2
    assert "holds pictures of 64 pixels; expected triplets or pictures of 128" in capsys.readouterr().err


def test_nothing_to_export_is_named(portraits, tmp_path, capsys):
    path = write_settings(tmp_path, portraits, tmp_path / "none", task="detector")
    assert main(["export", str(path), "--out", str(tmp_path / "x.onnx")]) == 2
    assert "holds no state; train first" in capsys.readouterr().err
    assert not (tmp_path / "x.onnx").exists()
