"""What a checkpoint knows of itself is said once a run, where a latent or conditions that do not fit meet its network."""

from dataclasses import replace

import pytest

from sfsr_model.network import save_checkpoint, untrained_checkpoint

WHOLE = untrained_checkpoint()


@pytest.fixture
def trained(server, small):
    """The small graph on a checkpoint that says it was trained at 64 pixels: trained("demo")."""

    def build(base):
        folder = server.base_dir / "models" / "sfsr"
        folder.mkdir(parents=True, exist_ok=True)
        about = replace(WHOLE.metadata, trained=True, resolution=64, base=base)
        save_checkpoint(replace(WHOLE, metadata=about), folder / f"at_64_{base}.safetensors")
        small.model = small.node("SFSRLoadModel", checkpoint=f"at_64_{base}.safetensors")
        small.vae = small.model.out(1)
        return small

    return build


@pytest.fixture
def logged(server, latents):
    """Runs a graph; returns what the pack logged in the meantime."""

    def run(graph, *samples):
        start = len(server.log_text())
        latents(graph, *samples)
        return [line for line in server.log_text()[start:].splitlines() if "SFSR: " in line]

    return run


@pytest.mark.parametrize(("base", "said"), [("demo", "of which it makes no face"), ("sd15", "of which it makes a worse one")])
def test_a_second_pass_at_another_size(trained, logged, base, said):
    graph = trained(base)
    conditioned = graph.conditioned()
    first = graph.sampled(conditioned)
    larger = graph.node("LatentUpscaleBy", samples=first, upscale_method="bilinear", scale_by=2.0)
    (line,) = logged(graph, graph.sampled(conditioned, latent_image=larger, denoise=0.5, steps=4))
    assert f"trained on crops of 64 x 64 pixels, the latent is of 128 x 128, {said}" in line
    assert "enlarge the picture behind VAE Decode" in line


def test_a_size_that_the_conditioning_told_of_is_told_once(trained, logged):
    graph = trained("sd15")
    graph.crop = graph.node("ImageScale", image=graph.crop, upscale_method="bilinear", width=128, height=128, crop="disabled")
    parts = [graph.node("SolidMask", value=value, width=side, height=side) for value, side in ((0.0, 128), (1.0, 64))]
    mask = graph.node("MaskComposite", destination=parts[0], source=parts[1], x=32, y=32, operation="add")
    (line,) = logged(graph, graph.sampled(graph.conditioned(image=graph.crop, mask=mask)))
    assert "set Face Crop's size to 64" in line


def test_single_pictures_of_a_batch_behind_its_conditions(trained, logged):
    """The host gives each picture of a latent the conditions of its place, so the third would get those of the first."""
    graph = trained("demo")
    words = {"family": "the list below", "words": "happiness, anger, sadness"}
    looks = graph.node("SFSRExpressionSweep", **words, intensity_from=1.0, intensity_to=1.0, steps=1)
    conditioned = graph.conditioned(expression=looks)
    third = graph.node("LatentFromBatch", samples=conditioned.out(3), batch_index=2, length=1)
    (line,) = logged(graph, graph.sampled(conditioned), graph.sampled(conditioned, latent_image=third))
    assert "the latent holds 1 of the 3 pictures that SFSR Conditioning was given" in line


def test_guidances_without_their_model(trained, logged):
    graph = trained("demo")
    conditioned = graph.conditioned(identity_guidance=3.0)
    (line,) = logged(graph, graph.sampled(conditioned, model=graph.model))
    assert "identity_guidance 3 and expression_guidance 1 do nothing in this run" in line
    assert "connect the model output of that node" in line


def test_a_run_as_it_should_be_is_not_spoken_of(trained, logged):
    graph = trained("demo")
    plain, guided = graph.conditioned(), graph.conditioned(identity_guidance=3.0, expression_guidance=0.5)
    samples = [graph.sampled(plain), graph.sampled(guided), graph.sampled(plain, model=graph.model)]
    assert logged(graph, *samples, graph.custom(guided, graph.sampler())) == []
