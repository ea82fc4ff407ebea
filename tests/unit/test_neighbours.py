"""Statistics of labelled vectors, on vectors whose answer is known."""

import math

import pytest
import torch

from sfsr_model.evaluation.neighbours import (
    bootstrap_interval,
    chance_of_hit,
    explained_variance,
    leave_out_confusion,
    nearest_neighbour_hits,
)


def clusters(classes=4, groups=6, noise=0.01, seed=0):
    generator = torch.Generator().manual_seed(seed)
    centres = torch.eye(classes)
    labels = torch.arange(classes).repeat(groups)
    owners = torch.arange(groups).repeat_interleave(classes)
    return centres[labels] + noise * torch.randn(len(labels), classes, generator=generator), labels, owners


def test_separate_classes_are_never_confused():
    features, labels, groups = clusters()
    assert torch.equal(leave_out_confusion(features, labels, groups, 4), 6 * torch.eye(4, dtype=torch.long))


def test_a_group_does_not_vouch_for_itself():
    """Each vector is nearer to the other class's mean of the other group; its own would have hidden that."""
    features, labels, groups = (
        torch.tensor([[0.0], [9.0], [10.0], [1.0]]),
        torch.tensor([0, 1, 0, 1]),
        torch.tensor([0, 0, 1, 1]),
    )
    assert leave_out_confusion(features, labels, groups, 2).tolist() == [[0, 2], [2, 0]]


def test_a_class_of_one_group_is_refused():
    with pytest.raises(ValueError, match="class 1 has vectors of group 0 only"):
        leave_out_confusion(torch.eye(3), torch.tensor([0, 1, 0]), torch.tensor([0, 0, 1]), 2)


def test_neighbours_of_clusters_and_of_noise():
    features, labels, _ = clusters()
    assert nearest_neighbour_hits(features, labels).all()
    noise = torch.randn(600, 3, generator=torch.Generator().manual_seed(1))
    random = torch.arange(600) % 6
    rate = nearest_neighbour_hits(noise, random).double().mean()
    assert chance_of_hit(random) == pytest.approx(99 / 599)
    assert rate == pytest.approx(99 / 599, abs=0.05)


def test_the_interval_draws_whole_groups():
    hits = torch.tensor([True] * 50 + [False] * 50)
    apart = bootstrap_interval(hits, torch.arange(100))
    together = bootstrap_interval(hits, torch.tensor([0] * 50 + [1] * 50))
    assert 0.38 < apart[0] < 0.5 < apart[1] < 0.62
    assert together == (0.0, 1.0)


def test_explained_variance_of_a_linear_law_and_of_noise():
    generator = torch.Generator().manual_seed(2)
    features = torch.randn(400, 5, generator=generator)
    targets = torch.stack((features @ torch.arange(5.0), torch.randn(400, generator=generator), torch.ones(400)), 1)
    linear, noise, constant = explained_variance(features, targets, torch.arange(400) // 4).tolist()
    assert linear > 0.999
    assert noise < 0.05
    assert math.isnan(constant)
