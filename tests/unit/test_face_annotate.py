"""Landmarks and text drawn on pictures."""

import torch

from sfsr_model.face.annotate import annotate

GREEN = torch.tensor([0.0, 0.5, 0.0])


def test_a_small_picture_is_enlarged_and_keeps_its_colours():
    drawn = annotate(GREEN.expand(100, 120, 3), None, "")
    assert drawn.shape == (300, 360, 3)
    torch.testing.assert_close(drawn[100:], GREEN.expand(200, 360, 3), atol=0.01, rtol=0)


def test_every_point_is_a_yellow_dot_at_its_place():
    points = torch.tensor([[30.0, 60], [60, 60], [45, 70], [35, 85], [60, 85]])
    drawn = annotate(GREEN.expand(100, 100, 3), points, "")
    yellow = ((drawn - torch.tensor([1.0, 220 / 255, 0])).abs() < 0.02).all(-1).nonzero().flip(-1).float()
    places = (points + 0.5) * 3 - 0.5
    nearest = torch.cdist(yellow, places).min(1)
    assert nearest.values.max() < 4
    for number, place in enumerate(places):
        torch.testing.assert_close(yellow[nearest.indices == number].mean(0), place, atol=0.6, rtol=0)


def test_text_is_broken_where_the_picture_ends():
    plain, words = GREEN.expand(256, 256, 3), "a text of words that is wider than the picture by far and goes on"
    one, broken = annotate(plain, None, "a text"), annotate(plain, None, words)
    strip = [int((drawn[:, 255, 1] < 0.4).sum()) for drawn in (one, broken)]
    # Two lines of it or three, none empty, none beyond the border.
    assert 1.8 * strip[0] < strip[1] < 3.5 * strip[0]
    assert float(broken[:, -2:].amax()) < 0.51
    white = (broken[: strip[1]] > 0.8).all(-1).any(1)
    assert int((white[1:] & ~white[:-1]).sum()) >= 2
