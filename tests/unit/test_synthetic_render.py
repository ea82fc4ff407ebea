"""Rendered faces: determinism, truth, and what each control does."""

import hashlib
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from testkit.tiny_makehuman import tiny_folder

from sfsr_model.expressions import ARKIT_INDEX, ARKIT_NAMES
from sfsr_model.face import crop_transform
from sfsr_model.face.crop import apply_affine
from sfsr_model.synthetic.arkit_table import parts_of, side_of
from sfsr_model.synthetic.identity import IdentitySpace, macro_weights
from sfsr_model.synthetic.model import FaceModel
from sfsr_model.synthetic.render import LABELS, render
from sfsr_model.synthetic.rig import matrix_pose, pose_matrix, tilt
from sfsr_model.synthetic.sample import sample_parts, sample_picture
from sfsr_model.synthetic.shape import make_shape, neutral_points

ROOT = Path(__file__).parents[2]
REST = np.zeros(len(ARKIT_NAMES), np.float32)


@pytest.fixture(scope="module")
def model():
    return FaceModel.load(tiny_folder() / "faces.npz")


@pytest.fixture(scope="module")
def space(model):
    return IdentitySpace.of(model)


def scene_parts(model, number=0):
    identity, _, look, scene = sample_parts(model, 3, number, finish_strength=0.0)
    return identity, replace(look, glasses=None), replace(scene, occluder=None, pose=(0.0, 0.0, 0.0), trunk=0.0)


def movement(**values):
    coefficients = REST.copy()
    for name, value in values.items():
        coefficients[ARKIT_INDEX[name]] = value
    return coefficients


def test_same_seed_same_pixels_in_another_process(model):
    code = (
        "import hashlib, sys; from sfsr_model.synthetic.model import FaceModel; "
        "from sfsr_model.synthetic.sample import sample_picture; m = FaceModel.load(sys.argv[1]); sample_picture(m, 8, 0, 64); "
        "p = sample_picture(m, 8, 5, 96); print(hashlib.sha256(p.image.tobytes() + p.landmarks.tobytes()).hexdigest())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tiny_folder() / "faces.npz")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    here = sample_picture(model, 8, 5, 96)
    assert done.stdout.strip() == hashlib.sha256(here.image.tobytes() + here.landmarks.tobytes()).hexdigest()


def test_another_number_is_another_picture(model):
    assert (sample_picture(model, 8, 5, 64).image != sample_picture(model, 8, 6, 64).image).any()


def test_identity_is_a_shape_and_nothing_else(model, space):
    one, other = (space.sample(np.random.default_rng(seed)) for seed in (1, 2))
    assert (neutral_points(model, space, one) == neutral_points(model, space, one.copy())).all()
    assert np.abs(neutral_points(model, space, one) - neutral_points(model, space, other)).max() > 1e-3


def test_macro_weights_are_shares(space):
    weights = macro_weights(space.sample(np.random.default_rng(0)))
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1)


def test_a_slider_at_the_middle_moves_nothing(model, space):
    assert space.slider_weights(np.zeros(len(space.names), np.float32)).max() == 0


def test_sides_are_the_same_unless_asymmetry_says_otherwise(space):
    vector = np.zeros(len(space.names), np.float32)
    vector[space.names.index("eyes/eye-bag")] = 0.8
    weights = dict(zip(space.keys, space.slider_weights(vector), strict=True))
    assert weights["eyes/eye-bag|l+"] == weights["eyes/eye-bag|r+"] > 0
    vector[space.names.index("eyes/eye-bag asymmetry")] = 0.5
    weights = dict(zip(space.keys, space.slider_weights(vector), strict=True))
    assert weights["eyes/eye-bag|l+"] > weights["eyes/eye-bag|r+"]


@pytest.mark.parametrize(
    ("vector", "message"), [(np.zeros(3), "expected a vector of"), ("nan", "expected -1 to 1"), (2.0, "is 2.0")]
)
def test_bad_identities_are_refused(space, vector, message):
    if not isinstance(vector, np.ndarray):
        vector = np.full(len(space.names), float(vector))
    with pytest.raises(ValueError, match=message):
        space.check(vector)


@pytest.mark.parametrize(
    ("coefficients", "message"), [(np.zeros(51), "expected 52 numbers"), (movement(jawOpen=1.5), r"\(jawOpen\) is 1.5")]
)
def test_bad_coefficients_are_refused(model, space, coefficients, message):
    neutral = neutral_points(model, space, np.zeros(len(space.names)))
    with pytest.raises(ValueError, match=message):
        make_shape(model, neutral, coefficients)


def test_every_coefficient_has_a_recipe_of_its_own_side():
    for name in ARKIT_NAMES:
        other = {"Left": "Right", "Right": "Left", "": None}[side_of(name)]
        assert parts_of(name)
        if other:
            assert not any(other.lower() in unit.lower() for _, unit, _ in parts_of(name))


def test_jaw_opens_the_mouth_and_nothing_above_it(model):
    identity, look, scene = scene_parts(model)
    shut = render(model, identity, REST, look, scene, 96).landmarks
    opened = render(model, identity, movement(jawOpen=1.0), look, scene, 96).landmarks
    assert opened[66, 1] > shut[66, 1] + 1
    assert opened[36:48] == pytest.approx(shut[36:48])


def test_a_raised_inner_brow_is_not_pressed_down(model, space):
    neutral = neutral_points(model, space, np.zeros(len(space.names)))
    down = movement(browDownLeft=0.5, browDownRight=0.5)
    raised = movement(browInnerUp=1.0)
    alone = make_shape(model, neutral, down).points - make_shape(model, neutral, REST).points
    beside = make_shape(model, neutral, down + raised).points - make_shape(model, neutral, raised).points
    assert 0 < np.abs(beside).max() < 0.3 * np.abs(alone).max()


def test_left_blink_stays_left(model):
    identity, look, scene = scene_parts(model)
    rest = render(model, identity, REST, look, scene, 96).landmarks
    blink = render(model, identity, movement(eyeBlinkLeft=1.0), look, scene, 96).landmarks
    moved = np.abs(blink - rest).max(1)
    assert moved[[43, 44]].min() > 0.5
    assert moved[[37, 38]].max() == pytest.approx(0, abs=1e-6)
    assert blink[43, 0] > blink[38, 0]  # the person's left lies right in the picture


def test_gaze_turns_the_eyeball_rigidly(model, space):
    neutral = neutral_points(model, space, np.zeros(len(space.names)))
    ahead = make_shape(model, neutral, REST)
    left = make_shape(model, neutral, movement(eyeLookOutLeft=1.0, eyeLookInRight=1.0))
    for before, after in zip(ahead.eyes, left.eyes, strict=True):
        assert (before.centre == after.centre).all()
        assert after.turn[0, 2] > before.turn[0, 2] + 0.3  # towards +x, the person's left
        assert after.turn @ after.turn.T == pytest.approx(np.eye(3), abs=1e-6)


def test_pose_follows_the_sign_convention(model):
    identity, look, scene = scene_parts(model)

    def nose(pose):
        marks = render(model, identity, REST, look, replace(scene, pose=pose), 128).landmarks
        return marks[30] - (marks[36] + marks[45]) / 2, marks[45] - marks[36]

    rest, _ = nose((0.0, 0.0, 0.0))
    assert nose((0.0, 0.4, 0.0))[0][0] > rest[0] + 2  # yaw to the person's left is to the picture's right
    assert nose((0.3, 0.0, 0.0))[0][1] < rest[1] - 2  # pitch raises the face
    assert nose((0.0, 0.0, 0.2))[1][1] > 2  # roll is clockwise for the viewer


def test_pose_and_matrix_are_inverse():
    pose = (0.2, -0.9, 0.3)
    assert matrix_pose(pose_matrix(pose)) == pytest.approx(pose)
    assert matrix_pose(tilt(pose_matrix((0.0, 0.0, 0.1)), 0.25)) == pytest.approx((0.0, 0.0, 0.35))


def test_aligned_pictures_follow_the_crop_rule(model):
    picture = sample_picture(model, 3, 1, 96, aligned=True)
    points = torch.from_numpy(picture.landmarks)
    assert apply_affine(crop_transform(points, 96), points).numpy() == pytest.approx(picture.landmarks, abs=1e-6)


def test_painted_skins_are_drawn_from_the_mesh_alone(model):
    path = tiny_folder() / "faces.npz"
    first, second = (FaceModel.load(path, procedural_skin=True) for _ in range(2))
    assert (first.skins == second.skins).all()
    assert len(first.skins) == len(model.skins)
    assert len({skin.tobytes() for skin in first.skins}) == len(first.skins)
    assert (sample_picture(first, 3, 1, 64).image != sample_picture(model, 3, 1, 64).image).any()


def test_labels_and_depth_agree(model):
    identity, look, scene = scene_parts(model)
    picture = render(model, identity, REST, look, scene, 96)
    face = picture.labels == LABELS.index("skin")
    assert face.sum() > 500
    assert (picture.depth[face] > 1).all()
    assert (picture.depth[0, :3] == 0).all()
    x, y = picture.landmarks[30].round().astype(int)
    assert abs(picture.depth[y, x] - scene.camera.distance) < 1.5


def test_box_holds_the_landmarks(model):
    picture = sample_picture(model, 3, 1, 96)
    left, top, right, bottom = picture.box
    assert left <= picture.landmarks[:, 0].min()
    assert right >= picture.landmarks[:, 0].max()
    assert top < picture.landmarks[:, 1].min()
    assert bottom >= picture.landmarks[:, 1].max()
    assert picture.five.shape == (5, 2)


def test_yaw_stays_in_bounds(model):
    yaws = [sample_parts(model, 1, number, max_yaw=math.radians(20))[3].pose[1] for number in range(50)]
    assert max(map(abs, yaws)) <= math.radians(20)
    assert max(map(abs, yaws)) > math.radians(2)


def test_too_small_a_picture_is_refused(model):
    with pytest.raises(ValueError, match="at least 32 pixels, got 8"):
        sample_picture(model, 1, 0, 8)


@pytest.mark.parametrize(("seed", "number", "message"), [(-1, 0, "seed: .* -1"), (0, -2, "number: .* -2"), (0.5, 0, "seed")])
def test_impossible_numbers_are_refused(model, seed, number, message):
    with pytest.raises(ValueError, match=message):
        sample_picture(model, seed, number, 64)
