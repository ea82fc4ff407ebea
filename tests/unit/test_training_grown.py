"""A network grown for other latents and another recogniser goes on computing what it did."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file
from testkit.onnx_models import save_recogniser
from testkit.tiny_training import SIZE, TINY_UNET, write_autoencoder, write_settings, write_triplets

from sfsr_model.compound import CompoundEncoder
from sfsr_model.encoders.pack import space_of
from sfsr_model.network import CheckpointError, UNetConfig, load_checkpoint, save_checkpoint, untrained_checkpoint
from sfsr_model.network.layout import HOST_FACTOR
from sfsr_model.training.__main__ import main
from sfsr_model.training.codec import load_codec
from sfsr_model.training.data import batch_of, collated, peek
from sfsr_model.training.frozen import recogniser
from sfsr_model.training.grown import grow
from sfsr_model.training.initial import start
from sfsr_model.training.settings import SettingsError, load_settings

CHANNELS = 8


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grown")
    write_triplets(folder / "triplets", count=40)
    write_autoencoder(folder / "autoencoder.safetensors")
    save_recogniser(folder / "known.onnx", seed=1)
    save_recogniser(folder / "other.onnx", seed=2)
    unet = UNetConfig(**{name: tuple(value) if isinstance(value, list) else value for name, value in TINY_UNET.items()})
    plain = untrained_checkpoint(unet=unet)
    metadata = replace(plain.metadata, identity_space=space_of(folder / "known.onnx"), resolution=SIZE, trained=True, step=7)
    save_checkpoint(replace(plain, metadata=metadata), folder / "forerunner.safetensors")
    write_wider_autoencoder(folder / "wider.safetensors")
    return folder


def write_wider_autoencoder(path):
    """The forerunner's autoencoder with CHANNELS latent channels, of which the first four are its own, the others new."""
    wider = untrained_checkpoint(unet=UNetConfig(in_channels=2 * CHANNELS + 1, out_channels=CHANNELS)).autoencoder
    own = untrained_checkpoint().autoencoder
    for name, value in own.items():
        if value.ndim:
            wider[name][tuple(slice(size) for size in value.shape)] = value
    save_file(wider | {"vae_scale": torch.tensor(HOST_FACTOR)}, path, {"format": "sfsr-autoencoder"})


@pytest.fixture
def written(shared, tmp_path):
    def write(autoencoder="wider", channels=CHANNELS, identity="other", **changes):
        changes = {
            "network": {"latent_channels": channels},
            "encoders": {"identity": str(shared / f"{identity}.onnx")},
        } | changes
        return write_settings(tmp_path, shared / "triplets", shared / f"{autoencoder}.safetensors", **changes)

    return write


def test_its_first_and_last_layers_see_and_give_what_they_did(shared, written, tmp_path):
    settings = load_settings(written(identity="known"))
    fit = grow(settings, shared / "forerunner.safetensors", shared / "known.onnx", tmp_path / "grown.safetensors")
    old, new = load_checkpoint(shared / "forerunner.safetensors"), load_checkpoint(tmp_path / "grown.safetensors")
    assert fit.into_old > 0.999
    pictures = batch_of(collated(peek(settings.data), 0, 4)).answer
    before = load_codec(shared / "forerunner.safetensors").encode(pictures)
    after = load_codec(settings.autoencoder).encode(pictures)
    assert after.shape[1] == CHANNELS
    hole = torch.ones(4, 1, *before.shape[2:])

    def first(checkpoint, latents):
        # Without their means, which the map leaves to the network.
        latents = latents - latents.mean((0, 2, 3), keepdim=True)
        weight = checkpoint.unet["input_blocks.0.0.weight"].float()
        return torch.nn.functional.conv2d(torch.cat((latents, hole, 0.5 * latents), 1), weight, padding=1)

    expected = first(old, before)
    assert float((first(new, after) - expected).std() / expected.std()) < 0.03

    maps = torch.randn(2, old.unet["out.2.weight"].shape[1], 8, 8, generator=torch.Generator().manual_seed(0))

    def last(checkpoint):
        weight, bias = (checkpoint.unet[f"out.2.{name}"].float() for name in ("weight", "bias"))
        return torch.nn.functional.conv2d(maps, weight, bias)

    # The channels that the forerunner had are its own.
    made, own = last(new), last(old)
    assert made.shape[1] == CHANNELS
    centred = made[:, :4] - made[:, :4].mean((0, 2, 3), keepdim=True)
    wanted = (own - own.mean((0, 2, 3), keepdim=True)) * float(centred.std() / own.std())
    assert float((centred - wanted).std() / wanted.std()) < 0.1


def test_people_keep_their_tokens_though_another_recogniser_sees_them(shared, written, tmp_path):
    settings = load_settings(written())
    fit = grow(settings, shared / "forerunner.safetensors", shared / "known.onnx", tmp_path / "grown.safetensors")
    assert 0.9 < fit.identities <= 1
    batch = batch_of(collated(peek(settings.data), 0, 40))
    tokens = []
    for checkpoint, file in (("forerunner", "known"), (tmp_path / "grown", "other")):
        loaded = load_checkpoint(shared / f"{checkpoint}.safetensors")
        encoder = CompoundEncoder(loaded.metadata.compound)
        encoder.load_state_dict({name: value.float() for name, value in loaded.compound.items()})
        ones = torch.ones(40)
        with torch.no_grad():
            seen = recogniser(shared / f"{file}.onnx").embed(batch.reference, batch.reference_points)
            tokens.append(encoder(seen, batch.expression, batch.pose, ones, ones)[:, :4])
    old, new = tokens
    apart = (old - old.roll(1, 0)).square().mean()
    assert float((new - old).square().mean() / apart) < 0.1


def test_training_starts_from_it(shared, written, tmp_path, capsys):
    path = written(network={"latent_channels": CHANNELS, "initial": str(tmp_path / "grown.safetensors")})
    arguments = ["--forerunner", shared / "forerunner.safetensors", "--recogniser", shared / "known.onnx"]
    assert main(["grow", *map(str, [path, *arguments, "--out", tmp_path / "grown.safetensors"])]) == 0
    assert "of the old identities" in capsys.readouterr().out
    settings, grown = load_settings(path), load_checkpoint(tmp_path / "grown.safetensors")
    assert grown.metadata.identity_space == space_of(shared / "other.onnx")
    assert (grown.metadata.trained, grown.metadata.step) == (False, None)
    start(settings, grown.metadata.compound, grown.metadata.identity_space)


def test_what_does_not_fit_is_named(shared, written, tmp_path):
    forerunner, out = shared / "forerunner.safetensors", tmp_path / "grown.safetensors"
    with pytest.raises(CheckpointError, match=r"trained on identities of .*, those of other\.onnx are"):
        grow(load_settings(written()), forerunner, shared / "other.onnx", out)
    with pytest.raises(SettingsError, match=r"network: forerunner\.safetensors would become"):
        grow(load_settings(written(channels=CHANNELS + 1)), forerunner, shared / "known.onnx", out)
    with pytest.raises(SettingsError, match=r"encoders\.identity"):
        grow(load_settings(written(encoders={"identity": None})), forerunner, shared / "known.onnx", out)
    with pytest.raises(SettingsError, match=r"missing\.onnx does not exist"):
        grow(load_settings(written()), forerunner, shared / "missing.onnx", out)
    assert not out.exists()
