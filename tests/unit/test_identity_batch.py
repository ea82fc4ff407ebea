"""People of a batch: one for each frame, or one for all."""

import pytest
import torch

from sfsr_model.encoders.identity import Identity
from sfsr_model.encoders.identity_batch import IdentityBatch, join, per_frame


def person(number, space="space", photos=1):
    embeddings = torch.nn.functional.one_hot(torch.tensor([number] * photos), 8).float()
    return Identity(embeddings, space, (1.0,) * photos, ("photo",) * photos)


def test_one_person_is_for_all_frames():
    one = person(2, photos=3)
    assert len(per_frame(one)) == 1
    assert torch.equal(per_frame(one).means(), one.mean()[None])
    assert torch.equal(per_frame(one).expand(4).means(), one.mean().expand(4, -1))


def test_batches_are_joined_in_order():
    pair = join([person(0), person(1)])
    batch = join([person(5), pair, pair.repeat(2)])
    assert batch.means().argmax(1).tolist() == [5, 0, 1, 0, 0, 1, 1]
    assert batch.space == "space"
    assert per_frame(batch).people == batch.people
    assert batch.expand(7) is batch


def test_means_serve_autograd_though_made_in_a_graph():
    with torch.inference_mode():
        batch = join([person(0), person(1)])
        means = batch.means()
    assert not means.is_inference()


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match="identity batch: it holds nobody"):
        IdentityBatch(())
    with pytest.raises(ValueError, match="identity of frame 1: its embeddings are of the space 'other'"):
        join([person(0), person(1, "other")])
    with pytest.raises(ValueError, match="identity: found a batch of 2 for 3 frames; expected as many, or one for all"):
        join([person(0), person(1)]).expand(3)
