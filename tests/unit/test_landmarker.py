"""The landmarker: reader, operators, chain, bad files and bad pictures; MediaPipe's own file where it is there."""

import contextlib
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from testkit import tiny_landmarker as tiny

from sfsr_model.expressions import ARKIT_INDEX, ARKIT_NAMES
from sfsr_model.landmarker import LandmarkerFileError, NoExpressionError, load_expression_encoder, load_landmarker
from sfsr_model.landmarker.face_records import landmarks_expression
from sfsr_model.landmarker.network import Network
from sfsr_model.landmarker.pose import head_pose, rotation_angles
from sfsr_model.landmarker.tflite import TfliteError, read_graph

ROOT = Path(__file__).parents[2]
MODELS = Path(os.environ.get("SFSR_FACE_MODELS", ROOT.parent / "shared" / "face_models"))
TASK = MODELS / "face_landmarker_v2_with_blendshapes.task"
real = pytest.mark.skipif(not TASK.is_file(), reason="MediaPipe's face_landmarker.task is not there")


@pytest.fixture(scope="module")
def tiny_task(tmp_path_factory):
    return tiny.write_tiny_task(tmp_path_factory.mktemp("task") / "tiny.task")


@pytest.fixture(scope="module")
def encoder(tiny_task):
    return load_expression_encoder(tiny_task)


@pytest.fixture(scope="module")
def astronaut():
    from skimage import data

    return torch.from_numpy(data.astronaut()).float() / 255


def bright(*size):
    return torch.full((*size, 3), 0.9)


def run(net, value, output):
    return Network(read_graph(net.write([value], [output]), "test.tflite"))


@pytest.mark.parametrize(
    ("side", "kernel", "stride"), [(8, 3, 2), (7, 3, 2), (8, 5, 2), (9, 3, 1), (6, 2, 2), (8, 1, 2), (8, 1, 1), (5, 3, 3)]
)
@pytest.mark.parametrize("depthwise", [False, True])
def test_same_padding_is_the_files(side, kernel, stride, depthwise):
    rng = np.random.default_rng(3)
    channels, outs = 4, 4 if depthwise else 6
    weights = rng.normal(size=(1, kernel, kernel, 4) if depthwise else (outs, kernel, kernel, channels)).astype(np.float32)
    bias = rng.normal(size=outs).astype(np.float32)
    net, size = tiny.TinyNetwork(), -(-side // stride)
    value = net.value(1, side, side, channels)
    kind = tiny.DEPTHWISE if depthwise else tiny.CONV
    fields = {"f0": ("Int8", 0), "f1": ("Int32", stride), "f2": ("Int32", stride)}
    fields["f4" if depthwise else "f3"] = ("Int8", 1)
    if depthwise:
        fields["f3"] = ("Int32", 1)
    output = net.apply(kind, [value, net.constant(weights), net.constant(bias)], (1, size, size, outs), **fields)
    pixels = rng.normal(size=(2, side, side, channels)).astype(np.float32)
    (found,) = run(net, value, output)(torch.from_numpy(pixels))

    total = max((size - 1) * stride + kernel - side, 0)
    padded = np.pad(pixels, ((0, 0), (total // 2, total - total // 2), (total // 2, total - total // 2), (0, 0)))
    expected = np.zeros((2, size, size, outs))
    for row in range(size):
        for column in range(size):
            window = padded[:, row * stride : row * stride + kernel, column * stride : column * stride + kernel]
            expected[:, row, column] = (
                np.einsum("nijc,ijc->nc", window, weights[0]) if depthwise else np.einsum("nijc,oijc->no", window, weights)
            )
    np.testing.assert_allclose(found, np.maximum(expected + bias, 0), atol=1e-4)


def test_slopes_pools_pads_and_joins():
    net = tiny.TinyNetwork()
    value = net.value(1, 4, 4, 2)
    slope = net.apply(tiny.PRELU, [value, net.half(np.array([[[0.5, -1.0]]]))], (1, 4, 4, 2))
    pool = net.apply(
        tiny.MAX_POOL, [slope], (1, 2, 2, 2), f0=("Int8", 1), f1=("Int32", 2), f2=("Int32", 2), f3=("Int32", 2), f4=("Int32", 2)
    )
    wide = net.apply(tiny.PAD, [pool, net.constant(np.array([[0, 0], [0, 0], [0, 0], [0, 1]], np.int32))], (1, 2, 2, 3))
    turned = net.apply(tiny.TRANSPOSE, [wide, net.constant(np.array([0, 2, 1, 3], np.int32))], (1, 2, 2, 3))
    output = net.apply(tiny.ADD, [turned, net.constant(np.float32([1, 2, 3]))], (1, 2, 2, 3))
    pixels = torch.randn(3, 4, 4, 2)
    (found,) = run(net, value, output)(pixels)
    sloped = torch.where(pixels > 0, pixels, pixels * torch.tensor([0.5, -1.0]))
    pooled = sloped.reshape(3, 2, 2, 2, 2, 2).amax((2, 4)).transpose(1, 2)
    expected = torch.cat((pooled, torch.zeros(3, 2, 2, 1)), -1) + torch.tensor([1.0, 2, 3])
    torch.testing.assert_close(found, expected)


def test_an_operator_that_is_not_covered_is_named():
    net = tiny.TinyNetwork()
    value = net.value(1, 4, 4, 2)
    with pytest.raises(TfliteError, match=r"test\.tflite: the operator SOFTMAX is not among"):
        run(net, value, net.apply(25, [value], (1, 4, 4, 2)))
    net = tiny.TinyNetwork()
    value = net.value(1, 4, 4, 2)
    with pytest.raises(TfliteError, match="operator 111 is not among"):
        run(net, value, net.apply(111, [value], (1, 4, 4, 2)))


def test_quantised_weights_are_refused():
    net = tiny.TinyNetwork()
    value = net.value(1, 2, 2, 1)
    with pytest.raises(TfliteError, match="quantised to 8 bits"):
        run(net, value, net.apply(tiny.ADD, [value, net.constant(np.ones(1, np.int8))], (1, 2, 2, 1)))


def test_a_tensor_used_before_it_is_made():
    net = tiny.TinyNetwork()
    value, never = net.value(1, 2, 2, 1), net.value(1, 2, 2, 1)
    with pytest.raises(TfliteError, match="before it is made"):
        run(net, value, net.apply(tiny.ADD, [value, never], (1, 2, 2, 1)))


@settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_damaged_networks_never_escape_as_anything_else(data):
    whole = bytearray(tiny.tiny_blendshapes())
    cut = data.draw(st.integers(0, len(whole)))
    damaged = whole[:cut] if data.draw(st.booleans()) else whole
    for _ in range(data.draw(st.integers(1, 6))):
        if damaged:
            damaged[data.draw(st.integers(0, min(len(damaged) - 1, 1200)))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(TfliteError):
        Network(read_graph(bytes(damaged), "x.tflite"))


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04" + b"\0" * 40])
def test_a_file_of_another_kind(tmp_path, content):
    path = tmp_path / "other.task"
    path.write_bytes(content)
    with pytest.raises(LandmarkerFileError, match=r"other\.task: cannot be read as a MediaPipe bundle"):
        load_landmarker(path)


def test_a_file_that_is_cut_off(tiny_task, tmp_path):
    path = tmp_path / "cut.task"
    for share in (0.2, 0.9, 0.999):
        path.write_bytes(tiny_task.read_bytes()[: int(tiny_task.stat().st_size * share)])
        with pytest.raises(LandmarkerFileError, match=r"cut\.task.*Get face_landmarker\.task"):
            load_landmarker(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(LandmarkerFileError, match=r"gone\.task: no such file"):
        load_landmarker(tmp_path / "gone.task")


def test_a_bundle_of_another_task(tmp_path):
    with zipfile.ZipFile(tmp_path / "hand.task", "w") as archive:
        archive.writestr("hand_detector.tflite", b"x")
    with pytest.raises(LandmarkerFileError, match=r"face_detector\.tflite is not in it \(found hand_detector\.tflite\)"):
        load_landmarker(tmp_path / "hand.task")
    with pytest.raises(LandmarkerFileError, match=r"face_blendshapes\.tflite is not in it"):
        load_landmarker(tiny.write_tiny_task(tmp_path / "old.task", face_blendshapes=None))


def test_networks_of_another_version(tmp_path):
    with pytest.raises(LandmarkerFileError, match="of another version"):
        load_landmarker(tiny.write_tiny_task(tmp_path / "a.task", face_detector=tiny.tiny_blendshapes()))
    cut = {"geometry_pipeline_metadata_landmarks": tiny.tiny_geometry(tiny.face_cloud())[:-2]}
    with pytest.raises(LandmarkerFileError, match=r"binarypb: ends at byte"):
        load_landmarker(tiny.write_tiny_task(tmp_path / "b.task", **cut))


def test_the_chain_on_a_tiny_file(encoder):
    expression = encoder.read(torch.stack([bright(200, 300), bright(200, 300) * 0.95]))
    assert len(expression) == 2
    assert not torch.equal(expression.coefficients[0], expression.coefficients[1])
    assert expression.coefficients[:, ARKIT_INDEX["tongueOut"]].tolist() == [0, 0]
    raw = torch.linspace(-2, 1, 52).sigmoid()
    # The tiny bias grows with MediaPipe's order: _neutral, then by name; it must be dropped and the rest found by name.
    by_name = sorted(set(ARKIT_NAMES) - {"tongueOut"})
    found = [expression.coefficients[0, ARKIT_INDEX[name]].item() for name in by_name]
    np.testing.assert_allclose(found, raw[1:], atol=0.03)


def test_gradient_reaches_the_pixels_even_of_a_module_made_in_inference_mode(tmp_path):
    with torch.inference_mode():
        loaded = load_expression_encoder(tiny.write_tiny_task(tmp_path / "again.task"))
        loaded.read(bright(1, 200, 200))
    pixels = bright(1, 200, 200).requires_grad_()
    (region, _), *_ = loaded.landmarker.find(pixels)
    reading = loaded.landmarker.measure(pixels, region)
    (reading.coefficients.sum() + reading.pose.sum()).backward()
    assert pixels.grad.isfinite().all()
    assert pixels.grad[0, 100, 100].abs().sum() > 0


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 2), (200, 200)])
def test_a_picture_without_a_face_is_named(encoder, size):
    with pytest.raises(NoExpressionError, match=rf"picture 0 \({size[1]} x {size[0]} pixels\): no face found"):
        encoder.read(torch.zeros(1, *size, 3))
    with pytest.raises(NoExpressionError, match=r"picture 1 "):
        encoder.read(torch.stack([bright(200, 200), torch.zeros(200, 200, 3)]))


def test_a_large_picture_is_not_copied_for_its_parts_and_faces(encoder, monkeypatch):
    """Nine parts of an 8K picture, or its faces, would be gigabytes."""
    from sfsr_model.landmarker import landmarker as module

    picture, seen = bright(1, 200, 300), []

    def spy(pictures, *others):
        seen.append((len(pictures), pictures.untyped_storage().data_ptr()))
        return warp(pictures, *others)

    warp = module.warp
    monkeypatch.setattr(module, "warp", spy)
    encoder.landmarker.find(picture, 2)
    (region, _), *_ = encoder.landmarker.find(picture)
    encoder.landmarker.measure(picture, region.repeat(3, 1), torch.zeros(3, dtype=torch.long))
    assert seen == [(count, picture.untyped_storage().data_ptr()) for count in (9, 1, 3)]


def test_several_large_pictures_are_searched_in_parts(encoder):
    both = torch.stack([bright(200, 300), torch.zeros(200, 300, 3)])
    found = encoder.landmarker.find(both, 2)
    assert [len(regions) > 0 for regions, _ in found] == [True, False]


def test_too_small_a_face_is_said_to_be(encoder):
    with pytest.raises(NoExpressionError, match=r"a face of \d+ pixels is too small"):
        encoder.read(bright(1, 24, 24))


def test_a_face_number_that_is_not_there(encoder):
    with pytest.raises(NoExpressionError, match=r"picture 0 .*face_index: 3 asked for, but 1 face was found"):
        encoder.read(bright(1, 200, 200), index=3)


def test_pose_is_that_of_the_turned_canonical_face():
    cloud = torch.from_numpy(tiny.face_cloud())
    pose = torch.tensor([[0.2, -0.5, 0.3], [-0.4, 0.6, -1.2]], dtype=torch.float64)
    rotations = torch.stack([rotation(*row.tolist()) for row in pose])
    points = (cloud @ rotations.transpose(1, 2)) * torch.tensor([7.0, -7.0, -7.0]) + torch.tensor([50.0, 60.0, 0.0])
    torch.testing.assert_close(head_pose(points, cloud[:468], torch.ones(468, dtype=torch.float64)), pose)
    torch.testing.assert_close(rotation_angles(rotations), pose)


def rotation(pitch, yaw, roll):
    """R_y(yaw) R_x(-pitch) R_z(-roll), as `Expression.pose` defines it."""

    def turn(axis, angle):
        one, two = [(1, 2), (2, 0), (0, 1)][axis]
        matrix = np.eye(3)
        matrix[[one, two], [one, two]] = np.cos(angle)
        matrix[one, two], matrix[two, one] = -np.sin(angle), np.sin(angle)
        return matrix

    return torch.from_numpy(turn(1, yaw) @ turn(0, -pitch) @ turn(2, -roll))


def record(score, box, pose=(0.0, 0.0, 0.0), **shapes):
    """A face as ComfyUI's own node hands it over."""
    matrix = np.eye(4, dtype=np.float32)
    matrix[:3, :3] = 7 * rotation(*pose).numpy()
    return {
        "bbox_xyxy": np.array(box, np.float32),
        "blendshapes": {"_neutral": 0.5} | dict.fromkeys(ARKIT_NAMES[:-1], 0.25) | shapes,
        "score": score,
        "transformation_matrix": matrix,
    }


def test_the_hosts_own_landmarks():
    small, large = record(0.9, (50, 0, 60, 10), jawOpen=0.75), record(0.6, (0, 0, 40, 40), (0.1, -0.2, 0.3))
    value = {"frames": [[small, large], [small]], "image_size": (64, 64)}
    expression = landmarks_expression(value, "largest first", 0)
    assert expression.coefficients[:, ARKIT_INDEX["jawOpen"]].tolist() == [0.25, 0.75]
    assert expression.coefficients[:, ARKIT_INDEX["tongueOut"]].tolist() == [0, 0]
    torch.testing.assert_close(expression.pose, torch.tensor([[0.1, -0.2, 0.3], [0, 0, 0]]))
    right = landmarks_expression({"frames": [[small, large]]}, "left to right", 1)
    assert right.coefficients[0, ARKIT_INDEX["jawOpen"]] == 0.75


def test_landmarks_without_the_face_or_of_another_kind():
    face = record(0.9, (0, 0, 9, 9))
    with pytest.raises(ValueError, match="picture 1: no face found"):
        landmarks_expression({"frames": [[face], []]}, "largest first", 0)
    with pytest.raises(ValueError, match="picture 0: face_index: 1 asked for, but 1 face was found"):
        landmarks_expression({"frames": [[face]]}, "largest first", 1)
    for other in (None, [], {"frames": []}, {"people": 1}, "text"):
        with pytest.raises(TypeError, match=r"face_landmarks: .*connect Detect Face Landmarks"):
            landmarks_expression(other, "largest first", 0)
    with pytest.raises(TypeError, match=r"cannot be read from it .'blendshapes'"):
        landmarks_expression({"frames": [[{key: face[key] for key in ("bbox_xyxy", "score")}]]}, "largest first", 0)
    for damage in ({"bbox_xyxy": 3}, {"transformation_matrix": [1, 2]}, {"transformation_matrix": "turned"}):
        with pytest.raises(TypeError, match=r"face_landmarks: picture 0: an expression cannot be read"):
            landmarks_expression({"frames": [[face | damage]]}, "largest first", 0)
    for damage in ({"blendshapes": {"jawOpen": float("nan")}}, {"transformation_matrix": np.full((4, 4), np.nan)}):
        with pytest.raises(ValueError, match=r"face_landmarks: picture 0: .* finite"):
            landmarks_expression({"frames": [[face | damage]]}, "largest first", 0)


@real
def test_a_smiling_astronaut(astronaut):
    expression = load_expression_encoder(TASK).read(astronaut[None])
    values = dict(zip(ARKIT_NAMES, expression.coefficients[0].tolist(), strict=True))
    assert values["mouthSmileLeft"] > 0.8
    assert values["mouthSmileRight"] > 0.8
    assert values["jawOpen"] < 0.2
    assert abs(expression.pose[0, 1]) < 0.1


@real
def test_mirrored_pictures_exchange_left_and_right(astronaut):
    encoder = load_expression_encoder(TASK)
    one, other = encoder.read(astronaut[None]), encoder.read(astronaut[None].flip(2))
    left, right = ARKIT_INDEX["eyeSquintLeft"], ARKIT_INDEX["eyeSquintRight"]
    assert abs(one.coefficients[0, left] - other.coefficients[0, right]) < 0.15
    torch.testing.assert_close(one.pose * torch.tensor([1.0, -1, -1]), other.pose, atol=0.05, rtol=0)


@real
def test_a_turned_picture_rolls_the_head(astronaut):
    encoder = load_expression_encoder(TASK)
    crop = astronaut[30:230, 120:320]
    upright, turned = encoder.read(crop[None]), encoder.read(crop.transpose(0, 1).flip(1)[None])
    assert turned.pose[0, 2] - upright.pose[0, 2] == pytest.approx(np.pi / 2, abs=0.1)  # clockwise is positive


@real
def test_every_face_of_a_group(astronaut):
    from PIL import Image

    insightface = pytest.importorskip("insightface")
    with Image.open(Path(insightface.__file__).parent / "data" / "images" / "t1.jpg") as picture:
        pixels = torch.from_numpy(np.asarray(picture.convert("RGB")).copy()).float() / 255
    encoder = load_expression_encoder(TASK)
    found, reading, _ = encoder.faces(pixels)
    assert len(found) == 6
    assert (reading.presence > 0.9).all()
    left = encoder.read(pixels[None], "left to right", 0)
    right = encoder.read(pixels[None], "left to right", 5)
    assert not torch.equal(left.coefficients, right.coefficients)
    every = encoder.read_every(pixels)
    assert len(every) == 6
    for number, (_, expression) in enumerate(every):
        assert torch.equal(expression.coefficients, encoder.read(pixels[None], index=number).coefficients)
    assert encoder.read_every(torch.zeros(64, 64, 3)) == []


@real
def test_cut_faces_and_noise(astronaut):
    encoder = load_expression_encoder(TASK)
    assert len(encoder.read(astronaut[70:170, 170:280][None])) == 1  # nothing but the face
    for pixels in (astronaut[120:180, 170:280], torch.rand(64, 64, 3, generator=torch.Generator().manual_seed(0))):
        with contextlib.suppress(NoExpressionError):
            assert encoder.read(pixels[None]).coefficients.isfinite().all()


@real
def test_a_batch_is_what_its_pictures_are(astronaut):
    landmarker = load_landmarker(TASK)
    pictures = torch.stack([astronaut, astronaut.flip(1), astronaut * 0.7])
    regions = torch.cat([landmarker.find(picture[None])[0][0] for picture in pictures])
    together = landmarker.measure(pictures, regions)
    for number in range(3):
        alone = landmarker.measure(pictures[number : number + 1], regions[number : number + 1])
        torch.testing.assert_close(together.coefficients[number], alone.coefficients[0], atol=1e-4, rtol=0)
