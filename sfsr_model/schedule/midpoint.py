"""Where the midpoint of a sampling step lies."""

from __future__ import annotations

import math

from .scaled_linear import ScaledLinearSchedule

MIDPOINT_LOCATIONS = ("half log-SNR", "half time", "custom")


def midpoint_sigma(
    sigma: float,
    sigma_next: float,
    location: str,
    fraction: float = 0.5,
    schedule: ScaledLinearSchedule | None = None,
) -> float:
    """Noise level between `sigma` and `sigma_next` at which a two-evaluation step looks a second time.

    - "half log-SNR": the geometric mean, where the log-SNR is halfway;
    - "half time": the sigma of the timestep halfway, as in the paper's t/2;
    - "custom": sigma^(1-fraction) sigma_next^fraction, `fraction` in (0, 1).

    A step that ends at sigma 0 has no log-SNR to halve: its midpoint is taken at half the time for every location
    ("custom": at that fraction of the time). Raises ValueError for an unknown location, a fraction outside (0, 1) or
    noise levels that do not fall.
    """
    if location not in MIDPOINT_LOCATIONS:
        raise ValueError(f"midpoint location: expected one of {', '.join(MIDPOINT_LOCATIONS)}, found '{location}'")
    if not 0.0 < fraction < 1.0:
        raise ValueError(f"midpoint fraction: expected a number strictly between 0 and 1, found {fraction}")
    if not sigma > sigma_next >= 0.0:
        raise ValueError(f"sigmas: expected falling noise levels, found {sigma} followed by {sigma_next}")
    weight = fraction if location == "custom" else 0.5
    if location == "half time" or sigma_next == 0.0:
        schedule = schedule or ScaledLinearSchedule()
        start = schedule.timestep(sigma)
        end = schedule.timestep(sigma_next) if sigma_next > 0.0 else 0.0
        return _strictly_between(schedule.sigma(start + weight * (end - start)), sigma, sigma_next)
    return _strictly_between(math.exp((1.0 - weight) * math.log(sigma) + weight * math.log(sigma_next)), sigma, sigma_next)


def _strictly_between(middle: float, sigma: float, sigma_next: float) -> float:
    """Steps finer than the schedule's own grid, or beyond its ends, fall back to the arithmetic mean."""
    return middle if sigma_next < middle < sigma else 0.5 * (sigma + sigma_next)
