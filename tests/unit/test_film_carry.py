"""x0* carried from frame to frame."""

from dataclasses import replace

import pytest
import torch

from sfsr_model.face import FaceFrame, face_frame
from sfsr_model.film.carry import Carry, carried_start, spared_steps


def frame(picture: int, shot: int = 0) -> FaceFrame:
    points = torch.tensor([[40.0, 50.0], [80.0, 50.0], [60.0, 70.0], [45.0, 90.0], [75.0, 90.0]])
    return replace(face_frame(points, (128, 128), 64, picture=picture), shot=shot)


@pytest.mark.parametrize(
    ("share", "steps", "spared"), [(0.0, 4, 0), (0.1, 4, 0), (0.5, 4, 2), (0.5, 3, 2), (0.7, 4, 3), (0.9, 4, 3), (0.9, 1, 0)]
)
def test_a_share_of_the_steps_is_spared_and_one_is_kept(share, steps, spared):
    assert spared_steps(share, steps) == spared


def test_the_last_face_lies_in_the_frames_own_surroundings():
    last, known = torch.full((1, 2, 2, 2), 5.0), torch.arange(8.0).reshape(1, 2, 2, 2)
    start = carried_start(last, known, torch.tensor([[[[1.0, 0.0], [0.25, 0.0]]]]))
    assert torch.equal(start[:, :, 0, 0], last[:, :, 0, 0])
    assert torch.equal(start[..., 1], known[..., 1])
    assert torch.equal(start[:, :, 1, 0], known[:, :, 1, 0])


def test_only_the_frame_before_in_the_same_shot_is_carried():
    carry, latents = Carry(2), torch.ones(1, 4, 8, 8)
    assert carry.last(frame(0)) is None
    carry.keep(frame(3), latents)
    assert carry.last(frame(4)) is latents
    assert carry.last(frame(5)) is None
    assert carry.last(frame(3)) is None
    assert carry.last(frame(4, shot=1)) is None


def test_nothing_is_kept_where_nothing_is_carried():
    carry = Carry(0)
    carry.keep(frame(0), torch.ones(1, 4, 8, 8))
    assert carry.last(frame(1)) is None
