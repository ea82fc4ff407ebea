"""The compound encoder: exact nulls, balanced streams, segments of a run."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sfsr_model.compound import CompoundConfig, CompoundEncoder, segments
from sfsr_model.network.untrained import random_state

CONFIG = CompoundConfig(identity_dim=32, context_dim=24, hidden_dim=16, tokens_per_stream=3)
BATCH = 2


def encoder(config=CONFIG):
    module = CompoundEncoder(config)
    shapes = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    module.load_state_dict(random_state(shapes, 0))
    return module.eval()


def inputs(seed=0):
    generator = torch.Generator().manual_seed(seed)
    identity = torch.randn(BATCH, 32, generator=generator)
    return identity, torch.rand(BATCH, 52, generator=generator), torch.randn(BATCH, 3, generator=generator) * 0.3


def tokens(identity_weight, expression_weight, seed=0, pose=True, config=CONFIG):
    identity, expression, angles = inputs(seed)
    weights = [torch.full((BATCH,), float(w)) for w in (identity_weight, expression_weight)]
    with torch.no_grad():
        return encoder(config)(identity, expression, angles if pose else None, *weights)


def test_sequence_never_changes_its_length():
    assert {tokens(a, b).shape for a in (0, 1) for b in (0, 1)} == {(BATCH, 7, 24)}


def test_weight_zero_is_the_null_exactly():
    assert torch.equal(tokens(0, 0, seed=1), tokens(0, 0, seed=2))


def test_a_stream_leaves_the_other_alone():
    both, identity_only, expression_only = tokens(1, 1), tokens(1, 0), tokens(0, 1)
    assert torch.equal(both[:, :3], identity_only[:, :3])
    assert torch.equal(both[:, 3:], expression_only[:, 3:])
    assert not torch.equal(both[:, 3:], identity_only[:, 3:])


def test_without_a_pose_its_token_is_the_null():
    assert torch.equal(tokens(1, 1, pose=False)[:, -1], tokens(0, 0)[:, -1])
    assert not torch.equal(tokens(1, 1)[:, -1], tokens(0, 0)[:, -1])


def test_balanced_streams_are_equally_loud():
    module = encoder()
    loud = tokens(1, 1)
    for stream, part in ((module.identity, loud[:, :3]), (module.expression, loud[:, 3:6]), (module.pose, loud[:, 6:])):
        rms = (part - stream.embedding).pow(2).mean(dim=-1).sqrt()
        torch.testing.assert_close(rms, torch.ones_like(rms), atol=1e-4, rtol=0)


def test_unbalanced_streams_are_not():
    config = CompoundConfig(**{**CONFIG.as_dict(), "balanced": False})
    module = encoder(config)
    part = tokens(1, 1, config=config)[:, :3] - module.identity.embedding
    assert (part.pow(2).mean(dim=-1).sqrt() - 1).abs().max() > 0.1


def test_length_of_the_identity_does_not_matter():
    identity, expression, pose = inputs()
    ones = torch.ones(BATCH)
    with torch.no_grad():
        module = encoder()
        torch.testing.assert_close(
            module(identity, expression, pose, ones, ones), module(identity * 20, expression, pose, ones, ones)
        )


def test_streams_are_told_vectors_of_unit_deviation():
    """A unit vector by the root of its length, coefficients about 0.1 by 0.25, angles as they are: what checkpoints learned."""
    module, seen = encoder(), {}
    for name in ("identity", "expression", "pose"):
        getattr(module, name).expand.register_forward_pre_hook(lambda _, given, name=name: seen.update({name: given[0]}))
    identity, _, pose = inputs()
    expression, ones = torch.tensor([[0.1] * 52, [0.35] * 52]), torch.ones(BATCH)
    module(identity, expression, pose, ones, ones)
    torch.testing.assert_close(seen["identity"], identity / identity.pow(2).mean(-1, keepdim=True).sqrt())
    torch.testing.assert_close(seen["expression"], torch.tensor([[0.0] * 52, [1.0] * 52]))
    assert torch.equal(seen["pose"], pose)
    module(identity, expression, None, ones, ones)
    assert torch.equal(seen["pose"], torch.zeros(BATCH, 3))


def test_the_pose_has_a_weight_of_its_own():
    ones, zeros = torch.ones(BATCH), torch.zeros(BATCH)
    with torch.no_grad():
        found = encoder()(*inputs(), ones, ones, zeros)
    assert torch.equal(found[:, -1], tokens(0, 0)[:, -1])
    assert torch.equal(found[:, :-1], tokens(1, 1)[:, :-1])


def test_a_weight_between_is_a_mixture():
    torch.testing.assert_close(tokens(0.25, 0.75)[:, :3], 0.75 * tokens(0, 0)[:, :3] + 0.25 * tokens(1, 1)[:, :3])


def test_sizes_that_a_checkpoint_does_not_name():
    assert CompoundConfig() == CompoundConfig(512, 52, 3, 256, 4, 512, True)


def test_edges_beyond_the_run_are_its_ends():
    found = [(one.start, one.end, one.identity, one.expression) for one in segments((-0.5, 2.0), (0.2, 1.5))]
    assert found == [(0.0, 0.2, True, False), (0.2, 1.0, True, True)]


def test_segments_cut_where_a_stream_starts_or_ends():
    found = [(one.start, one.end, one.identity, one.expression) for one in segments((0.0, 1.0), (0.2, 0.7))]
    assert found == [(0.0, 0.2, True, False), (0.2, 0.7, True, True), (0.7, 1.0, True, False)]


def test_end_before_start_never_acts():
    (only,) = segments((0.0, 1.0), (0.8, 0.2))
    assert (only.start, only.end, only.identity, only.expression) == (0.0, 1.0, True, False)


edges = st.floats(0, 1)


@given(edges, edges, edges, edges)
def test_segments_cover_the_run_without_overlap(a, b, c, d):
    parts = segments((a, b), (c, d))
    assert parts[0].start == 0.0
    assert parts[-1].end == 1.0
    assert all(left.end == right.start for left, right in pairwise(parts))
    assert sum(one.end - one.start for one in parts if one.identity) == pytest.approx(max(b - a, 0.0))
    assert sum(one.end - one.start for one in parts if one.expression) == pytest.approx(max(d - c, 0.0))
