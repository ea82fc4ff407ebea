"""The figures of moved landmarks, on cases whose answer is known."""

from __future__ import annotations

import pytest
import torch

from sfsr_model.drawing.face_points import bundled_face_points
from sfsr_model.drawing.head import Head
from sfsr_model.evaluation.drawing.moved import AREAS, LEAST_CHANGE, changing_pairs, pair_errors, ratio_figure
from sfsr_model.evaluation.drawing.readings import KNOWN, movements, read_moved, series, single_figures, words
from sfsr_model.expressions import ARKIT_INDEX, ARKIT_NAMES
from sfsr_model.landmarker import UNREAD

JAW = ARKIT_INDEX["jawOpen"]


@pytest.fixture(scope="module")
def points():
    return bundled_face_points()


def front(shape):
    return Head(shape, 1.0, torch.eye(3), torch.zeros(3))


def test_pairs_are_of_one_person_and_differ():
    coefficients = torch.zeros(4, len(ARKIT_NAMES))
    coefficients[1, JAW] = LEAST_CHANGE
    coefficients[2, JAW] = LEAST_CHANGE - 0.01
    coefficients[3, JAW] = 1.0
    assert changing_pairs(["a", "a", "a", "b"], coefficients) == [(0, 1), (1, 0)]


def test_a_face_that_moves_as_the_file_says_is_met(points):
    coefficients = torch.zeros(2, len(ARKIT_NAMES))
    coefficients[1, JAW] = 0.8
    heads = [front(points.mean), front(points.mean)]
    moved, still = pair_errors(heads, coefficients, [(0, 1)], points)
    assert moved.keys() == still.keys() == AREAS.keys()
    assert all(float(error) < 1e-6 for error in moved.values())
    assert float(still["lips"]) > 0.1
    assert float(still["brows"]) < 0.01
    # What another shape adds stays in both.
    other = points.mean.clone()
    other[:, 0] *= 1.1
    moved, still = pair_errors([front(points.mean), front(other)], coefficients, [(0, 1)], points)
    assert 0 < float(moved["oval"]) < float(still["oval"])


def test_a_ratio_is_that_of_the_sums():
    above, below = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 2.0, 8.0])
    figure = ratio_figure(above, below, torch.tensor([0, 0, 1]))
    assert figure.value == pytest.approx(0.5)
    assert figure.count == 3
    assert figure.low == pytest.approx(3 / 8)
    assert figure.high == pytest.approx(3 / 4)
    assert ratio_figure(above[:0], below[:0], torch.tensor([])).value is None


def test_a_series_spreads_one_movement_beside_another():
    assert sorted(one for movement in movements() for one in movement) == list(range(len(ARKIT_NAMES)))
    wanted = series((JAW,), 5, torch.Generator().manual_seed(0))
    assert wanted[:, JAW].tolist() == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    assert all(1 <= int((row > 0).sum()) <= 3 for row in wanted[1:])
    assert len(words()) == 135


class Ruler:
    """Reads the jaw from the chin's distance from the eyes, and nothing else."""

    def __init__(self, points):
        self.rest, self.drop = points.mean[152, 1], points.moves[JAW, 152, 1]

    def coefficients(self, landmarks):
        read = torch.zeros(len(landmarks), len(ARKIT_NAMES))
        read[:, JAW] = (landmarks[:, 152, 1] / 100 - self.rest) / self.drop
        return read


def test_what_is_wanted_is_read_back(points):
    heads = [front(points.mean)]
    wanted = torch.zeros(3, len(ARKIT_NAMES))
    wanted[:, JAW] = torch.tensor([0.0, 0.5, 1.0])
    read = read_moved(wanted, heads, Ruler(points), points, torch.Generator().manual_seed(0))
    assert torch.allclose(read[:, JAW], wanted[:, JAW], atol=1e-4)
    figures = single_figures(heads, Ruler(points), points, 8, 0)
    assert set(figures) == set(ARKIT_NAMES) - set(UNREAD)
    assert figures["jawOpen"].value > 0.95
    assert figures["eyeBlinkLeft"].value == 0
    assert int(KNOWN.sum()) == len(figures)
