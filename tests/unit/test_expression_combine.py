"""Batches joined, blends and travel."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sfsr_model.expressions import Expression, blend, concatenate, travel, word_expression

JOY, ANGER, PRIDE = (word_expression(word) for word in ("joy", "anger", "pride"))


def test_the_words_used_here_differ_in_having_a_pose():
    assert JOY.pose is None
    assert PRIDE.pose is not None


def test_concatenate_keeps_order_words_and_pose():
    both = concatenate([JOY, PRIDE])
    assert both.words == ("joy", "pride")
    assert torch.equal(both.coefficients[0], JOY.coefficients[0])
    assert not both.pose[0].any()
    assert torch.equal(both.pose[1], PRIDE.pose[0])
    assert concatenate([JOY, ANGER]).pose is None
    with pytest.raises(ValueError, match="expressions is empty"):
        concatenate([])


@given(st.lists(st.floats(0, 10), min_size=3, max_size=3).filter(lambda weights: sum(weights) > 0.01))
def test_blend_is_the_weighted_mean(weights):
    parts = [JOY, ANGER, PRIDE]
    mixed = blend(parts, weights)
    total = sum(weights)
    expected = sum(part.coefficients * (weight / total) for part, weight in zip(parts, weights, strict=True))
    assert torch.allclose(mixed.coefficients, expected, atol=1e-6)
    if weights[2] > 0:
        assert torch.allclose(mixed.pose, PRIDE.pose * (weights[2] / total), atol=1e-6)
    else:
        assert mixed.pose is None


def test_a_blend_of_full_coefficients_stays_in_range():
    full = Expression(torch.ones(1, 52))
    weights = [1, 2, 3, 4, 5]
    assert sum(torch.ones(1) * (weight / 15) for weight in weights) > 1, "these weights no longer round upwards"
    assert torch.equal(blend([full] * 5, weights).coefficients, torch.ones(1, 52))


def test_blend_expands_single_rows_and_refuses_other_lengths():
    batch = concatenate([ANGER, PRIDE, ANGER])
    mixed = blend([JOY, batch], [1, 3])
    assert torch.allclose(mixed.coefficients[1], JOY.coefficients[0] * 0.25 + PRIDE.coefficients[0] * 0.75)
    with pytest.raises(ValueError, match="cannot expand 2"):
        blend([concatenate([JOY, ANGER]), batch], [1, 1])


def test_a_word_survives_only_where_all_contributors_share_it():
    batch = concatenate([JOY, ANGER])
    assert blend([JOY, batch], [1, 1]).words == ("joy", None)
    assert blend([JOY, ANGER], [1, 0]).words == ("joy",)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1], "1 entries for 2 expressions"),
        ([1, -1], r"weights\[1\] is -1"),
        ([math.nan, 1], r"weights\[0\] is nan"),
        ([0, 0], "weights are all 0"),
    ],
)
def test_blend_refuses_weights(weights, message):
    with pytest.raises(ValueError, match=message):
        blend([JOY, ANGER], weights)


def test_blend_refuses_nothing():
    with pytest.raises(ValueError, match="expressions is empty"):
        blend([], [])


@pytest.mark.parametrize("easing", ["linear", "smooth"])
@given(steps=st.integers(2, 40))
def test_travel_ends_are_exact(easing, steps):
    path = travel(JOY, PRIDE, steps, easing)
    assert len(path) == steps
    assert torch.equal(path.coefficients[0], JOY.coefficients[0])
    assert torch.equal(path.coefficients[-1], PRIDE.coefficients[0])
    assert torch.equal(path.pose[-1], PRIDE.pose[0])
    assert not path.pose[0].any()
    assert path.words == ("joy", *(None,) * (steps - 2), "pride")


def test_travel_moves_monotonically_by_its_easing():
    start, end = Expression.neutral(), Expression(torch.ones(1, 52), torch.full((1, 3), 0.5))
    linear = travel(start, end, 5).coefficients[:, 0]
    assert torch.allclose(linear, torch.tensor([0, 0.25, 0.5, 0.75, 1]))
    smooth = travel(start, end, 5, "smooth")
    assert torch.allclose(smooth.coefficients[:, 7], torch.tensor([0, 0.15625, 0.5, 0.84375, 1]))
    assert torch.allclose(smooth.pose[:, 1], smooth.coefficients[:, 0] / 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((concatenate([JOY, ANGER]), PRIDE, 3), "start holds 2 expressions"),
        ((JOY, concatenate([JOY, ANGER]), 3), "end holds 2 expressions"),
        ((JOY, ANGER, 1), "steps is 1"),
        ((JOY, ANGER, 3, "bouncy"), "unknown easing 'bouncy'; expected one of linear, smooth"),
    ],
)
def test_travel_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        travel(*arguments)
