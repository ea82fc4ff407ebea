"""The study of the estimators: what is typed, what is measured, what is drawn."""

import json
import math

import pytest
import torch

from sfsr_model.estimators import ESTIMATORS
from sfsr_model.estimators.levels import MOST_LEVELS, noise_levels
from sfsr_model.estimators.sheet import error_maps, grid, mse_plot
from sfsr_model.estimators.study import figures, study
from sfsr_model.schedule import ScaledLinearSchedule


def clean(batch=2, size=8):
    return torch.randn([batch, 4, size, size], generator=torch.Generator().manual_seed(3))


def gaussian(x, sigma):
    """The exact denoiser of data with unit deviation."""
    return x / (1 + sigma**2)


def half_hole(size=8):
    hole = torch.zeros(1, 1, size, size)
    hole[..., size // 2 :, :] = 1.0
    return hole


def test_typed_levels():
    assert noise_levels("0.5, 2, 8") == noise_levels("8 0.5 2") == (8.0, 2.0, 0.5)
    assert noise_levels("5.0") == (5.0,)
    schedule = ScaledLinearSchedule()
    three = noise_levels("3")
    assert [schedule.timestep(level) / 999 for level in three] == pytest.approx([0.75, 0.5, 0.25], abs=1e-6)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "levels: found no noise level; expected a list such as"),
        ("1, two", "levels: found 'two', which is no number"),
        ("0", "levels: found a count of 0, expected 1 to"),
        (str(MOST_LEVELS + 1), "levels: found a count of 25"),
        ("-1", "levels: found -1, but the model knows noise levels from 0.0292 to 14.61"),
        ("nan", "levels: found nan, but the model knows"),
        ("15.0", "levels: found 15.0, but the model knows"),
        (" ".join(["1.5"] * 25), "levels: found 25 of them, expected at most 24"),
    ],
)
def test_levels_that_are_none(text, said):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is compared in full
        noise_levels(text)
    assert str(caught.value).startswith(said)


def test_the_error_is_that_of_the_closed_form():
    """E|x0 - D|^2 = s^2/(1+s^2) for the exact denoiser of unit data, within the sampling error of 4096 values."""
    truth = clean(4, 16)
    (row,) = study(gaussian, truth, None, [2.0], seed=0)
    assert row.overall["one_step"] == pytest.approx(4 / 5, rel=0.1)
    assert row.overall["truth"] < row.overall["one_step"]
    assert row.inside == row.overall  # without a mask everything is inside
    assert "background" not in row.estimates


def test_inside_counts_the_hole_alone():
    truth, hole = clean(), half_hole()
    (row,) = study(lambda x, sigma: truth + (1 - hole) * 3.0, truth, hole, [1.0], seed=0)
    assert row.inside["one_step"] == 0.0
    assert row.overall["one_step"] == pytest.approx(4.5)
    assert row.overall["background"] == 0.0  # which puts the known background back
    assert row.estimates.keys() == ESTIMATORS.keys()


def test_seven_evaluations_a_level_and_the_same_noise_for_all():
    seen = []

    def counted(x, sigma):
        seen.append((x, sigma))
        return gaussian(x, sigma)

    rows = study(counted, clean(), half_hole(), [8.0, 0.5], seed=7)
    assert len(seen) == 14
    again = study(gaussian, clean(), half_hole(), [8.0, 0.5], seed=7)
    other = study(gaussian, clean(), half_hole(), [8.0, 0.5], seed=8)
    assert [row.inside for row in rows] == [row.inside for row in again]
    assert rows[0].inside["one_step"] != other[0].inside["one_step"]


def test_an_estimate_that_is_not_finite_is_named():
    with pytest.raises(ValueError, match="model: the estimate 'one_step' at noise level 2 is not finite"):
        study(lambda x, sigma: x * math.nan, clean(), None, [2.0], seed=0)


def test_the_figures_are_json():
    rows = study(gaussian, clean(), half_hole(), [8.0, 0.5], seed=7)
    told = json.loads(json.dumps(figures(rows, seed=7)))
    assert told["seed"] == 7
    assert told["estimators"]["truth"]["bound"] is True
    assert [level["sigma"] for level in told["levels"]] == [8.0, 0.5]
    assert told["levels"][0]["mse_in_mask"]["ddim"] == rows[0].inside["ddim"]


def test_the_grid_holds_each_picture_at_its_place():
    colours = [[torch.full((64, 64, 3), (20 + row * 120 + column * 40) / 255) for column in range(3)] for row in range(2)]
    sheet = grid(colours, ["one", "other"], ["a", "b", "c"])[0]
    for row in range(2):
        for column in range(3):
            wanted = (20 + row * 120 + column * 40) / 255
            # Enlarged to 128: the middle of each cell, counted from the lower right corner, where no caption is.
            y, x = sheet.shape[0] - 68 - (1 - row) * 132, sheet.shape[1] - 68 - (2 - column) * 132
            assert sheet[y, x].tolist() == pytest.approx([wanted] * 3, abs=1e-6)
    assert (sheet[:20, 30:] < 0.5).any()  # captions


def test_error_maps_share_one_scale():
    truth = torch.zeros(4, 4, 3)
    small, large = torch.full((4, 4, 3), 0.1), torch.full((4, 4, 3), 0.4)
    maps, most = error_maps([[small, large]], truth)
    assert most == pytest.approx(0.4)
    assert maps[0][0][0, 0].tolist() == pytest.approx([0.25] * 3)
    assert maps[0][1][0, 0].tolist() == pytest.approx([1.0] * 3)
    assert error_maps([[truth]], truth)[0][0][0].max() == 0


def test_the_plot_is_a_picture_with_lines():
    pytest.importorskip("matplotlib")
    plot = mse_plot(study(gaussian, clean(), half_hole(), [8.0, 2.0, 0.5], seed=7))
    assert plot.shape[0] == 1
    assert plot.shape[-1] == 3
    coloured = (plot.amax(-1) - plot.amin(-1)) > 0.3
    assert coloured.float().mean() > 0.001


def test_a_missing_matplotlib_is_named(monkeypatch):
    monkeypatch.setattr("sfsr_model.estimators.sheet.find_spec", lambda name: None)
    with pytest.raises(ImportError, match="the plot needs matplotlib; run `python -m pip install matplotlib`"):
        mse_plot([])
