"""Cutting out and pasting back: what must not change stays bit-equal, what must come back comes back."""

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sfsr_model.face.colour import match_colour, measure_colours
from sfsr_model.face.crop import apply_affine, template
from sfsr_model.face.frame import FaceFrame, face_frame
from sfsr_model.face.mask import face_mask
from sfsr_model.face.warp import crop_face, paste_face, warp_mask


def face_at(x: float, y: float, eye: float, roll: float = 0.0) -> torch.Tensor:
    """Canonical points of a frontal face whose eyes' midpoint is at (x, y)."""
    points = (template() - template()[:2].mean(0)) * eye / 0.3
    cos, sin = math.cos(math.radians(roll)), math.sin(math.radians(roll))
    turn = torch.tensor([[cos, -sin], [sin, cos]], dtype=torch.float64)
    return points @ turn.T + torch.tensor([x, y], dtype=torch.float64)


def smooth_picture(height: int, width: int) -> torch.Tensor:
    """A picture [H, W, 3] in 0.2..0.8 without detail that resampling could lose."""
    y = torch.linspace(0, 1, height)[:, None]
    x = torch.linspace(0, 1, width)[None, :]
    waves = [torch.sin(3 * x + 2 * y), torch.cos(4 * y - x), torch.sin(2 * x * y + 1)]
    return torch.stack([0.5 + 0.3 * wave.expand(height, width) for wave in waves], -1)


PLACES = st.builds(face_at, x=st.floats(-20, 220), y=st.floats(-20, 170), eye=st.floats(12, 90), roll=st.floats(-180, 180))


@settings(deadline=None, max_examples=40)
@given(PLACES, st.sampled_from([32, 100]), st.floats(0, 0.2), st.floats(0, 1))
def test_outside_the_mask_every_bit_stays(points, size, feather, colour_match):
    torch.manual_seed(0)
    picture = torch.rand(150, 200, 3)
    before = picture.clone()
    frame = face_frame(points, (150, 200), size)
    pasted = paste_face(picture, torch.rand(size, size, 3), frame, feather, colour_match)
    outside = warp_mask(frame, feather) == 0
    assert torch.equal(pasted[outside], before[outside])
    assert torch.equal(picture, before), "the input was written to"
    hard = warp_mask(frame) == 0
    assert torch.equal(pasted[hard], before[hard]), "feathering grew outwards"


@pytest.mark.parametrize("colour_match", [0.0, 1.0])
def test_a_broken_crop_cannot_spoil_the_rest(colour_match):
    picture = torch.rand(150, 200, 3)
    frame = face_frame(face_at(90, 60, 30), (150, 200), 64)
    pasted = paste_face(picture, torch.full((64, 64, 3), float("nan")), frame, colour_match=colour_match)
    outside = warp_mask(frame) == 0
    assert torch.equal(pasted[outside], picture[outside])
    assert pasted.isnan().any()


def test_the_mask_is_pasted_where_the_face_is():
    frame = face_frame(face_at(100, 60, 40, roll=20), (200, 220), 128)
    pasted = paste_face(torch.zeros(200, 220, 3), torch.ones(128, 128, 3), frame, feather=0, colour_match=0)
    assert torch.allclose(pasted[..., 0], warp_mask(frame), atol=1e-6)
    place = frame.landmarks.round().long()
    assert (pasted[place[:, 1], place[:, 0], 0] == 1).all()
    # Area is preserved: the mask covers (image pixels per crop pixel)^2 times its crop area.
    scale = torch.linalg.det(frame.transform[:, :2])
    assert pasted[..., 0].sum().item() == pytest.approx((frame.mask.sum() / scale).item(), rel=0.01)


def test_a_mask_up_to_the_crops_border_ends_there():
    frame = face_frame(face_at(100, 60, 30, roll=20), (200, 220), 64)
    full = dataclasses.replace(frame, mask=torch.ones(64, 64))
    scale = torch.linalg.det(frame.transform[:, :2]).item()
    assert warp_mask(full).sum().item() == pytest.approx(64 * 64 / scale, rel=0.02)
    assert (warp_mask(full) > 0).sum().item() < 66 * 66 / scale


def test_the_feather_is_a_fraction_of_the_crops_side():
    frame = face_frame(face_at(100, 60, 40), (200, 220), 256)
    middle = round(frame.landmarks[2, 1].item())
    hard, soft = warp_mask(frame)[middle], warp_mask(frame, 0.1)[middle]
    # 0.1 of the side of a crop that is 40 / 0.3 picture pixels wide.
    width = 0.1 * 40 / 0.3
    lost = (hard - soft).sum().item() / 2
    assert lost == pytest.approx(width / 2, rel=0.2)
    pasted = paste_face(torch.zeros(200, 220, 3), torch.ones(256, 256, 3), frame, feather=0.1, colour_match=0)
    assert torch.allclose(pasted[middle, :, 0], soft, atol=1e-6)


@pytest.mark.parametrize(("eye", "size"), [(30, 128), (60, 128), (90, 96), (45, 150)])
def test_an_unchanged_crop_comes_back(eye, size):
    picture = smooth_picture(400, 500)
    frame = face_frame(face_at(250, 150, eye, roll=17), (400, 500), size)
    pasted = paste_face(picture, crop_face(picture, frame), frame)
    assert (pasted - picture).abs().max() < 0.004
    assert not torch.equal(pasted, picture)


def test_a_crop_of_the_pictures_own_size_is_the_picture():
    # At scale 1 and an integer shift no interpolation is left, which pins the pixel-centre convention.
    picture = torch.rand(200, 200, 3)
    points = template() * 64 - 0.5 + torch.tensor([31.0, 47.0])
    frame = face_frame(points, (200, 200), 64)
    assert torch.allclose(crop_face(picture, frame), picture[47 : 47 + 64, 31 : 31 + 64], atol=1e-4)


def test_landmarks_of_the_picture_land_on_those_of_the_crop():
    picture = torch.zeros(300, 300, 1)
    points = face_at(140, 110, 60, roll=-35)
    frame = face_frame(points, (300, 300), 200)
    y, x = torch.meshgrid(torch.arange(300.0), torch.arange(300.0), indexing="ij")
    for point in points:
        picture[..., 0] += torch.exp(-((x - point[0]) ** 2 + (y - point[1]) ** 2) / (2 * 3.0**2)).float()
    crop = crop_face(picture, frame)[..., 0]
    for x_crop, y_crop in apply_affine(frame.transform, points).tolist():
        left, top = round(x_crop) - 8, round(y_crop) - 8
        window = crop[top : top + 17, left : left + 17]
        steps = torch.arange(17.0)
        assert (window.sum(0) @ steps / window.sum()).item() + left == pytest.approx(x_crop, abs=0.1)
        assert (window.sum(1) @ steps / window.sum()).item() + top == pytest.approx(y_crop, abs=0.1)


def test_beyond_the_picture_its_border_repeats():
    picture = torch.zeros(60, 60, 3)
    picture[:, 0] = 0.25
    picture[0, :] = 0.75
    frame = face_frame(face_at(5, 5, 10), (60, 60), 64)
    crop = crop_face(picture, frame)
    corner = apply_affine(frame.transform, torch.zeros(1, 2, dtype=torch.float64))[0]
    assert corner.min() > 3, "the crop was meant to reach beyond the picture's corner"
    assert torch.allclose(crop[-1, 0], torch.full((3,), 0.25), atol=1e-5)
    assert torch.allclose(crop[0, -1], torch.full((3,), 0.75), atol=1e-5)
    assert torch.allclose(crop[0, 0], torch.full((3,), 0.75), atol=1e-5)


def test_shrinking_does_not_alias():
    checks = (torch.arange(800)[:, None] + torch.arange(800)[None, :]) % 2
    picture = checks.float()[..., None].expand(-1, -1, 3)
    frame = face_frame(face_at(400, 250, 230, roll=9), (800, 800), 64)
    crop = crop_face(picture, frame)
    assert (crop - 0.5).abs().max() < 0.05


def test_gradients_reach_the_picture_and_the_crop():
    picture = smooth_picture(120, 120).requires_grad_()
    frame = face_frame(face_at(60, 40, 25), (120, 120), 64)
    crop_face(picture, frame).sum().backward()
    touched = (picture.grad.abs().sum(-1) > 0).float().mean()
    assert 0.3 < touched < 1
    crop = torch.rand(64, 64, 3, requires_grad=True)
    paste_face(picture.detach(), crop, frame, colour_match=0).sum().backward()
    assert (crop.grad[frame.mask == 0] == 0).float().mean() > 0.9
    assert (crop.grad[32, 32] > 0).all()
    # Each picture pixel inside the mask hands on one unit of gradient.
    assert crop.grad.sum().item() == pytest.approx(3 * warp_mask(frame, 0.06).sum().item(), rel=1e-3)


def test_a_batch_equals_its_pictures():
    pictures = torch.rand(3, 90, 110, 3)
    frame = face_frame(face_at(50, 30, 22), (90, 110), 48)
    crops = crop_face(pictures, frame)
    assert crops.shape == (3, 48, 48, 3)
    pasted = paste_face(pictures, crops.flip(2), frame)
    for k in range(3):
        assert torch.equal(crop_face(pictures[k], frame), crops[k])
        assert torch.allclose(paste_face(pictures[k], crops[k].flip(1), frame), pasted[k], atol=1e-6)


def test_extreme_pictures():
    one = torch.full((1, 1, 3), 0.3)
    frame = face_frame(face_at(0, 0, 10), (1, 1), 32)
    crop = crop_face(one, frame)
    assert torch.allclose(crop, torch.full((32, 32, 3), 0.3), atol=1e-6)
    assert paste_face(one, torch.rand(32, 32, 3), frame).shape == (1, 1, 3)
    grey = torch.rand(80, 80, 1)
    frame = face_frame(face_at(40, 25, 18), (80, 80), 32)
    assert paste_face(grey, crop_face(grey, frame), frame).shape == (80, 80, 1)
    away = face_frame(face_at(2000, 2000, 18), (80, 80), 32)
    assert torch.equal(paste_face(grey, torch.rand(32, 32, 1), away), grey)
    assert warp_mask(away).sum() == 0


def test_what_does_not_fit_is_refused():
    picture = torch.rand(80, 90, 3)
    frame = face_frame(face_at(40, 25, 18), (80, 90), 32)
    with pytest.raises(ValueError, match="90 x 80"):
        crop_face(torch.rand(90, 80, 3), frame)
    with pytest.raises(ValueError, match="expected float"):
        crop_face((picture * 255).to(torch.uint8), frame)
    with pytest.raises(ValueError, match="32 x 32"):
        paste_face(picture, torch.rand(33, 33, 3), frame)
    with pytest.raises(ValueError, match="32 x 32"):
        paste_face(picture, torch.rand(2, 32, 32, 3), frame)
    with pytest.raises(ValueError, match="at least 1 x 1"):
        face_frame(face_at(40, 25, 18), (0, 90), 32)
    with pytest.raises(ValueError, match="mask has shape"):
        FaceFrame(frame.landmarks, frame.transform, 32, (80, 90), 1.0, 0, torch.zeros(31, 32))


def test_colour_match_undoes_a_cast_and_looks_only_near_the_masks_edge():
    mask = face_mask(template() * 96 - 0.5, 96)
    target = smooth_picture(96, 96).permute(2, 0, 1)[None]
    cast = target * 0.8 + torch.tensor([0.08, 0.0, -0.05])[None, :, None, None]
    cast[:, :, 40:56, 40:56] = 0.05  # an opened mouth must not brighten the skin
    colours = measure_colours(cast, target, mask)
    matched = match_colour(cast, colours)
    edge = (mask > 0.5) & (torch.hypot(*torch.meshgrid(*[torch.arange(96.0) - 47.5] * 2, indexing="ij")) > 30)
    assert (cast - target)[..., edge].abs().mean() > 0.05
    assert (matched - target)[..., edge].abs().mean() < 0.01
    assert torch.equal(match_colour(cast, colours, 0.0), cast)
    half = match_colour(cast, colours, 0.5)
    assert torch.allclose(half, (cast + matched) / 2, atol=1e-6)


def test_a_face_for_a_picture_in_black_and_white_loses_its_colours():
    mask = face_mask(template() * 96 - 0.5, 96)
    colour = smooth_picture(96, 96).permute(2, 0, 1)[None]
    grey = colour.mean(1, keepdim=True).expand_as(colour)
    turned = colour.roll(1, 1)
    matched = match_colour(turned, measure_colours(turned, grey, mask))
    assert (matched.amax(1) - matched.amin(1)).max() < 1e-3
    assert matched.std() > 0.02
    twice = torch.cat((colour, colour))
    both = match_colour(twice, measure_colours(twice, torch.cat((grey, colour)), mask))
    assert (both.amax(1) - both.amin(1)).amax((1, 2))[1] > 0.05
    assert torch.allclose(both[1], colour[0], atol=1e-3)
