"""The estimator study in a real ComfyUI."""

import json
import threading

import numpy as np
import pytest
from harness.client import PromptInterrupted
from PIL import Image

NAMES = ["one_step", "ddim", "fresh_noise", "explicit", "mean", "background", "truth"]


def study(graph, conditioned, **changes):
    wires = {"positive": conditioned.out(1), "negative": conditioned.out(2), "latent": conditioned.out(3), "vae": graph.vae}
    return graph.node(
        "SFSREstimatorStudy", model=conditioned, **{**wires, "levels": "8, 0.5", "cfg": 1.0, "seed": 3, **changes}
    )


def test_pictures_and_figures(client, small, tmp_path):
    conditioned = small.conditioned()
    plain = study(small, conditioned)
    strong = study(small, conditioned, cfg=4.0)
    shown = [small.node("PreviewImage", images=plain.out(slot)) for slot in range(3)]
    result = client.run(small.prompt(), timeout=600)
    told = json.loads(result.outputs[plain.id]["text"][0])
    assert [level["sigma"] for level in told["levels"]] == [8.0, 0.5]
    assert list(told["estimators"]) == NAMES
    assert told["trained"] is False
    assert all(level["mse_in_mask"].keys() == set(NAMES) for level in told["levels"])
    # The network is noise, but what is known is known: the background's estimator errs in the hole alone.
    for level in told["levels"]:
        assert level["mse_overall"]["background"] < level["mse_overall"]["ddim"]
    assert told["levels"] != json.loads(result.outputs[strong.id]["text"][0])["levels"]
    sizes = []
    for node in shown:
        (image,) = [image for image in result.images if image.node_id == node.id]
        with Image.open(client.download(image, tmp_path / image.filename)) as picture:
            sizes.append(np.asarray(picture.convert("RGB")).shape)
    assert sizes[0][0] == sizes[1][0] >= 2 * 128
    assert sizes[0][1] >= 8 * 128
    assert sizes[2][:2] == (600, 960)


def test_the_model_answers_as_it_does_in_a_sampler(client, small, latents):
    """One step of Euler from sigma 8 to 0 gives D(x, 8), of the same noise: its error is the study's figure for one_step."""
    conditioned = small.conditioned(identity_guidance=2.0, expression_guidance=0.5)
    target = small.node("VAEEncode", pixels=small.crop, vae=small.vae)
    studied = study(small, conditioned, latent=target, levels="8.0", cfg=2.0, seed=5)
    euler = small.node("KSamplerSelect", sampler_name="euler")
    sigmas = small.node("ManualSigmas", sigmas="8, 0")
    found, truth = latents(small, small.custom(conditioned, euler, seed=5, sigmas=sigmas, latent_image=target), target)
    told = json.loads(client.run(small.prompt(), timeout=600).outputs[studied.id]["text"][0])
    # The study works in the model's own space: the host scales Stable Diffusion's latents by 0.18215.
    error = 0.18215**2 * (found - truth).pow(2).mean().item()
    assert told["levels"][0]["mse_overall"]["one_step"] == pytest.approx(error, rel=1e-3)
    assert "background" not in told["estimators"]  # no mask, no known background


def test_interrupt_within_a_study(client, small):
    started = threading.Event()
    studied = study(small, small.conditioned(), levels="24")

    def stop(title, value, maximum):
        if title == "Study" and not started.is_set():
            started.set()
            assert maximum == 7 * 24
            client.interrupt()

    prompt = small.prompt()
    prompt[studied.id]["_meta"] = {"title": "Study"}
    with pytest.raises(PromptInterrupted):
        client.run(prompt, on_progress=stop, timeout=600)
    assert started.is_set()
    prompt[studied.id]["inputs"]["levels"] = "1"
    client.run(prompt, timeout=600)


def test_what_is_no_sfsr_model_or_level_is_named(small, small_refused):
    studied = study(small, small.conditioned(), levels="0.5, lots")
    small.node("PreviewImage", images=studied)
    assert "levels: found 'lots', which is no number" in small_refused(small)
