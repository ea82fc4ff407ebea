"""scripts/convert_adapter.py and describe_weights.py: what an adapter becomes, and what is said of a file."""

import hashlib
import pickle
import re

import convert_adapter
import describe_weights
import pytest
import torch
from safetensors.torch import load_file, save_file
from testkit.adapters import SLIM_SD15
from testkit.onnx_models import save_recogniser
from testkit.random_smirk import write_smirk

from sfsr_model.adapters import read_adapter, write_stand_in
from sfsr_model.adapters.arc2face import TEXT_LAYERS, TEXT_WIDTH
from sfsr_model.adapters.kinds import FACEID, FINEFACE, FLAME_EXPRESSION, KINDS

ENTRIES = ("image_proj", "ip_adapter")


def stand_in(kind, path):
    return write_stand_in(kind, path, SLIM_SD15.host)[0]


def text_encoder(layers=TEXT_LAYERS):
    """Entries of CLIP's text encoder, each of which is there and almost empty."""
    tensors = {f"text_model.encoder.layers.{layer}.mlp.fc1.weight": torch.ones(1) for layer in range(layers)}
    tensors["text_model.embeddings.token_embedding.weight"] = torch.ones(2, TEXT_WIDTH)
    return tensors | {"text_model.embeddings.position_ids": torch.arange(77)[None]}


def convert(*arguments):
    return convert_adapter.main([str(one) for one in arguments])


@pytest.mark.parametrize("kind", [FACEID, FLAME_EXPRESSION])
@pytest.mark.parametrize("ending", ["bin", "pt", "pth", "ckpt"])
def test_an_adapter_becomes_the_same_with_flat_names(kind, ending, tmp_path, capsys):
    path = stand_in(kind, tmp_path / f"a.{ending}")
    assert convert(path) == 0
    nested, found = torch.load(path, weights_only=True), load_file(tmp_path / "a.safetensors")
    assert found.keys() == {f"{part}.{key}" for part in ENTRIES for key in nested[part]}
    for part in ENTRIES:
        for key, tensor in nested[part].items():
            assert torch.equal(found[f"{part}.{key}"], tensor)
            assert found[f"{part}.{key}"].dtype == tensor.dtype
    assert read_adapter(found, "a.safetensors").kind == kind
    assert f"a.safetensors: {KINDS[kind].title}," in capsys.readouterr().out


@pytest.mark.parametrize("given", ["sd15_au_encoder.ckpt", "sd15_attn_processors.ckpt"])
def test_finefaces_two_files_become_one(given, tmp_path):
    for path in write_stand_in(FINEFACE, tmp_path / given, SLIM_SD15.host):
        assert path.is_file()
    assert convert(tmp_path / given, "--out", tmp_path / "fineface.safetensors") == 0
    adapter = read_adapter(load_file(tmp_path / "fineface.safetensors"), "fineface.safetensors")
    assert adapter.kind == FINEFACE
    adapter.fits(SLIM_SD15.layers, SLIM_SD15.host["context_dim"])


def test_arc2faces_text_encoder_keeps_its_names(tmp_path):
    torch.save(text_encoder(), tmp_path / "pytorch_model.bin")
    assert convert(tmp_path / "pytorch_model.bin") == 0
    assert load_file(tmp_path / "pytorch_model.safetensors").keys() == text_encoder().keys()


def test_entries_that_share_their_memory_are_written_each(tmp_path):
    tensors = text_encoder()
    tensors["text_model.again"] = tensors["text_model.embeddings.token_embedding.weight"]
    torch.save(tensors, tmp_path / "a.bin")
    assert convert(tmp_path / "a.bin") == 0
    assert load_file(tmp_path / "a.safetensors")["text_model.again"].shape == (2, TEXT_WIDTH)


class Harmful:
    def __reduce__(self):
        return print, ("unpickled",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"lora_unet_x.lora_down.weight": torch.ones(1)}, "a.bin: a LoRA; expected an adapter for faces"),
        ({"image_proj": {"norm.weight": torch.ones(1)}}, "a.bin: an IP-Adapter without entries under ip_adapter"),
        (text_encoder(layers=24), "a.bin: a text encoder of 24 layers"),
        (torch.ones(2), "a.bin: holds a Tensor, expected named tensors"),
        (Harmful(), "a.bin: cannot be read as a file of tensors"),
    ],
    ids=["lora", "cut", "other encoder", "one tensor", "pickle"],
)
def test_what_is_no_adapter_is_refused_and_nothing_is_written(content, message, tmp_path, capsys):
    if isinstance(content, Harmful):
        (tmp_path / "a.bin").write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, tmp_path / "a.bin")
    assert convert(tmp_path / "a.bin") == 1
    said = capsys.readouterr()
    assert f"Error: {message}" in said.err
    assert "unpickled" not in said.out
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


def test_half_of_fineface_names_the_other(tmp_path, capsys):
    path, _ = write_stand_in(FINEFACE, tmp_path / "sd15_au_encoder.ckpt", SLIM_SD15.host)
    (tmp_path / "sd15_attn_processors.ckpt").unlink()
    assert convert(path) == 1
    assert "named as published, sd15_au_encoder.ckpt and sd15_attn_processors.ckpt" in capsys.readouterr().err


def test_no_file_is_written_over(tmp_path, capsys):
    path = stand_in(FLAME_EXPRESSION, tmp_path / "a.bin")
    (tmp_path / "a.safetensors").write_bytes(b"mine")
    assert convert(path) == 1
    assert (tmp_path / "a.safetensors").read_bytes() == b"mine"
    assert "a.safetensors is there" in capsys.readouterr().err
    assert convert(path, "--out", tmp_path / "b.bin") == 1
    assert "does not end in .safetensors" in capsys.readouterr().err


def test_files_are_described_on_a_page(tmp_path, capsys):
    files = {
        "adapter": stand_in(FACEID, tmp_path / "faceid.bin"),
        "smirk": write_smirk(tmp_path / "smirk.pt"),
        "onnx": save_recogniser(tmp_path / "arcface.onnx"),
        "encoder": tmp_path / "encoder.safetensors",
        "cut": tmp_path / "cut.bin",
    }
    save_file(text_encoder(), files["encoder"])
    torch.save({"image_proj": {"norm.weight": torch.ones(1)}}, files["cut"])
    assert describe_weights.main([str(path) for path in files.values()]) == 0
    pages = dict(zip(files, capsys.readouterr().out.split("\n\n"), strict=False))
    for name, path in files.items():
        assert f"sha256: {hashlib.sha256(path.read_bytes()).hexdigest()}" in pages[name]
        assert len(pages[name].splitlines()) < 60
    layers = len(SLIM_SD15.layers)
    assert (
        f"kind: IP-Adapter FaceID (gives the identity), 4 tokens of width 64, {layers} layers, base other, with LoRA"
        in (pages["adapter"])
    )
    (keys,) = re.findall(r"(\d+) x ip_adapter\.N\.to_k_ip\.weight, float16: (.*)", pages["adapter"])
    assert keys[0] == str(layers)
    assert "5 of [16, 64]" in keys[1]
    assert "kind: SMIRK's encoder" in pages["smirk"]
    assert "kind: a text encoder\n" in pages["encoder"]
    assert "kind: an ONNX network for recognition" in pages["onnx"]
    assert "operations: 1 AveragePool, 1 Flatten, 1 Gemm" in pages["onnx"]
    assert "kind: cut.bin: an IP-Adapter without entries under ip_adapter" in pages["cut"]


def test_what_cannot_be_described_is_named_and_the_others_are(tmp_path, capsys):
    (tmp_path / "junk.bin").write_bytes(b"junk")
    (tmp_path / "junk.onnx").write_bytes(b"junk")
    good = stand_in(FLAME_EXPRESSION, tmp_path / "good.bin")
    files = [tmp_path / "junk.bin", tmp_path / "junk.onnx", tmp_path / "gone.bin", good]
    assert describe_weights.main([str(path) for path in files]) == 1
    said = capsys.readouterr()
    for message in ("junk.bin: cannot be read", "junk.onnx: cannot be read", "gone.bin: no such file"):
        assert message in said.err
    assert "Arc2Face Expression Adapter" in said.out
