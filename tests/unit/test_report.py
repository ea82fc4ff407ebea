"""The report's figures: how near a picture is to the expression that was asked for."""

import pytest
import torch
from harness import tiny_landmarker as tiny

from sfsr_model.evaluation.report import expression_errors
from sfsr_model.expressions import ARKIT_INDEX, ARKIT_NAMES, Expression
from sfsr_model.landmarker import UNREAD, load_expression_encoder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return load_expression_encoder(tiny.write_tiny_task(tmp_path_factory.mktemp("task") / "tiny.task"))


@pytest.fixture(scope="module")
def picture():
    return torch.full((1, 200, 300, 3), 0.9)


@pytest.fixture(scope="module")
def points(encoder, picture):
    (face,), _, _ = encoder.faces(picture[0])
    return face.points


def test_what_is_read_has_no_error(encoder, picture, points):
    assert expression_errors(picture, [points], encoder.read(picture), encoder) == pytest.approx((0.0,), abs=1e-6)


def test_the_error_is_the_mean_over_what_can_be_seen(encoder, picture, points):
    read = encoder.read(picture).coefficients
    wanted = read.clone()
    wanted[0, ARKIT_INDEX["jawOpen"]] = 1.0 if read[0, ARKIT_INDEX["jawOpen"]] < 0.5 else 0.0
    expected = (wanted - read).abs().sum().item() / (len(ARKIT_NAMES) - len(UNREAD))
    for name in UNREAD:
        wanted[0, ARKIT_INDEX[name]] = 1.0
    assert expression_errors(picture, [points], Expression(wanted), encoder) == pytest.approx((expected,), abs=1e-6)


def test_without_the_face_nothing_is_measured(encoder, picture, points):
    pictures = torch.cat((picture, picture, torch.zeros_like(picture)))
    far = points + 5 * (points[1] - points[0])
    assert expression_errors(pictures, [None, far, points], Expression.neutral(3), encoder) == (None, None, None)
