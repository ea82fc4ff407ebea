"""What can go wrong around conditioning and sampling: a named error or a picture, and the host goes on."""

import dataclasses
import json
import re
import threading

import hypothesis.strategies as st
import pytest
import torch
from harness.client import PromptFailed
from hypothesis import example, given, settings
from safetensors.torch import load_file, save_file
from testkit.small_graph import SmallGraph

from sfsr_model.network import save_checkpoint, untrained_checkpoint


@pytest.fixture(scope="module")
def broken_latent(server):
    """The name of a latent [1, 4, 8, 8] with one value that is not a number, for LoadLatent."""
    samples = torch.zeros(1, 4, 8, 8)
    samples[0, 0, 4, 4] = torch.nan
    save_file({"latent_tensor": samples, "latent_format_version_0": torch.tensor([])}, server.base_dir / "input" / "nan.latent")
    return "nan.latent"


def broken_picture(small, broken_latent):
    return small.node("VAEDecode", samples=small.node("LoadLatent", latent=broken_latent), vae=small.vae)


def test_nan_in_the_image(small, small_refused, broken_latent):
    conditioned = small.conditioned(image=broken_picture(small, broken_latent))
    assert "image: picture 0 holds values that are not finite" in small_refused(small, small.sampled(conditioned))


def test_nan_in_the_mask(small, small_refused, broken_latent):
    mask = small.node("ImageToMask", image=broken_picture(small, broken_latent), channel="red")
    message = small_refused(small, small.sampled(small.conditioned(mask=mask)))
    assert "mask: it holds values that are not finite" in message


def test_sides_not_divisible_by_8(small, small_refused):
    grey = small.node("EmptyImage", width=60, height=64, batch_size=1, color=0x808080)
    message = small_refused(small, small.sampled(small.conditioned(image=grey)))
    assert "image: 60 x 64 pixels; both sides must be divisible by 8" in message


def test_nan_in_the_latent(small, small_refused, broken_latent):
    nan = small.node("LoadLatent", latent=broken_latent)
    message = small_refused(small, small.custom(small.conditioned(), small.sampler(), latent_image=nan))
    assert "latent: it holds values that are not finite (NaN or infinity)" in message


def test_unequal_batches(small, small_refused):
    pictures = small.node("RepeatImageBatch", image=small.crop, amount=2)
    masks = small.node("SolidMask", width=64, height=64, value=0.4)
    people = {f"identities.identity_{number}": small.identity for number in (1, 2, 3)}
    three = small.node("SFSRIdentityBatch", **people, repeats=1)
    message = small_refused(small, small.sampled(small.conditioned(image=pictures, mask=masks, identity=three)))
    assert "image: found a batch of 2, but identity is a batch of 3; expected equal numbers, or one of either" in message


def test_a_batch_of_people_where_one_is_meant(small, small_refused):
    people = {f"identities.identity_{number}": small.identity for number in (1, 2)}
    pair = small.node("SFSRIdentityBatch", **people, repeats=2)
    small.node("SFSRSaveIdentity", identity=pair, name="pair")
    assert "identity: found IdentityBatch, expected this pack's Identity" in small_refused(small)


def test_two_recognisers_in_one_batch_of_people(server, small, small_refused):
    from testkit.onnx_models import save_recogniser

    folder = server.base_dir / "models" / "insightface"
    folder.mkdir(parents=True, exist_ok=True)
    save_recogniser(folder / "second.onnx")
    small.encoder, first = small.node("LoadIDEncoder", encoder="second.onnx", provider="CPU"), small.identity
    names = {"identities.identity_1": first, "identities.identity_2": small.person("portrait_32")}
    message = small_refused(
        small, small.sampled(small.conditioned(identity=small.node("SFSRIdentityBatch", **names, repeats=1)))
    )
    assert "identity of frame 1: its embeddings are of the space" in message


def saved(server, name, checkpoint, **strings):
    """Save a checkpoint into models/sfsr, with entries of its file's metadata changed."""
    folder = server.base_dir / "models" / "sfsr"
    folder.mkdir(parents=True, exist_ok=True)
    save_checkpoint(checkpoint, folder / name)
    if strings:
        metadata = {**checkpoint.metadata.to_strings(), **strings}
        save_file(load_file(folder / name), folder / name, metadata=metadata)
    return name


def without(state, key):
    return {name: value for name, value in state.items() if name != key}


def test_checkpoints_that_do_not_fit(server, small_refused):
    whole = untrained_checkpoint()
    lost, named = "out.2.bias", "input_blocks.0.0.weight"
    narrow = {**whole.unet, named: whole.unet[named][:, :4].clone()}
    spaces = dataclasses.replace(whole.metadata, identity_space="somebody-elses")
    cases = {
        "version.safetensors": (whole, {"format_version": "99"}, "version 99, this pack reads version 1"),
        "format.safetensors": (whole, {"format": "lora"}, "not an SFSR checkpoint"),
        "missing.safetensors": (
            dataclasses.replace(whole, unet=without(whole.unet, lost)), {}, f"UNet: 1 keys are missing ({lost})",
        ),
        "shape.safetensors": (dataclasses.replace(whole, unet=narrow), {}, f"UNet: '{named}' has shape"),
        "space.safetensors": (
            dataclasses.replace(whole, metadata=spaces), {}, "this checkpoint was trained on 'somebody-elses'",
        ),
    }  # fmt: skip
    for name, (checkpoint, strings, expected) in cases.items():
        graph = SmallGraph()
        graph.model = graph.node("SFSRLoadModel", checkpoint=saved(server, name, checkpoint, **strings))
        graph.vae = graph.model.out(1)
        assert expected in small_refused(graph, graph.sampled(graph.conditioned()))


@pytest.mark.parametrize("length", ["none", "one"])
def test_sigma_lists_of_no_step_return_the_target(small, latents, length):
    conditioned = small.conditioned()
    if length == "none":
        sigmas = small.node("BasicScheduler", model=conditioned, scheduler="normal", steps=2, denoise=0.0)
    else:
        sigmas = small.node("ManualSigmas", sigmas="0")
    euler = small.node("KSamplerSelect", sampler_name="euler")
    ours, stock = latents(small, *(small.custom(conditioned, one, sigmas=sigmas) for one in (small.sampler(), euler)))
    assert torch.equal(ours, stock)


def test_rising_sigmas(small, small_refused):
    rising = small.node("ManualSigmas", sigmas="1, 5, 0")
    message = small_refused(small, small.custom(small.conditioned(), small.sampler(), sigmas=rising))
    assert "sigmas: expected falling noise levels, found 1.0 followed by 5.0" in message


def test_the_same_graph_twice_at_once(client, small):
    """Queued by two pages in the same moment: both end, with the same picture."""
    from harness.client import ApiClient

    picture = small.node(
        "PreviewImage", images=small.node("VAEDecode", samples=small.sampled(small.conditioned(), seed=99), vae=small.vae)
    )
    prompt, results = small.prompt(), {}

    def run(name):
        results[name] = ApiClient(client.url).run(prompt, timeout=600)

    threads = [threading.Thread(target=run, args=(name,)) for name in ("one", "other")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(600)
    assert results.keys() == {"one", "other"}
    one, other = results["one"], results["other"]
    assert one.prompt_id != other.prompt_id
    # What the first one made serves the second, down to the picture's file.
    assert sorted(len(result.executed) for result in (one, other)) == [0, 3]
    shown = [[image for image in result.images if image.node_id == picture.id] for result in (one, other)]
    assert shown[0] == shown[1] != []


def usually(good, *others):
    """One value for most cases: with every input at fault none but the first would ever be looked at."""
    return st.one_of([st.just(good)] * 5 + [st.sampled_from(others)])


SHARE = st.sampled_from([0.0, 0.3, 0.7, 1.0])
CASES = st.fixed_dictionaries(
    {
        "streams": st.fixed_dictionaries(
            {
                f"{stream}_{name}": values
                for stream in ("identity", "expression")
                for name, values in (
                    ("weight", SHARE), ("start", SHARE), ("end", SHARE), ("guidance", st.sampled_from([0.0, 1.0, 5.0])),
                )
            }
        ),
        "size": usually((64, 64), (72, 64), (60, 64), (8, 8)),
        "pictures": usually(1, 2, 3),
        "people": usually(1, 2, 3),
        "looks": usually(1, 2, 3),
        "mask": usually(0.4, 0.6, "crop", "nan", "small"),
        "image": usually("grey", "nan"),
        "latent": usually("own", "nan", "empty"),
        "sigmas": st.sampled_from(["9, 1, 0", "9, 1, 0", "", "3", "0", "1, 9, 0", "5, 5, 0", "-1, 0"]),
        "guidance": st.sampled_from([0.0, 1.0, 10.0]),
        "unwired": usually("nothing", "vae", "id_encoder", "identity", "face"),
        "levels": usually("2", "", "0.5, 2", "-1", "words", "1e9", "nan", "99"),
    }
)  # fmt: skip
SOUND = {
    "streams": {f"{stream}_{name}": 1.0 for stream in ("identity", "expression") for name in ("weight", "end", "guidance")}
    | {"identity_start": 0.0, "expression_start": 0.0},
    "size": (64, 64), "pictures": 1, "people": 1, "looks": 1, "mask": 0.4, "image": "grey", "latent": "own",
    "sigmas": "9, 1, 0", "guidance": 1.0, "unwired": "nothing", "levels": "1",
}  # fmt: skip
LISTED = "the list below"
# Who may fail (the last one carries our sampler), and how every message begins: with the input at fault.
OURS = ("SFSRConditioning", "ImprovedMidpointSampler", "SFSREstimatorStudy", "SamplerCustomAdvanced")
NAMED = re.compile(
    r"^(image|mask|latent|identity|expression|face|sigmas|model|guidance|levels|identity_guidance|expression_guidance): "
)


def built(graph, case, broken_latent):
    width, height = case["size"]
    if case["image"] == "nan":
        pictures = broken_picture(graph, broken_latent)
    else:
        pictures = graph.node("EmptyImage", width=width, height=height, batch_size=case["pictures"], color=0x8090A0)
    masks = case["mask"]
    if masks == "crop":
        mask = graph.crop.out(1)
    elif masks == "nan":
        mask = graph.node("ImageToMask", image=broken_picture(graph, broken_latent), channel="red")
    else:
        side = (16, 16) if masks == "small" else (width, height)
        mask = graph.node("SolidMask", width=side[0], height=side[1], value=0.6 if masks == "small" else masks)
    people = graph.identity
    if case["people"] > 1:
        names = {f"identities.identity_{number + 1}": graph.identity for number in range(case["people"])}
        people = graph.node("SFSRIdentityBatch", **names, repeats=1)
    words = ["joy", "sadness", "anger"][: case["looks"]]
    looks = graph.node(
        "SFSRExpressionSweep", words=", ".join(words), family=LISTED, intensity_from=1.0, intensity_to=1.0, steps=1
    )
    conditioned = graph.conditioned(image=pictures, mask=mask, identity=people, expression=looks, **case["streams"])
    wires = {"vae": graph.vae, "id_encoder": graph.encoder, "identity": people, "face": graph.crop.out(2)}
    wired = {name: wire for name, wire in wires.items() if name != case["unwired"]}
    sampler = graph.sampler(identity_guidance=case["guidance"], **wired)
    latent = {"own": conditioned.out(3)}
    latent["nan"] = graph.node("LoadLatent", latent=broken_latent)
    latent["empty"] = graph.node("EmptyLatentImage", width=64, height=64, batch_size=1)
    chosen = latent[case["latent"]]
    sigmas = graph.node("ManualSigmas", sigmas=case["sigmas"])
    sampled = graph.custom(conditioned, sampler, sigmas=sigmas, latent_image=chosen)
    graph.node("PreviewImage", images=graph.node("VAEDecode", samples=sampled, vae=graph.vae))
    study = {"positive": conditioned.out(1), "negative": conditioned.out(2), "latent": chosen}
    graph.node("SFSREstimatorStudy", model=conditioned, vae=graph.vae, **study, levels=case["levels"], cfg=1.0, seed=0)


class _NothingWrong(Exception):
    """The prompt went through, so no error is to be expected in the log."""


def outcome(server, client, prompt):
    """The node that failed and what it said, or None for a prompt that went through."""
    try:
        with server.expecting_error(""):
            try:
                client.run(prompt, timeout=300)
            except PromptFailed as error:
                return error
            raise _NothingWrong
    except _NothingWrong:
        return None


def test_any_of_it_gives_a_picture_or_a_named_error(server, client, broken_latent):
    seen = set()

    @example(case=SOUND | {"unwired": "vae"})
    @example(case=SOUND | {"guidance": 0.0, "levels": "2", "sigmas": "1, 9, 0"})
    @example(case=SOUND | {"pictures": 2, "people": 3})
    @example(case=SOUND | {"levels": "words"})
    @example(case=SOUND)
    @settings(max_examples=25, deadline=None, derandomize=True, database=None)
    @given(case=CASES)
    def drive(case):
        graph = SmallGraph()
        built(graph, case, broken_latent)
        error = outcome(server, client, graph.prompt())
        assert server.is_alive()
        seen.add(error.class_type if error else "a picture")
        if error:
            said = str(error).split(" failed: ", 1)[1]
            assert NAMED.match(said), f"{json.dumps(case)}\n{error}\n{error.traceback}"

    drive()
    # The examples reach every one of them, whatever the drawn cases are.
    assert seen == {"a picture", *OURS}
