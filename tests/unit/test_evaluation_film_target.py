"""What is measured of a film with another face, on films whose answer is known."""

from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from sfsr_model.evaluation.film_target import TrueFilm, flicker, jitter, switches, thin_plate
from sfsr_model.face.crop import template

FRAMES, SIDE = 6, 128


@pytest.fixture
def film():
    """A smooth picture that moves by two pixels a frame, with landmarks that move along."""
    generator = torch.Generator().manual_seed(0)
    whole = F.interpolate(torch.rand(1, 3, 12, 16, generator=generator), (SIDE, SIDE + 32), mode="bicubic")[0].clamp(0, 1)
    images = torch.stack([whole[:, :, 2 * t : 2 * t + SIDE] for t in range(FRAMES)]).movedim(1, -1)
    five = template() * 80 + torch.tensor([30.0, 20.0])
    marks = torch.rand(68, 2, generator=generator, dtype=torch.float64) * 80 + 24
    move = -torch.arange(FRAMES, dtype=torch.float64)[:, None, None] * torch.tensor([2.0, 0.0])
    nothing = torch.zeros(FRAMES, 1)
    return TrueFilm((images * 255).round().to(torch.uint8), five + move, marks + move, nothing, nothing)


def test_a_spline_takes_points_where_they_belong_and_bends_nothing_else():
    generator = torch.Generator().manual_seed(1)
    points = torch.rand(20, 2, generator=generator, dtype=torch.float64) * 90
    places = torch.rand(50, 2, generator=generator, dtype=torch.float64) * 90
    turn = torch.tensor([[1.1, 0.3], [-0.2, 0.9]], dtype=torch.float64)
    torch.testing.assert_close(thin_plate(points, points @ turn + 5)(places), places @ turn + 5, atol=1e-3, rtol=0)
    target = points + torch.randn(20, 2, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(thin_plate(points, target)(points), target, atol=1e-2, rtol=0)


def test_motion_is_no_flicker_and_flicker_is(film):
    still = flicker(film.images, film)
    assert still < 1.5
    plain = (film.images[1:].float() - film.images[:-1]).abs().mean()
    assert plain > 3 * still
    brighter = film.images.clone()
    brighter[::2] = brighter[::2].clamp(max=235) + 20
    assert flicker(brighter, film) == pytest.approx(20, abs=still + 4)


def test_jitter_is_the_deviation_of_white_noise_and_not_a_bias(film):
    assert jitter(film.five + 7, film) == pytest.approx(0)
    generator = torch.Generator().manual_seed(2)
    long = TrueFilm(*(one.repeat(200, *[1] * (one.ndim - 1)) for one in vars(film).values()))
    noise = torch.randn(long.five.shape, generator=generator, dtype=torch.float64)
    # Two axes, each of deviation 1, over an eye distance of 24 pixels.
    assert jitter(long.five + noise, long) == pytest.approx(2**0.5 / 24, rel=0.05)


def test_a_switch_counts_where_a_new_face_is_shown(film):
    other = film.five + torch.tensor([40.0, 0.0])
    points = film.five.clone()
    points[2:5] = other[2:5]
    followed = SimpleNamespace(points=points, opacity=(1.0, 1.0, 1.0, 1.0, 0.0, 1.0))
    assert switches(followed, film.five, [other]) == 2
