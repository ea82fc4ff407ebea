"""The figures of a driver's film, on films whose answer is known."""

import numpy as np
import pytest
import torch

from sfsr_model.evaluation.film import DriverFilm, correlation, driver_rows, jitter, lag
from sfsr_model.evaluation.film_rows import Row, row_table
from sfsr_model.film.driver import Readings
from sfsr_model.film.performance import perform


@pytest.fixture(scope="module")
def truth():
    return perform(3, 240).coefficients.astype(np.float64)


@pytest.mark.parametrize("frames", [-2, 0, 1, 3])
def test_lag_finds_how_far_values_are_behind(truth, frames):
    assert lag(np.roll(truth, frames, 0), truth) == pytest.approx(frames, abs=0.1)


def test_lag_finds_parts_of_a_frame(truth):
    times = np.arange(240) - 0.5
    late = np.stack([np.interp(times, np.arange(240), column) for column in truth.T], 1)
    assert lag(late, truth) == pytest.approx(0.5, abs=0.1)


def test_correlation_is_of_what_moves_and_nothing_for_what_is_never_read(truth):
    assert correlation(truth * 0.3 + 0.1, truth) == pytest.approx(1)
    assert correlation(np.zeros_like(truth), truth) == 0
    assert correlation(1 - truth, truth) == pytest.approx(-1)


def test_jitter_is_what_trembles():
    ramp = np.linspace(0, 1, 50)[:, None]
    assert jitter(ramp) == pytest.approx(0, abs=1e-9)
    assert jitter(ramp + 0.1 * (np.arange(50) % 2)[:, None]) == pytest.approx(0.2)


def test_rows_say_what_they_reach():
    rows = [Row("a", 0.2, 1, 0.3), Row("b", 0.7, 0.6, 0.85, less=False), Row("c", 2, 1, 0.3), Row("d", 1.0)]
    assert [row.holds for row in rows] == ["target", "floor", "below the floor", ""]
    assert row_table(rows)[2] == "| a | 0.2 | 1 | 0.3 | target |"


def test_a_driver_read_without_a_fault_reaches_every_target(truth):
    count = len(truth)
    readings = Readings(
        torch.from_numpy(truth).float(), torch.zeros(count, 3), torch.ones(count, dtype=torch.bool), torch.zeros(count)
    )
    rows = driver_rows([DriverFilm(readings, truth, np.zeros((count, 3)), 0.0)])
    named = {row.figure: row for row in rows}
    assert named["lag of the smoothed expression behind the truth, frames"].holds == "target"
    assert named["expression correlation over time, active coefficients"].holds == "target"
    assert named["lids at the truth's blinks, read over true"].value > 0.97
    assert named["mean coefficient while the driver rests (truth 0), rest taken off"].value < 0.002
    assert named["jitter of the truth over that as read"].value == pytest.approx(1)
