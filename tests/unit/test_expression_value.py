"""The Expression value: what it accepts, and its own operations."""

import math
import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sfsr_model.expressions import ARKIT_INDEX, ARKIT_NAMES, PARTS, Expression, part_mask


def ramp(batch: int = 2, pose: bool = True) -> Expression:
    """Distinct coefficients between 0.1 and 0.9 and a distinct pose for every row."""
    coefficients = torch.linspace(0.1, 0.9, batch * 52).reshape(batch, 52)
    angles = torch.linspace(-0.3, 0.3, batch * 3).reshape(batch, 3) if pose else None
    return Expression(coefficients, angles, tuple(f"word{row}" for row in range(batch)))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, -0.01, 1.01])
@given(row=st.integers(0, 2), column=st.integers(0, 51))
def test_bad_coefficient_is_located(bad, row, column):
    coefficients = torch.full((3, 52), 0.5)
    coefficients[row, column] = bad
    with pytest.raises(ValueError, match=re.escape(f"coefficients[{row}, {column}] ({ARKIT_NAMES[column]}) is {bad:.6g};")):
        Expression(coefficients)


@pytest.mark.parametrize("bad", [math.nan, 20.0])
def test_bad_pose_is_located(bad):
    pose = torch.zeros(2, 3)
    pose[1, 2] = bad
    with pytest.raises(ValueError, match=r"pose\[1, 2\] \(roll\)"):
        Expression(torch.zeros(2, 52), pose)


def test_degrees_are_recognised():
    with pytest.raises(ValueError, match="radians"):
        Expression(torch.zeros(1, 52), torch.tensor([[0.0, 15.0, 0.0]]))


@pytest.mark.parametrize("shape", [(), (52,), (0, 52), (1, 51), (1, 53), (1, 1, 52)])
def test_bad_shape_of_coefficients(shape):
    with pytest.raises(ValueError, match="coefficients has shape"):
        Expression(torch.zeros(shape))


@pytest.mark.parametrize(
    ("pose", "message"),
    [
        (torch.zeros(1, 4), "pose has shape"),
        (torch.zeros(3, 3), "pose has batch size 3; expected 2"),
        (torch.zeros(2, 3, dtype=torch.float64), "pose has dtype torch.float64"),
    ],
)
def test_pose_must_fit_the_coefficients(pose, message):
    with pytest.raises(ValueError, match=message):
        Expression(torch.zeros(2, 52), pose)


def test_only_floating_tensors():
    with pytest.raises(TypeError, match="coefficients is a list"):
        Expression([[0.0] * 52])
    with pytest.raises(ValueError, match=r"coefficients has dtype torch\.int64"):
        Expression(torch.zeros(1, 52, dtype=torch.int64))


def test_words_match_the_batch():
    assert Expression(torch.zeros(2, 52)).words == (None, None)
    with pytest.raises(ValueError, match="words has 1 entries for a batch of 2"):
        Expression(torch.zeros(2, 52), None, ("joy",))
    with pytest.raises(ValueError, match=r"words\[1\] is 7"):
        Expression(torch.zeros(2, 52), None, ("joy", 7))


def test_neutral():
    face = Expression.neutral(3)
    assert len(face) == 3
    assert not face.coefficients.any()
    assert not face.pose.any()
    with pytest.raises(ValueError, match="batch is 0"):
        Expression.neutral(0)


@given(st.floats(0, 3))
def test_scaled_multiplies_and_stops_at_one(intensity):
    face, scaled = ramp(), ramp().scaled(intensity)
    assert torch.allclose(scaled.coefficients, (face.coefficients * intensity).clamp(max=1))
    assert torch.allclose(scaled.pose, face.pose * intensity)
    assert scaled.words == face.words


def test_scaled_by_row():
    swept = ramp(1).expand(3).scaled(torch.tensor([0.0, 0.5, 1.0]))
    assert not swept.coefficients[0].any()
    assert torch.allclose(swept.coefficients[1] * 2, ramp(1).coefficients[0])
    assert torch.equal(swept.coefficients[2], ramp(1).coefficients[0])
    assert torch.allclose(swept.pose[1] * 2, ramp(1).pose[0])


@pytest.mark.parametrize("bad", [-0.1, math.nan, math.inf, torch.ones(3), torch.tensor([1.0, -1.0])])
def test_scaled_refuses(bad):
    with pytest.raises(ValueError, match="intensity"):
        ramp().scaled(bad)


def test_gradients_flow_through():
    coefficients = torch.full((1, 52), 0.5, requires_grad=True)
    Expression(coefficients).scaled(0.5).select_parts("mouth").coefficients.sum().backward()
    assert torch.equal(coefficients.grad[0], part_mask("mouth") * 0.5)


@given(st.sets(st.sampled_from(sorted(PARTS))))
def test_select_parts_keeps_these_and_zeroes_the_rest(parts):
    face, mask = ramp(), part_mask(parts)
    selected = face.select_parts(parts)
    assert torch.equal(selected.coefficients[:, mask], face.coefficients[:, mask])
    assert not selected.coefficients[:, ~mask].any()
    assert selected.pose is None


def test_select_parts_takes_the_rest_from_another():
    face, other = ramp(2), Expression(torch.full((1, 52), 0.25), torch.full((1, 3), 0.2))
    mixed = face.select_parts(["mouth"], otherwise=other)
    assert torch.equal(mixed.coefficients[:, ARKIT_INDEX["jawOpen"]], face.coefficients[:, ARKIT_INDEX["jawOpen"]])
    assert (mixed.coefficients[:, ARKIT_INDEX["browInnerUp"]] == 0.25).all()
    assert (mixed.pose == 0.2).all()
    assert torch.equal(face.select_parts(["mouth", "head"], otherwise=other).pose, face.pose)


def test_select_parts_names_the_unknown_part():
    with pytest.raises(ValueError, match=r"'hair'.*mouth or head"):
        ramp().select_parts(["mouth", "hair"])


def test_expand_repeats_one_row_only():
    face = ramp(1).expand(4)
    assert len(face) == 4
    assert torch.equal(face.coefficients[3], ramp(1).coefficients[0])
    assert torch.equal(face.pose[3], ramp(1).pose[0])
    assert face.words == ("word0",) * 4
    assert len(ramp(3).expand(3)) == 3
    for batch in (0, 1, 4):
        with pytest.raises(ValueError, match=f"cannot expand 2 expression\\(s\\) to {batch}"):
            ramp(2).expand(batch)


def test_to_converts_both_tensors():
    face = ramp().to(torch.float64)
    assert face.coefficients.dtype == face.pose.dtype == torch.float64
    assert face.words == ramp().words
    assert ramp(pose=False).to(torch.float16).coefficients.dtype == torch.float16
