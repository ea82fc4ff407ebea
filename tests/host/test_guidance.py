"""Guidance by identity and expression inside the sampler, in graphs that run in inference mode."""

import re
import threading

import pytest
import torch
from harness.client import PromptInterrupted
from testkit import tiny_landmarker


@pytest.fixture(scope="module")
def expression_encoder(server):
    folder = server.base_dir / "models" / "mediapipe"
    folder.mkdir(parents=True, exist_ok=True)
    tiny_landmarker.write_tiny_task(folder / "guide.task")
    return "mediapipe/guide.task"


def identity_wires(small):
    return {"vae": small.vae, "id_encoder": small.encoder, "identity": small.identity}


def expression_wires(small, expression_encoder):
    reader = small.node("SFSRLoadExpressionEncoder", encoder=expression_encoder)
    return {"vae": small.vae, "expression_encoder": reader, "expression": small.expression}


def test_zero_is_off_and_outside_its_part_nothing_happens(small, latents, server):
    said = len(server.log_text())
    conditioned = small.conditioned()
    samplers = [
        small.sampler(),
        small.sampler(**identity_wires(small)),
        small.sampler(identity_guidance=2.0, guidance_start=0.0, guidance_end=0.0, **identity_wires(small)),
        small.sampler(identity_guidance=2.0, **identity_wires(small)),
    ]
    plain, wired, never, acting = latents(small, *(small.custom(conditioned, one) for one in samplers))
    assert torch.equal(plain, wired)
    assert torch.equal(plain, never)
    assert re.findall("SFSR: guidance: none of the . steps lies between guidance_start (.*), so", server.log_text()[said:]) == [
        "(0) and guidance_end (0)"
    ]
    assert not torch.allclose(plain, acting, atol=1e-2)


def test_it_leads_to_the_person(small, decoded_cosine):
    """With the untrained networks, too: the last step's x0* is the picture, and guidance moved it towards the person."""
    conditioned = small.conditioned()
    quiet = {"background_anchoring": 0.0}
    plain = small.custom(conditioned, small.sampler(**quiet))
    guided = small.custom(conditioned, small.sampler(identity_guidance=10.0, **quiet, **identity_wires(small)))
    before = decoded_cosine(small, plain)
    after = decoded_cosine(small, guided)
    assert after > before + 0.01


def test_both_energies_with_a_frame_and_a_batch(small, latents, expression_encoder):
    """Two frames, two people, the place of the face from Face Crop."""
    names = {"identities.identity_1": small.identity, "identities.identity_2": small.person("portrait_32")}
    people = small.node("SFSRIdentityBatch", **names, repeats=1)
    wires = identity_wires(small) | expression_wires(small, expression_encoder) | {"identity": people}
    conditioned = small.conditioned(identity=people)
    scales = {"identity_guidance": 1.0, "expression_guidance": 5.0}
    placed = small.sampler(**scales, **wires, face=small.crop.out(2))
    samplers = [small.sampler(**scales, **wires), placed, small.sampler(identity_guidance=1.0, **wires), small.sampler()]
    aimed, seen, alone, plain = latents(small, *(small.custom(conditioned, one) for one in samplers))
    assert aimed.shape[0] == 2
    assert len({one.numpy().tobytes() for one in (aimed, seen, alone, plain)}) == 4
    assert all(one.isfinite().all() for one in (aimed, seen, alone))


def test_the_background_is_not_guided(small, latents):
    conditioned = small.conditioned()
    samplers = [small.sampler(), small.sampler(identity_guidance=3.0, **identity_wires(small))]
    plain, guided = latents(small, *(small.custom(conditioned, one) for one in samplers))
    # The host puts the target back outside the mask in any case: there the two are equal, inside they are not.
    same = (plain == guided).all(dim=1)[0]
    assert same.any()
    assert not same.all()


@pytest.mark.parametrize("missing", ["vae", "id_encoder", "identity"])
def test_what_identity_guidance_lacks_is_named(small, small_refused, missing):
    wires = identity_wires(small)
    del wires[missing]
    message = small_refused(small, small.custom(small.conditioned(), small.sampler(identity_guidance=1.5, **wires)))
    assert f"identity_guidance: found 1.5, but {missing} is not connected; connect the output of" in message


@pytest.mark.parametrize("missing", ["vae", "expression_encoder", "expression"])
def test_what_expression_guidance_lacks_is_named(small, small_refused, expression_encoder, missing):
    wires = expression_wires(small, expression_encoder)
    del wires[missing]
    message = small_refused(small, small.custom(small.conditioned(), small.sampler(expression_guidance=2.0, **wires)))
    assert f"expression_guidance: found 2, but {missing} is not connected; connect the output of" in message


def test_an_end_before_the_start_is_named(small, small_refused):
    sampler = small.sampler(identity_guidance=1.0, guidance_start=0.9, guidance_end=0.1, **identity_wires(small))
    message = small_refused(small, small.custom(small.conditioned(), sampler))
    assert "guidance_end: found 0.1, which is before guidance_start (0.9)" in message


def test_a_person_of_another_recogniser_is_named(server, small, small_refused):
    from testkit.onnx_models import save_recogniser

    folder = server.base_dir / "models" / "insightface"
    folder.mkdir(parents=True, exist_ok=True)
    save_recogniser(folder / "guide.onnx")
    other = small.node("LoadIDEncoder", encoder="guide.onnx", provider="CPU")
    wires = identity_wires(small) | {"id_encoder": other}
    message = small_refused(small, small.custom(small.conditioned(), small.sampler(identity_guidance=1.0, **wires)))
    assert "identity: its embeddings are of the space 'sfsr-untrained', the connected encoder" in message


def test_a_users_own_recogniser_guides(server, small, latents):
    """Through its ONNX file in PyTorch; the checkpoint takes any space."""
    from testkit.onnx_nets import save_mobilefacenet

    folder = server.base_dir / "models" / "insightface"
    folder.mkdir(parents=True, exist_ok=True)
    save_mobilefacenet(folder / "mobile.onnx")
    encoder = small.node("LoadIDEncoder", encoder="mobile.onnx", provider="CPU")
    choice = {"face_order": "largest first", "face_index": 0}
    photo = small.node("SFSRSamplePortrait", sample="portrait_05")
    person = small.node("SFSRIdentity", id_encoder=encoder, images=photo, **choice)
    conditioned = small.conditioned(identity=person)
    wires = {"vae": small.vae, "id_encoder": encoder, "identity": person}
    samplers = [small.sampler(), small.sampler(identity_guidance=1.0, **wires)]
    plain, guided = latents(small, *(small.custom(conditioned, one) for one in samplers))
    assert guided.isfinite().all()
    assert not torch.equal(plain, guided)


def test_a_latent_that_is_not_square_is_named(small, small_refused):
    wide = small.node("EmptyImage", width=96, height=64, batch_size=1, color=0x808080)
    mask = small.node("SolidMask", width=96, height=64, value=0.0)
    conditioned = small.conditioned(image=wide, mask=mask)
    message = small_refused(small, small.custom(conditioned, small.sampler(identity_guidance=1.0, **identity_wires(small))))
    assert "guidance: found pictures of 96 x 64 pixels, expected the square crops of Face Crop" in message


@pytest.mark.full
def test_a_vae_of_the_full_layout_guides(server, small, latents):
    """Stable Diffusion's own autoencoder, random weights, in the decoder's place: attention and all."""
    from diffusers import AutoencoderKL
    from safetensors.torch import save_file

    folder = server.base_dir / "models" / "vae"
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    kinds = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
    full = AutoencoderKL(block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=4, **kinds)
    save_file({key: value.half() for key, value in full.state_dict().items()}, folder / "full.safetensors")
    vae = small.node("VAELoader", vae_name="full.safetensors")
    guided = small.sampler(identity_guidance=1.0, **identity_wires(small) | {"vae": vae})
    (found,) = latents(small, small.custom(small.conditioned(), guided))
    assert found.isfinite().all()


def test_interrupt_within_a_guided_run(client, small):
    started = threading.Event()

    def stop(title, value, maximum):
        if title == "Sample" and not started.is_set():
            started.set()
            client.interrupt()

    conditioned = small.conditioned()
    steps = small.node("BasicScheduler", model=conditioned, scheduler="normal", steps=300, denoise=1.0)
    sampled = small.custom(conditioned, small.sampler(identity_guidance=1.0, **identity_wires(small)), sigmas=steps)
    small.keep(sampled)
    prompt = small.prompt()
    prompt[sampled.id]["_meta"] = {"title": "Sample"}
    with pytest.raises(PromptInterrupted):
        client.run(prompt, on_progress=stop, timeout=600)
    assert started.is_set()
    prompt[steps.id]["inputs"]["steps"] = 1
    client.run(prompt, timeout=600)


def test_only_sampling_runs_again_for_another_seed(client, small):
    """The sampler with its decoder and recogniser is made once."""
    conditioned = small.conditioned()
    sampler = small.sampler(identity_guidance=1.0, **identity_wires(small))
    sampled = small.custom(conditioned, sampler, seed=31)
    kept = small.keep(sampled)
    client.run(small.prompt(), timeout=600)
    prompt = small.prompt()
    (noise,) = [node for node, entry in prompt.items() if entry["class_type"] == "RandomNoise"]
    prompt[noise]["inputs"]["noise_seed"] = 32
    again = client.run(prompt, timeout=600)
    assert set(again.executed) == {noise, sampled.id, kept.id}
    assert {conditioned.id, sampler.id, small.model.id, small.crop.id} <= set(again.cached)
