"""The bundled mean face, heads laid on landmarks, and landmarks with a wanted expression."""

from __future__ import annotations

import math

import pytest
import torch

from sfsr_model.bundled import BUNDLED, DamagedFileError
from sfsr_model.drawing import face_points as module
from sfsr_model.drawing.edges import INNER_LOWER_LIP, INNER_UPPER_LIP, LEFT_IRIS, OVAL, RIGHT_IRIS
from sfsr_model.drawing.face_points import FacePoints, FacePointsError, bundled_face_points, five_of, load_face_points
from sfsr_model.drawing.head import Head, head_of, mean_head, pose_rotation, similarity, uncrossed, upright_head
from sfsr_model.drawing.preview import MOST, SIDE, preview, shown_frames
from sfsr_model.expressions import ARKIT_INDEX, ARKIT_NAMES, Expression, concatenate, word_expression
from sfsr_model.face import five_points
from sfsr_model.landmarker.pose import rotation_angles

CHIN, LEFT_CORNER, RIGHT_CORNER = 152, 291, 61


@pytest.fixture(scope="module")
def points() -> FacePoints:
    return bundled_face_points()


def wearing(**named: float) -> torch.Tensor:
    row = torch.zeros(len(ARKIT_NAMES))
    for name, value in named.items():
        row[ARKIT_INDEX[name]] = value
    return row


def test_the_mean_face_is_one_and_looks_ahead(points):
    left, right, nose, mouth_left, mouth_right = five_of(points.mean)
    assert torch.allclose(right - left, torch.tensor([1.0, 0.0, 0.0]), atol=0.02)
    assert nose[2] < left[2]  # z grows away from the viewer
    assert mouth_left[1] > nose[1] > left[1]
    assert mouth_right[0] > mouth_left[0]
    assert BUNDLED.face_points.stat().st_size < 200_000


def test_both_sides_are_mirror_images(points):
    mirror = points.mean * torch.tensor([-1.0, 1.0, 1.0])
    for left, right in ((291, 61), (263, 33), (454, 234), (336, 107)):
        assert (mirror[left] - points.mean[right]).norm() < 0.05
    for stem in ("mouthSmile", "eyeBlink", "browDown"):
        moved = points.moved(torch.stack([wearing(**{stem + side: 1.0}) for side in ("Left", "Right")])).norm(dim=-1)
        assert moved[0, :468].sum() == pytest.approx(float(moved[1, :468].sum()), rel=0.1)


@pytest.mark.parametrize(
    ("name", "point", "axis", "sign"),
    [
        ("jawOpen", CHIN, 1, 1),
        ("mouthSmileLeft", LEFT_CORNER, 1, -1),
        ("mouthFrownRight", RIGHT_CORNER, 1, 1),
        ("browInnerUp", 107, 1, -1),
        ("browDownLeft", 334, 1, 1),
        ("eyeBlinkLeft", 386, 1, 1),
        ("eyeLookUpLeft", LEFT_IRIS[0], 1, -1),
        ("eyeLookOutLeft", LEFT_IRIS[0], 0, 1),
        ("eyeLookOutRight", RIGHT_IRIS[0], 0, -1),
        ("mouthPucker", LEFT_CORNER, 0, -1),
    ],
)
def test_a_coefficient_moves_its_point_its_way(points, name, point, axis, sign):
    move = points.moved(wearing(**{name: 1.0}))[point, axis]
    assert sign * float(move) > 0.02


def test_the_skin_stays_where_the_eyes_alone_move(points):
    move = points.moved(wearing(eyeLookInLeft=1.0, eyeLookOutRight=1.0))
    assert move[[LEFT_CORNER, RIGHT_CORNER, *OVAL]].norm(dim=-1).max() < 0.01
    assert move[[LEFT_IRIS[0], RIGHT_IRIS[0]]].norm(dim=-1).min() > 0.04


def test_a_head_is_laid_on_its_own_landmarks(points):
    worn = wearing(jawOpen=0.6, mouthSmileLeft=0.4, browInnerUp=0.8)
    turn = pose_rotation(torch.tensor([0.2, -0.4, 0.15]))
    shift = torch.tensor([200.0, 150.0, 3.0])
    landmarks = 90 * (points.mean + points.moved(worn)) @ turn.T + shift
    head = head_of(landmarks, worn, points)
    assert head.scale == pytest.approx(90, rel=1e-3)
    assert torch.allclose(head.rotation, turn, atol=1e-3)
    assert torch.allclose(head.shape, points.mean, atol=2e-3)
    assert torch.allclose(head.wearing(worn, points), landmarks, atol=0.2)


def test_another_expression_keeps_the_persons_shape_and_place(points):
    own = points.mean.clone()
    own[CHIN, 1] += 0.2
    head = Head(own, 80.0, torch.eye(3), torch.zeros(3))
    rest, open_jaw = head.wearing(wearing(), points), head.wearing(wearing(jawOpen=1.0), points)
    assert rest[CHIN, 1] == pytest.approx(80 * float(own[CHIN, 1]), rel=1e-4)
    assert open_jaw[CHIN, 1] - rest[CHIN, 1] == pytest.approx(
        80 * float(points.moves[ARKIT_INDEX["jawOpen"], CHIN, 1]), rel=1e-3
    )
    half = head.shaped_as(points.mean, 0.5).wearing(wearing(), points)
    assert half[CHIN, 1] == pytest.approx(80 * float(own[CHIN, 1] + points.mean[CHIN, 1]) / 2, rel=1e-4)


def test_lips_meet_and_do_not_cross(points):
    crossing = points.mean.clone()
    crossing[13, 1], crossing[14, 1] = crossing[14, 1] + 0.1, crossing[13, 1] - 0.1
    met = uncrossed(crossing)
    assert met[13, 1] == pytest.approx(float(met[14, 1]))
    for seed in range(5):
        worn = torch.rand(len(ARKIT_NAMES), generator=torch.Generator().manual_seed(seed))
        face = Head(points.mean, 1.0, torch.eye(3), torch.zeros(3)).wearing(worn, points)
        gap = face[list(INNER_LOWER_LIP), 1] - face[list(INNER_UPPER_LIP), 1]
        assert gap.min() > -1e-6


def test_a_pose_turns_the_head_as_expressions_say(points):
    pose = torch.tensor([0.3, -0.5, 0.2])
    flip = torch.tensor([1.0, -1.0, -1.0])
    rotation = flip[:, None] * pose_rotation(pose) * flip
    assert torch.allclose(rotation_angles(rotation[None])[0], pose, atol=1e-6)
    # To the person's own left: the nose goes to the picture's right.
    turned = (
        Head(points.mean, 1.0, torch.eye(3), torch.zeros(3)).turned(torch.tensor([0.0, 0.5, 0.0])).wearing(wearing(), points)
    )
    assert turned[4, 0] > points.mean[4, 0] + 0.1


def test_the_mean_face_lies_on_five_points(points):
    turn = pose_rotation(torch.tensor([0.0, 0.35, 0.2]))
    true = 60 * points.mean @ turn.T + torch.tensor([130.0, 90.0, 0.0])
    head = mean_head(five_points(true), points)
    laid = head.wearing(wearing(), points)
    assert head.scale == pytest.approx(60, rel=0.08)
    assert (five_points(laid) - five_points(true)).norm(dim=-1).mean() < 0.08 * 60


@pytest.mark.parametrize("size", [(512, 512), (512, 320), (256, 768)])
def test_an_upright_face_fills_its_share(points, size):
    face = upright_head(size, 0.8, points).wearing(wearing(), points)[:, :2]
    low, high = face.amin(0), face.amax(0)
    extent = (high - low) / torch.tensor([float(size[1]), float(size[0])])
    assert extent.max() == pytest.approx(0.8, abs=0.02)
    assert torch.allclose((low + high) / 2, torch.tensor([size[1] - 1.0, size[0] - 1.0]) / 2, atol=size[0] * 0.02)


def test_a_similarity_is_found_again_by_the_points_that_count():
    generator = torch.Generator().manual_seed(0)
    source = torch.randn(20, 3, generator=generator)
    turn = pose_rotation(torch.tensor([0.4, 0.2, -0.6]))
    target = 2.5 * source @ turn.T + torch.tensor([1.0, 2.0, 3.0])
    target[0] += 50
    weights = torch.ones(20)
    weights[0] = 0
    scale, rotation, shift = similarity(source, target, weights)
    assert scale == pytest.approx(2.5, rel=1e-5)
    assert torch.allclose(rotation, turn, atol=1e-5)
    assert torch.allclose(shift, torch.tensor([1.0, 2.0, 3.0]), atol=1e-4)


def test_files(points, tmp_path, monkeypatch):
    path = tmp_path / "face.safetensors"
    points.save(path, "a test")
    again = load_face_points(path)
    assert torch.equal(again.mean, points.mean)
    with pytest.raises(FacePointsError, match=r"none\.safetensors: no such file"):
        load_face_points(tmp_path / "none.safetensors")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(FacePointsError, match=r"face\.safetensors: not a readable"):
        load_face_points(path)
    with pytest.raises(FacePointsError, match=r"moves: shape \[1\]"):
        FacePoints(points.mean, torch.zeros(1))
    monkeypatch.setattr(module, "load_face_points", lambda: load_face_points(path))
    with pytest.raises(DamagedFileError, match="git checkout"):
        bundled_face_points.__wrapped__()


def test_previews_differ_by_expression_and_pose():
    joy, anger = word_expression("joy"), word_expression("anger")
    one, other = preview(joy), preview(anger)
    assert one.shape == (1, SIDE, SIDE, 3)
    assert 0 < float(one.max()) <= 1
    assert not torch.equal(one, other)
    assert torch.equal(one, preview(word_expression("joy")))
    turned = Expression(joy.coefficients, torch.tensor([[0.0, math.radians(30), 0.0]]))
    assert not torch.equal(preview(turned), preview(Expression(joy.coefficients, torch.zeros(1, 3))))


def test_a_batch_is_a_grid_in_its_order():
    batch = concatenate([word_expression(word) for word in ("joy", "anger", "fear")])
    row = preview(batch)[0]
    assert row.shape[1] == 3 * row.shape[0]
    faces, fears = row.chunk(3, 1), preview(batch.rows([2, 1, 0]))[0].chunk(3, 1)
    assert all(torch.equal(face, other) for face, other in zip(faces, reversed(fears), strict=True))
    assert not torch.equal(faces[0], faces[2])
    many = shown_frames(1000)
    assert len(many) == MOST
    assert (many[0], many[-1]) == (0, 999)
    assert many == sorted(set(many))
