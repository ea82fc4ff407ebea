"""The cross-attentions of a network: in whose order, under which names, in which block."""

import re

import pytest
import torch
from testkit.adapters import NETWORKS, SDXL

from sfsr_model.adapters import attention_layers
from sfsr_model.adapters.lora import self_attention
from sfsr_model.network.diffusers_names import unet_names
from sfsr_model.network.layout import SD15_INPAINTING, UNetConfig


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_order_names_and_widths_are_those_of_diffusers(network):
    """What IP-Adapter files are numbered by is the order of its attention processors."""
    from diffusers import UNet2DConditionModel

    with torch.device("meta"):
        model = UNet2DConditionModel(**network.diffusers)
    processors = [name.removesuffix(".processor") for name in model.attn_processors]
    assert [(layer.number, layer.name) for layer in network.layers] == [*enumerate(processors)][1::2]
    for layer in network.layers:
        assert self_attention(layer) == processors[layer.number - 1]
        assert model.get_submodule(layer.name).to_out[0].out_features == layer.channels
        assert model.get_submodule(layer.name).to_k.in_features == network.host["context_dim"]


@pytest.mark.parametrize("config", [SD15_INPAINTING, UNetConfig()], ids=["SD 1.5", "bundled"])
def test_blocks_are_those_of_the_checkpoints_layout(config):
    """Input, middle and output blocks count as SD 1.x's entries do, but for the middle, which is one block, 0."""
    paths = {
        theirs.partition(".transformer_blocks")[0]: ours for ours, theirs in unet_names(config).items() if ".attn2." in ours
    }
    for layer in attention_layers(config.ldm_arguments):
        ours = paths[layer.name.partition(".transformer_blocks")[0]]
        kind, number = re.match(r"(input|middle|output)_blocks?\.(\d+)\.", ours).groups()
        assert layer.block == (kind, 0 if kind == "middle" else int(number))
    assert len({layer.block for layer in attention_layers(config.ldm_arguments)}) == len(paths)


def test_sdxl_as_its_adapters_have_it():
    counts = {}
    for layer in SDXL.layers:
        counts.setdefault((layer.block, layer.channels), []).append(layer.index)
    assert counts == {
        (("input", 4), 640): [0, 1],
        (("input", 5), 640): [0, 1],
        **{(("input", block), 1280): [*range(10)] for block in (7, 8)},
        **{(("output", block), 1280): [*range(10)] for block in (0, 1, 2)},
        **{(("output", block), 640): [0, 1] for block in (3, 4, 5)},
        (("middle", 0), 1280): [*range(10)],
    }
    assert [layer.number for layer in SDXL.layers] == [*range(1, 140, 2)]


def test_levels_of_unequal_depth():
    """As in distilled networks: fewer transformers on the way up, counted from the end, and a middle block without any."""
    config = {
        "model_channels": 8,
        "num_res_blocks": 1,
        "channel_mult": [1, 2],
        "transformer_depth": [0, 1],
        "transformer_depth_output": [0, 1, 2, 3],
        "transformer_depth_middle": -1,
    }
    found = [(layer.block, layer.index, layer.channels) for layer in attention_layers(config)]
    assert found == [
        (("input", 3), 0, 16),
        *((("output", 0), index, 16) for index in range(3)),
        *((("output", 1), index, 16) for index in range(2)),
        (("output", 2), 0, 8),
    ]
    assert config["transformer_depth_output"] == [0, 1, 2, 3]
