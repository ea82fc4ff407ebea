"""Landmarks, crop rule and mask: exact where a formula is exact, bounded over all faces a detector may report."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sfsr_model.face import crop, landmarks, mask
from sfsr_model.face.frame import face_frame

ANGLES = st.floats(-math.pi, math.pi)


def posed_face(yaw=0.0, pitch=0.0, roll=0.0, size=60.0, jaw=0.0, centre=(300.0, 200.0)) -> torch.Tensor:
    """Canonical points [5, 2] of an average rigid head, angles in degrees, size = eye distance in pixels."""
    head = torch.tensor([[-0.5, 0, 0], [0.5, 0, 0], [0, 0.6, 0.5], [-0.41, 1.12, 0.1], [0.41, 1.12, 0.1]], dtype=torch.float64)
    head[3:, 1] += jaw
    y, p, r = (math.radians(angle) for angle in (yaw, pitch, roll))
    turn = torch.tensor([[math.cos(y), 0, math.sin(y)], [0, 1, 0], [-math.sin(y), 0, math.cos(y)]], dtype=torch.float64)
    nod = torch.tensor([[1, 0, 0], [0, math.cos(p), -math.sin(p)], [0, math.sin(p), math.cos(p)]], dtype=torch.float64)
    tilt = torch.tensor([[math.cos(r), -math.sin(r)], [math.sin(r), math.cos(r)]], dtype=torch.float64)
    return (head @ (nod @ turn).T)[:, :2] @ tilt.T * size + torch.tensor(centre, dtype=torch.float64)


POSES = st.builds(
    posed_face,
    yaw=st.floats(-60, 60),
    pitch=st.floats(-30, 30),
    roll=st.floats(-180, 180),
    size=st.floats(12, 600),
    jaw=st.floats(0, 0.15),
)


def spread(five: torch.Tensor, count: int) -> torch.Tensor:
    """Landmarks of another scheme whose defining groups lie about the five points with their means on them."""
    scattered = torch.full((count, 2), 1e4, dtype=torch.float64)
    if count == 68:
        eyes, single = [range(36, 42), range(42, 48)], [30, 48, 54]
    else:
        eyes = [(33, 160, 158, 133, 153, 144), (362, 385, 387, 263, 373, 380)]
        single = [4, 61, 291]
    ring = torch.tensor([[math.cos(k * math.pi / 3), math.sin(k * math.pi / 3)] for k in range(6)], dtype=torch.float64)
    for group, eye in zip(eyes, five[:2], strict=True):
        scattered[list(group)] = eye + 7 * ring
    scattered[single] = five[2:]
    return scattered


@pytest.mark.parametrize("count", [68, 468, 478])
def test_every_scheme_gives_the_same_five_points(count):
    five = posed_face(yaw=20, roll=10)
    assert torch.allclose(landmarks.five_points(spread(five, count)), five, atol=1e-9)


def test_depth_is_ignored_and_five_points_pass_through():
    five = posed_face()
    assert torch.equal(landmarks.five_points(five), five)
    deep = torch.cat((five, torch.full((5, 1), float("nan"), dtype=torch.float64)), 1)
    assert torch.equal(landmarks.five_points(deep), five)


@pytest.mark.parametrize("shape", [(5,), (6, 2), (5, 4), (106, 2)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="5, 68, 468 or 478"):
        landmarks.five_points(torch.zeros(shape))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(value):
    broken = posed_face()
    broken[2, 1] = value
    with pytest.raises(ValueError, match="NaN or infinite"):
        face_frame(broken, (400, 600), 128)


def test_coincident_points_are_refused():
    with pytest.raises(ValueError, match="coincide"):
        crop.crop_transform(torch.full((5, 2), 7.0), 128)
    with pytest.raises(ValueError, match="one place"):
        mask.face_mask(torch.full((5, 2), 7.0), 128)


@given(st.floats(-60, 60), st.floats(-30, 30), st.floats(-180, 180))
def test_the_axes_recover_yaw_at_any_pitch_and_roll(yaw, pitch, roll):
    axes = landmarks.face_axes(posed_face(yaw, pitch, roll))
    # The mouth stands a tenth of an eye distance before the eyes, which leans `down` by a few degrees.
    assert math.degrees(axes.yaw.item()) == pytest.approx(yaw, abs=10)
    assert axes.eye_distance.item() == pytest.approx(60, rel=0.12)


@given(POSES)
def test_real_poses_are_plausible(points):
    assert landmarks.plausible(points) is None


def test_impossible_faces_are_named():
    face = posed_face()
    mirrored = face[[1, 0, 2, 4, 3]]
    far_nose = face.clone()
    far_nose[2, 0] += 200
    nose_in_brow = face.clone()
    nose_in_brow[2, 1] -= 60
    wide = (face - face[2]) * torch.tensor([3.0, 1.0]) + face[2]
    thin_mouth = face.clone()
    thin_mouth[3, 0] = thin_mouth[4, 0] - 2
    skewed = face.clone()
    skewed[0, 1] -= 60
    skewed[1, 1] += 60
    reasons = {
        "mirrored": mirrored,
        "nose too far": far_nose,
        "nose tip at": nose_in_brow,
        "eye distance is": wide,
        "mouth is": thin_mouth,
        "eye line tilted": skewed,
        "too small": posed_face(size=4),
    }
    for reason, points in reasons.items():
        assert reason in (landmarks.plausible(points) or "passed"), reason
    assert "too small" in landmarks.plausible(torch.full((5, 2), 3.0))


@given(ANGLES, st.floats(0.05, 20), st.floats(-500, 500), st.floats(-500, 500))
def test_a_known_similarity_is_recovered(angle, scale, dx, dy):
    points = posed_face(yaw=15, pitch=5)
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    known = torch.tensor([[cos, -sin, dx], [sin, cos, dy]], dtype=torch.float64)
    found = crop.similarity(points, crop.apply_affine(known, points))
    assert torch.allclose(found, known, rtol=1e-9, atol=1e-7)


def test_the_similarity_is_the_least_squares_one():
    source, target = posed_face(yaw=40, pitch=-10, roll=25), crop.template() * 128
    best = crop.similarity(source, target)

    def error(transform):
        return ((crop.apply_affine(transform, source) - target) ** 2).sum()

    turn, grow = torch.eye(3, dtype=torch.float64)[:2], torch.zeros(2, 3, dtype=torch.float64)
    for small in (1e-3, -1e-3):
        shifted = best + torch.tensor([[0, 0, small], [0, 0, small]], dtype=torch.float64)
        grow = best * (1 + small)
        turn = torch.tensor([[1, -small], [small, 1]], dtype=torch.float64) @ best
        assert error(best) < min(error(shifted), error(grow), error(turn))


def test_a_frontal_face_lands_on_the_template():
    points = posed_face(roll=33, size=77)
    transform = crop.crop_transform(points, 256)
    # The rigid head's proportions are the template's, so nothing is left to compromise.
    assert torch.allclose(crop.apply_affine(transform, points), crop.template() * 256 - 0.5, atol=1e-6)


@given(POSES)
def test_inverting_a_crop_transform_undoes_it(points):
    transform = crop.crop_transform(points, 128)
    there = crop.apply_affine(transform, points)
    assert torch.allclose(crop.apply_affine(crop.invert_affine(transform), there), points, atol=1e-6)


def test_a_singular_transform_is_refused():
    with pytest.raises(ValueError, match="singular"):
        crop.invert_affine(torch.zeros(2, 3, dtype=torch.float64))


@pytest.mark.parametrize("build", [lambda s: crop.crop_transform(posed_face(), s), lambda s: mask.face_mask(posed_face(), s)])
def test_a_crop_too_small_is_refused(build):
    with pytest.raises(ValueError, match="at least 16"):
        build(15)


@settings(deadline=None, max_examples=40)
@given(POSES, st.sampled_from([16, 64, 129, 256]))
def test_the_mask_keeps_the_border_free_and_holds_the_face(points, size):
    frame = face_frame(points, (400, 600), size)
    inside = frame.mask
    border = math.floor(mask.FRAME_BORDER * size)
    beyond = torch.ones(size, size, dtype=torch.bool)
    beyond[border : size - border, border : size - border] = False
    assert (inside[beyond] == 0).all(), "the mask reaches into the border"
    assert inside.min() == 0
    assert inside.max() == 1
    place = crop.apply_affine(frame.transform, frame.landmarks).round().long()
    assert (inside[place[:, 1], place[:, 0]] > 0.5).all(), "a landmark lies outside"
    assert 0.25 < inside.mean() < 0.65


def test_the_mask_reaches_from_brows_below_an_open_jaw_but_not_to_the_ears():
    size = 200
    crop_points = crop.template() * size - 0.5
    inside = mask.face_mask(crop_points, size) > 0.5
    eye = crop.TEMPLATE_EYE_DISTANCE * size
    middle, eyes = round((size - 1) / 2), crop.TEMPLATE_EYE_HEIGHT * size

    def at(x, y):
        return bool(inside[round(eyes + y * eye), round(middle + x * eye)])

    assert all(at(x, y) for x, y in [(0, -0.6), (0.8, -0.55), (-0.8, -0.55)]), "raised brows"
    assert at(0, 2.2), "chin of an open jaw"
    assert not any(at(0, y) for y in (2.4, -0.9)), "throat and hair"
    assert all(at(x, 0.5) for x in (0.85, -0.85)), "cheeks"
    assert not any(at(x, 0.5) for x in (1.05, -1.05)), "ears"
    assert torch.equal(inside, inside.flip(1))


def test_the_mask_is_one_closed_shape_with_a_thin_border():
    soft = mask.face_mask(posed_face(yaw=35, roll=20, centre=(64, 40), size=36), 128)
    for line in (*soft, *soft.T):
        assert ((line[1:] > 0.5) & (line[:-1] <= 0.5)).sum() <= 1
    partial = (soft > 0) & (soft < 1)
    assert 0 < partial.sum() < 4 * 128


def test_the_far_side_is_narrower_when_the_face_turns():
    for yaw in (25, 50):
        points = posed_face(yaw=yaw, centre=(128, 80), size=70)
        row = mask.face_mask(points, 256)[110]
        columns = torch.nonzero(row > 0.5)[:, 0].double()
        middle = points[:2, 0].mean()
        assert columns.max() - middle < 0.75 * (middle - columns.min()), yaw
        left = mask.face_mask(posed_face(yaw=-yaw, centre=(127, 80), size=70), 256).flip(1)
        assert (left - mask.face_mask(points, 256)).abs().max() < 1e-5


@pytest.mark.parametrize(("yaw", "pitch"), [(45, -30), (-45, -30), (60, 0), (-60, 25)])
def test_the_far_eye_keeps_room_around_it(yaw, pitch):
    frame = face_frame(posed_face(yaw=yaw, pitch=pitch), (400, 600), 256)
    right, left = crop.apply_affine(frame.transform, frame.landmarks)[:2].flip(0)
    far, outwards = (right, (right - left)) if yaw > 0 else (left, (left - right))
    room = far + 4 * outwards / outwards.norm()
    assert frame.mask[round(room[1].item()), round(room[0].item())] == 1


def test_masks_of_a_batch_equal_those_of_its_faces():
    faces = torch.stack([posed_face(yaw=a, centre=(64, 40), size=36) for a in (-40, 0, 20)])
    batch = mask.face_mask(faces, 128)
    assert batch.shape == (3, 128, 128)
    for face, inside in zip(faces, batch, strict=True):
        assert torch.equal(mask.face_mask(face, 128), inside)


@settings(deadline=None, max_examples=40)
@given(POSES, st.floats(0, 40))
def test_feathering_never_leaves_the_mask(points, radius):
    inside = face_frame(points, (400, 600), 96).mask
    soft = mask.feather(inside, radius)
    assert (soft <= inside).all()
    assert (soft >= 0).all()


def test_feathering_is_a_ramp_of_the_given_width():
    half_plane = torch.zeros(101, 101)
    half_plane[:, 50:] = 1
    row = mask.feather(half_plane, 20)[50]
    assert row[49] == 0
    assert row[50] < 0.02
    assert row[60] == pytest.approx(0.5, abs=0.1)
    assert row[72] > 0.999
    assert (row[50:72].diff() > -1e-6).all()
    assert mask.feather(half_plane, 20)[50, 100] < 0.02, "the picture's border counts as an edge"
    assert torch.equal(mask.feather(half_plane, 0), half_plane)
