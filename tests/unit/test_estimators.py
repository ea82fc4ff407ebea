"""Every estimator against its closed form for Gaussian data, where the best denoiser is linear."""

import pytest
import torch
from testkit.gaussian import SIGMAS, best, closed_form, problem

from sfsr_model.estimators import ESTIMATORS, Noisy, denoiser, estimator, target
from sfsr_model.estimators.prediction import PREDICTIONS


@pytest.mark.parametrize("name", ESTIMATORS)
def test_closed_form_and_evaluations(name):
    noisy, calls = problem(), []

    def counted(x, sigma):
        calls.append(sigma)
        return best(x, sigma)

    estimate = estimator(name)(counted, noisy)
    torch.testing.assert_close(estimate.x0, closed_form(name, noisy))
    assert len(calls) == estimate.evaluations == ESTIMATORS[name].evaluations


@pytest.mark.parametrize("name", ESTIMATORS)
def test_one_number_or_one_for_each_latent(name):
    noisy = problem(sigma=torch.full((3,), 2.0, dtype=torch.float64), sigma_mid=torch.full((3,), 0.8, dtype=torch.float64))
    alike = Noisy(noisy.x, 2.0, 0.8, noisy.background, noisy.hole, noisy.truth, noisy.noise)
    torch.testing.assert_close(estimator(name)(best, noisy).x0, estimator(name)(best, alike).x0)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_a_network_that_predicts_perfectly_gives_the_truth(prediction):
    noisy = problem()
    sigma = SIGMAS.reshape(-1, 1, 1, 1)
    noise = (noisy.x - noisy.truth) / sigma

    def predict(x_t, level):
        torch.testing.assert_close(x_t, noisy.x / (1 + sigma**2) ** 0.5)
        return target(noisy.truth, noise, level, prediction)

    torch.testing.assert_close(denoiser(predict, prediction)(noisy.x, SIGMAS), noisy.truth)


def test_v_is_the_rotated_pair():
    """a^2 + s^2 = 1, so x_t and v are a rotation of x0 and the noise: neither is lost."""
    x0, noise = torch.randn(2, 3, 1, 1, 1, dtype=torch.float64)
    sigma = SIGMAS.reshape(-1, 1, 1, 1)
    a, s = 1 / (1 + sigma**2) ** 0.5, sigma / (1 + sigma**2) ** 0.5
    v = target(x0, noise, SIGMAS, "v")
    torch.testing.assert_close(a * (a * x0 + s * noise) - s * v, x0)
    torch.testing.assert_close(s * (a * x0 + s * noise) + a * v, noise)


@pytest.mark.parametrize("name", [name for name, one in ESTIMATORS.items() if one.evaluations == 2])
def test_gradient_policies(name):
    """Cut off, the first evaluation adds nothing to the gradient; the value stays."""
    noisy = problem()
    strength = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    seen = []

    def weighted(x, sigma):
        answer = best(x, sigma) * strength
        seen.append(answer.requires_grad)
        return answer

    values, slopes = [], []
    for gradient in ("full", "last"):
        x0 = estimator(name)(weighted, noisy, gradient).x0
        values.append(x0.detach())
        slopes.append(torch.autograd.grad(x0.sum(), strength)[0])
    torch.testing.assert_close(*values)
    assert seen == [True, True, False, True]
    assert not torch.isclose(*slopes)


def test_what_is_wrong_is_named():
    with pytest.raises(ValueError, match=r"expected one of one_step, ddim.*found 'heun'"):
        estimator("heun")
    with pytest.raises(ValueError, match="estimator background: needs background, hole"):
        estimator("background")(best, Noisy(torch.zeros(1, 4, 8, 8), 1.0, 0.5))
    with pytest.raises(ValueError, match="gradient: expected full or last, found 'first'"):
        estimator("ddim")(best, problem(), "first")
    with pytest.raises(ValueError, match="prediction: expected eps or v, found 'x0'"):
        denoiser(best, "x0")
    assert estimator("improved_midpoint") is ESTIMATORS["ddim"]
    assert not estimator("midpoint").bound
