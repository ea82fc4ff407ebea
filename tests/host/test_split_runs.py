"""A run that goes on where another stopped, from a latent that is noisy already: the surroundings are still the target's."""

import pytest
import torch

STEPS, PART = 6, 3


def apart(one, other):
    """The mean difference as a share of the deviation."""
    return ((one - other).abs().mean() / other.std()).item()


def whole_and_split(small, conditioned, sampler):
    """The same run by SamplerCustomAdvanced, once whole and once cut in two."""
    sigmas = small.node("BasicScheduler", model=conditioned, scheduler="normal", steps=STEPS, denoise=1.0)
    parts = small.node("SplitSigmas", sigmas=sigmas, step=PART)
    whole = small.custom(conditioned, sampler, sigmas=sigmas)
    first = small.custom(conditioned, sampler, sigmas=parts.out(0))
    silent = small.node("DisableNoise")
    return whole, small.custom(conditioned, sampler, sigmas=parts.out(1), noise=silent, latent_image=first)


def advanced(small, conditioned, latent, start, end, **changes):
    """KSamplerAdvanced from one step to another, without noise of its own and leaving none unless told otherwise."""
    numbers = {"steps": STEPS, "start_at_step": start, "end_at_step": end, "noise_seed": 1, "cfg": 2.0}
    choices = {"sampler_name": "euler", "scheduler": "normal", "add_noise": "disable", "return_with_leftover_noise": "disable"}
    wires = {"model": conditioned, "positive": conditioned.out(1), "negative": conditioned.out(2), "latent_image": latent}
    return small.node("KSamplerAdvanced", **{**wires, **numbers, **choices, **changes})


def first_half(small, conditioned, **changes):
    noisy = {"add_noise": "enable", "return_with_leftover_noise": "enable"}
    return advanced(small, conditioned, conditioned.out(3), 0, PART, **noisy, **changes)


def outside(small, latents, *samples):
    """How far the latents of these nodes lie from the target outside the square in the middle, at most; and the latents."""
    (target, *found) = latents(small, small.target_latent, *samples)
    around = torch.ones(8, 8, dtype=torch.bool)
    around[2:6, 2:6] = False
    return [(one - target)[..., around].abs().max().item() for one in found], found


@pytest.fixture
def split(small):
    """The small graph with a hard square as its mask, and the latent of the target as a node to keep.

    In the cells of a soft edge the noise of the first half cannot be told from what it made of them.
    """
    small.target_latent = small.node("VAEEncode", pixels=small.crop, vae=small.vae)
    parts = [small.node("SolidMask", value=value, width=side, height=side) for value, side in ((0.0, 64), (1.0, 32))]
    square = small.node("MaskComposite", destination=parts[0], source=parts[1], x=16, y=16, operation="add")
    small.square = {"mask": square}
    return small


def test_sigmas_split_over_two_samplers_are_the_whole_run(split, latents):
    conditioned = split.conditioned(**split.square)
    far, (whole, halves) = outside(split, latents, *whole_and_split(split, conditioned, split.sampler()))
    assert apart(halves, whole) < 1e-4
    assert max(far) < 1e-3


@pytest.mark.parametrize("sampler", ["euler", "heun"])
def test_start_and_end_of_a_stock_sampler(split, latents, sampler):
    conditioned = split.conditioned(**split.square)
    whole = split.sampled(conditioned, steps=STEPS, sampler_name=sampler)
    first = first_half(split, conditioned, sampler_name=sampler)
    second = advanced(split, conditioned, first, PART, 10000, sampler_name=sampler)
    far, (expected, found) = outside(split, latents, whole, second)
    assert apart(found, expected) < 1e-4
    assert max(far) < 1e-3


def test_another_conditioning_may_go_on(split, latents):
    """As a refiner does; and a run whose noise was added before it, at the highest level."""
    conditioned = split.conditioned(**split.square)
    other = split.conditioned(**split.square, identity_guidance=2.0, expression_weight=0.0)
    refined = advanced(split, other, first_half(split, conditioned), PART, 10000)
    sigmas = split.node("BasicScheduler", model=conditioned, scheduler="normal", steps=STEPS, denoise=1.0)
    noise = split.node("RandomNoise", noise_seed=1)
    noisy = split.node("AddNoise", model=conditioned, noise=noise, sigmas=sigmas, latent_image=conditioned.out(3))
    silent = split.node("DisableNoise")
    before = split.custom(conditioned, split.sampler(), sigmas=sigmas, noise=silent, latent_image=noisy)
    far, (one, two) = outside(split, latents, refined, before)
    assert max(far) < 1e-3
    assert not torch.allclose(one, two, atol=1e-1)


def test_noise_that_is_added_twice_is_named(split, latents, server):
    conditioned = split.conditioned(**split.square)
    (plain,) = latents(split, split.sampled(conditioned, denoise=0.5))
    assert plain.isfinite().all()
    assert "turn add_noise off" not in server.log_text()  # a run that begins below the highest noise is no fault
    latents(split, advanced(split, conditioned, first_half(split, conditioned), PART, 10000, add_noise="enable"))
    assert "turn add_noise off" in server.log_text()


def test_nothing_is_put_back_where_the_target_is_not_known(split, latents, server):
    """Conditions of another node carry no target: the background is left to the model, and the log says so."""
    conditioned = split.conditioned(**split.square)
    tokens = {
        name: split.node("StrangerTokens", conditioning=conditioned.out(slot))
        for name, slot in (("positive", 1), ("negative", 2))
    }
    guider = split.node("CFGGuider", model=conditioned, cfg=2.0, **tokens)
    steps = split.node("BasicScheduler", model=conditioned, scheduler="normal", steps=STEPS, denoise=1.0)
    rest = {"sigmas": split.node("SplitSigmas", sigmas=steps, step=PART).out(1), "noise": split.node("DisableNoise")}
    rest |= {"latent_image": first_half(split, conditioned), "guider": guider}
    known = split.custom(conditioned, split.sampler(), **{**rest, "guider": None})
    latents(split, known)
    assert "background_anchoring is off" not in server.log_text()
    kept, free = latents(
        split,
        split.custom(conditioned, split.sampler(), **rest),
        split.custom(conditioned, split.sampler(background_anchoring=0.0), **rest),
    )
    assert torch.equal(kept, free)
    assert "background_anchoring is off" in server.log_text()
