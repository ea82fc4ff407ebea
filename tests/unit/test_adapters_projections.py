"""Tokens of a vector: by diffusers' own projections, and by the formulae written out where it has none."""

import pytest
import torch
from testkit.adapters import SLIM_SD15, SLIM_SDXL, assert_close, random
from torch.nn import functional

from sfsr_model.adapters import projection_of
from sfsr_model.adapters.kinds import KINDS

BATCH = 3


def project(adapter, vector, *others, **options):
    with torch.no_grad():
        return projection_of(adapter)(vector, *others, **options)


def diffusers_projection(tensors):
    from diffusers import UNet2DConditionModel

    with torch.device("meta"):
        model = UNet2DConditionModel(**SLIM_SD15.diffusers)
    state = {key.removeprefix("image_proj."): value for key, value in tensors.items() if key.startswith("image_proj.")}
    return model._convert_ip_adapter_image_proj_to_diffusers(state, low_cpu_mem_usage=False).requires_grad_(False)


@pytest.mark.parametrize("network", [SLIM_SD15, SLIM_SDXL], ids=["64", "128"])
@pytest.mark.parametrize("kind", ["faceid", "portrait", "expression"])
def test_tokens_of_a_vector_are_those_of_diffusers(kind, network):
    adapter = network.adapter(kind)
    vector = random(BATCH, KINDS[kind].inputs)
    assert_close(project(adapter, vector), diffusers_projection(network.tensors(kind))(vector))


@pytest.mark.parametrize("shortcut", [False, True], ids=["plus", "plusv2"])
@pytest.mark.parametrize("network", [SLIM_SD15, SLIM_SDXL], ids=["64", "128"])
def test_tokens_that_look_at_a_picture_are_those_of_diffusers(network, shortcut):
    theirs = diffusers_projection(network.tensors("faceid plus"))
    vector, features = random(BATCH, 512), random(BATCH, 257, 1280, seed=2)
    theirs.clip_embeds, theirs.shortcut = features[:, None], shortcut
    assert_close(project(network.adapter("faceid plus"), vector, features, shortcut=shortcut), theirs(vector))


def test_without_the_picture_it_says_what_it_wants():
    with pytest.raises(ValueError, match=r"picture_features: .* takes CLIP's features of the face"):
        project(SLIM_SD15.adapter("faceid plus"), random(BATCH, 512))


def norm(x, tensors, name):
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt() * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]


def gelu(x):
    return 0.5 * x * (1 + torch.erf(x / 2**0.5))


@pytest.mark.parametrize("kind", ["instantid", "unnorm portrait"])
def test_queries_look_at_the_vector_by_the_formula(kind):
    """The resampler of IP-Adapter plus, row by row and head by head, given one embedding in place of a picture's features."""
    tensors = {key.removeprefix("image_proj."): value for key, value in SLIM_SDXL.tensors(kind).items()}
    vector = 20 * random(BATCH, 512)
    wanted = []
    for one in vector:
        given = tensors["proj_in.weight"] @ one + tensors["proj_in.bias"]
        x = tensors["latents"][0]
        for layer in range(4):
            own = {key.removeprefix(f"layers.{layer}."): value for key, value in tensors.items()}
            queries = norm(x, own, "0.norm2")
            seen = torch.stack([norm(given, own, "0.norm1"), *queries])
            keys, values = (seen @ own["0.to_kv.weight"].T).split(own["0.to_q.weight"].shape[0], dim=1)
            q, k, v = (part.split(64, dim=1) for part in (queries @ own["0.to_q.weight"].T, keys, values))
            heads = [torch.softmax(a @ b.T / 8, dim=1) @ c for a, b, c in zip(q, k, v, strict=True)]
            x = x + torch.cat(heads, dim=1) @ own["0.to_out.weight"].T
            x = x + gelu(norm(x, own, "1.0") @ own["1.1.weight"].T) @ own["1.3.weight"].T
        wanted.append(norm(x @ tensors["proj_out.weight"].T + tensors["proj_out.bias"], tensors, "norm_out"))
    assert_close(project(SLIM_SDXL.adapter(kind), vector), torch.stack(wanted))


def test_expression_tokens_by_the_formula():
    """LayerNorm(reshape(W2 gelu(W1 y + b1) + b2)), the gelu exact, every token normalised alone."""
    tensors = {key.removeprefix("image_proj."): value for key, value in SLIM_SD15.tensors("expression").items()}
    vector = random(BATCH, 55)
    hidden = gelu(vector @ tensors["proj.0.weight"].T + tensors["proj.0.bias"])
    rows = (hidden @ tensors["proj.2.weight"].T + tensors["proj.2.bias"]).reshape(BATCH, 4, 64)
    assert_close(project(SLIM_SD15.adapter("expression"), vector), norm(rows, tensors, "norm"))


def test_fineface_puts_its_intensities_before_what_it_makes_of_them():
    tensors = SLIM_SD15.tensors("fineface")
    intensities = 5 * torch.rand(BATCH, 12, generator=torch.Generator().manual_seed(1))
    made = functional.linear(intensities, tensors["au_encoder.weight"], tensors["au_encoder.bias"])
    wanted = torch.stack([torch.cat([one, two])[None] for one, two in zip(intensities, made, strict=True)])
    assert wanted.shape == (BATCH, 1, 64)
    assert_close(project(SLIM_SD15.adapter("fineface"), intensities), wanted)


@pytest.mark.parametrize("kind", KINDS)
def test_null_is_the_projection_of_zeros(kind):
    adapter = SLIM_SD15.adapter(kind)
    module = projection_of(adapter)
    features = random(1, 257, 1280) if adapter.wants_picture else None
    null = module.null(features)
    assert null.shape == (1, adapter.tokens, adapter.context_dim)
    assert null.abs().max() > 0
    assert torch.equal(null, module(torch.zeros(1, adapter.inputs), features))


def test_type_of_the_weights_is_chosen():
    module = projection_of(SLIM_SD15.adapter("instantid"), dtype=torch.bfloat16)
    assert {weight.dtype for weight in module.state_dict().values()} == {torch.bfloat16}
    assert module(random(1, 512).bfloat16()).dtype == module.null().dtype == torch.bfloat16


def test_layers_are_of_the_given_operations():
    class Operations:
        Linear = type("Linear", (torch.nn.Linear,), {})
        LayerNorm = type("LayerNorm", (torch.nn.LayerNorm,), {})

    for kind in KINDS:
        module = projection_of(SLIM_SD15.adapter(kind), Operations)
        parts = [part for part in module.modules() if isinstance(part, torch.nn.Linear | torch.nn.LayerNorm)]
        assert parts
        assert all(type(part) in (Operations.Linear, Operations.LayerNorm) for part in parts)
