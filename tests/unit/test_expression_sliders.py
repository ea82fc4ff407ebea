"""Sliders: what they move, and what they refuse."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sfsr_model.expressions import ARKIT_INDEX, ARKIT_NAMES, Expression, word_expression
from sfsr_model.expressions.sliders import HEAD_SLIDERS, SLIDERS, add_sliders

NAMES = [slider.name for slider in SLIDERS]
NEUTRAL = Expression.neutral()


def moved(**values):
    coefficients = add_sliders(NEUTRAL, values).coefficients[0]
    return {ARKIT_NAMES[index]: coefficients[index].item() for index in coefficients.nonzero().flatten().tolist()}


def test_every_name_is_a_coefficient():
    for slider in SLIDERS:
        assert {*slider.up, *(slider.down or {})} <= set(ARKIT_NAMES)


def test_smile_and_its_opposite():
    assert moved(smile=0.5) == {"mouthSmileLeft": 0.5, "mouthSmileRight": 0.5}
    assert moved(smile=-1.0) == {"mouthFrownLeft": 1.0, "mouthFrownRight": 1.0}


def test_eyes_close():
    assert moved(eyes_open=-1.0) == {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}


def test_both_eyes_look_the_same_way():
    assert moved(gaze_side=1.0) == {"eyeLookOutLeft": 1.0, "eyeLookInRight": 1.0}


def test_a_one_sided_slider_takes_away_below_zero():
    assert moved(jaw_open=-1.0) == {}
    surprised = word_expression("surprise")
    quieter = add_sliders(surprised, {"jaw_open": -0.2})
    index = ARKIT_INDEX["jawOpen"]
    assert quieter.coefficients[0, index] == pytest.approx(surprised.coefficients[0, index].item() - 0.2)


def test_zero_changes_nothing():
    surprised = word_expression("surprise")
    same = add_sliders(surprised, dict.fromkeys([*NAMES, *(name for name, _ in HEAD_SLIDERS)], 0.0))
    assert torch.equal(same.coefficients, surprised.coefficients)
    assert same.pose is surprised.pose
    assert same.words == surprised.words


def test_head_in_degrees():
    turned = add_sliders(NEUTRAL, {"head_yaw": 30.0, "head_roll": -10.0})
    assert turned.pose[0].tolist() == pytest.approx([0.0, math.radians(30), math.radians(-10)])


@given(st.dictionaries(st.sampled_from(NAMES), st.floats(-1, 1)))
def test_coefficients_stay_in_range(values):
    coefficients = add_sliders(word_expression("rage"), values).coefficients
    assert bool(((coefficients >= 0) & (coefficients <= 1)).all())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"grin": 1.0}, "slider 'grin' does not exist"),
        ({"smile": 1.5}, r"slider 'smile' is 1\.5; expected a number from -1 to 1"),
        ({"smile": math.nan}, "slider 'smile' is nan"),
        ({"head_yaw": 90.0}, r"slider 'head_yaw' is 90\.0; expected a number from -60 to 60"),
    ],
)
def test_refused(values, message):
    with pytest.raises(ValueError, match=message):
        add_sliders(NEUTRAL, values)
