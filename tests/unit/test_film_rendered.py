"""Rendered films: what somebody does over time, and frames whose truth is the performance."""

import numpy as np
import pytest
from testkit.tiny_makehuman import tiny_folder

from sfsr_model.expressions import ARKIT_INDEX
from sfsr_model.film.performance import REST, perform
from sfsr_model.film.rendered import render_film, render_together, shot
from sfsr_model.synthetic import FaceModel

LID = ARKIT_INDEX["eyeBlinkLeft"]


@pytest.fixture(scope="module")
def model():
    return FaceModel.load(tiny_folder() / "faces.npz")


def test_the_performance_begins_at_rest_and_then_blinks_speaks_and_turns():
    done = perform(5, 240)
    rest = int(REST * 30) - 6  # a first sound begins a little before its middle
    assert done.coefficients.shape == (240, 52)
    assert done.coefficients[:rest].max() < 1e-6
    assert not done.pose[:rest].any()
    assert 0 <= done.coefficients.min() < done.coefficients[:, LID].max() == 1
    assert np.ptp(done.coefficients[:, ARKIT_INDEX["jawOpen"]]) > 0.3
    assert np.degrees(np.abs(done.pose[:, 1]).max()) == pytest.approx(25, abs=2)


def test_the_head_turns_at_the_asked_speed():
    yaw = np.degrees(perform(1, 300, turn=30, turn_rate=60).pose[:, 1])
    assert np.median(np.abs(np.diff(yaw))[30:]) * 30 == pytest.approx(60, rel=0.02)
    assert not perform(1, 60, turn=0).pose[:, 1].any()


def test_a_blink_is_short_and_closes_the_eye():
    lids = perform(2, 600, rate=60, turn=0).coefficients[:, LID]
    shut = np.flatnonzero((lids > 0.95) & (np.roll(lids, 1) <= 0.95))
    assert len(shut) >= 3
    wide = [np.sum(lids[at - 12 : at + 18] > 0.55) for at in shut]
    assert max(wide) <= 0.2 * 60


def test_the_same_seed_is_the_same_performance_at_any_rate():
    slow, fast = perform(7, 61, rate=30), perform(7, 121, rate=60)
    assert np.abs(slow.coefficients - fast.coefficients[::2]).max() < 1e-5
    assert np.abs(slow.coefficients - perform(8, 61).coefficients).max() > 0.1


@pytest.mark.parametrize("wrong", [{"frames": 0}, {"rate": 0}, {"turn": 80}, {"turn_rate": float("nan")}])
def test_a_performance_of_impossible_numbers_is_named(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        perform(0, **{"frames": 3, **wrong})


def test_frames_carry_the_truth_and_are_the_same_each_time(model):
    film = shot(4, 40, 64, person=2)
    frames = list(render_film(model, film))
    assert len(frames) == 40
    assert frames[0].image.shape == (64, 64, 3)
    for number in (0, 39):
        assert np.array_equal(frames[number].coefficients, film.performance.coefficients[number])
        assert frames[number].pose == pytest.approx(film.performance.pose[number])
    assert np.array_equal(frames[0].identity, frames[39].identity)
    again = next(iter(render_film(model, film)))
    assert np.array_equal(frames[0].image, again.image)
    assert not np.array_equal(frames[0].image, frames[1].image)  # at rest only the camera's noise differs
    assert np.abs(frames[0].image.astype(int) - frames[1].image).mean() < 4


def test_two_people_pass_each_other_the_later_one_in_front(model):
    shots = [shot(4, 3, 64, person=2), shot(5, 3, 64, person=3)]
    corners = np.array([[[0, 0], [64, 0]], [[30, 0], [30, 0]], [[64, 0], [-64, 0]]])
    frames = list(render_together(model, shots, corners, 128, 64))
    assert frames[0].image.shape == (64, 128, 3)
    behind, before = frames[1].pictures
    there = before.labels != 0
    assert np.array_equal(frames[1].image[:, 30:94][there], before.image[there])
    assert np.allclose(frames[1].five(0), behind.five + np.array([30, 0]))
    with pytest.raises(ValueError, match="corners"):
        next(render_together(model, shots, corners[:2], 128, 64))
