"""The detector: scenes, what its anchors answer for, what it learns, and that insightface runs its file as it is."""

import numpy as np
import onnxruntime
import pytest
import torch
from testkit.tiny_training import write_portraits, write_settings, write_triplets

from sfsr_model.encoders.onnx_files import inspect_onnx
from sfsr_model.training.__main__ import main
from sfsr_model.training.data import collated
from sfsr_model.training.detector import DetectorTask, found_boxes, scaled
from sfsr_model.training.detector_loss import assign, detector_loss, overlaps
from sfsr_model.training.detector_network import Candidates, export_detector, joined, places
from sfsr_model.training.scenes import SIDE, Scenes, compose, draw_scenes, face_box
from sfsr_model.training.settings import load_settings

STEPS = 40


@pytest.fixture(scope="module")
def portraits(tmp_path_factory):
    return write_portraits(tmp_path_factory.mktemp("data") / "portraits")


@pytest.fixture
def started(portraits, tmp_path):
    """Settings file and task; changes replace settings."""

    def make(**changes):
        path = write_settings(tmp_path, portraits, tmp_path / "none", **{"task": "detector", "batch": 8, **changes})
        return path, DetectorTask(load_settings(path))

    return make


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


def test_a_scene_says_where_its_faces_are(started):
    """Drawn skin is redder than blue, eyes are dark: under the points and between the eyes of a face to be found."""
    sample = collated(started()[1].dataset(), 0, 8)
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


def test_wide_scenes_are_for_large_faces(started):
    scenes = compose(collated(started()[1].dataset(), 0, 8), 24, torch.Generator().manual_seed(2), 3 * SIDE)
    longer = (scenes.boxes[..., 2:] - scenes.boxes[..., :2]).amax(-1)[scenes.certain]
    assert scenes.images.shape[-2:] == (3 * SIDE, 3 * SIDE)
    assert float(longer.min()) > 3 * 23
    assert 0.1 < float((longer > 1.5 * SIDE).float().mean()) < 0.6


def test_a_step_of_wide_scenes_costs_as_much(started):
    sample = collated(started()[1].dataset(), 0, 8)
    shapes = {tuple(draw_scenes(sample, 16, torch.Generator().manual_seed(seed)).images.shape) for seed in range(20)}
    assert shapes == {(16, 3, SIDE, SIDE), (4, 3, 2 * SIDE, 2 * SIDE), (2, 3, 3 * SIDE, 3 * SIDE)}


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


def test_it_learns_and_insightface_reads_what_it_learned(started, tmp_path):
    """The same four scenes again and again: nearly all of their faces are then found by the exported file."""
    from insightface.app import FaceAnalysis

    _, task = started()
    scenes = compose(collated(task.dataset(), 0, 8), 4, torch.Generator().manual_seed(1))
    assignment = assign(scenes, SIDE, SIDE)
    optimiser = torch.optim.AdamW(task.network.parameters(), 0.004)
    losses = []
    for _ in range(STEPS):
        parts = detector_loss(joined(task.network.train()(scaled(scenes.images))), scenes, assignment)
        loss = parts["score"] + parts["box"] + parts["points"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.4 * losses[0]
    export_detector(task.network, tmp_path / "pack" / "detector.onnx")
    app = FaceAnalysis(name=str(tmp_path / "pack"), providers=["CPUExecutionProvider"])
    app.prepare(ctx_id=-1, det_thresh=0.3, det_size=(SIDE, SIDE))
    hits = []
    for scene, number in scenes.certain.nonzero().tolist():
        pixels = (scenes.images[scene].movedim(0, -1).flip(-1) * 255).round().byte().numpy()
        boxes, points = app.det_model.detect(np.ascontiguousarray(pixels))
        wanted = scenes.boxes[scene, number]
        overlap, _ = overlaps(torch.from_numpy(boxes[:, :4]), wanted.expand(len(boxes), 4))
        off = (torch.from_numpy(points) - scenes.points[scene, number]).norm(dim=-1).mean(-1)
        near = off < 0.15 * (wanted[2:] - wanted[:2]).amax()
        hits.append(bool(((overlap > 0.5) & near).any()))
    assert len(hits) >= 4
    assert np.mean(hits) > 0.7


def test_a_run_is_exported_as_a_detector_for_pictures_of_any_size(started, tmp_path):
    path, task = started(steps=2, sample_every=2)
    assert main(["run", str(path)]) == 0
    assert (tmp_path / "state/sample-00000002.png").is_file()
    out = tmp_path / "weights" / "detector.onnx"
    assert main(["export", str(path), "--out", str(out)]) == 0
    assert out.stat().st_size < 1024 * 1024
    kept = inspect_onnx(out)
    assert (kept.task, kept.gives_points) == ("detection", True)
    task.export(load_settings(path), tmp_path / "again.onnx")
    picture = torch.rand(1, 3, 64, 96)
    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    read = [torch.from_numpy(values)[None] for values in session.run(None, {"input.1": scaled(picture).numpy()})]
    assert [tuple(values.shape[1:]) for values in read] == [(k, size) for size in (1, 4, 10) for k in (192, 48, 12)]
    with torch.no_grad():
        wanted = task.network.eval()(scaled(picture))
    for values, output, score in zip(read, wanted, [True] * 3 + [False] * 6, strict=True):
        torch.testing.assert_close(values, output.sigmoid() if score else output, atol=5e-3, rtol=1e-2)


def test_photos_have_no_landmarks_to_learn_from(started, capsys):
    path, _ = started()
    assert main(["run", str(path), "--set", "data.kind=photos"]) == 2
    assert "task: detector learns from rendered" in capsys.readouterr().err


def test_a_set_of_another_kind_is_named(started, capsys):
    path, _ = started()
    assert main(["run", str(path), "--set", "task=recogniser"]) == 2
    assert "holds pictures of 64 pixels; expected triplets of 64" in capsys.readouterr().err
    assert main(["run", str(path), "--set", "data.size=128"]) == 2
    assert "holds pictures of 64 pixels; expected triplets or pictures of 128" in capsys.readouterr().err


def test_nothing_to_export_is_named(started, tmp_path, capsys):
    path, _ = started()
    assert main(["export", str(path), "--out", str(tmp_path / "x.onnx")]) == 2
    assert "holds no state; train first" in capsys.readouterr().err
    assert not (tmp_path / "x.onnx").exists()
