"""The noise schedule and the midpoint's place against closed forms."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sfsr_model.schedule import MIDPOINT_LOCATIONS, ScaledLinearSchedule, midpoint_sigma

SCHEDULE = ScaledLinearSchedule()


def test_sigmas_are_stable_diffusions():
    # First and last entries of the published schedule, as ComfyUI and k-diffusion print them.
    assert SCHEDULE.sigmas[0].item() == pytest.approx(0.02917, abs=1e-4)
    assert SCHEDULE.sigmas[-1].item() == pytest.approx(14.6146, abs=1e-3)
    assert bool((SCHEDULE.sigmas.diff() > 0).all())


def test_alpha_bar_and_sigma_agree():
    torch.testing.assert_close(1.0 / (1.0 + SCHEDULE.sigmas**2), SCHEDULE.alpha_bar)


@given(st.floats(0, 999))
def test_timestep_inverts_sigma(timestep):
    assert SCHEDULE.timestep(SCHEDULE.sigma(timestep)) == pytest.approx(timestep, abs=1e-6)


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.nan])
def test_timestep_refuses_what_is_no_noise_level(sigma):
    with pytest.raises(ValueError, match="sigma: expected a positive"):
        SCHEDULE.timestep(sigma)


def test_half_log_snr_is_the_geometric_mean():
    assert midpoint_sigma(8.0, 2.0, "half log-SNR") == pytest.approx(4.0)


def test_the_fraction_counts_for_custom_alone():
    assert midpoint_sigma(8.0, 2.0, "custom", 0.25) == pytest.approx(8.0**0.75 * 2.0**0.25)
    assert midpoint_sigma(8.0, 2.0, "half log-SNR", 0.25) == pytest.approx(4.0)
    assert midpoint_sigma(SCHEDULE.sigma(800), 0.0, "custom", 0.25) == pytest.approx(SCHEDULE.sigma(600))
    assert midpoint_sigma(SCHEDULE.sigma(800), 0.0, "half time", 0.25) == pytest.approx(SCHEDULE.sigma(400))


def test_half_time_is_half_the_timestep():
    start, end = SCHEDULE.sigma(800), SCHEDULE.sigma(400)
    assert midpoint_sigma(start, end, "half time") == pytest.approx(SCHEDULE.sigma(600))


@pytest.mark.parametrize("location", MIDPOINT_LOCATIONS)
def test_a_step_to_zero_is_halved_in_time(location):
    assert midpoint_sigma(SCHEDULE.sigma(500), 0.0, location) == pytest.approx(SCHEDULE.sigma(250))


@given(
    st.floats(1e-4, 100),
    st.floats(0, 0.999),
    st.sampled_from(MIDPOINT_LOCATIONS),
    st.floats(0.01, 0.99),
)
def test_the_midpoint_lies_strictly_between(sigma, share, location, fraction):
    assert sigma * share < midpoint_sigma(sigma, sigma * share, location, fraction) < sigma


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1.0, 2.0, "half time"), "falling noise levels"),
        ((2.0, 1.0, "middle"), "expected one of half log-SNR"),
        ((2.0, 1.0, "custom", 1.0), "strictly between 0 and 1"),
        ((math.nan, 1.0, "custom"), "falling noise levels"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        midpoint_sigma(*arguments)
