"""Guidance of x0*: the length of the step, what it leaves alone, and that it leads where it should."""

import pytest
import torch
from testkit import tiny_landmarker

from sfsr_model.encoders.untrained import UntrainedEncoder
from sfsr_model.estimators import sample_improved_midpoint
from sfsr_model.expressions import ARKIT_INDEX, Expression
from sfsr_model.face import face_frame
from sfsr_model.face.crop import template
from sfsr_model.guidance import ExpressionEnergy, Guide, IdentityEnergy, crop_points
from sfsr_model.landmarker import load_expression_encoder
from sfsr_model.landmarker.regions import regions_around


def enlarged(latents):
    """A decoder of one line: three of the channels, four times as large, as a picture around mid grey."""
    pixels = torch.nn.functional.interpolate(latents[:, :3], scale_factor=4.0, mode="bilinear")
    return (0.5 + 0.1 * pixels).movedim(1, -1)


def grey(pictures):
    return (pictures - 0.5).abs().mean((1, 2, 3)) * 10


def latents(size=8, batch=2, seed=0):
    return torch.randn([batch, 4, size, size], generator=torch.Generator().manual_seed(seed))


def step(guide, x0, sigma=2.0, hole=None):
    return guide(x0, sigma, hole) - x0


@pytest.mark.parametrize("size", [8, 32])
@pytest.mark.parametrize("steepness", [1.0, 100.0])
def test_the_length_is_scale_times_energy_times_what_is_open(size, steepness):
    """Whatever the resolution and the decoder's gain."""
    x0, sigma = latents(size), 2.0
    guide = Guide(lambda z: 0.5 + (enlarged(z) - 0.5) * steepness, [(0.3, lambda p: grey(p) / steepness)])
    moved = step(guide, x0, sigma).pow(2).mean((1, 2, 3)).sqrt()
    expected = 0.3 * grey(enlarged(x0)) * sigma / (1 + sigma**2) ** 0.5
    assert torch.allclose(moved, expected, rtol=1e-4)


def test_the_direction_is_down():
    x0 = latents()
    guide = Guide(enlarged, [(0.3, grey)])
    assert (grey(enlarged(guide(x0, 1.0))) < grey(enlarged(x0))).all()


def test_two_energies_add_their_own_steps():
    x0 = latents()

    def green(pictures):
        return (pictures[..., 1] - 0.9).abs().mean((1, 2))

    one, other = Guide(enlarged, [(0.3, grey)]), Guide(enlarged, [(0.7, green)])
    both = Guide(enlarged, [(0.3, grey), (0.7, green)])
    assert torch.allclose(step(both, x0), step(one, x0) + step(other, x0), atol=1e-6)


def test_the_background_stays_to_the_bit_and_does_not_weaken_the_step():
    x0 = latents()
    hole = torch.zeros(1, 1, 8, 8)
    hole[..., 2:6, 2:6] = 1
    moved = step(Guide(enlarged, [(0.3, grey)]), x0, 2.0, hole)
    assert torch.equal(moved * (1 - hole), torch.zeros_like(moved))
    assert Guide(enlarged, [(0.3, grey)])(x0, 2.0, hole.double()).dtype == x0.dtype
    inside = (moved.pow(2).sum((1, 2, 3)) / (4 * 16)).sqrt()
    assert torch.allclose(inside, 0.3 * grey(enlarged(x0)) * 2 / 5**0.5, rtol=1e-4)


def test_it_acts_in_its_part_of_the_run_only():
    x0 = latents()
    guide = Guide(enlarged, [(0.3, grey)], start=0.3, end=0.8)
    levels = [14.6, guide.schedule.sigma(0.75 * 999), guide.schedule.sigma(0.65 * 999), guide.schedule.sigma(0.15 * 999), 0.03]
    assert [guide(x0, sigma) is not x0 for sigma in levels] == [False, False, True, False, False]
    assert not any(Guide(enlarged, [(1.0, grey)], 0.8, 0.3).acts(sigma) for sigma in levels)
    whole = Guide(enlarged, [(0.3, grey)])
    assert whole.acts(whole.schedule.sigma(999.0))
    assert whole.acts(whole.schedule.sigma(0.0))


def test_no_direction_is_no_step_and_nonsense_is_named():
    x0 = latents()
    assert torch.equal(Guide(enlarged, [(1.0, lambda p: (p * 0).sum((1, 2, 3)) + 1)])(x0, 1.0), x0)
    with pytest.raises(ValueError, match="guidance: the gradient at noise level 1 is not finite"):
        Guide(enlarged, [(1.0, lambda p: (p - p.detach()).abs().pow(0.5).sum((1, 2, 3)))])(x0, 1.0)


def test_it_works_in_inference_mode():
    with torch.inference_mode():
        x0 = latents()
        inside = Guide(enlarged, [(0.3, grey)])(x0, 1.0)
    assert torch.equal(inside.clone(), Guide(enlarged, [(0.3, grey)])(latents(), 1.0))


def test_the_sampler_asks_once_a_step_and_follows():
    seen = []

    def refine(x0, sigma, hole):
        seen.append((round(sigma, 3), hole))
        return torch.zeros_like(x0)

    mask = torch.ones(1, 1, 8, 8)
    result = sample_improved_midpoint(
        lambda x, sigma, **_: x, latents(), torch.tensor([4.0, 1.0, 0.0]), {"denoise_mask": mask}, refine=refine
    )
    assert seen == [(4.0, mask), (1.0, mask)]
    assert torch.equal(result, torch.zeros_like(result))


def test_identity_guidance_raises_the_cosine():
    """Down the energy of a real (if untrained) recogniser, from a picture of noise."""
    encoder = UntrainedEncoder()
    goal = encoder.embed(enlarged(latents(28, 1, seed=5))[0], template() * 112 - 0.5)
    energy = IdentityEnergy(encoder.differentiable(), goal[None], crop_points())
    x0 = latents(28, 2)
    before = energy(enlarged(x0))
    assert torch.allclose(before, 1 - torch.cosine_similarity(embedded(encoder, x0), goal[None]), atol=1e-4)
    guide = Guide(enlarged, [(0.2, energy)])
    for _ in range(5):
        x0 = guide(x0, 1.0)
    assert (energy(enlarged(x0)) < before).all()


def embedded(encoder, x0):
    return torch.stack([encoder.embed(picture, template() * 112 - 0.5) for picture in enlarged(x0)])


def test_expression_guidance_moves_what_the_landmarker_reads(tmp_path):
    path = tmp_path / "tiny.task"
    tiny_landmarker.write_tiny_task(path)
    encoder = load_expression_encoder(path)
    x0 = latents(16, 1)
    pictures = enlarged(x0)
    read = encoder.landmarker.measure(pictures, regions_around(template()[None] * 64 - 0.5)).coefficients.detach()
    coefficients = read.clone()
    coefficients[:, ARKIT_INDEX["tongueOut"]] = 1.0  # this encoder is blind to it, so it does not count
    energy = ExpressionEnergy(encoder.differentiable(), Expression(coefficients), crop_points())
    assert energy(pictures).item() == pytest.approx(0.0, abs=1e-6)
    coefficients[:, 0] = (coefficients[:, 0] + 0.5).clamp(0, 1)
    other = ExpressionEnergy(encoder.differentiable(), Expression(coefficients), crop_points())
    assert other(pictures).item() == pytest.approx((coefficients[0, 0] - read[0, 0]).abs().item() / 51, rel=1e-3)
    assert not any(parameter.requires_grad for parameter in other.parameters())


def test_the_face_is_where_the_frame_says():
    """Points of a turned, shifted face come back from its frame in the unit square of the crop."""
    points = template() * 100 + torch.tensor([30.0, 50.0])
    points[2] += 4.0  # a nose that no template has
    frame = face_frame(points, (300, 300), 128)
    expected = (points @ frame.transform[:, :2].T + frame.transform[:, 2] + 0.5) / 128
    assert torch.allclose(crop_points([frame])[0], expected)
    assert torch.allclose(crop_points(), template()[None])


def test_what_does_not_fit_is_named():
    energy = IdentityEnergy(UntrainedEncoder().differentiable(), torch.ones(3, 512), crop_points())
    with pytest.raises(ValueError, match="found pictures of 32 x 64 pixels, expected the square crops of Face Crop"):
        energy(torch.rand(3, 64, 32, 3))
    with pytest.raises(ValueError, match="identity: found a batch of 3, but the latent is a batch of 2"):
        energy(torch.rand(2, 64, 64, 3))
    several = IdentityEnergy(UntrainedEncoder().differentiable(), torch.ones(1, 512), template().expand(3, 5, 2))
    with pytest.raises(ValueError, match="face: found a batch of 3, but the latent is a batch of 2"):
        several(torch.rand(2, 64, 64, 3))


def test_regions_follow_the_face():
    """In the aligned crop nearly the whole of it, below the eyes' middle; elsewhere turned and scaled with the points."""
    upright = template()[None] * 200 - 0.5
    (region,) = regions_around(upright)
    assert region[:2].tolist() == pytest.approx([99.5, 93.1], abs=0.1)
    assert region[2:].tolist() == pytest.approx([222.0, 222.0, 0.0], abs=0.1)
    turned = torch.stack((-upright[..., 1], upright[..., 0]), -1) * 0.5
    (region,) = regions_around(turned)
    assert region.tolist() == pytest.approx([-46.55, 49.75, 111.0, 111.0, torch.pi / 2], abs=0.1)
