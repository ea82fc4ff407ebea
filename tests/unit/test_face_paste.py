"""Pasting into the picture itself: any type, any size, any mask; what it costs in memory; what it refuses."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sfsr_model.face.crop import template
from sfsr_model.face.frame import face_frame
from sfsr_model.face.storage import uninitialised
from sfsr_model.face.warp import crop_face, paste_into, warp_mask

REPOSITORY = Path(__file__).resolve().parents[2]
TYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def face_at(x, y, eye, roll=0.0):
    points = (template() - template()[:2].mean(0)) * eye / 0.3
    angle = torch.deg2rad(torch.tensor(roll, dtype=torch.float64))
    turn = torch.stack((torch.stack((angle.cos(), -angle.sin())), torch.stack((angle.sin(), angle.cos()))))
    return points @ turn.T + torch.tensor([x, y], dtype=torch.float64)


# A weight that is 0 in one precision may be 1e-15 in another.
@example((4, 1), (0.0, 1.0), 10.0, 0.0, 33, 0.0, torch.float64, 1, True)
@settings(deadline=None, max_examples=60)
@given(
    size=st.tuples(st.integers(1, 260), st.integers(1, 260)),
    place=st.tuples(st.floats(-0.2, 1.2), st.floats(-0.2, 1.2)),
    eye=st.floats(6, 120),
    roll=st.floats(-180, 180),
    side=st.sampled_from([16, 33, 64, 128]),
    feather=st.floats(0, 0.5),
    dtype=st.sampled_from(TYPES),
    channels=st.sampled_from([1, 3, 4]),
    own_mask=st.booleans(),
)
def test_outside_the_mask_every_bit_stays(size, place, eye, roll, side, feather, dtype, channels, own_mask):
    generator = torch.Generator().manual_seed(size[0] * 1000 + size[1])
    height, width = size
    # Beyond 0..1 and with negative zeros: whatever a picture holds stays as it is.
    picture = (torch.rand(height, width, channels, generator=generator) * 3 - 1).to(dtype)
    picture[::3] = -0.0
    frame = face_frame(face_at(place[0] * width, place[1] * height, eye, roll), size, side)
    if own_mask:
        frame = dataclasses.replace(frame, mask=(torch.rand(side, side, generator=generator) > 0.7).float())
    before = picture.clone()
    crop = torch.rand(side, side, channels, generator=generator).to(dtype)
    assert paste_into(picture, crop, frame, feather) is picture
    outside = warp_mask(frame, feather) == 0
    kept, was = picture[outside], before[outside]
    assert torch.equal(kept, was)
    assert torch.equal(kept.signbit(), was.signbit())
    if not own_mask and min(size) > 100 and 0.3 < min(place) < max(place) < 0.7 and feather < 0.1:
        assert not torch.equal(picture, before)


@pytest.mark.parametrize("dtype", TYPES)
def test_half_precision_is_computed_in_float32(dtype):
    picture = torch.rand(700, 900, 3)
    frame = face_frame(face_at(450, 300, 150, 11), (700, 900), 256)
    crop = crop_face(picture.to(dtype), frame)
    assert crop.dtype == dtype
    assert (crop.float() - crop_face(picture, frame)).abs().max() < (0.006 if dtype == torch.bfloat16 else 0.001)


def test_a_view_of_a_larger_batch_is_written_in_place():
    batch = torch.zeros(2, 90, 110, 4)
    frame = face_frame(face_at(50, 30, 22), (90, 110), 48)
    paste_into(batch[1, ..., :3], torch.ones(48, 48, 3), frame, colour_match=0)
    assert batch[0].sum() == 0
    assert batch[1, ..., 3].sum() == 0
    assert torch.allclose(batch[1, ..., 0], warp_mask(frame, 0.06), atol=1e-6)


def test_two_faces_of_one_picture_keep_each_other():
    picture = torch.zeros(200, 300, 3)
    frames = [face_frame(face_at(x, 80, 25), (200, 300), 64) for x in (80, 220)]
    for value, frame in zip((0.3, 0.9), frames, strict=True):
        paste_into(picture, torch.full((64, 64, 3), value), frame, colour_match=0)
    assert (picture[90, 80] == 0.3).all()
    assert (picture[90, 220] == 0.9).all()


@pytest.mark.parametrize("dtype", TYPES)
def test_storage(dtype):
    like = torch.zeros(1, dtype=dtype)
    made = uninitialised((2, 3, 5, 4), like)
    made[:] = 0.5
    assert (made.dtype, made.shape, made.is_contiguous()) == (dtype, (2, 3, 5, 4), True)
    assert made.sum() == 60
    assert uninitialised((0, 3), like).shape == (0, 3)


MEASURE = """
import resource, sys, torch
sys.path.insert(0, {root!r})
from sfsr_model.face.crop import template
from sfsr_model.face.frame import face_frame
from sfsr_model.face.storage import uninitialised
from sfsr_model.face.warp import crop_face, paste_into
{body}
"""
PEAK = "resource.getrusage(resource.RUSAGE_SELF).ru_maxrss"


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak as Linux counts it, in KiB")
def test_an_8k_picture_costs_little_more_than_its_face():
    """7680 x 4320 is 380 MiB in float32; cropping and pasting in place add less than half of that."""
    body = f"""
points = template() * 900 + torch.tensor([3000.0, 1500.0])
small = torch.rand(64, 64, 3)
paste_into(small, crop_face(small, f := face_frame(template() * 60, (64, 64), 64)), f)
picture = uninitialised((4320, 7680, 3), small).fill_(0.5)
before = {PEAK}
frame = face_frame(points, (4320, 7680), 512)
paste_into(picture, crop_face(picture, frame), frame)
print(({PEAK} - before) // 1024)
"""
    code = MEASURE.format(root=str(REPOSITORY), body=body)
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(answer.stdout) < 190


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak as Linux counts it, in KiB")
def test_sixty_frames_stay_within_six_gigabytes():
    body = f"""
frames = torch.rand(60, 512, 512, 3)
out = uninitialised(frames.shape, frames)
for number, picture in enumerate(frames):
    frame = face_frame(template() * 300 + 100.0 + number, (512, 512), 512)
    out[number] = picture
    paste_into(out[number], crop_face(picture, frame), frame)
print({PEAK} // 1024)
"""
    code = MEASURE.format(root=str(REPOSITORY), body=body)
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(answer.stdout) < 6 * 1024


def test_what_does_not_fit_is_refused():
    picture = torch.rand(80, 90, 3)
    frame = face_frame(face_at(40, 25, 18), (80, 90), 32)
    before = picture.clone()
    with pytest.raises(ValueError, match="90 x 79 pixels, but the face was found in a picture of 90 x 80"):
        paste_into(picture[:79], torch.rand(32, 32, 3), frame)
    for crop in (torch.rand(33, 32, 3), torch.rand(32, 32, 1), torch.rand(2, 32, 32, 3)):
        with pytest.raises(ValueError, match="expected 32 x 32 pixels with 3 channels"):
            paste_into(picture, crop, frame)
    assert torch.equal(picture, before)


@pytest.mark.parametrize("size", [64, 512])
def test_a_resized_frame_is_that_of_a_crop_of_the_other_size(size):
    frame = face_frame(face_at(40, 25, 18, 20), (80, 90), 256, 0.7, 2, 1)
    resized, own = frame.resized(size), face_frame(face_at(40, 25, 18, 20), (80, 90), size)
    assert torch.allclose(resized.transform, own.transform)
    assert (resized.mask - own.mask).abs().mean() < 0.01
    assert (resized.crop_size, resized.score, resized.index, resized.picture) == (size, 0.7, 2, 1)
