"""Triplets: the answer is the target outside the mask, the reference's face with the source's expression inside."""

import numpy as np
import pytest
import torch
from testkit.tiny_makehuman import tiny_folder

from sfsr_model.face import face_mask
from sfsr_model.synthetic.face_blend import blend_heads, face_share
from sfsr_model.synthetic.identity import IdentitySpace
from sfsr_model.synthetic.model import FaceModel
from sfsr_model.synthetic.shape import make_shape, neutral_points
from sfsr_model.synthetic.triplet import sample_triplet


@pytest.fixture(scope="module")
def model():
    return FaceModel.load(tiny_folder() / "faces.npz")


@pytest.mark.parametrize("number", range(4))
def test_answer_equals_target_outside_the_mask(model, number):
    triplet = sample_triplet(model, 2, number, 96)
    mask = face_mask(torch.from_numpy(triplet.target.landmarks), 96).numpy()
    assert (triplet.mask == mask).all()
    outside = mask == 0
    assert (triplet.answer.image[outside] == triplet.target.image[outside]).all()
    assert (triplet.answer.image[mask == 1] != triplet.target.image[mask == 1]).any()


def test_answer_wears_the_sources_expression_on_the_references_face(model):
    triplet = sample_triplet(model, 2, 0, 64)
    assert (triplet.answer.identity == triplet.reference.identity).all()
    assert (triplet.answer.coefficients == triplet.source.coefficients).all()
    assert triplet.answer.pose == triplet.target.pose
    people = [triplet.reference.identity, triplet.source.identity, triplet.target.identity]
    assert len({person.tobytes() for person in people}) == 3


def test_own_face_on_own_head_is_itself(model):
    space = IdentitySpace.of(model)
    neutral = neutral_points(model, space, space.sample(np.random.default_rng(4)))
    shape = make_shape(model, neutral, np.zeros(52, np.float32))
    blended = blend_heads(model, shape, shape, face_share(model))
    assert blended.points == pytest.approx(shape.points, abs=1e-4)


def test_the_face_keeps_its_middle_and_the_head_its_ears(model):
    share = face_share(model)
    marks = share[model.landmark_points]
    assert marks[[27, 30, 33, 39, 42, 51, 57, 62, 66]].min() == 1
    assert marks[[0, 16]].max() == 0
    assert ((share > 0) & (share < 1)).any()
