"""SMIRK's encoder: against timm and scikit-image, how a face is cut out, and files that are none."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from skimage.transform import estimate_transform
from skimage.transform import warp as skimage_warp
from testkit.random_smirk import random_state, write_smirk
from testkit.tiny_landmarker import write_tiny_task
from torch.nn import functional as F

from sfsr_model.encoders import smirk as module
from sfsr_model.encoders.bundled import load_bundled_photo_reader
from sfsr_model.encoders.smirk import (
    PREFIXES,
    SIDE,
    SmirkFileError,
    SmirkReader,
    Square,
    load_smirk,
    looks_like_smirk,
    smirk_crop,
    smirk_network,
    square_around,
    square_at,
)
from sfsr_model.expressions.flame import EYELID, JAW
from sfsr_model.face.crop import apply_affine, template
from sfsr_model.landmarker import load_expression_encoder
from sfsr_model.samples import load_sample


@pytest.fixture(scope="module")
def network():
    return smirk_network(random_state(), "random")


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def test_features_are_timms(network):
    timm = pytest.importorskip("timm", reason="timm, whose network SMIRK uses, is not installed")
    theirs = timm.create_model("tf_mobilenetv3_large_minimal_100", pretrained=False, features_only=True).eval()
    state = random_state()
    prefix = PREFIXES[0] + "encoder."
    theirs.load_state_dict({key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)})
    pictures = noise(3, 3, SIDE, SIDE)
    with torch.no_grad():
        expected, found = theirs(pictures)[-1], network.encoder(pictures)
    assert expected.shape == (3, 960, 7, 7)
    assert expected.std() > 0.1, "a network that is dead is like any other"
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    head = [state[f"{PREFIXES[0]}expression_layers.0.{name}"] for name in ("weight", "bias")]
    raw = F.linear(expected.mean((2, 3)), *head)
    numbers = network(pictures)
    torch.testing.assert_close(numbers[:, :50], raw[:, :50], atol=1e-5, rtol=0)
    torch.testing.assert_close(numbers[:, 50:52], raw[:, 50:52].clamp(0, 1), atol=1e-5, rtol=0)
    torch.testing.assert_close(numbers[:, 52], raw[:, 52].relu(), atol=1e-5, rtol=0)
    torch.testing.assert_close(numbers[:, 53:], raw[:, 53:].clamp(-0.2, 0.2), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("side", "before", "after"), [(8, 0, 1), (7, 1, 1)])
def test_stride_pads_at_the_end(side, before, after):
    """TensorFlow's padding: an even side gets its odd pixel at the right and at the bottom."""
    convolution = module._convolution(2, 3, 3, 2)
    picture = noise(1, 2, side, side)
    expected = F.conv2d(F.pad(picture, (before, after, before, after)), convolution.weight, stride=2)
    torch.testing.assert_close(convolution(picture), expected)


def with_bias(values):
    state = random_state()
    state[PREFIXES[0] + "expression_layers.0.weight"].zero_()
    state[PREFIXES[0] + "expression_layers.0.bias"] = torch.tensor(values)
    return smirk_network(state, "constant")(noise(1, 3, SIDE, SIDE))[0]


@pytest.mark.parametrize(
    ("raw", "lids", "jaw"), [(7.0, 1.0, (7.0, 0.2, 0.2)), (-7.0, 0.0, (0.0, -0.2, -0.2)), (0.1, 0.1, (0.1, 0.1, 0.1))]
)
def test_the_numbers_are_clamped(raw, lids, jaw):
    numbers = with_bias([raw] * 55)
    torch.testing.assert_close(numbers[:50], torch.full((50,), raw))
    torch.testing.assert_close(numbers[EYELID], torch.full((2,), lids))
    torch.testing.assert_close(numbers[JAW], torch.tensor(jaw))


def reference_crop(picture, landmarks):
    """As the authors' demo cuts a face out, of an 8-bit picture [H, W, 3] and landmarks [P, 2]."""
    (left, top), (right, bottom) = landmarks.min(0), landmarks.max(0)
    size = int(((right - left) + (bottom - top)) / 2 * 1.4)
    middle = np.array([(left + right) / 2, (top + bottom) / 2])
    corners = middle + np.array([[-size / 2, -size / 2], [-size / 2, size / 2], [size / 2, -size / 2]])
    transform = estimate_transform("similarity", corners, np.array([[0, 0], [0, SIDE - 1], [SIDE - 1, 0]]))
    return skimage_warp(picture, transform.inverse, output_shape=(SIDE, SIDE), preserve_range=True).astype(np.uint8)


@settings(max_examples=12, deadline=None)
@given(
    box=st.tuples(*(st.floats(-60, 180), st.floats(-60, 120), st.floats(20, 260), st.floats(20, 260))), seed=st.integers(0, 99)
)
def test_the_crop_is_scikit_images(box, seed):
    """Faces that reach beyond the picture too. A value that lies on a whole number may be cut down to the one before it."""
    x, y, width, height = box
    picture = (noise(130, 190, 3, seed=seed) * 255).round()
    landmarks = torch.cat((noise(20, 2, seed=seed), torch.tensor([[0.0, 0.3], [0.4, 0.0], [1.0, 0.6], [0.5, 1.0]])))
    landmarks = landmarks.double() * torch.tensor([width, height]) + torch.tensor([x, y])
    crop = smirk_crop(picture / 255, square_around(landmarks)) * 255
    expected = torch.from_numpy(reference_crop(picture.numpy().astype(np.uint8), landmarks.numpy())).movedim(-1, 0).float()
    apart = (crop - expected).abs()
    assert apart.max() <= 1.001
    assert (apart > 0.5).float().mean() < 0.002


def test_the_crop_has_steps_of_8_bits_and_black_around():
    crop = smirk_crop(torch.full((50, 50, 3), 200 / 255), Square(25, 25, 100))
    steps = crop * 255
    torch.testing.assert_close(steps, steps.round(), atol=1e-3, rtol=0)
    assert crop[:, 0].max() == 0 == crop[:, :, -1].max()
    torch.testing.assert_close(crop[:, 112, 112], torch.full((3,), 200 / 255))


def test_a_face_without_an_extent_is_refused():
    with pytest.raises(ValueError, match="side of 0 pixels"):
        smirk_crop(noise(20, 20, 3), square_around(torch.full((478, 3), 5.0)))


def test_the_square_at_five_points_moves_and_grows_with_them():
    points = template() * 100 + 30
    one = square_at(points)
    other = square_at(points * 3)
    assert (other.x, other.y) == pytest.approx((3 * one.x, 3 * one.y))
    assert other.side == pytest.approx(3 * one.side, abs=3)
    assert 100 < one.side < 116
    cos, sin = math.cos(0.4), math.sin(0.4)
    turned = square_at(apply_affine(torch.tensor([[cos, -sin, 0.0], [sin, cos, 0.0]], dtype=torch.float64), points))
    assert abs(turned.side - one.side) <= 1, "SMIRK sees faces as they stand"


def test_the_order_of_the_channels(network):
    picture, square = noise(90, 90, 3), Square(45, 45, 70)
    crop = smirk_crop(picture, square)[None]
    default, rgb = SmirkReader("x", network), SmirkReader("x", network, "RGB")
    torch.testing.assert_close(default.read(picture, square), network(crop.flip(1)))
    torch.testing.assert_close(rgb.read(picture, square), network(crop))
    assert not torch.equal(default.read(picture, square), rgb.read(picture, square))


@pytest.mark.parametrize("prefix", PREFIXES)
def test_prefixes(network, prefix):
    crops = noise(1, 3, SIDE, SIDE)
    torch.testing.assert_close(smirk_network(random_state(prefix=prefix), "x")(crops), network(crops))


def test_half_precision_files_and_safetensors(tmp_path, network):
    save_file({key: value.half() if value.is_floating_point() else value for key, value in random_state().items()},
              tmp_path / "half.safetensors")  # fmt: skip
    crops = noise(1, 3, SIDE, SIDE)
    torch.testing.assert_close(load_smirk(tmp_path / "half.safetensors")(crops), network(crops), atol=0.05, rtol=0.05)


KEY = PREFIXES[0] + "encoder.blocks.3.1.conv_dw.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: {}, "x.pt: found no tensor, and no 'smirk_encoder.*SMIRK_em1.pt"),
        (lambda state: {"unet.down.lora.weight": torch.zeros(1)}, "found 1 tensors, such as 'unet.down.lora.weight'"),
        (lambda state: {key: value for key, value in state.items() if key != KEY}, f"'{KEY}' is missing"),
        (lambda state: state | {KEY: "text"}, f"'{KEY}' is missing"),
        (lambda state: state | {KEY: torch.zeros(200, 1, 5, 5)}, r"has shape \[200, 1, 5, 5\]; expected \[200, 1, 3, 3\]"),
        (lambda state: state | {KEY: torch.full((200, 1, 3, 3), math.nan)}, "not finite; get the file again"),
    ],
)
def test_a_file_that_is_none(change, message):
    with pytest.raises(SmirkFileError, match=message):
        smirk_network(change(random_state()), "x.pt")


def test_a_file_is_told_by_its_keys(tmp_path):
    assert looks_like_smirk(write_smirk(tmp_path / "named as you like.pt"))
    save_file(random_state(), tmp_path / "x.safetensors")
    assert looks_like_smirk(tmp_path / "x.safetensors")
    torch.save({"lora.weight": torch.zeros(3)}, tmp_path / "SMIRK_em1.pt")
    assert not looks_like_smirk(tmp_path / "SMIRK_em1.pt")
    assert not looks_like_smirk(tmp_path / "not there.pt")


def test_cut_off(tmp_path):
    save_file(random_state(), tmp_path / "x.safetensors")
    (tmp_path / "x.safetensors").write_bytes((tmp_path / "x.safetensors").read_bytes()[:5000])
    with pytest.raises(SmirkFileError, match=r"x\.safetensors: not a readable safetensors file"):
        load_smirk(tmp_path / "x.safetensors")


def test_the_bundled_encoder_reads_by_it_as_well(network):
    from dataclasses import replace

    encoder, picture = load_bundled_photo_reader(), load_sample("portrait_05")
    plain = encoder.read(picture)
    both = replace(encoder, smirk=SmirkReader("x", network)).read(picture.expand(2, -1, -1, -1))
    assert plain.flame is None
    torch.testing.assert_close(both.coefficients[:1], plain.coefficients)
    assert both.flame.shape == (2, 55)
    torch.testing.assert_close(both.flame[0], both.flame[1])


def test_mediapipes_file_gives_the_square_of_its_landmarks(network, tmp_path):
    from dataclasses import replace

    encoder = load_expression_encoder(write_tiny_task(tmp_path / "tiny.task"))
    picture = torch.full((200, 220, 3), 0.93)
    picture[40:100, 60:160] = 0.8
    _, reading, _ = encoder.faces(picture)
    expected = SmirkReader("x", network).read(picture, square_around(reading.landmarks[0]))
    found = replace(encoder, smirk=SmirkReader("x", network)).read(picture[None])
    torch.testing.assert_close(found.flame, expected)
