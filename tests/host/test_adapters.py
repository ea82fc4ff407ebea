"""A person and an expression on a stock checkpoint: files of the true layouts, random weights, the host's own path."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from harness.client import PromptFailed, PromptRejected
from testkit.small_graph import OwnGraph
from testkit.text_to_image import SLIM_SD15, save_text_to_image

from sfsr_model.adapters.kinds import FACEID, FACEID_PLUS, FINEFACE, FLAME_EXPRESSION, INSTANTID, PORTRAIT
from sfsr_model.adapters.stand_ins import write_stand_in
from sfsr_model.expressions import FlameMap
from sfsr_model.expressions.flame_map import flame_map_path

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIG = SLIM_SD15.ldm_arguments
FILES = {
    "faceid.bin": FACEID,
    "ip-adapter-faceid-plusv2_sd15.bin": FACEID_PLUS,
    "portrait.safetensors": PORTRAIT,
    "sd15_au_encoder.ckpt": FINEFACE,
    "exp.safetensors": FLAME_EXPRESSION,
}


@pytest.fixture(scope="module", autouse=True)
def files(server):
    """A slim checkpoint and adapters for it, in the host's folders."""
    models = server.base_dir / "models"
    checkpoint, folder = models / "checkpoints" / "own.safetensors", models / "ipadapter"
    for one in (checkpoint.parent, folder):
        one.mkdir(parents=True, exist_ok=True)
    save_text_to_image(checkpoint, SLIM_SD15)
    for name, kind in FILES.items():
        write_stand_in(kind, folder / name, CONFIG, seed=5)
    write_stand_in(PORTRAIT, folder / "other_base.safetensors", CONFIG | {"context_dim": 1024}, seed=5)
    write_stand_in(INSTANTID, folder / "cut.safetensors", CONFIG, seed=5)
    whole = (folder / "portrait.safetensors").read_bytes()
    (folder / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    yield folder
    for path in (checkpoint, *folder.iterdir()):
        path.unlink()


@pytest.fixture
def own():
    return OwnGraph()


@pytest.fixture
def own_refused(server, client):
    """The message of a graph that is refused at a node."""

    def run(graph, *samples):
        for one in samples:
            graph.keep(one)
        with server.expecting_error(""), pytest.raises(PromptFailed) as caught:
            client.run(graph.prompt(), timeout=600)
        return str(caught.value)

    return run


def test_every_kind_equals_its_reference(host_path, host_version):
    """scripts/compare_adapters.py fails where anything differs by more than 1e-4 of the largest value."""
    command = [sys.executable, str(REPOSITORY / "scripts" / "compare_adapters.py"), "--comfyui", str(host_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ComfyUI {host_version}:\n{done.stdout}\n{done.stderr[-2000:]}"
    rows = [line.split("|")[1:3] for line in done.stdout.splitlines()[2:]]
    assert len(rows) == 11
    assert all(float(difference) <= 1e-4 for _, difference in rows)


@pytest.mark.full
def test_stable_diffusion_at_its_true_size_equals_the_reference(host_path):
    command = [sys.executable, str(REPOSITORY / "scripts" / "compare_adapters.py"), "--comfyui", str(host_path), "--true-size"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-2000:]}"
    assert len(done.stdout.splitlines()) == 4


def test_streams_of_weight_zero_leave_the_checkpoint_as_it_was(own, latents):
    """Bit for bit the plain checkpoint with the same prompts and the same noise mask; each stream changes that."""
    off = own.conditioned(identity_weight=0.0, expression_weight=0.0)
    texts = [own.node("CLIPTextEncode", clip=own.checkpoint.out(1), text=text) for text in ("a face", "noise")]
    plain = own.sampled(off, model=own.checkpoint.out(0), positive=texts[0], negative=texts[1])
    streams = [own.conditioned(expression_weight=0.0), own.conditioned(identity_weight=0.0), own.conditioned()]
    without, stock, *acting = latents(own, own.sampled(off), plain, *(own.sampled(one) for one in streams))
    assert torch.equal(without, stock)
    assert len({one.numpy().tobytes() for one in (stock, *acting)}) == 4


def test_the_node_says_what_gives_each_stream_and_what_is_left_out(own, client, server):
    alone = own.adapted(expression_adapter="none")
    own.keep(own.sampled(own.conditioned(model=alone), steps=1))
    own.keep(own.sampled(own.conditioned(), steps=1))
    client.free()  # the host shows no text of a node that an earlier prompt ran
    outputs = client.run(own.prompt(), timeout=600).outputs
    (told,), (both,) = outputs[alone.id]["text"], outputs[own.model.id]["text"]
    left_out = (
        "expression: no adapter gives it, so it is left out; Improved Midpoint Sampler's expression_guidance can lead there"
    )
    assert told.splitlines()[1:] == [left_out, "Face Crop's size: 512"]
    assert re.match(r"identity: portrait.safetensors, IP-Adapter FaceID portrait \(.*; knows people by w600k_r50", told)
    assert re.search("expression: sd15_au_encoder.ckpt, FineFace .Apache-2.0", both)
    assert f"SFSR: {left_out}" in server.log_text()


def test_person_and_expression_reach_the_network(own, latents):
    other = own.conditioned(identity=own.person("portrait_32"))
    word = own.conditioned(expression=own.node("ExpressionEmbed", source="word", word="rage", intensity=1.0))
    found = latents(own, *(own.sampled(one) for one in (own.conditioned(), other, word)))
    assert len({one.numpy().tobytes() for one in found}) == 3


def test_a_person_for_each_picture_of_a_batch(own, latents):
    """Each picture is that of the batch in which everybody is its person, from the same noise."""
    other = own.person("portrait_32")

    def pair(first, second):
        names = {"identities.identity_1": first, "identities.identity_2": second}
        people = own.node("SFSRIdentityBatch", **names, repeats=1)
        return own.sampled(own.conditioned(identity=people))

    mixed, hers, theirs = latents(own, pair(own.identity, other), pair(own.identity, own.identity), pair(other, other))
    assert torch.allclose(mixed[0], hers[0], atol=1e-3, rtol=1e-3)
    assert torch.allclose(mixed[1], theirs[1], atol=1e-3, rtol=1e-3)
    assert not torch.allclose(mixed[0], theirs[0], atol=1e-2)


def test_a_conditioning_of_a_model_that_has_one_gives_the_streams_once(own, latents):
    first = own.conditioned(identity=own.person("portrait_32"))
    again, alone = latents(own, own.sampled(own.conditioned(model=first.out(0))), own.sampled(own.conditioned()))
    assert torch.equal(again, alone)


@pytest.mark.parametrize(("identity", "expression"), [(1.7, 0.4), (0.3, 2.5)])
def test_two_scales_equal_the_formula_of_three_conditions(own, latents, identity, expression):
    """null + s_id (id - null) + s_exp (all - id), by the host's dual guider on three conditionings without any wrapper."""
    both = own.conditioned()
    euler = own.node("KSamplerSelect", sampler_name="euler")
    # The middle condition, with the expression's null, is that of a stream that never acts.
    alone = own.conditioned(expression_start=0.6, expression_end=0.4)
    scales = {"cfg_conds": 2.0 * expression, "cfg_cond2_negative": 2.0 * identity, "style": "regular"}
    wires = {"cond1": both.out(1), "cond2": alone.out(1), "negative": both.out(2)}
    dual = own.node("DualCFGGuider", model=both, **wires, **scales)
    scaled = own.conditioned(identity_guidance=identity, expression_guidance=expression)
    found, expected, plain = latents(
        own, own.custom(scaled, euler), own.custom(both, euler, guider=dual), own.custom(both, euler)
    )
    assert torch.allclose(found, expected, atol=1e-3, rtol=1e-3)
    assert not torch.allclose(found, plain, atol=1e-2, rtol=1e-2)


def test_a_map_that_is_measured_while_the_host_runs_serves_the_next_run(own, latents, server):
    """Nothing else in the graph has changed."""
    path = flame_map_path(server.base_dir / "models" / "sfsr" / "any.pt", "ab" * 32)
    path.parent.mkdir(exist_ok=True)
    sample = own.sampled(own.conditioned(model=own.adapted(expression_adapter="ipadapter/exp.safetensors")))
    found = []
    for bias in (0.1, 0.9):
        FlameMap(torch.zeros(52, 55), torch.full((55,), bias), torch.ones(55), "ab" * 32, "none").save(path)
        found += latents(own, sample)
    path.unlink()
    assert not torch.equal(*found)


def test_a_part_of_the_run_differs_from_none_and_all(own, latents):
    parts = [own.conditioned(identity_start=start, identity_end=end) for start, end in ((0.0, 1.0), (0.0, 0.5), (0.5, 1.0))]
    never = own.conditioned(identity_start=0.6, identity_end=0.4)
    found = latents(own, *(own.sampled(one, steps=4) for one in (*parts, never)))
    assert len({one.numpy().tobytes() for one in found}) == 4


def test_the_surroundings_stay(own, latents):
    """The noise mask holds what a network of four channels does not see: the crop's corners."""
    conditioned = own.conditioned()
    result, target = latents(own, own.sampled(conditioned), conditioned.out(3))
    changed = (result - target).abs().amax(1)[0]
    assert changed[[0, 0, -1, -1], [0, -1, 0, -1]].max() < 1e-4
    assert changed.max() > 0.1


def test_a_region_confines_the_streams(own, latents):
    left = own.node("SolidMask", value=1.0, width=64, height=64)
    nowhere = own.node("SolidMask", value=0.0, width=64, height=64)
    found = [own.conditioned(model=own.adapted(region=where)) for where in (left, nowhere)]
    off = own.conditioned(identity_weight=0.0, expression_weight=0.0)
    everywhere, none, plain, without = latents(own, *(own.sampled(one) for one in (*found, own.conditioned(), off)))
    assert torch.allclose(everywhere, plain, atol=1e-4)
    assert torch.allclose(none, without, atol=1e-4)
    assert not torch.allclose(plain, without, atol=1e-2)


def test_the_lora_inside_a_faceid_file_acts_with_its_strength(own, latents):
    models = [own.adapted(identity_adapter="ipadapter/faceid.bin", lora_strength=strength) for strength in (0.0, 0.1, 0.2)]
    found = latents(own, *(own.sampled(own.conditioned(model=one)) for one in models))
    assert len({one.numpy().tobytes() for one in found}) == 3


def test_areas_and_combined_conditions_get_their_own(own, latents):
    """Two conditions, each for a half of the picture, with other people: neither is the other's, nor one for all."""
    one, other = own.conditioned(), own.conditioned(identity=own.person("portrait_32"))
    halves = [
        own.node("ConditioningSetAreaPercentage", conditioning=side.out(1), width=0.5, height=1.0, x=x, y=0.0, strength=1.0)
        for side, x in ((one, 0.0), (other, 0.5))
    ]
    both = own.node("ConditioningCombine", conditioning_1=halves[0], conditioning_2=halves[1])
    same = own.node("ConditioningSetAreaPercentage", conditioning=one.out(1), width=0.5, height=1.0, x=0.5, y=0.0, strength=1.0)
    alike = own.node("ConditioningCombine", conditioning_1=halves[0], conditioning_2=same)
    mixed, plain = latents(own, own.sampled(one, positive=both, steps=1), own.sampled(one, positive=alike, steps=1))
    half = mixed.shape[-1] // 2
    assert torch.allclose(mixed[..., :half], plain[..., :half], atol=1e-4)
    assert not torch.allclose(mixed[..., half:], plain[..., half:], atol=1e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"identity_adapter": "none", "expression_adapter": "none"}, "both are 'none'; choose at least one file"),
        ({"identity_adapter": "ipadapter/other_base.safetensors"}, "context 1024.*the model is SD 1.5"),
        ({"identity_adapter": "ipadapter/cut.safetensors"}, "identity_adapter: cut.safetensors: cannot be read"),
        (
            {"identity_adapter": "ipadapter/sd15_au_encoder.ckpt"},
            "FineFace, which gives the expression; choose it in expression",
        ),
        ({"size": 63}, "size: found 63, expected a multiple of 8"),
        ({"expression_adapter": "ipadapter/portrait.safetensors"}, "portrait, which gives the identity; choose it in identity"),
        (
            {"identity_adapter": "ipadapter/ip-adapter-faceid-plusv2_sd15.bin"},
            "clip_vision: .*looks at the face; connect Load CLIP",
        ),
    ],
)
def test_what_does_not_fit_is_named(own, own_refused, changes, message):
    told = own_refused(own, own.sampled(own.conditioned(model=own.adapted(**changes))))
    assert re.search(message, told, re.DOTALL), told


def test_a_guider_that_is_fed_the_model_before_the_conditioning_is_told_of(own, latents, server):
    own_model = own.adapted()
    conditioned = own.conditioned(model=own_model)
    found, proper = latents(own, own.sampled(conditioned, model=own_model.out(0)), own.sampled(conditioned))
    assert not torch.allclose(found, proper, atol=1e-2)
    assert server.log_text().count("does not come from that SFSR Conditioning, so person and expression do not reach it") == 1


def test_a_missing_file_is_refused_before_anything_runs(own, client):
    own.keep(own.sampled(own.conditioned(model=own.adapted(identity_adapter="ipadapter/gone.bin"))))
    with pytest.raises(PromptRejected, match=r"identity_adapter: 'ipadapter/gone.bin' is not there. Adapters belong into"):
        client.run(own.prompt())


def test_models_of_other_kinds_are_named(own, own_refused):
    plain = own_refused(own, own.sampled(own.conditioned(model=own.checkpoint.out(0))))
    assert (
        "model: found a BaseModel that is no SFSR model; connect the MODEL output of Load SFSR Model, or of SFSR Model" in plain
    )


def test_patches_of_other_packs_chain(in_host, tmp_path):
    """One that is there before is wrapped, one that comes later is added in its part of the run; the middle block's too."""
    code = f"""
        import torch

        pack = load({str(REPOSITORY)!r})
        decoupled = importlib.import_module(f"{{pack.__name__}}.nodes.host.decoupled")
        layers = importlib.import_module(f"{{pack.__name__}}.sfsr_model.adapters.layers").attention_layers({CONFIG!r})

        class Model:
            there = {{("middle", 0): lambda q, k, v, extra: 2 * q}}
            model_options = {{"transformer_options": {{"patches_replace": {{"attn2": there}}}}}}
            wrappers = {{}}

            def set_model_attn2_replace(self, patch, name, number, index=None):
                slots = self.model_options["transformer_options"]["patches_replace"]["attn2"]
                slots[(name, number) if index is None else (name, number, index)] = patch

            def remove_wrappers_with_key(self, *_): ...
            def add_wrapper_with_key(self, kind, key, wrapper): self.wrappers[kind] = wrapper
            def remove_callbacks_with_key(self, *_): ...
            def add_callback_with_key(self, *_): ...

        model = Model()
        decoupled.install(model, layers)
        slots = model.model_options["transformer_options"]["patches_replace"]["attn2"]
        assert sorted(slots) == sorted(layer.block for layer in layers), slots
        patch = slots["middle", 0]
        q, k, v = torch.randn(3, 2, 4, 8)
        extra = {{"n_heads": 2, "sigmas": torch.tensor([3.0])}}
        assert torch.equal(patch(q, k, v, extra), 2 * q)
        patch.add(lambda out, q, k, v, extra, weight, **_: weight * v, weight=0.5, sigma_start=4.0, sigma_end=2.0)
        assert torch.allclose(patch(q, k, v, extra), 2 * q + 0.5 * v)
        assert torch.equal(patch(q, k, v, extra | {{"sigmas": torch.tensor([5.0])}}), 2 * q)
        number = next(layer.number for layer in layers if layer.block == ("middle", 0))
        keys, values = torch.randn(2, 1, 3, 8)
        stream = decoupled.Attended({{number: (keys, values)}}, 0.7)
        rows = (decoupled.Rows((), 1), decoupled.Rows((stream,), 1))
        found = patch(q, k, v, extra | {{"sigmas": torch.tensor([5.0]), decoupled.KEY: rows}})
        heads = [part.reshape(1, -1, 2, 4).transpose(1, 2) for part in (q[1:], keys, values)]
        added = torch.nn.functional.scaled_dot_product_attention(*heads).transpose(1, 2).reshape(1, 4, 8)
        assert torch.equal(found[:1], 2 * q[:1])
        assert torch.allclose(found[1:], 2 * q[1:] + 0.7 * added, atol=1e-5)
        print("chained")
    """
    assert "chained" in in_host(code).stdout


def test_arc2face_writes_the_person_into_the_prompt(in_host, server, files):
    """Against transformers' text encoder with the embedding in the table of its tokens; nobody is the empty prompt."""
    checkpoint = server.base_dir / "models" / "checkpoints" / "own.safetensors"
    code = f"""
        import torch
        from safetensors.torch import load_file
        from transformers import CLIPTextConfig, CLIPTextModel

        pack = load({str(REPOSITORY)!r})
        adapters = importlib.import_module(f"{{pack.__name__}}.nodes.host.adapters")
        streams = importlib.import_module(f"{{pack.__name__}}.nodes.host.streams")
        identity = importlib.import_module(f"{{pack.__name__}}.sfsr_model.encoders.identity").Identity
        batch = importlib.import_module(f"{{pack.__name__}}.sfsr_model.encoders.identity_batch").IdentityBatch
        _, clip, *_ = comfy.sd.load_checkpoint_guess_config({str(checkpoint)!r}, te_model_options={{"dtype": torch.float32}})
        part = "cond_stage_model.transformer.text_model."
        stored = load_file({str(checkpoint)!r})
        state = {{key.removeprefix(part): value.float() for key, value in stored.items() if key.startswith(part)}}
        sizes = {{"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}}
        theirs = CLIPTextModel(CLIPTextConfig(**sizes)).eval()
        prefix = "text_model." if any(key.startswith("text_model.") for key in theirs.state_dict()) else ""
        table = "embeddings.token_embedding.weight"

        def reference(ids, row=None):
            weights = dict(state)
            if row is not None:
                weights[table] = state[table].clone()
                weights[table][1014] = torch.nn.functional.pad(row, (0, 256))
            theirs.load_state_dict({{prefix + key: value for key, value in weights.items()}}, strict=False)
            padded = torch.tensor([ids + [49407] * (77 - len(ids))])
            return theirs(padded).last_hidden_state

        rows = torch.nn.functional.normalize(torch.randn(2, 512), dim=1)
        people = batch(tuple(identity(row[None], "random", (1.0,), ("random",)) for row in rows))
        person = adapters.PersonInPrompt(clip)
        with torch.inference_mode():
            found = person.context(people, streams.Acting(1.0))
            nobody, half = (person.context(people, acting) for acting in (streams.Acting(1.0, on=False), streams.Acting(0.5)))
            ids = [49406, 1125, 539, 320, 1014, 2533, 49407]
            expected = torch.cat([reference(ids, row) for row in rows])
            empty = reference([49406, 49407])
        for one, other in ((found, expected), (nobody, empty), (half, (empty + expected) / 2)):
            print(float((one - other).abs().max() / other.abs().max()), float((found[0] - found[1]).abs().max()))
    """
    rows = [line.split() for line in in_host(code).stdout.splitlines() if re.fullmatch(r"[\d.e-]+ [\d.e-]+", line)]
    assert len(rows) == 3
    assert all(float(difference) < 1e-4 < float(apart) for difference, apart in rows)
