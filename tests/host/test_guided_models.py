"""Guidance of x0* on stock models: eps with 4 channels, flows over patches of 16, SDXL; random weights, the host's path."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from harness.workflow import load_workflow, set_input, titled
from PIL import Image
from testkit.small_graph import SmallGraph
from testkit.text_to_image import (
    FLUX_FACTOR,
    FLUX_SHIFT,
    SD3_CHANNELS,
    SD3_FACTOR,
    SD3_SHIFT,
    SDXL_FACTOR,
    SLIM_SD15,
    save_autoencoder,
    save_flux,
    save_sd3,
    save_sdxl,
    save_text_encoder,
    save_text_to_image,
    save_tiny_decoder,
)

from sfsr_model.samples import load_sample

REPOSITORY = Path(__file__).resolve().parents[2]
CORRECTION = "classifier-free correction"
# Flows over patches of 16 channels: how they are written, and their latents' factor and shift.
FLOWS = {"sd3": (save_sd3, SD3_FACTOR, SD3_SHIFT), "flux": (save_flux, FLUX_FACTOR, FLUX_SHIFT)}
# A step that is small beside the latents of these untrained networks: a gradient is true only near where it was taken.
SMALL_STEP = {"sd15": 10.0, "sdxl": 10.0, "sd3": 0.4, "flux": 4.0}
# What it gains in cosine at the least; a cell of SDXL's latents is as many pixels, but its decoder less steep.
GAIN = {"sd15": 0.004, "sdxl": 0.002, "sd3": 0.004, "flux": 0.004}


@pytest.fixture(scope="module")
def folder(server, client):
    """The host's models folder; whatever a test's graph needs is written once and taken away after the last test."""
    models, written = server.base_dir / "models", []

    def write(name, save):
        path = models / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            save(path)
            written.append(path)

    yield write
    client.free()
    for path in written:
        path.unlink()


class Stock(SmallGraph):
    """The small graph's person and target on a stock model, whose conditions are texts and whose mask is the host's own."""

    def __init__(self, kind, folder, size=64):
        super().__init__(size)
        if kind in FLOWS:
            save, *latents = FLOWS[kind]
            folder(f"diffusion_models/slim_{kind}.safetensors", save)
            folder("text_encoders/clip_l.safetensors", save_text_encoder)
            folder(f"vae/{kind}.safetensors", lambda path: save_autoencoder(path, *latents, SD3_CHANNELS))
            self.model = self.node("UNETLoader", unet_name=f"slim_{kind}.safetensors", weight_dtype="default")
            clip = self.node("CLIPLoader", clip_name="clip_l.safetensors", type="stable_diffusion")
            self.vae = self.node("VAELoader", vae_name=f"{kind}.safetensors")
        else:
            save = save_sdxl if kind == "sdxl" else lambda path: save_text_to_image(path, SLIM_SD15)
            folder(f"checkpoints/{kind}.safetensors", save)
            loaded = self.node("CheckpointLoaderSimple", ckpt_name=f"{kind}.safetensors")
            self.model, clip, self.vae = loaded.out(0), loaded.out(1), loaded.out(2)
        self.texts = [self.node("CLIPTextEncode", clip=clip, text=text) for text in ("a face", "noise")]
        encoded = self.node("VAEEncode", pixels=self.crop.out(0), vae=self.vae)
        self.latent = self.node("SetLatentNoiseMask", samples=encoded, mask=self.crop.out(1))

    def run(self, cfg=3.0, steps=2, **changes):
        """Latents of a run; `changes` go to the sampler."""
        wires = {"vae": self.vae, "id_encoder": self.encoder, "identity": self.identity}
        positive, negative = self.texts
        guider = self.node("CFGGuider", model=self.model, positive=positive, negative=negative, cfg=cfg)
        sigmas = self.node("BasicScheduler", model=self.model, scheduler="simple", steps=steps, denoise=1.0)
        return self.node(
            "SamplerCustomAdvanced",
            noise=self.node("RandomNoise", noise_seed=1),
            guider=guider,
            sampler=self.sampler(**wires, **changes),
            sigmas=sigmas,
            latent_image=self.latent,
        )


KINDS = ["sd15", *FLOWS, pytest.param("sdxl", marks=pytest.mark.full)]


@pytest.mark.parametrize("kind", KINDS)
def test_it_leads_to_the_person_on_every_kind_of_model(kind, folder, latents, decoded_cosine):
    """With either step size; the surroundings are not guided, fresh noise of rounds and of eta keeps latents finite."""
    graph = Stock(kind, folder)
    # One evaluation in one step, so that the picture is the guided estimate itself.
    once, scale = {"steps": 1, "order": 1}, SMALL_STEP[kind]
    ways = [
        once,
        {"identity_guidance": scale, **once},
        {"identity_guidance": scale, "step_size": CORRECTION, **once},
        {"identity_guidance": scale, "rounds": 2, "looks": 3, "eta": 0.5, "energy": "residual norm"},
    ]
    samples = [graph.run(**way) for way in ways]
    plain, open_, correction, rounds = latents(graph, *samples)
    assert plain.shape[1] == (16 if kind in FLOWS else 4)
    assert all(one.isfinite().all() for one in (open_, correction, rounds))
    assert len({one.numpy().tobytes() for one in (plain, open_, correction, rounds)}) == 4
    same = (plain == open_).all(dim=1)[0]
    assert same.any()
    assert not same.all()
    before, *after = (decoded_cosine(graph, one) for one in samples[:3])
    assert all(one > before + GAIN[kind] for one in after), (before, after)


def test_the_step_is_as_long_as_the_correction(folder, latents):
    """In one step to the end what guidance adds is the share of cfg (D_cond - D_uncond), over the hole, that was asked for."""
    graph = Stock("sd3", folder)
    positive, plain, moved = latents(
        graph,
        graph.run(cfg=1.0, steps=1, order=1),
        graph.run(cfg=3.0, steps=1, order=1),
        graph.run(cfg=3.0, steps=1, order=1, identity_guidance=0.5, step_size=CORRECTION),
    )
    correction, step = (plain - positive) * 1.5, moved - plain
    assert (step.norm() / correction.norm()).item() == pytest.approx(0.5, rel=0.02)


def test_ways_to_decode(folder, latents):
    """The face alone gives another step than the whole, and TAESD of the host's folder another one yet."""
    graph = Stock("sd15", folder, size=128)
    folder("vae_approx/taesd_decoder.safetensors", save_tiny_decoder)
    decoders = ["whole", "face only", "tiny", "automatic"]
    whole, face, tiny, automatic = latents(graph, *(graph.run(identity_guidance=2.0, decoder=one) for one in decoders))
    assert torch.equal(automatic, whole)  # its VAE is tiny itself
    assert not torch.equal(face, whole)
    assert not torch.equal(tiny, whole)
    moved = [one - latent for one, latent in ((face, whole), (tiny, whole))]
    assert all(one.isfinite().all() for one in moved)


def test_what_does_not_fit_is_named(folder, small_refused):
    graph = Stock("sd3", folder)
    cfg1 = graph.run(cfg=1.0, identity_guidance=1.0, step_size=CORRECTION)
    assert "step_size: found 'classifier-free correction', but this run makes no negative prediction" in small_refused(
        graph, cfg1
    )
    graph = Stock("sd3", folder)
    tiny = graph.run(identity_guidance=1.0, decoder="tiny")
    message = small_refused(graph, tiny)
    assert (
        "decoder: found 'tiny', but the host has no tiny decoder for latents of SD3; put taesd3_decoder.safetensors" in message
    )
    graph = Stock("sd3", folder)
    folder("vae/other.safetensors", save_autoencoder)
    graph.vae = graph.node("VAELoader", vae_name="other.safetensors")
    message = small_refused(graph, graph.run(identity_guidance=1.0))
    assert "vae: its latents have 4 channels, this model's have 16; connect" in message
    assert "TAESD, the model is SD3 with latents of SD3" in message
    folder("vae/scaled.safetensors", lambda path: save_autoencoder(path, SDXL_FACTOR))
    graph = Stock("sd15", folder)
    graph.vae = graph.node("VAELoader", vae_name="scaled.safetensors")
    assert "vae: its factor is 0.1302, this model's is 0.1822; connect" in small_refused(
        graph, graph.run(identity_guidance=1.0)
    )


def test_latents_of_one_frame_are_decoded_and_films_are_refused(in_host):
    """As Wan's format scales them, whose tensors a graph makes in inference mode; gradients reach the latents."""
    in_host(
        f"""
        import types, torch
        import comfy.latent_formats
        pack = load({str(REPOSITORY)!r})
        decoders = importlib.import_module(pack.__name__ + ".nodes.host.decoders")
        layout = importlib.import_module(pack.__name__ + ".sfsr_model.network.layout")
        untrained = importlib.import_module(pack.__name__ + ".sfsr_model.network.untrained")
        with torch.inference_mode():
            form = comfy.latent_formats.Wan21()
            vae = comfy.sd.VAE(sd=untrained.random_state(layout.taesd_shapes(16), seed=0))
            model = types.SimpleNamespace(model=types.SimpleNamespace(latent_format=form))
            with torch.inference_mode(False):
                copied = decoders.with_gradients(vae)
            decode = decoders.vae_decode(copied, model, torch.device("cpu"))
            latents = torch.randn(2, 16, 1, 8, 8)
            decoders.require_pictures(latents)
            with torch.inference_mode(False), torch.enable_grad():
                own = latents.clone().requires_grad_()
                pictures = decode(own)
                assert pictures.shape == (2, 64, 64, 3), pictures.shape
                (slope,) = torch.autograd.grad(pictures.sum(), own)
                assert slope.abs().sum() > 0
            expected = vae.decode(form.process_out(latents))
            assert torch.allclose(pictures.reshape(expected.shape), expected, atol=1e-4)
            try:
                decoders.require_pictures(torch.zeros(1, 16, 5, 8, 8))
            except ValueError as error:
                assert "guidance: found latents [1, 16, 5, 8, 8], expected single pictures" in str(error), error
            else:
                raise AssertionError("latents of five frames were taken")
        """
    )


@pytest.mark.parametrize("changes", [{}, {"step_size": "what is open", "decoder": "face only"}])
def test_the_workflow_runs_to_its_end(folder, client, tmp_path, changes):
    """The picture is the target's but for the face; the judges, who are none of the guides, have their figures."""
    prompt = load_workflow(REPOSITORY / "workflows" / "api" / "guided_any_model.json")
    folder("checkpoints/v1-5-pruned-emaonly-fp16.safetensors", lambda path: save_text_to_image(path, SLIM_SD15))
    for title, key, value in (("Face Crop", "size", 64), ("Steps", "steps", 3)):
        set_input(prompt, title, (key,), value, title)
    prompt[titled(prompt, "Improved Midpoint Sampler")]["inputs"] |= changes
    result = client.run(prompt, timeout=600)
    (saved,) = [image for image in result.images if image.type == "output"]
    with Image.open(client.download(saved, tmp_path / saved.filename)) as opened:
        found = np.asarray(opened.convert("RGB"))
    before = (load_sample("portrait_20")[0].numpy() * 255).round().astype(np.uint8)
    face = (found != before).any(axis=-1)
    assert 0.02 < face.mean() < 0.5
    report = json.loads(result.outputs[titled(prompt, "Report figures")]["text"][0])
    assert report["judges"]["identity_cosines"] is not None
    assert report["expression_error"] is not None
