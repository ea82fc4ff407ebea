"""Decoupled attention and the LoRA in a whole network, against diffusers' own."""

import copy

import pytest
import torch
from testkit.adapters import SLIM_SD15, SLIM_SDXL, assert_close, random
from torch import nn
from torch.nn import functional

from sfsr_model.adapters import KeysValues, lora_state, projection_of

BATCH, SCALE = 2, 0.7


def unet(network):
    from diffusers import UNet2DConditionModel

    torch.manual_seed(0)
    return UNet2DConditionModel(**network.diffusers).eval().requires_grad_(False)


def run(model, network, **more):
    sample = random(BATCH, 4, 8, 8, seed=3)
    text = random(BATCH, 7, network.host["context_dim"], seed=4)
    with torch.no_grad():
        return model(sample, torch.tensor(500), text, **more).sample


def nested(tensors):
    """As PyTorch's files have them, and as diffusers insists on them."""
    return {
        part: {key.removeprefix(f"{part}."): value for key, value in tensors.items() if key.startswith(f"{part}.")}
        for part in ("image_proj", "ip_adapter")
    }


class Decoupled:
    """out = to_out(Attention(q, k, v) + scale * Attention(q, the tokens' k, the tokens' v))."""

    def __init__(self, keys_values):
        self.keys_values = keys_values

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, **_):
        def attention(keys, values):
            q, k, v = (one.unflatten(-1, (attn.heads, -1)).transpose(1, 2) for one in (attn.to_q(hidden_states), keys, values))
            return functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)

        out = attention(attn.to_k(encoder_hidden_states), attn.to_v(encoder_hidden_states))
        return attn.to_out[0](out + SCALE * attention(*self.keys_values))


@pytest.mark.parametrize("network", [SLIM_SD15, SLIM_SDXL], ids=["SD 1.5", "SDXL"])
@pytest.mark.parametrize("kind", ["portrait", "faceid", "expression"])
def test_tokens_with_keys_of_their_own_act_as_in_diffusers(network, kind):
    adapter = network.adapter(kind)
    vector = random(BATCH, adapter.inputs)
    ours, theirs = unet(network), unet(network)
    plain = run(ours, network)

    theirs._load_ip_adapter_weights(nested(network.tensors(kind)), low_cpu_mem_usage=False)
    for processor in theirs.attn_processors.values():
        if hasattr(processor, "scale"):
            processor.scale = [SCALE]
    wanted = run(theirs, network, added_cond_kwargs={"image_embeds": [vector[:, None]]})

    with torch.no_grad():
        keys_values = KeysValues(adapter)(projection_of(adapter)(vector))
    processors = ours.attn_processors
    for layer in network.layers:
        processors[f"{layer.name}.processor"] = Decoupled(keys_values[layer.number])
    ours.set_attn_processor(processors)
    found = run(ours, network)
    assert_close(found, wanted)
    assert (wanted - plain).abs().max() > 0.02 * plain.abs().max()


def test_fineface_finds_the_layers_by_their_names():
    """Each layer's keys and values are those that the file has under the layer's own module."""
    tensors, adapter = SLIM_SD15.tensors("fineface"), SLIM_SD15.adapter("fineface")
    adapter.fits(SLIM_SD15.layers, 64)
    tokens = random(BATCH, 1, 64)
    found = KeysValues(adapter)(tokens)
    for layer in SLIM_SD15.layers:
        for part, one in zip("kv", found[layer.number], strict=True):
            assert_close(one, tokens @ tensors[f"{layer.name}.processor.au_to_{part}.weight"].T)


@pytest.mark.parametrize("network", [SLIM_SD15, SLIM_SDXL], ids=["SD 1.5", "SDXL"])
@pytest.mark.parametrize("kind", ["faceid", "faceid plus"])
def test_lora_acts_as_the_reference_adds_it(network, kind):
    """The reference adds up(down(x)) to what every projection gives; a loader adds up @ down to its weight."""
    tensors, adapter = network.tensors(kind), network.adapter(kind)
    theirs, ours = unet(network), unet(network)
    plain = run(ours, network)
    for number, name in enumerate(theirs.attn_processors):
        attention = theirs.get_submodule(name.removesuffix(".processor"))
        for part, module in (("q", attention.to_q), ("k", attention.to_k), ("v", attention.to_v), ("out", attention.to_out[0])):
            down, up = (tensors[f"ip_adapter.{number}.to_{part}_lora.{side}.weight"] for side in ("down", "up"))
            module.register_forward_hook(lambda _, given, out, down=down, up=up: out + given[0] @ down.T @ up.T)
    wanted = run(theirs, network)

    state = lora_state(adapter, network.layers)
    assert len(state) == 2 * 2 * 4 * len(network.layers)
    for name, module in ours.named_modules():
        if isinstance(module, nn.Linear):
            prefix = "lora_unet_" + name.replace(".", "_")
            if f"{prefix}.lora_up.weight" in state:
                module.weight += state.pop(f"{prefix}.lora_up.weight") @ state.pop(f"{prefix}.lora_down.weight")
    assert not state
    assert_close(run(ours, network), wanted)
    assert (wanted - plain).abs().max() > 0.02 * plain.abs().max()


def test_no_lora_where_the_file_has_none():
    assert lora_state(SLIM_SD15.adapter("portrait"), SLIM_SD15.layers) == {}


def test_keys_and_values_are_copies_of_the_chosen_type():
    adapter = SLIM_SD15.adapter("portrait")
    module = KeysValues(adapter, dtype=torch.float16)
    assert {weight.dtype for weight in module.state_dict().values()} == {torch.float16}
    assert copy.deepcopy(module).state_dict().keys() == module.state_dict().keys()
    assert [*KeysValues(adapter)(random(1, 16, 64))] == [layer.number for layer in SLIM_SD15.layers]
