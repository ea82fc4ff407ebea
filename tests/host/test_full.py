"""Too long for every run: a full-size network of random weights, and every one of the 135 words."""

import dataclasses

import pytest
import torch

from sfsr_model.expressions import all_words
from sfsr_model.network import save_checkpoint, untrained_checkpoint
from sfsr_model.network.layout import SD15_INPAINTING

pytestmark = pytest.mark.full


def test_a_full_size_network(server, client, portrait):
    """Stable Diffusion 1.5's inpainting layout, 860 M parameters in half precision, from a file, through the whole graph."""
    folder = server.base_dir / "models" / "sfsr"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "sd15_random.safetensors"
    checkpoint = untrained_checkpoint(unet=SD15_INPAINTING, base="sd15")
    half = {key: value.to(torch.float16) for key, value in checkpoint.unet.items()}
    save_checkpoint(dataclasses.replace(checkpoint, unet=half), path)
    del checkpoint, half
    try:
        result = client.run(portrait(Load_SFSR_Model={"checkpoint": path.name}, Steps={"steps": 1}), timeout=1800)
        assert any(image.type == "output" for image in result.images)
    finally:
        client.free()
        path.unlink()


def test_every_word(run_portrait):
    """Each of the 135 goes through the graph and makes a picture of its own."""
    pictures = {run_portrait(Expression_Embed={"word": word.word}, Steps={"steps": 1}).tobytes() for word in all_words()}
    assert len(pictures) == 135
