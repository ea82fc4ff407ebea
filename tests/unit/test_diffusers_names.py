"""The UNet and the autoencoder load into diffusers' models under the translated names, and come back unchanged."""

import pytest
import torch

from sfsr_model.network.diffusers_names import (
    autoencoder_arguments,
    autoencoder_from_diffusers,
    autoencoder_to_diffusers,
    unet_arguments,
    unet_from_diffusers,
    unet_names,
    unet_to_diffusers,
)
from sfsr_model.network.layout import LATENT_CHANNELS, SD15_INPAINTING, UNetConfig, taesd_shapes, unet_shapes
from sfsr_model.network.untrained import random_state

SMALL = UNetConfig(model_channels=32, channel_mult=(1, 2), attention=(False, True), context_dim=24, head_channels=16)


@pytest.mark.parametrize("config", [UNetConfig(), SMALL, SD15_INPAINTING], ids=["demo", "small", "sd15"])
def test_unet_names_are_those_of_diffusers(config):
    from diffusers import UNet2DConditionModel

    with torch.device("meta"):
        theirs = {
            name: tuple(value.shape) for name, value in UNet2DConditionModel(**unet_arguments(config)).state_dict().items()
        }
    shapes = unet_shapes(config)
    ours = {there: shapes[here] for here, there in unet_names(config).items()}
    assert ours == theirs


def test_sd15_agrees_with_diffusers_own_conversion():
    from diffusers import UNet2DConditionModel
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    names = list(unet_shapes(SD15_INPAINTING))
    numbered = {f"model.diffusion_model.{name}": torch.tensor(number) for number, name in enumerate(names)}
    with torch.device("meta"):
        model = UNet2DConditionModel(**unet_arguments(SD15_INPAINTING))
    theirs = convert_ldm_unet_checkpoint(numbered, dict(model.config))
    assert {there: names[int(number)] for there, number in theirs.items()} == {
        there: here for here, there in unet_names(SD15_INPAINTING).items()
    }


def test_unet_comes_back_unchanged():
    state = random_state(unet_shapes(SMALL), 1)
    back = unet_from_diffusers(unet_to_diffusers(state, SMALL), SMALL)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) for name in state)


def test_autoencoder_names_are_those_of_diffusers():
    from diffusers import AutoencoderTiny

    state = random_state(taesd_shapes(), 1)
    with torch.device("meta"):
        theirs = AutoencoderTiny(**autoencoder_arguments(LATENT_CHANNELS)).state_dict()
    translated = autoencoder_to_diffusers(state)
    assert {name: value.shape for name, value in translated.items()} == {name: value.shape for name, value in theirs.items()}
    back = autoencoder_from_diffusers(translated, state["vae_scale"], state["vae_shift"])
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) for name in state)


def test_another_autoencoders_entries_are_named():
    with pytest.raises(ValueError, match=r"unexpected entry 'encoder\.conv_in\.weight'"):
        autoencoder_to_diffusers({"encoder.conv_in.weight": torch.zeros(1)})
