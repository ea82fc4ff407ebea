"""Guidance of x0*: the length of the step, what it leaves alone, and that it leads where it should."""

import gc
import weakref

import pytest
import torch
from testkit import tiny_landmarker

from sfsr_model.encoders.untrained import UntrainedEncoder
from sfsr_model.estimators import sample_improved_midpoint
from sfsr_model.expressions import ARKIT_INDEX, Expression, part_mask
from sfsr_model.face import face_frame
from sfsr_model.face.crop import template
from sfsr_model.guidance import (
    MEASURES,
    PLAIN,
    STEP_SIZES,
    ExpressionEnergy,
    FaceDecoder,
    FacePlace,
    Guide,
    GuidedRun,
    IdentityEnergy,
    Term,
    View,
    face_cut,
    face_place,
    some_views,
)
from sfsr_model.landmarker import load_expression_encoder
from sfsr_model.landmarker.regions import regions_around
from sfsr_model.schedule import NoisePath, ScaledLinearSchedule


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
    guide = Guide(lambda z: 0.5 + (enlarged(z) - 0.5) * steepness, [Term(0.3, lambda p: grey(p) / steepness)])
    moved = step(guide, x0, sigma).pow(2).mean((1, 2, 3)).sqrt()
    expected = 0.3 * grey(enlarged(x0)) * sigma / (1 + sigma**2) ** 0.5
    assert torch.allclose(moved, expected, rtol=1e-4)


def test_the_direction_is_down():
    x0 = latents()
    guide = Guide(enlarged, [Term(0.3, grey)])
    assert (grey(enlarged(guide(x0, 1.0))) < grey(enlarged(x0))).all()


def test_two_energies_add_their_own_steps():
    x0 = latents()

    def green(pictures):
        return (pictures[..., 1] - 0.9).abs().mean((1, 2))

    one, other = Guide(enlarged, [Term(0.3, grey)]), Guide(enlarged, [Term(0.7, green)])
    both = Guide(enlarged, [Term(0.3, grey), Term(0.7, green)])
    assert torch.allclose(step(both, x0), step(one, x0) + step(other, x0), atol=1e-6)


def test_the_background_stays_to_the_bit_and_does_not_weaken_the_step():
    x0 = latents()
    hole = torch.zeros(1, 1, 8, 8)
    hole[..., 2:6, 2:6] = 1
    moved = step(Guide(enlarged, [Term(0.3, grey)]), x0, 2.0, hole)
    assert torch.equal(moved * (1 - hole), torch.zeros_like(moved))
    assert Guide(enlarged, [Term(0.3, grey)])(x0, 2.0, hole.double()).dtype == x0.dtype
    inside = (moved.pow(2).sum((1, 2, 3)) / (4 * 16)).sqrt()
    assert torch.allclose(inside, 0.3 * grey(enlarged(x0)) * 2 / 5**0.5, rtol=1e-4)


def test_it_acts_in_its_part_of_the_run_only():
    x0 = latents()
    guide = Guide(enlarged, [Term(0.3, grey)], start=0.3, end=0.8)
    schedule = ScaledLinearSchedule()
    levels = [14.6, schedule.sigma(0.75 * 999), schedule.sigma(0.65 * 999), schedule.sigma(0.15 * 999), 0.03]
    assert [guide(x0, sigma) is not x0 for sigma in levels] == [False, False, True, False, False]
    assert not any(Guide(enlarged, [Term(1.0, grey)], 0.8, 0.3).acts(sigma) for sigma in levels)
    whole = Guide(enlarged, [Term(0.3, grey)])
    assert whole.acts(schedule.sigma(999.0))
    assert whole.acts(schedule.sigma(0.0))


def test_no_direction_is_no_step_and_nonsense_is_named():
    x0 = latents()
    assert torch.equal(Guide(enlarged, [Term(1.0, lambda p: (p * 0).sum((1, 2, 3)) + 1)])(x0, 1.0), x0)
    with pytest.raises(ValueError, match="guidance: the gradient at noise level 1 is not finite"):
        Guide(enlarged, [Term(1.0, lambda p: (p - p.detach()).abs().pow(0.5).sum((1, 2, 3)))])(x0, 1.0)


def test_it_works_in_inference_mode():
    with torch.inference_mode():
        x0 = latents()
        inside = Guide(enlarged, [Term(0.3, grey)])(x0, 1.0)
    assert torch.equal(inside.clone(), Guide(enlarged, [Term(0.3, grey)])(latents(), 1.0))


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
    energy = IdentityEnergy(encoder.differentiable(), goal[None], face_place())
    x0 = latents(28, 2)
    before = energy(enlarged(x0))
    assert torch.allclose(before, 1 - torch.cosine_similarity(embedded(encoder, x0), goal[None]), atol=1e-4)
    guide = Guide(enlarged, [Term(0.2, energy)])
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
    energy = ExpressionEnergy(encoder.differentiable(), Expression(coefficients), face_place())
    assert energy(pictures).item() == pytest.approx(0.0, abs=1e-6)
    coefficients[:, 0] = (coefficients[:, 0] + 0.5).clamp(0, 1)
    other = ExpressionEnergy(encoder.differentiable(), Expression(coefficients), face_place())
    assert other(pictures).item() == pytest.approx((coefficients[0, 0] - read[0, 0]).abs().item() / 51, rel=1e-3)
    assert not any(parameter.requires_grad for parameter in other.parameters())


def test_the_face_is_where_the_frame_says():
    """Points of a turned, shifted face come back from its frame in the unit square of the crop."""
    points = template() * 100 + torch.tensor([30.0, 50.0])
    points[2] += 4.0  # a nose that no template has
    frame = face_frame(points, (300, 300), 128)
    expected = (points @ frame.transform[:, :2].T + frame.transform[:, 2] + 0.5) / 128
    assert torch.allclose(face_place([frame]).crop[0], expected)
    assert torch.allclose(face_place().crop, template()[None])


def test_what_does_not_fit_is_named():
    energy = IdentityEnergy(UntrainedEncoder().differentiable(), torch.ones(3, 512), face_place())
    with pytest.raises(ValueError, match="found pictures of 32 x 64 pixels, expected the square crops of Face Crop"):
        energy(torch.rand(3, 64, 32, 3))
    with pytest.raises(ValueError, match="identity: found a batch of 3, but the latent is a batch of 2"):
        energy(torch.rand(2, 64, 64, 3))
    several = IdentityEnergy(UntrainedEncoder().differentiable(), torch.ones(1, 512), FacePlace(template().expand(3, 5, 2)))
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


def published(x, cond, uncond, gradient, cfg, scale, sigma):
    """The rule as MPGD's code for Stable Diffusion has it, from predictions of eps: c = scale rms(e_c - e_u) cfg / rms(g)."""
    clean = x - sigma * (uncond + cfg * (cond - uncond))
    size = ((cond - uncond) ** 2).mean() ** 0.5 * cfg * scale / (gradient**2).mean() ** 0.5
    return clean - size * gradient


def test_the_step_of_the_fields_size_is_the_published_one():
    """On given tensors: scale k here is k sigma there, because there the correction is measured in eps."""
    generator = torch.Generator().manual_seed(3)
    x, cond, uncond, gradient = torch.randn(4, 1, 4, 8, 8, generator=generator, dtype=torch.float64)
    cfg, scale, sigma = 6.0, 0.12, 3.7

    def linear(pictures):
        return (pictures * gradient.movedim(1, -1)).sum((1, 2, 3))

    guide = Guide(lambda z: z.movedim(1, -1), [Term(scale, linear)], step_size=STEP_SIZES[1])
    clean = x - sigma * (uncond + cfg * (cond - uncond))
    found = guide(clean, sigma, None, -sigma * cfg * (cond - uncond))
    assert torch.allclose(found, published(x, cond, uncond, gradient, cfg, scale * sigma, sigma), rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match=r"step_size: .* makes no negative prediction"):
        guide(clean, sigma)


def test_in_a_flow_less_is_open_at_the_same_level():
    x0 = latents()
    added, flow = (
        step(Guide(enlarged, [Term(0.3, grey)], path=path, level=lambda share: 1 - share), x0, 0.4).norm()
        for path in (NoisePath(), NoisePath(flow=True))
    )
    assert (flow / added).item() == pytest.approx((0.4 / (0.6**2 + 0.4**2) ** 0.5) / (0.4 / (1 + 0.4**2) ** 0.5), rel=1e-4)


def sloped(energy, decoder, views, x0, small):
    """The gradient along a random direction: as the guide has it, and by differences."""
    (_,), (gradient,) = Guide(decoder, [Term(1.0, energy)])._gradients(x0, views)
    direction = torch.randn(x0.shape, generator=torch.Generator().manual_seed(1)).to(x0)

    def mean(z):
        return sum(energy(decoder(z), view).item() for view in views) / len(views)

    slope = (mean(x0 + small * direction) - mean(x0 - small * direction)) / (2 * small)
    return (gradient * direction).sum().item(), slope


def test_the_gradient_is_that_of_finite_differences():
    """Through cut, decoder and the mean over views: of a smooth energy in double precision, of a recogniser in single."""
    views = some_views(3, torch.Generator().manual_seed(0))
    place = face_place()

    def smooth(pictures, view=PLAIN):
        shown, points = view.of(pictures, place.points(*pictures.shape[1:3]))
        weight = torch.linspace(0, 1, shown.shape[2], dtype=shown.dtype)[:, None] + points.mean()
        return (shown.sin() * weight).square().mean((1, 2, 3))

    found, slope = sloped(smooth, FaceDecoder(enlarged, place.points), views, latents(28, 1).double(), 1e-5)
    assert found == pytest.approx(slope, rel=1e-6)
    encoder = UntrainedEncoder()
    goal = encoder.embed(enlarged(latents(28, 1, seed=5))[0], template() * 112 - 0.5)
    for measure in MEASURES:
        energy = IdentityEnergy(encoder.differentiable(), goal[None], place, measure)
        found, slope = sloped(energy, FaceDecoder(enlarged, place.points), views, latents(28, 1), 1e-2)
        assert found == pytest.approx(slope, rel=0.03)


def test_the_cut_holds_the_face_and_only_its_part_moves():
    place = face_place()
    cut = face_cut(place.points(512, 512), 8, 64, 64)
    assert (cut.height % 2, cut.width % 2) == (0, 0)
    points = place.points(512, 512)[0] / 8
    for corner, length, axis in ((cut.left, cut.width, 0), (cut.top, cut.height, 1)):
        assert 0 <= corner < points[:, axis].min() - 3
        assert points[:, axis].max() + 3 < corner + length <= 64
    assert cut.height * cut.width < 0.6 * 64 * 64
    small = face_cut(FacePlace(template()[None] * 0.3 + 0.05).points(512, 512), 8, 64, 64)
    assert small.height * small.width < 0.12 * 64 * 64
    assert small.left + small.width < 32
    assert face_cut(place.points(64, 64), 8, 8, 8).height == 8
    decoder = FaceDecoder(lambda z: torch.nn.functional.interpolate(z[:, :3], scale_factor=8.0).movedim(1, -1), place.points)
    before, x0 = latents(32, 1), latents(32, 1, seed=1)
    assert torch.equal(decoder(before), decoder._decode(before))
    cut, pictures = decoder._cut, decoder(x0)
    moved = (pictures != decoder._decode(before)).any(-1)[0]
    assert moved[cut.top * 8 : (cut.top + cut.height) * 8, cut.left * 8 : (cut.left + cut.width) * 8].all()
    assert moved.sum() == cut.height * cut.width * 64


def test_a_face_in_a_whole_picture_is_where_it_was_found():
    points = template() * 100 + torch.tensor([30.0, 50.0])
    place = face_place([face_frame(points, (300, 200), 128)])
    assert torch.equal(place.points(300, 200)[0], points)
    assert torch.allclose(place.points(128, 128), place.crop * 128 - 0.5)
    with pytest.raises(ValueError, match=r"found pictures of 96 x 64 pixels, .* or the whole picture of 200 x 300"):
        place.points(64, 96)


def test_a_mirrored_look_is_the_mirrored_picture():
    pictures, points = torch.rand(1, 20, 30, 3), template()[None] * 20 - 0.5
    shown, seen = View(mirrored=True).of(pictures, points)
    assert torch.equal(shown, pictures.flip(2))
    assert torch.equal(seen[0, 0], torch.stack((29 - points[0, 1, 0], points[0, 1, 1])))
    assert (seen[0, 0] < seen[0, 1])[0]
    assert (seen[0, 3] < seen[0, 4])[0]
    first, *others = some_views(5, torch.Generator().manual_seed(0))
    assert first is PLAIN
    assert [one.mirrored for one in others] == [True, False, True, False]
    assert all((one.of(pictures, points)[1] - points).norm(dim=-1).mean() > 0 for one in others if not one.mirrored)


class Fixed(torch.nn.Module):
    """A reader whose coefficients are the picture's mean in the left half (index 0 of each pair) and in the right one."""

    known = torch.ones(52)

    def forward(self, pictures, points):
        from sfsr_model.expressions import LEFT_RIGHT_PAIRS

        half = pictures.shape[2] // 2
        read = torch.zeros(len(pictures), 52)
        for left, right in LEFT_RIGHT_PAIRS:
            read[:, left] = pictures[:, :, half:].mean((1, 2, 3))
            read[:, right] = pictures[:, :, :half].mean((1, 2, 3))
        return read


def test_parts_residuals_and_the_other_side():
    pictures = torch.zeros(1, 20, 20, 3)
    pictures[:, :, 10:] = 0.5
    reader = Fixed()
    wanted = reader(pictures, None)
    assert ExpressionEnergy(reader, Expression(wanted), face_place())(pictures, View(mirrored=True)).item() == 0
    brow = wanted.clone()
    brow[:, ARKIT_INDEX["browInnerUp"]] = 0.4
    mouth, brows = part_mask("mouth"), part_mask("brows")
    elsewhere, there = (ExpressionEnergy(reader, Expression(brow), face_place(), parts=one) for one in (mouth, brows))
    assert elsewhere(pictures).item() == 0
    assert there(pictures).item() == pytest.approx(0.4 / brows.sum().item())
    length = ExpressionEnergy(reader, Expression(brow), face_place(), MEASURES[1], brows)
    assert length(pictures).item() == pytest.approx(0.4 / brows.sum().item() ** 0.5)
    blind = Fixed()
    blind.known = mouth.float()
    with pytest.raises(ValueError, match="expression_parts: the expression encoder reads none of these"):
        ExpressionEnergy(blind, Expression(wanted), face_place(), parts=brows)


def test_enough_leaves_a_picture_alone_and_ends_the_run():
    x0 = latents()
    values = grey(enlarged(x0))
    between = values.mean().item()
    run = GuidedRun(Guide(enlarged, [Term(0.3, grey, between)], rounds=3))
    moved = run(x0, 1.0) - x0
    assert (moved.abs().sum((1, 2, 3)) > 0).tolist() == (values > between).tolist()
    assert (run.agreed, run.rounds(1.0)) == (False, 3)
    run = GuidedRun(Guide(enlarged, [Term(0.3, grey, values.max().item())], rounds=3))
    assert torch.equal(run(x0, 1.0), x0)
    assert (run.agreed, run.rounds(1.0)) == (True, 1)
    assert run(10 * x0, 1.0) is not None
    assert torch.equal(run(10 * x0, 1.0), 10 * x0)


def test_rounds_look_again_from_fresh_noise():
    """At the same level each time, with the noise of that level; as often as asked, and once where nothing acts."""
    for path in (NoisePath(), NoisePath(flow=True)):
        looks = []

        def model(x, sigma, looks=looks, **_):
            looks.append((round(sigma[0].item(), 3), x.std().item()))
            return torch.zeros_like(x)

        x = 0.9 * latents(64)
        again = {0.9: 3}
        sample_improved_midpoint(
            model, x, torch.tensor([0.9, 0.5, 0.0]), order=1, rounds=lambda sigma, a=again: a.get(round(sigma, 3), 1), path=path
        )
        assert [level for level, _ in looks] == [0.9, 0.9, 0.9, 0.5]
        assert [spread for _, spread in looks] == pytest.approx([0.9, 0.9, 0.9, 0.5], rel=0.03)


def test_fresh_noise_in_a_flow_keeps_the_levels():
    """With the answer known, x at each level is (1 - sigma) x0 + sigma noise, also with eta and from pure noise on."""
    truth = torch.full((2, 4, 64, 64), 3.0)
    seen = []

    def model(x, sigma, **_):
        seen.append((sigma[0].item(), x.mean().item(), x.std().item()))
        return truth

    x = latents(64)
    sample_improved_midpoint(model, x, torch.tensor([1.0, 0.7, 0.3, 0.0]), order=1, eta=0.8, path=NoisePath(flow=True))
    assert [mean for _, mean, _ in seen] == pytest.approx([3 * (1 - sigma) for sigma, _, _ in seen], abs=0.03)
    assert [spread for _, _, spread in seen] == pytest.approx([sigma for sigma, _, _ in seen], rel=0.03)


def test_nothing_of_a_run_is_kept():
    """Neither latents nor pictures nor the correction: when the run's object goes, they go, without the cycle collector."""
    gc.collect()
    gc.disable()
    try:
        kept = []

        def decode(z):
            pictures = enlarged(z)
            kept.append(weakref.ref(pictures))
            return pictures

        x0 = latents(28)
        correction = torch.ones_like(x0)
        kept += [weakref.ref(x0), weakref.ref(correction)]
        guide = Guide(FaceDecoder(decode, face_place().points), [Term(0.3, grey)], step_size=STEP_SIZES[1])
        run = GuidedRun(guide, lambda c=correction: c)
        moved = run(x0, 1.0, torch.ones(1, 1, 28, 28))
        assert not torch.equal(moved, x0)
        del run, guide, x0, correction, moved
        assert [one() for one in kept] == [None] * len(kept)
    finally:
        gc.enable()
