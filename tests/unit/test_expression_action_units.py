"""FACS action units as ARKit coefficients and head pose."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sfsr_model.expressions import ARKIT_INDEX, ARKIT_NAMES, LEFT_RIGHT_PAIRS, action_units_to_arkit
from sfsr_model.expressions.action_units import arkit_to_action_units

# The coefficient that names each unit's own movement.
LEADING = {
    1: "browInnerUp", 2: "browOuterUpLeft", 4: "browDownLeft", 5: "eyeWideLeft", 6: "cheekSquintLeft",
    7: "eyeSquintLeft", 9: "noseSneerLeft", 10: "mouthUpperUpLeft", 12: "mouthSmileLeft", 14: "mouthDimpleLeft",
    15: "mouthFrownLeft", 16: "mouthLowerDownLeft", 17: "mouthShrugLower", 18: "mouthPucker", 19: "tongueOut",
    20: "mouthStretchLeft", 22: "mouthFunnel", 23: "mouthPressLeft", 24: "mouthPressLeft", 25: "mouthLowerDownLeft",
    26: "jawOpen", 27: "jawOpen", 28: "mouthRollLower", 29: "jawForward", 34: "cheekPuff", 41: "eyeBlinkLeft",
    43: "eyeBlinkLeft", 45: "eyeBlinkLeft",
}  # fmt: skip


def active(coefficients: torch.Tensor) -> dict[str, float]:
    return {ARKIT_NAMES[index]: round(coefficients[index].item(), 4) for index in coefficients.nonzero().flatten()}


@pytest.mark.parametrize(("unit", "name"), LEADING.items())
def test_leading_coefficient(unit, name):
    coefficients, pose = action_units_to_arkit({unit: 1.0})
    assert pose is None
    assert coefficients[ARKIT_INDEX[name]] == coefficients.max() > 0


@pytest.mark.parametrize("unit", LEADING)
def test_two_sides_make_the_whole_and_each_keeps_to_its_own(unit):
    whole, _ = action_units_to_arkit({unit: 0.6})
    left, _ = action_units_to_arkit({f"L{unit}": 0.6})
    right, _ = action_units_to_arkit({f"R{unit}": 0.6})
    assert torch.allclose(left + right, whole)
    for left_index, right_index in LEFT_RIGHT_PAIRS:
        assert whole[left_index] == whole[right_index]
        assert left[right_index] == right[left_index] == 0


def test_units_add_up_to_one_at_most():
    assert active(action_units_to_arkit({26: 0.5, 27: 0.5})[0]) == {"jawOpen": 0.775}
    assert active(action_units_to_arkit({26: 1, 27: 1})[0]) == {"jawOpen": 1.0}


def test_jaw_and_gaze_know_their_direction():
    assert active(action_units_to_arkit({"L30": 0.5})[0]) == {"jawLeft": 0.5}
    assert active(action_units_to_arkit({"r30": 0.5})[0]) == {"jawRight": 0.5}
    assert active(action_units_to_arkit({61: 1})[0]) == {"eyeLookOutLeft": 1, "eyeLookInRight": 1}
    assert active(action_units_to_arkit({62: 1})[0]) == {"eyeLookOutRight": 1, "eyeLookInLeft": 1}
    assert active(action_units_to_arkit({63: 1})[0]) == {"eyeLookUpLeft": 1, "eyeLookUpRight": 1}
    assert active(action_units_to_arkit({64: 1})[0]) == {"eyeLookDownLeft": 1, "eyeLookDownRight": 1}


@pytest.mark.parametrize(
    ("unit", "pitch", "yaw", "roll"),
    [
        (51, 0, 30, 0), (52, 0, -30, 0), (53, 20, 0, 0), (54, -20, 0, 0),
        (55, 0, 0, 20), (56, 0, 0, -20), (57, -6, 0, 0), (58, 6, 0, 0),
    ],
)  # fmt: skip
def test_head_units_turn_the_head(unit, pitch, yaw, roll):
    coefficients, pose = action_units_to_arkit({unit: 0.5})
    assert not coefficients.any()
    assert torch.allclose(pose, torch.tensor([pitch, yaw, roll]) * (math.pi / 180) * 0.5)


def test_head_units_add():
    _, pose = action_units_to_arkit({53: 1, 54: 0.5, 55: 1})
    assert torch.allclose(pose.rad2deg(), torch.tensor([10.0, 0, 20]), atol=1e-4)


@given(st.dictionaries(st.sampled_from([*LEADING, "L12", "R14", "61", "L30"]), st.floats(0, 1)))
def test_always_in_range(units):
    coefficients, _ = action_units_to_arkit(units)
    assert coefficients.shape == (52,)
    assert coefficients.min() >= 0
    assert coefficients.max() <= 1


@pytest.mark.parametrize("code", ["3", "30", "L61", "L53", "B12", "99", "", "12L"])
def test_unknown_units_are_named(code):
    with pytest.raises(ValueError, match=f"unknown action unit '{code}'"):
        action_units_to_arkit({code: 0.5})


@pytest.mark.parametrize("intensity", [-0.1, 1.1, math.nan])
def test_bad_intensity_is_named(intensity):
    with pytest.raises(ValueError, match=f"action unit 12 has intensity {intensity}"):
        action_units_to_arkit({12: intensity})


# Both sides alike, apart in the table, and not what another unit implies.
READ_BACK = [1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 18, 19, 20, 25, 29, 34]


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.sampled_from(READ_BACK), st.floats(0, 0.5)))
def test_units_are_read_back(units):
    """Whatever else moves, where nothing is at its full: no squint becomes a raised cheek, no raised lip a wrinkled nose."""
    coefficients, _ = action_units_to_arkit(units)
    wanted = torch.tensor([units.get(unit, 0.0) for unit in READ_BACK])
    found = arkit_to_action_units(coefficients[None], READ_BACK)[0]
    # The tongue (19) and the lips (25) open the jaw by so much, and 26 by 0.55: an open mouth parts the lips.
    jaw = 0.25 * units.get(19, 0) + 0.1 * units.get(25, 0)
    wanted[READ_BACK.index(25)] = max(units.get(25, 0), jaw / 0.55)
    torch.testing.assert_close(found, wanted, atol=2e-3, rtol=0)


@pytest.mark.parametrize("strength", [0.2, 1.0])
def test_parted_lips_are_read_back(strength):
    coefficients, _ = action_units_to_arkit({25: strength})
    torch.testing.assert_close(arkit_to_action_units(coefficients[None], [25, 26, 10]), torch.tensor([[strength, 0, 0]]))


def test_a_fallen_jaw_parts_the_lips_unless_they_are_closed_again():
    rows = torch.zeros(3, 52)
    rows[:, ARKIT_INDEX["jawOpen"]] = torch.tensor([0.22, 1.0, 0.22])
    rows[2, ARKIT_INDEX["mouthClose"]] = 0.22
    wanted = torch.tensor([[0.4, 0.4], [1.0, 1.0], [0.4, 0.0]])
    torch.testing.assert_close(arkit_to_action_units(rows, [26, 25]), wanted, atol=1e-3, rtol=0)


def test_one_side_counts_half():
    coefficients, _ = action_units_to_arkit({"L12": 0.8})
    torch.testing.assert_close(arkit_to_action_units(coefficients[None], [12]), torch.tensor([[0.4]]))


def test_an_unknown_unit_cannot_be_read():
    with pytest.raises(ValueError, match="unknown action unit '3'"):
        arkit_to_action_units(torch.zeros(1, 52), [3])
