"""The 52 names, their pairs and the parts of the face."""

import pytest
import torch

from sfsr_model.expressions import ARKIT_INDEX, ARKIT_NAMES, LEFT_RIGHT_PAIRS, PARTS, part_mask


def test_apples_order():
    assert len(ARKIT_NAMES) == len(set(ARKIT_NAMES)) == 52
    anchors = {
        0: "eyeBlinkLeft", 6: "eyeWideLeft", 7: "eyeBlinkRight", 13: "eyeWideRight", 14: "jawForward", 15: "jawLeft",
        16: "jawRight", 17: "jawOpen", 18: "mouthClose", 21: "mouthLeft", 22: "mouthRight",
        23: "mouthSmileLeft", 24: "mouthSmileRight", 25: "mouthFrownLeft", 31: "mouthRollLower",
        35: "mouthPressLeft", 40: "mouthUpperUpRight", 41: "browDownLeft", 43: "browInnerUp", 46: "cheekPuff",
        49: "noseSneerLeft", 51: "tongueOut",
    }  # fmt: skip
    assert {index: ARKIT_NAMES[index] for index in anchors} == anchors
    assert all(ARKIT_INDEX[name] == index for index, name in enumerate(ARKIT_NAMES))


def test_pairs_join_left_and_right_of_one_movement():
    for left, right in LEFT_RIGHT_PAIRS:
        assert ARKIT_NAMES[left].replace("Left", "") == ARKIT_NAMES[right].replace("Right", "")
    unpaired = set(range(52)) - {index for pair in LEFT_RIGHT_PAIRS for index in pair}
    assert {ARKIT_NAMES[index] for index in unpaired} == {
        "jawForward", "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker", "mouthRollLower", "mouthRollUpper",
        "mouthShrugLower", "mouthShrugUpper", "browInnerUp", "cheekPuff", "tongueOut",
    }  # fmt: skip


def test_parts_partition_the_names():
    masks = torch.stack([part_mask(part) for part in PARTS])
    assert masks.shape == (5, 52)
    assert torch.equal(masks.sum(0), torch.ones(52, dtype=torch.long))


def test_pairs_stay_within_one_part():
    for part in PARTS:
        mask = part_mask(part)
        assert all(mask[left] == mask[right] for left, right in LEFT_RIGHT_PAIRS)


def test_masks_of_several_parts_are_unions():
    assert torch.equal(part_mask(["eyes", "mouth"]), part_mask("eyes") | part_mask("mouth"))
    assert not part_mask([]).any()
    assert part_mask("mouth")[ARKIT_INDEX["jawOpen"]]
    assert part_mask("eyes")[ARKIT_INDEX["cheekSquintLeft"]]


def test_unknown_part_is_named():
    with pytest.raises(ValueError, match=r"'ears'.*brows, eyes, gaze, nose, mouth"):
        part_mask(["mouth", "ears"])
