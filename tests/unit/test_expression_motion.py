"""Easing, frames between keys, travel."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sfsr_model.expressions import EASINGS, MAX_FRAMES, Expression, concatenate, ease, interpolate, travel, word_expression

JOY, ANGER, PRIDE = (word_expression(word) for word in ("joy", "anger", "pride"))


@pytest.mark.parametrize("easing", EASINGS)
@given(one=st.floats(0, 1), other=st.floats(0, 1))
def test_easings_never_turn_back(easing, one, other):
    first, second = sorted((one, other))
    assert 0.0 <= ease(first, easing) <= ease(second, easing) + 1e-12
    assert ease(second, easing) <= 1.0
    assert (ease(0.0, easing), ease(1.0, easing)) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("easing", "quarter", "half"),
    [
        ("linear", 0.25, 0.5),
        ("ease in", 0.0625, 0.25),
        ("ease out", 0.4375, 0.75),
        ("ease in and out", 0.125, 0.5),
        ("smoothstep", 0.15625, 0.5),
        ("smootherstep", 0.103515625, 0.5),
        ("hold", 0.0, 0.0),
    ],
)
def test_easings_by_their_formulas(easing, quarter, half):
    assert (ease(0.25, easing), ease(0.5, easing)) == (quarter, half)


@pytest.mark.parametrize("t", [-0.1, 1.1, float("nan")])
def test_easing_refuses_times_outside(t):
    with pytest.raises(ValueError, match="expected a number from 0 to 1"):
        ease(t, "linear")


@pytest.mark.parametrize("easing", EASINGS)
@given(frames=st.integers(2, 40))
def test_travel_ends_are_exact(easing, frames):
    path = travel(JOY, PRIDE, frames, easing)
    assert len(path) == frames
    assert torch.equal(path.coefficients[0], JOY.coefficients[0])
    assert torch.equal(path.coefficients[-1], PRIDE.coefficients[0])
    assert torch.equal(path.pose[-1], PRIDE.pose[0])
    assert not path.pose[0].any()
    between = "joy" if easing == "hold" else None
    assert path.words == ("joy", *(between,) * (frames - 2), "pride")


@pytest.mark.parametrize("easing", EASINGS)
@given(frames=st.integers(2, 40))
def test_there_and_back_loops_through_the_end(easing, frames):
    path = travel(JOY, PRIDE, frames, easing, there_and_back=True)
    assert len(path) == frames
    assert torch.equal(path.coefficients[0], JOY.coefficients[0])
    assert torch.equal(path.coefficients[frames // 2], PRIDE.coefficients[0])
    if frames > 2 and easing != "hold":
        assert not torch.equal(path.coefficients[-1], JOY.coefficients[0])


def test_there_and_back_goes_back_the_same_way():
    path = travel(JOY, ANGER, 6, "smoothstep", there_and_back=True).coefficients
    assert torch.allclose(path[4:], path[[2, 1]], atol=1e-6)


def test_travel_moves_by_its_easing():
    start, end = Expression.neutral(), Expression(torch.ones(1, 52), torch.full((1, 3), 0.5))
    linear = travel(start, end, 5).coefficients[:, 0]
    assert torch.allclose(linear, torch.tensor([0, 0.25, 0.5, 0.75, 1]))
    smooth = travel(start, end, 5, "smoothstep")
    assert torch.allclose(smooth.coefficients[:, 7], torch.tensor([0, 0.15625, 0.5, 0.84375, 1]))
    assert torch.allclose(smooth.pose[:, 1], smooth.coefficients[:, 0] / 2)


def test_a_single_frame_is_the_start():
    for there_and_back in (False, True):
        path = travel(JOY, ANGER, 1, there_and_back=there_and_back)
        assert torch.equal(path.coefficients, JOY.coefficients)
        assert path.words == ("joy",)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((concatenate([JOY, ANGER]), PRIDE, 3), "start holds 2 expressions"),
        ((JOY, concatenate([JOY, ANGER]), 3), "end holds 2 expressions"),
        ((JOY, ANGER, 0), f"frames is 0; expected 1 to {MAX_FRAMES}"),
        ((JOY, ANGER, MAX_FRAMES + 1), f"frames is {MAX_FRAMES + 1}; expected 1 to {MAX_FRAMES}"),
        ((JOY, ANGER, 3, "bouncy"), "unknown easing 'bouncy'; expected one of linear, ease in"),
    ],
)
def test_travel_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        travel(*arguments)


@given(st.data(), st.integers(1, 50), st.sampled_from(EASINGS), st.booleans())
def test_keys_are_hit_exactly_and_the_rest_lies_between(data, frames, easing, loop):
    faces = st.sampled_from([JOY, ANGER, PRIDE, Expression.neutral(), Expression(torch.ones(1, 52))])
    keys = data.draw(st.dictionaries(st.integers(0, frames - 1), faces, min_size=1, max_size=6))
    path = interpolate(keys, frames, easing, loop)
    assert len(path) == frames
    for frame, key in keys.items():
        assert torch.equal(path.coefficients[frame], key.coefficients[0])
        assert path.words[frame] == key.words[0]
        if key.pose is not None:
            assert torch.equal(path.pose[frame], key.pose[0])
    stacked = torch.cat([key.coefficients for key in keys.values()])
    assert bool((path.coefficients >= stacked.amin(0) - 1e-6).all())
    assert bool((path.coefficients <= stacked.amax(0) + 1e-6).all())


def test_before_the_first_and_after_the_last_key_nothing_moves():
    path = interpolate({2: JOY, 4: ANGER}, 7)
    assert torch.equal(path.coefficients[[0, 1]], JOY.coefficients.expand(2, -1))
    assert torch.equal(path.coefficients[[5, 6]], ANGER.coefficients.expand(2, -1))
    assert path.words == ("joy", "joy", "joy", None, "anger", "anger", "anger")


def test_each_way_between_keys_has_its_own_length():
    path = interpolate({2: Expression.neutral(), 6: JOY, 8: ANGER}, 9)
    torch.testing.assert_close(path.coefficients[3], 0.25 * JOY.coefficients[0])
    torch.testing.assert_close(path.coefficients[7], 0.5 * (JOY.coefficients + ANGER.coefficients)[0])


def test_a_loop_goes_on_over_its_seam():
    """Frames 4 to 10 (= frame 2 again) are one way of six steps."""
    path = interpolate({2: JOY, 4: ANGER}, 8, loop=True)
    way = travel(ANGER, JOY, 7)
    assert torch.allclose(path.coefficients[[4, 5, 6, 7, 0, 1, 2]], way.coefficients, atol=1e-6)


def test_a_word_lasts_between_keys_that_share_it():
    path = interpolate({0: JOY.scaled(0.2), 4: JOY}, 5)
    assert path.words == ("joy",) * 5
    assert torch.allclose(path.coefficients[2], JOY.coefficients[0] * 0.6)


@pytest.mark.parametrize(
    ("keys", "frames", "message"),
    [
        ({}, 3, "keys is empty"),
        ({3: JOY}, 3, "a key at frame 3; expected 0 to 2"),
        ({-1: JOY}, 3, "a key at frame -1; expected 0 to 2"),
        ({0: concatenate([JOY, ANGER])}, 3, "the key at frame 0 holds 2 expressions"),
    ],
)
def test_interpolate_refuses(keys, frames, message):
    with pytest.raises(ValueError, match=message):
        interpolate(keys, frames)
