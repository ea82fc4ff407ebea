"""The sampler against the exact solution for Gaussian data, where the best denoiser is known in closed form."""

import pytest
import torch

from sfsr_model.estimators import one_step, sample_improved_midpoint, two_step
from sfsr_model.schedule import MIDPOINT_LOCATIONS

MEAN, DEVIATION = 0.7, 0.5
START, END = 10.0, 0.05


def denoiser(x, sigma, **_):
    """E[x0 | x] for x0 ~ N(MEAN, DEVIATION^2) and x = x0 + sigma eps."""
    sigma = sigma if isinstance(sigma, float) else sigma.reshape(-1, 1, 1, 1)
    return MEAN + (x - MEAN) * DEVIATION**2 / (DEVIATION**2 + sigma**2)


def exact(x, start, end):
    """The probability-flow ODE's solution: deviations from the mean scale with sqrt(DEVIATION^2 + sigma^2)."""
    return MEAN + (x - MEAN) * ((DEVIATION**2 + end**2) / (DEVIATION**2 + start**2)) ** 0.5


def start_noise():
    return torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64) * START


def solve(steps, **options):
    sigmas = torch.logspace(torch.tensor(START).log10(), torch.tensor(END).log10(), steps + 1, dtype=torch.float64)
    x = start_noise()
    return (sample_improved_midpoint(denoiser, x, sigmas, **options) - exact(x, START, END)).abs().max().item()


@pytest.mark.parametrize("location", ["half log-SNR", "custom"])
def test_second_order(location):
    options = {"midpoint_location": location, "midpoint_fraction": 0.35}
    coarse, fine = solve(20, **options), solve(40, **options)
    assert 3.2 < coarse / fine < 5.0


def test_first_order_is_ddim():
    coarse, fine = solve(20, order=1), solve(40, order=1)
    assert 1.7 < coarse / fine < 2.3
    assert solve(20) < 0.2 * solve(20, order=1)


@pytest.mark.parametrize("location", MIDPOINT_LOCATIONS)
def test_every_location_converges(location):
    assert solve(160, midpoint_location=location) < 2e-3


def test_estimates_match_their_closed_forms():
    x, sigma, middle = start_noise(), START, 2.0
    gain, gain_mid = (DEVIATION**2 / (DEVIATION**2 + level**2) for level in (sigma, middle))
    first = MEAN + gain * (x - MEAN)
    torch.testing.assert_close(one_step(denoiser, x, sigma).x0, first)
    at_middle = first + middle / sigma * (x - first)
    second = MEAN + gain_mid * (at_middle - MEAN)
    estimate = two_step(denoiser, x, sigma, middle)
    torch.testing.assert_close(estimate.x0, second)
    assert (one_step(denoiser, x, sigma).evaluations, estimate.evaluations) == (1, 2)


def test_number_of_evaluations():
    calls = []

    def counting(x, sigma, **_):
        calls.append(float(sigma[0]))
        return denoiser(x, sigma)

    sigmas = torch.tensor([10.0, 3.0, 1.0, 0.0])
    sample_improved_midpoint(counting, start_noise().float(), sigmas)
    assert len(calls) == 6
    assert calls == sorted(calls, reverse=True)
    calls.clear()
    sample_improved_midpoint(counting, start_noise().float(), sigmas, order=1)
    assert calls == [10.0, 3.0, 1.0]


def test_eta_keeps_the_variance():
    """With fresh noise the samples still follow the data's distribution."""
    x = torch.randn(1, 1, 200, 200, generator=torch.Generator().manual_seed(0)) * START + MEAN
    sigmas = torch.cat([torch.logspace(1, -2, 81), torch.zeros(1)])
    result = sample_improved_midpoint(denoiser, x, sigmas, extra_args={"seed": 5}, eta=1.0)
    assert result.mean().item() == pytest.approx(MEAN, abs=0.03)
    assert result.std().item() == pytest.approx(DEVIATION, rel=0.05)
    again = sample_improved_midpoint(denoiser, x, sigmas, extra_args={"seed": 5}, eta=1.0)
    assert torch.isfinite(sample_improved_midpoint(denoiser, x, sigmas, extra_args={"seed": 2**64 - 1}, eta=1.0)).all()
    other = sample_improved_midpoint(denoiser, x, sigmas, extra_args={"seed": 6}, eta=1.0)
    assert torch.equal(result, again)
    assert not torch.equal(result, other)


@pytest.mark.parametrize("eta", [0.5, 1.0])
def test_eta_is_the_share_of_the_ancestral_noise(eta):
    """From level 2 to 1 with x0* at 0: the noise whose variance is eta^2 3/4, and as much less of the old."""
    x = start_noise().float()
    found = sample_improved_midpoint(lambda x, _, **__: 0 * x, x, torch.tensor([2.0, 1.0]), {"seed": 5}, eta=eta)
    fresh = torch.randn(x.shape, generator=torch.Generator().manual_seed(6))
    variance = eta**2 * 0.75
    torch.testing.assert_close(found, (1 - variance) ** 0.5 / 2 * x + variance**0.5 * fresh)
    half = sample_improved_midpoint(lambda x, _, **__: 0 * x, x.half(), torch.tensor([2.0, 1.0]), eta=eta)
    assert half.dtype == torch.float16


def test_alike_latents_get_the_same_fresh_noise():
    """However many of them are sampled at once."""
    x = start_noise()[:1].float().expand(3, -1, -1, -1)

    def walked(x, alike):
        options = {"eta": 1.0, "alike": alike}
        return sample_improved_midpoint(lambda x, _, **__: 0 * x, x, torch.tensor([2.0, 1.0]), {"seed": 5}, **options)

    own, pair = walked(x, None), walked(x, [0, 1, 0])
    assert torch.equal(walked(x, [0, 1, 2]), own)
    assert torch.equal(pair[:2], walked(x[:2], None))
    assert torch.equal(pair[2], pair[0])
    assert not torch.equal(own[2], own[0])


def test_background_anchoring_scales_the_mask():
    seen = []

    def model(x, sigma, denoise_mask=None, **_):
        seen.append(denoise_mask)
        return denoiser(x, sigma)

    mask = torch.tensor([0.0, 1.0]).reshape(1, 1, 1, 2)
    sigmas = torch.tensor([4.0, 1.0, 0.0])
    for anchoring, expected in ((1.0, [0.0, 1.0]), (0.25, [0.75, 1.0]), (0.0, [1.0, 1.0])):
        seen.clear()
        arguments = {"denoise_mask": mask}
        sample_improved_midpoint(model, start_noise().float(), sigmas, arguments, background_anchoring=anchoring)
        assert all(torch.equal(one.flatten(), torch.tensor(expected)) for one in seen)
        assert arguments == {"denoise_mask": mask}


def test_callback_reports_every_step():
    steps = []
    sigmas = torch.tensor([4.0, 1.0, 0.0])
    result = sample_improved_midpoint(denoiser, x := start_noise().float(), sigmas, callback=steps.append)
    assert [(step["i"], step["sigma"], step["sigma_hat"]) for step in steps] == [(0, 4.0, 4.0), (1, 1.0, 1.0)]
    assert torch.equal(steps[0]["x"], x)
    torch.testing.assert_close(steps[1]["x"], steps[0]["denoised"] + (x - steps[0]["denoised"]) / 4)
    assert torch.equal(steps[1]["denoised"], result)


def test_short_lists():
    x = start_noise()
    assert torch.equal(sample_improved_midpoint(denoiser, x, torch.tensor([4.0])), x)
    with pytest.raises(ValueError, match="empty list"):
        sample_improved_midpoint(denoiser, x, torch.tensor([]))


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_a_level_named_twice_is_one_step(eta):
    once, twice = (
        sample_improved_midpoint(denoiser, start_noise(), torch.tensor(levels), eta=eta)
        for levels in ([4.0, 1.0, 0.5], [4.0, 4.0, 1.0, 0.5])
    )
    torch.testing.assert_close(twice, once)


@pytest.mark.parametrize("sigmas", [[1.0, 2.0], [1.0, -1.0], [0.0, 0.0], [1.0, float("nan")]])
def test_levels_that_do_not_fall_are_refused(sigmas):
    with pytest.raises(ValueError, match="falling noise levels"):
        sample_improved_midpoint(denoiser, start_noise(), torch.tensor(sigmas))


def test_a_prediction_that_is_not_finite_is_named():
    with pytest.raises(ValueError, match="noise level 4 is not finite"):
        sample_improved_midpoint(lambda x, sigma, **_: x * float("nan"), start_noise(), torch.tensor([4.0, 1.0]))
