"""The checkpoint format and the key layout."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from sfsr_model.network import (
    CheckpointError,
    Metadata,
    load_checkpoint,
    save_checkpoint,
    untrained_checkpoint,
)
from sfsr_model.network.layout import SD15_INPAINTING, unet_shapes


@pytest.fixture(scope="module")
def checkpoint():
    return untrained_checkpoint()


@pytest.fixture(scope="module")
def saved(checkpoint, tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "demo.safetensors"
    save_checkpoint(checkpoint, path)
    return path


@pytest.fixture
def damaged(saved, tmp_path):
    """Writes a copy with its tensors and metadata changed: damaged(tensors, metadata) -> path."""

    def write(change_tensors=lambda tensors: None, **metadata):
        tensors = load_file(saved)
        change_tensors(tensors)
        path = tmp_path / "damaged.safetensors"
        strings = untrained_checkpoint().metadata.to_strings() | metadata
        save_file(tensors, path, metadata={key: value for key, value in strings.items() if value is not None})
        return path

    return write


def test_demo_unet_is_small_enough(checkpoint):
    assert sum(tensor.numel() for tensor in checkpoint.unet.values()) <= 17_000_000


def test_sd15_inpainting_layout():
    """Facts of the published SD-1.5-inpainting UNet: 686 tensors, 859.5 M parameters, nine input channels."""
    shapes = unet_shapes(SD15_INPAINTING)
    assert len(shapes) == 686
    assert shapes["input_blocks.0.0.weight"] == (320, 9, 3, 3)
    assert shapes["middle_block.1.transformer_blocks.0.attn2.to_k.weight"] == (1280, 768)
    assert shapes["output_blocks.2.1.conv.weight"] == (1280, 1280, 3, 3)
    assert sum(torch.Size(shape).numel() for shape in shapes.values()) == 859_535_364


def test_round_trip(checkpoint, saved):
    loaded = load_checkpoint(saved)
    assert loaded.metadata == checkpoint.metadata
    for part in ("unet", "autoencoder", "compound"):
        ours, theirs = getattr(checkpoint, part), getattr(loaded, part)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_untrained_weights_are_the_same_everywhere(checkpoint):
    again = untrained_checkpoint()
    assert all(torch.equal(checkpoint.unet[key], again.unet[key]) for key in again.unet)
    other = untrained_checkpoint(seed=1)
    key = "input_blocks.0.0.weight"
    assert not torch.equal(other.unet[key], again.unet[key])
    # Drawn once with torch 2.13; a change here would change every picture of the untrained demo.
    assert again.unet[key].flatten()[0].item() == pytest.approx(-0.2692, abs=5e-4)


def test_an_old_file_survives_a_failed_save(checkpoint, saved, tmp_path, monkeypatch):
    target = tmp_path / "kept.safetensors"
    shutil.copy(saved, target)
    before = target.read_bytes()

    def full_disk(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sfsr_model.network.checkpoint.save_file", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(checkpoint, target)
    assert target.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["kept.safetensors"]


def test_missing_file(tmp_path):
    with pytest.raises(CheckpointError, match=r"gone\.safetensors: no such file"):
        load_checkpoint(tmp_path / "gone.safetensors")


@pytest.mark.parametrize("content", [b"", b"not a safetensors file at all", b"\xff" * 64])
def test_not_safetensors(tmp_path, content):
    path = tmp_path / "junk.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"junk\.safetensors: not a readable safetensors file"):
        load_checkpoint(path)


def test_truncated_file(saved, tmp_path):
    path = tmp_path / "short.safetensors"
    path.write_bytes(saved.read_bytes()[:100_000])
    with pytest.raises(CheckpointError, match=r"short\.safetensors"):
        load_checkpoint(path)


def test_another_kind_of_checkpoint(tmp_path):
    path = tmp_path / "sd15.safetensors"
    save_file({"model.diffusion_model.x": torch.zeros(1)}, path, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"not an SFSR checkpoint .* format 'pt', expected 'sfsr'"):
        load_checkpoint(path)


def test_another_version(damaged):
    with pytest.raises(CheckpointError, match="format version 99, this pack reads version 1"):
        load_checkpoint(damaged(format_version="99"))


@pytest.mark.parametrize("text", ["{", "{}", json.dumps({"unet": {"width": 3}, "compound": {}})])
def test_damaged_metadata(damaged, text):
    with pytest.raises(CheckpointError, match="metadata is damaged"):
        load_checkpoint(damaged(sfsr=text))


def test_unknown_prediction(damaged, checkpoint):
    values = json.loads(checkpoint.metadata.to_strings()["sfsr"]) | {"prediction": "flow"}
    with pytest.raises(CheckpointError, match="predicts 'flow', expected one of eps, v"):
        load_checkpoint(damaged(sfsr=json.dumps(values)))


def test_metadata_of_a_later_minor_version_is_read(damaged, checkpoint):
    values = json.loads(checkpoint.metadata.to_strings()["sfsr"]) | {"hours": 3}
    assert load_checkpoint(damaged(sfsr=json.dumps(values))).metadata == checkpoint.metadata


def test_values_that_are_not_finite(damaged):
    def spoil(tensors):
        tensors["sfsr.identity.null"][0, 0] = float("nan")

    with pytest.raises(CheckpointError, match=r"'sfsr\.identity\.null' holds values that are not finite"):
        load_checkpoint(damaged(spoil))


def test_unexpected_entry(damaged):
    with pytest.raises(CheckpointError, match="unexpected entry 'optimizer'"):
        load_checkpoint(damaged(lambda tensors: tensors.update(optimizer=torch.zeros(1))))


def test_a_part_is_missing(damaged):
    def remove(tensors):
        for key in [key for key in tensors if key.startswith("sfsr.")]:
            del tensors[key]

    with pytest.raises(CheckpointError, match=r"holds nothing under sfsr\."):
        load_checkpoint(damaged(remove))


def test_metadata_needs_the_format():
    with pytest.raises(CheckpointError, match="names the format 'none'"):
        Metadata.from_strings(None, "x")
