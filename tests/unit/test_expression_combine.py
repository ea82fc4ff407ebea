"""Batches joined, blends, parts from different expressions."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sfsr_model.expressions import HEAD, PARTS, Expression, blend, concatenate, part_mask, take_parts, word_expression

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
    with pytest.raises(ValueError, match=r"expression\[0\]: found a batch of 2, but expression\[1\] is a batch of 3"):
        blend([concatenate([JOY, ANGER]), batch], [1, 1])


def test_a_word_survives_only_where_all_contributors_share_it():
    batch = concatenate([JOY, ANGER])
    assert blend([JOY, batch], [1, 1]).words == ("joy", None)
    assert blend([JOY, ANGER], [1, 0]).words == ("joy",)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1], "1 entries for 2 expressions"),
        ([1, -1], r"weight\[1\] is -1"),
        ([math.nan, 1], r"weight\[0\] is nan"),
        ([0, 0], "weights are all 0"),
    ],
)
def test_blend_refuses_weights(weights, message):
    with pytest.raises(ValueError, match=message):
        blend([JOY, ANGER], weights)


def test_blend_refuses_nothing():
    with pytest.raises(ValueError, match="expressions is empty"):
        blend([], [])


def test_refusals_call_expressions_by_the_names_given():
    with pytest.raises(ValueError, match="weight_b is nan"):
        blend([JOY, ANGER], [1, math.nan], ["a", "b"])
    with pytest.raises(ValueError, match="expression_a: found a batch of 2, but expression_c is a batch of 3"):
        blend([concatenate([JOY, ANGER]), concatenate([ANGER] * 3)], [1, 1], ["a", "c"])


FACES = st.builds(
    lambda values, pose: Expression(torch.tensor([values]), torch.tensor([pose]) if pose else None),
    st.lists(st.floats(0, 1, width=32), min_size=52, max_size=52),
    st.none() | st.lists(st.floats(-3, 3, width=32), min_size=3, max_size=3),
)


@given(st.lists(st.tuples(FACES, st.floats(0.01, 10)), min_size=1, max_size=4))
def test_a_blend_lies_between_what_it_is_made_of(parts):
    expressions, weights = zip(*parts, strict=True)
    mixed = blend(expressions, weights)
    stacked = torch.cat([one.coefficients for one in expressions])
    assert bool((mixed.coefficients >= stacked.amin(0) - 1e-6).all())
    assert bool((mixed.coefficients <= stacked.amax(0) + 1e-6).all())


def test_parts_come_from_where_they_are_asked():
    mixed = take_parts(JOY, {"brows": ANGER, "head": PRIDE})
    brows = part_mask("brows")
    assert torch.equal(mixed.coefficients[0, brows], ANGER.coefficients[0, brows])
    assert torch.equal(mixed.coefficients[0, ~brows], JOY.coefficients[0, ~brows])
    assert torch.equal(mixed.pose, PRIDE.pose)
    assert mixed.words == (None,)
    assert take_parts(PRIDE, {"head": JOY}).pose is None
    assert take_parts(JOY, {}).words == ("joy",)


def test_parts_all_from_one_are_that_one():
    mixed = take_parts(JOY, dict.fromkeys((*PARTS, HEAD), PRIDE))
    assert torch.equal(mixed.coefficients, PRIDE.coefficients)
    assert mixed.words == ("pride",)


def test_parts_meet_in_length_or_are_refused():
    batch = concatenate([JOY, ANGER])
    assert len(take_parts(PRIDE, {"mouth": batch})) == 2
    assert len(take_parts(batch, {"mouth": PRIDE})) == 2
    with pytest.raises(ValueError, match="base: found a batch of 2, but mouth is a batch of 3"):
        take_parts(batch, {"mouth": concatenate([JOY] * 3)})
    with pytest.raises(ValueError, match="unknown part 'ears'"):
        take_parts(JOY, {"ears": ANGER})
