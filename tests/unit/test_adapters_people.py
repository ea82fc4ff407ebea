"""Whose recogniser made a person, held against whom an adapter knows; the five points as InstantID draws them."""

import pytest
import torch
from compare_adapters import drawn_by_the_authors

from sfsr_model.adapters.key_points import draw_key_points
from sfsr_model.adapters.kinds import ANTELOPE_V2, ARC2FACE, BUFFALO_L, KINDS
from sfsr_model.adapters.recognisers import SPACES, doubt_of


def test_every_recogniser_that_an_adapter_wants_has_a_space():
    assert {kind.recogniser for kind in KINDS.values()} - {None} <= SPACES.keys()
    assert ARC2FACE in SPACES


def test_the_right_recogniser_and_none_at_all_raise_no_doubt():
    for wanted, start in SPACES.items():
        assert doubt_of(wanted, "it", start + "0" * (17 - len(start)), {}) is None
    assert doubt_of(None, "it", "onnx-0123456789ab", {"onnx-0123456789ab": "a bundled one"}) is None


@pytest.mark.parametrize("space", ["onnx-ca4ebfd84054", SPACES[ANTELOPE_V2]])
def test_a_recogniser_that_is_known_to_be_another_is_refused(space):
    made = rf"^identity: it was made by ('demo'|glintr100 .*), of the space '{space}'"
    with pytest.raises(
        ValueError, match=rf"{made}; one.bin knows people by {BUFFALO_L} alone: choose that .* make the identity"
    ):
        doubt_of(BUFFALO_L, "one.bin", space, {"onnx-ca4ebfd84054": "'demo'"})


def test_an_unknown_file_may_be_the_same_network():
    told = doubt_of(BUFFALO_L, "one.bin", "onnx-0123456789ab", {})
    assert "not the published file of w600k_r50" in told
    assert "unless this is the same network in another file" in told


@pytest.mark.parametrize("seed", range(20))
def test_key_points_are_drawn_as_their_authors_draw_them(seed):
    """Byte for byte, points beyond the picture included."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(5, 2, generator=generator) * 300 - 20
    found = draw_key_points(points, (256, 256))
    assert torch.equal(found, drawn_by_the_authors(points.tolist(), 256))
    assert (found.shape, found.dtype, float(found.max())) == ((256, 256, 3), torch.float32, 1.0)
