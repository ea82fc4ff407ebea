"""Losses at points where their value is known, and what they do not react to."""

import pytest
import torch

from sfsr_model.estimators import target
from sfsr_model.losses import (
    LatentCritic,
    background_loss,
    colour_loss,
    diffusion_loss,
    expression_loss,
    identity_loss,
    pyramid_loss,
    realism_loss,
    snr_weight,
    time_gate,
)

SIGMAS = torch.tensor([0.1, 0.4472135955, 1.0, 5.0, 14.0], dtype=torch.float64)


def test_min_snr_weighs_the_error_of_x0_alike_for_both_predictions():
    """An error d in x0 is an error d / sigma in eps and -d sqrt(1 + 1 / sigma^2) in v; min-SNR weighs d by min(SNR, 5)."""
    x0, noise = torch.randn(2, 5, 4, 2, 2, dtype=torch.float64)
    error = 0.1
    levels = SIGMAS.reshape(-1, 1, 1, 1)
    wrong_noise = noise - error / levels  # the noise that is left in x0 + sigma eps when x0 is taken for x0 + error
    for prediction in ("eps", "v"):
        output = target(x0 + error, wrong_noise, SIGMAS, prediction)
        squared = ((output - target(x0, noise, SIGMAS, prediction)) ** 2).mean(dim=(1, 2, 3))
        expected = error**2 * SIGMAS.pow(-2).clamp_max(5.0)
        torch.testing.assert_close(squared * snr_weight(SIGMAS, prediction), expected)


def test_uniform_weighs_nothing_and_others_are_refused():
    assert torch.equal(snr_weight(SIGMAS, "eps", "uniform"), torch.ones(5, dtype=torch.float64))
    with pytest.raises(ValueError, match="weighting: expected uniform or min_snr, found 'p2'"):
        snr_weight(SIGMAS, "eps", "p2")


def test_diffusion_loss_is_a_weighted_mean_of_squares():
    output = torch.zeros(2, 4, 8, 8)
    output[1] = 3.0
    weight = torch.tensor([7.0, 2.0])
    assert float(diffusion_loss(output, torch.zeros_like(output), weight)) == pytest.approx(9.0)


def test_what_lies_outside_the_hole_can_count_less():
    hole = torch.zeros(1, 1, 8, 8)
    hole[..., :4] = 1
    inside, outside = (torch.zeros(1, 4, 8, 8) for _ in range(2))
    inside[..., :4], outside[..., 4:] = 1, 1
    zero, one = torch.zeros(1, 4, 8, 8), torch.ones(1)
    assert float(diffusion_loss(outside, zero, one, hole, 0.0)) == 0
    assert float(diffusion_loss(inside, zero, one, hole, 0.25)) == pytest.approx(
        4 * float(diffusion_loss(outside, zero, one, hole, 0.25))
    )
    assert float(diffusion_loss(torch.ones_like(zero), zero, one, hole, 0.25)) == pytest.approx(1.0)
    assert float(diffusion_loss(outside, zero, one, hole)) == float(diffusion_loss(inside, zero, one, hole)) == 0.5


def test_each_example_has_its_own_hole():
    """A hole of a quarter counts four times where nothing else does, and an example without a hole to speak of as it is."""
    hole = torch.ones(2, 1, 8, 8)
    hole[0, :, :, 2:] = 0
    wrong = torch.zeros(2, 4, 8, 8)
    wrong[..., 0] = 1
    alone = [float(diffusion_loss(wrong[i : i + 1], 0 * wrong[:1], torch.ones(1), hole[i : i + 1], 0.0)) for i in (0, 1)]
    assert alone == pytest.approx([4 / 8, 1 / 8])
    assert float(diffusion_loss(wrong, 0 * wrong, torch.tensor([1.0, 3.0]), hole, 0.0)) == pytest.approx((4 / 8 + 3 / 8) / 2)


def test_identity_loss_is_one_minus_the_cosine():
    one = torch.tensor([[2.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    other = torch.tensor([[5.0, 0.0], [0.0, 1.0], [-3.0, 0.0]])
    assert identity_loss(one, other).tolist() == pytest.approx([0.0, 1.0, 2.0])


def test_expression_loss_leaves_out_what_cannot_be_read():
    read, wanted = torch.tensor([[0.5, 0.9]]), torch.tensor([[0.1, 0.1]])
    assert float(expression_loss(read, wanted)) == pytest.approx(0.6)
    assert float(expression_loss(read, wanted, torch.tensor([True, False]))) == pytest.approx(0.4)


def test_pyramid_loss_is_zero_only_for_equal_pictures():
    picture = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    checks = 0.1 * (1 - 2 * ((torch.arange(32)[:, None] + torch.arange(32)) % 2)).float()
    assert float(pyramid_loss(picture, picture)) == 0
    assert float(pyramid_loss(picture + checks, picture)) == pytest.approx(0.1, abs=1e-5)
    assert float(pyramid_loss(picture + 0.1, picture)) == pytest.approx(0.1, abs=1e-5)
    assert float(pyramid_loss(picture + 0.1 + checks, picture)) == pytest.approx(0.2, abs=1e-5)
    assert float(pyramid_loss(picture + 0.1, picture, region=torch.zeros(1, 1, 32, 32))) == 0


@pytest.mark.parametrize("size", [1, 2, 6])
def test_pyramid_loss_of_small_pictures(size):
    """Those of less than four pixels are one band."""
    wanted = torch.zeros(2, 3, size, size)
    assert pyramid_loss(wanted + 0.1, wanted).tolist() == pytest.approx([0.1, 0.1])


def test_background_loss_sees_nothing_inside():
    picture, hole = torch.zeros(2, 3, 8, 8), torch.zeros(2, 1, 8, 8)
    hole[0, :, :, :4], hole[1] = 1, 1
    changed = picture.clone()
    changed[..., :4] = 1
    assert background_loss(changed, picture, hole).tolist() == [0.0, 0.0]
    changed[..., 4:] = 0.5
    assert background_loss(changed, picture, hole).tolist() == [0.5, 0.0]


def test_gate():
    assert time_gate(SIGMAS, 1.0).tolist() == [1, 1, 1, 0, 0]


def test_the_colour_loss_sees_hues_and_no_light():
    grey = torch.full((1, 3, 16, 16), 0.5)
    assert float(colour_loss(grey + 0.2, grey)) == 0
    tinted = grey + torch.tensor([0.1, -0.1, 0.0])[None, :, None, None]
    # Red from green is 0.2 away, yellow from blue 0.
    assert float(colour_loss(tinted, grey)) == pytest.approx(0.1)
    rough = (
        grey + 0.2 * torch.tensor([1.0, -1.0]).repeat(8)[None, None, None, :] * torch.tensor([1.0, 0, 0])[None, :, None, None]
    )
    assert float(colour_loss(rough, grey)) == pytest.approx(0, abs=1e-6)


def test_a_critic_and_what_it_judges_pull_against_each_other():
    torch.manual_seed(0)
    critic = LatentCritic(4)
    true, hole = torch.randn(8, 4, 8, 8), torch.ones(8, 1, 8, 8)
    made = torch.nn.Parameter(true.roll(1, 0) + 0.5)
    first = float(realism_loss(critic, made, true, hole).detach())
    assert 1.5 < first < 2.5  # nothing is known yet
    learning = torch.optim.Adam(critic.parameters(), 1e-3)
    for _ in range(8):
        learning.zero_grad()
        realism_loss(critic, made, true, hole).backward()
        learning.step()
    told = realism_loss(critic, made, true, hole)
    assert 0 < float(told.detach()) < 0.9 * first
    # What was made is moved to where the critic tells it less well.
    (gradient,) = torch.autograd.grad(told, made)
    moved = made - gradient / gradient.abs().max()
    assert float(realism_loss(critic, moved, true, hole).detach()) > float(told.detach())
