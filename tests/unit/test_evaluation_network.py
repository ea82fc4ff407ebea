"""A checkpoint in plain PyTorch: guidance by its formula, the known background, the paste."""

from dataclasses import replace

import pytest
import torch

from sfsr_model.estimators import denoiser
from sfsr_model.evaluation.generate import Sampling, Wanted, generate, noise_levels, paste, round_trip
from sfsr_model.evaluation.network import Guidance, Network, anchored, check_size
from sfsr_model.network import CheckpointError, UNetConfig, untrained_checkpoint
from sfsr_model.schedule import ScaledLinearSchedule

SMALL = UNetConfig(model_channels=32, channel_mult=(1, 2), attention=(False, True), context_dim=24, head_channels=16)


@pytest.fixture(scope="module")
def checkpoint():
    return untrained_checkpoint(unet=SMALL)


@pytest.fixture(scope="module")
def network(checkpoint):
    return Network(checkpoint)


@pytest.fixture(scope="module")
def wanted():
    generator = torch.Generator().manual_seed(0)
    mask = torch.zeros(2, 32, 32)
    mask[:, 12:28, 8:24] = 1  # its edge cuts a latent in halves, so that rounding counts
    return Wanted(
        torch.randn(2, 512, generator=generator), torch.rand(2, 52, generator=generator),
        0.2 * torch.randn(2, 3, generator=generator), torch.rand(2, 32, 32, 3, generator=generator), mask,
    )  # fmt: skip


@pytest.fixture(scope="module")
def noise():
    return torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(1))


def test_guidance_is_the_formula(network, wanted, noise):
    """Against the formula on three predictions made one by one, from tokens of each pair of weights."""
    shown = network.surroundings(wanted.target, wanted.mask)
    inputs = wanted.identity, wanted.expression, wanted.pose
    x = shown.known + 2 * noise

    def alone(*weights: float):
        tokens = network.tokens(*inputs, *weights)
        return denoiser(lambda x_t, sigma: network.predict(x_t, sigma, tokens, shown), "eps")(x, 2.0)

    with torch.no_grad():
        null, identity, full = alone(0.0, 0.0), alone(1.0, 0.0), alone(1.0, 1.0)
        assert (identity - full).abs().max() > 0.01
        assert (identity - null).abs().max() > 0.01
        for s_id, s_exp in ((1.0, 1.0), (2.0, 2.0), (3.0, 1.5), (0.0, 1.0)):
            expected = null + s_id * (identity - null) + s_exp * (full - identity)
            found = network.denoiser(*inputs, shown, Guidance(s_id, s_exp))(x, 2.0)
            torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-4)


def test_conditions_are_the_batchs_own(network, wanted, noise):
    """Each latent of a batch, at a noise level of its own, gets what it would get alone."""
    sigmas = torch.tensor([0.5, 6.0])
    shown = network.surroundings(wanted.target, wanted.mask)
    x = shown.known + sigmas.reshape(-1, 1, 1, 1) * noise
    scales = Guidance(2.0, 1.5)
    both = network.denoiser(wanted.identity, wanted.expression, None, shown, scales)(x, sigmas)
    alone = network.surroundings(wanted.target[1:], wanted.mask[1:])
    second = network.denoiser(wanted.identity[1:], wanted.expression[1:], None, alone, scales)(x[1:], 6.0)
    torch.testing.assert_close(both[1:], second, atol=1e-4, rtol=1e-4)


def test_the_face_does_not_reach_the_network(network, wanted):
    """The faceless latent and the hole are the same whatever the target shows inside the mask."""
    other = torch.where(wanted.mask[..., None] > 0, 0.9, wanted.target)
    one, two = (network.surroundings(target, wanted.mask) for target in (wanted.target, other))
    assert torch.equal(one.faceless, two.faceless)
    assert not torch.equal(one.known, two.known)
    assert set(one.hole.unique().tolist()) == {0.0, 1.0}


def test_the_known_background_is_put_back():
    known, noise = torch.full((1, 4, 2, 2), 5.0), torch.ones(1, 4, 2, 2)
    hole = torch.tensor([[[[1.0, 0.0], [1.0, 0.0]]]])
    seen = []

    def denoise(x, sigma):
        seen.append(x)
        return torch.zeros_like(x)

    x0 = anchored(denoise, known, hole, noise)(torch.full((1, 4, 2, 2), 9.0), 2.0)
    assert seen[0][0, 0].tolist() == [[9.0, 7.0], [9.0, 7.0]]
    assert x0[0, 0].tolist() == [[0.0, 5.0], [0.0, 5.0]]


def test_latents_are_scaled_by_the_checkpoint(checkpoint, wanted):
    """The deviation that the host takes off, and back on."""
    twice = dict(checkpoint.autoencoder) | {"vae_scale": 2 * checkpoint.autoencoder["vae_scale"]}
    one, two = Network(checkpoint), Network(replace(checkpoint, autoencoder=twice))
    torch.testing.assert_close(one.encode(wanted.target), 2 * two.encode(wanted.target))
    torch.testing.assert_close(round_trip(one, wanted.target), round_trip(two, wanted.target))


@pytest.mark.parametrize("prediction", ["eps", "v"])
def test_pictures_are_the_same_again_and_heed_their_inputs(checkpoint, wanted, noise, prediction):
    network = Network(replace(checkpoint, metadata=replace(checkpoint.metadata, prediction=prediction)))
    few = Sampling(steps=2, pose=False)
    first = generate(network, wanted, noise, few)
    assert first.shape == (2, 32, 32, 3)
    assert float(first.min()) >= 0
    assert float(first.max()) <= 1
    assert torch.equal(first, generate(network, wanted, noise, few))
    # A random decoder saturates; its latents are what shows the difference.
    for changed in (replace(wanted, identity=-wanted.identity), replace(wanted, expression=1 - wanted.expression)):
        assert not torch.equal(first, generate(network, changed, noise, few))
    assert torch.equal(first, generate(network, replace(wanted, pose=wanted.pose + 1), noise, few))
    told = Sampling(steps=2)
    assert not torch.equal(
        generate(network, wanted, noise, told), generate(network, replace(wanted, pose=wanted.pose + 1), noise, told)
    )
    assert not torch.equal(first, generate(network, wanted, noise, Sampling(steps=2, pose=False, start="background")))
    assert not torch.equal(first, generate(network, wanted, noise, Sampling(steps=2, pose=False, eta=0.0)))
    assert not torch.equal(first, generate(network, wanted, noise, Sampling(steps=2, pose=False, anchoring=0.0)))


def test_noise_levels_fall_from_the_noisiest_to_nothing():
    levels = noise_levels(5)
    assert levels.tolist()[-1] == 0.0
    assert (levels.diff() < 0).all()
    assert levels[0].item() == pytest.approx(ScaledLinearSchedule().sigmas[-1].item())


def test_the_paste_leaves_the_outside_bit_equal():
    target = torch.randint(0, 256, (1, 8, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(1, 8, 8)
    mask[:, :4], mask[:, 4] = 1, 0.5
    pasted = paste(torch.ones(1, 8, 8, 3), target, mask)
    assert torch.equal(pasted[:, 5:], target[:, 5:])
    assert (pasted[:, :4] == 255).all()
    assert torch.equal(pasted[:, 4], ((target[:, 4].float() + 255) / 2).round().to(torch.uint8))


def test_a_checkpoint_of_other_sizes_than_it_says(checkpoint):
    with pytest.raises(CheckpointError, match=r"does not fit its own metadata .* export it again"):
        Network(replace(checkpoint, metadata=replace(checkpoint.metadata, unet=UNetConfig())))
    missing = {name: value for name, value in checkpoint.autoencoder.items() if name != "vae_scale"}
    with pytest.raises(CheckpointError, match="vae_scale"):
        Network(replace(checkpoint, autoencoder=missing))


def test_a_device_that_is_not_there(checkpoint):
    with pytest.raises(ValueError, match="device: 'warp' cannot be used here"):
        Network(checkpoint, "warp")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps: expected at least 1, found 0"),
        ({"order": 3}, "order: expected 1 or 2, found 3"),
        ({"start": "middle"}, "start: expected noise or background, found 'middle'"),
        ({"anchoring": 2.0}, "anchoring: expected 0 to 1, found 2"),
        ({"eta": -0.5}, "eta: expected 0 to 1, found -0.5"),
        ({"guidance": Guidance(float("nan"))}, "identity-guidance: expected a finite number, found nan"),
    ],
)
def test_sampling_that_makes_no_sense(changes, message):
    with pytest.raises(ValueError, match=message):
        Sampling(**changes)


def test_sizes_that_cannot_be_halved():
    assert check_size(48, SMALL) == 48
    with pytest.raises(ValueError, match="size: expected a multiple of 16 pixels for this network, found 40"):
        check_size(40, SMALL)
