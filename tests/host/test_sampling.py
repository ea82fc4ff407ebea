"""SFSR Conditioning under every sampler, scheduler and guider of the host, on latents as they are."""

import json
import os
from pathlib import Path

import pytest
import torch

REFERENCE = Path(__file__).parent / "data" / "latents.json"


def test_every_stock_sampler(client, small, latents):
    names = client.object_info("KSampler")["KSampler"]["input"]["required"]["sampler_name"][0]
    conditioned = small.conditioned()
    # dpm_adaptive takes as many steps as the model is rough, and this one is noise: it gets a short way to go.
    short = {"dpm_adaptive": {"denoise": 0.05}}
    samples = [small.sampled(conditioned, sampler_name=name, **short.get(name, {})) for name in names]
    found = latents(small, *samples)
    assert len(found) >= 40
    assert [name for name, one in zip(names, found, strict=True) if not one.isfinite().all()] == []
    assert {tuple(one.shape) for one in found} == {(1, 4, 8, 8)}


def test_every_stock_scheduler(client, small, latents):
    names = client.object_info("KSampler")["KSampler"]["input"]["required"]["scheduler"][0]
    conditioned = small.conditioned()
    found = latents(small, *(small.sampled(conditioned, scheduler=name) for name in names))
    assert len(found) >= 9
    assert all(one.isfinite().all() for one in found)


def test_the_model_that_was_given_stays_as_it_was(small, latents):
    """Removing the node, bypassing it, and applying it twice: to the bit what was there before."""
    plain = small.conditioned()
    strong = small.conditioned(identity_guidance=3.0, expression_guidance=0.5)
    again = small.conditioned(model=strong)
    bypassed = {"model": small.model}
    samples = [
        small.sampled(plain, **bypassed),
        small.sampled(strong),
        small.sampled(strong, **bypassed),
        small.sampled(plain),
        small.sampled(again),
    ]
    before, guided, after, once, twice = latents(small, *samples)
    assert torch.equal(before, after)
    assert torch.equal(once, twice)
    assert torch.equal(before, once)  # scales of 1 put nothing into the model at all
    assert not torch.equal(guided, once)


def test_weight_zero_is_the_null_condition_exactly(small, latents):
    off = small.conditioned(identity_weight=0.0, expression_weight=0.0)
    half = small.conditioned(identity_weight=0.5)
    null = small.sampled(off, positive=off.out(2))
    zero, nothing, some = latents(small, small.sampled(off), null, small.sampled(half))
    assert torch.equal(zero, nothing)
    assert not torch.equal(some, nothing)


@pytest.mark.parametrize("stream", ["identity", "expression"])
def test_an_end_before_the_start_never_acts(small, latents, stream):
    never = small.conditioned(**{f"{stream}_start": 0.6, f"{stream}_end": 0.4})
    off = small.conditioned(**{f"{stream}_weight": 0.0})
    first, second, full = latents(small, *(small.sampled(one) for one in (never, off, small.conditioned())))
    assert torch.equal(first, second)
    assert not torch.equal(first, full)


def test_a_part_of_the_run_differs_from_none_and_all(small, latents):
    parts = [small.conditioned(identity_start=start, identity_end=end) for start, end in ((0.0, 1.0), (0.0, 0.5), (0.5, 1.0))]
    found = latents(small, *(small.sampled(one, steps=4) for one in (*parts, small.conditioned(identity_weight=0.0))))
    assert len({one.numpy().tobytes() for one in found}) == 4


def test_equal_scales_are_plain_cfg(small, latents):
    doubled = small.sampled(small.conditioned(identity_guidance=2.0, expression_guidance=2.0), cfg=1.5)
    found, plain = latents(small, doubled, small.sampled(small.conditioned(), cfg=3.0))
    assert torch.allclose(found, plain, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("identity", "expression"), [(1.7, 0.4), (0.3, 2.5)])
def test_two_scales_equal_the_formula_of_three_conditions(small, latents, identity, expression):
    """null + s_id (id - null) + s_exp (all - id), by the host's dual guider on three conditionings without any wrapper."""
    both = small.conditioned()
    alone = small.conditioned(expression_weight=0.0)
    euler = small.node("KSamplerSelect", sampler_name="euler")
    scales = {"cfg_conds": 2.0 * expression, "cfg_cond2_negative": 2.0 * identity, "style": "regular"}
    wires = {"cond1": both.out(1), "cond2": alone.out(1), "negative": both.out(2)}
    dual = small.node("DualCFGGuider", model=both, **wires, **scales)
    scaled = small.conditioned(identity_guidance=identity, expression_guidance=expression)
    # On the model with two scales the dual guider's own formula stands: its three conditions pass through.
    through = small.node("DualCFGGuider", model=scaled, **wires, **scales)
    samples = [
        small.custom(scaled, euler),
        small.custom(both, euler, guider=dual),
        small.custom(both, euler, guider=through),
        small.custom(both, euler),
    ]
    found, expected, passed, plain = latents(small, *samples)
    assert torch.allclose(found, expected, atol=1e-3, rtol=1e-3)
    assert torch.equal(passed, expected)
    assert not torch.allclose(found, plain, atol=1e-2, rtol=1e-2)


def test_other_patches_stay_in_either_order(small, latents):
    freeu = {"b1": 1.4, "b2": 1.6, "s1": 0.8, "s2": 0.3}
    scales = {"identity_guidance": 1.5, "expression_guidance": 0.5}
    patched_first = small.conditioned(model=small.node("FreeU_V2", model=small.model, **freeu), **scales)
    conditioned = small.conditioned(**scales)
    patched_last = small.node("FreeU_V2", model=conditioned, **freeu)
    rescaled = small.node("RescaleCFG", model=conditioned, multiplier=0.7)
    samples = [
        small.sampled(patched_first),
        small.sampled(conditioned, model=patched_last),
        small.sampled(conditioned, model=rescaled),
        small.sampled(conditioned),
    ]
    first, last, other, plain = latents(small, *samples)
    assert torch.equal(first, last)
    assert not torch.equal(first, plain)
    assert not torch.equal(other, plain)


def test_a_person_for_each_frame(small, latents):
    """Each frame of a mixed batch is that frame of the batch in which everybody is its person, from the same noise."""
    other = small.person("portrait_32")

    def pair(first, second):
        names = {"identities.identity_1": first, "identities.identity_2": second}
        people = small.node("SFSRIdentityBatch", **names, repeats=1)
        return small.sampled(small.conditioned(identity=people))

    mine = small.identity
    mixed, turned, all_mine, all_theirs = latents(
        small, pair(mine, other), pair(other, mine), pair(mine, mine), pair(other, other)
    )
    assert mixed.shape[0] == 2
    near = {"atol": 1e-3, "rtol": 1e-3}
    assert torch.allclose(mixed[0], all_mine[0], **near)
    assert torch.allclose(mixed[1], all_theirs[1], **near)
    assert torch.allclose(turned[0], all_theirs[0], **near)
    assert torch.allclose(turned[1], all_mine[1], **near)
    assert not torch.allclose(mixed[0], turned[0], atol=1e-2, rtol=1e-2)
    assert not torch.allclose(mixed[1], turned[1], atol=1e-2, rtol=1e-2)


def test_the_report_measures_each_frame_against_its_person(client, small):
    pictures = small.node("SFSRSamplePortrait", sample="portrait_05"), small.node("SFSRSamplePortrait", sample="portrait_32")
    both = small.node("ImageBatch", image1=pictures[0], image2=pictures[1])
    other = small.person("portrait_32")
    names = {"identities.identity_1": small.identity, "identities.identity_2": other}
    people = small.node("SFSRIdentityBatch", **names, repeats=1)
    report = small.node("SFSRReport", images=both, identity=people, expression=small.expression, id_encoder=small.encoder)
    found = json.loads(client.run(small.prompt(), timeout=600).outputs[report.id]["text"][0])
    assert found["identity_cosines"] == pytest.approx([1.0, 1.0], abs=1e-3)


def test_latents_equal_the_committed_ones(small, latents):
    """The same numbers on every supported host. SFSR_UPDATE_LATENTS=1 writes them again."""
    plain = small.conditioned()
    scaled = small.conditioned(identity_guidance=1.5, expression_guidance=0.5, identity_end=0.6)
    samples = {
        "euler": small.sampled(plain),
        "dpmpp_2m karras, two scales": small.sampled(scaled, steps=3, sampler_name="dpmpp_2m", scheduler="karras"),
        "improved midpoint": small.custom(plain, small.sampler()),
        "improved midpoint, eta": small.custom(scaled, small.sampler(eta=0.7, background_anchoring=0.5)),
        "identity guidance": small.custom(plain, guided(small)),
    }
    found = {
        name: [round(number, 4) for number in one.flatten()[::9].tolist()]
        for name, one in zip(samples, latents(small, *samples.values()), strict=True)
    }
    if os.environ.get("SFSR_UPDATE_LATENTS"):
        REFERENCE.write_text(json.dumps(found) + "\n", encoding="utf-8")
    expected = json.loads(REFERENCE.read_text(encoding="utf-8"))
    assert found.keys() == expected.keys()
    # Otherwise the numbers would be the background's, which all of them share.
    assert len({tuple(numbers) for numbers in found.values()}) == len(found)
    for name, numbers in expected.items():
        assert found[name] == pytest.approx(numbers, abs=2e-3, rel=2e-3), name


def guided(small, scale=0.5, **changes):
    wires = {"vae": small.vae, "id_encoder": small.encoder, "identity": small.identity}
    return small.sampler(identity_guidance=scale, **{**wires, **changes})
