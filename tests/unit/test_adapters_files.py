"""What a file is: told by its entries and shapes; what is none of these, or not whole, is refused with what it is."""

import re

import pytest
import torch
from safetensors.torch import load_file
from testkit.adapters import SD15, SDXL, SLIM_SD15, SLIM_SDXL

from sfsr_model.adapters import AdapterError, companion, default_shortcut, read_adapter, write_stand_in
from sfsr_model.adapters.kinds import KINDS
from sfsr_model.adapters.stand_ins import stand_in_shapes

# Tokens, the recogniser, raw or unit vectors, the picture, the stream.
KNOWN = {
    "faceid": (4, "w600k_r50 of buffalo_l", False, False, "identity"),
    "faceid plus": (4, "w600k_r50 of buffalo_l", False, True, "identity"),
    "portrait": (16, "w600k_r50 of buffalo_l", False, False, "identity"),
    "unnorm portrait": (16, "w600k_r50 of buffalo_l", True, False, "identity"),
    "instantid": (16, "glintr100 of antelopev2", True, False, "identity"),
    "expression": (4, None, False, False, "expression"),
    "fineface": (1, None, False, False, "expression"),
}
NAMES = {"unnorm portrait": "ip-adapter-faceid-portrait_sdxl_unnorm.bin", "fineface": "sd15_attn_processors.ckpt"}


def read(path):
    """As the host reads: tensors only."""
    return load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)


@pytest.mark.parametrize("suffix", [".bin", ".safetensors"])
@pytest.mark.parametrize("kind", KNOWN)
def test_every_kind_is_told_by_its_entries(kind, suffix, tmp_path):
    name = NAMES.get(kind, "some file.bin")
    files = write_stand_in(kind, (tmp_path / name).with_suffix(suffix), SLIM_SDXL.host)
    adapter = read_adapter({one.name: read(one) for one in files} if len(files) > 1 else read(files[0]), name)
    assert adapter.kind == kind
    assert (adapter.tokens, adapter.recogniser, adapter.raw, adapter.wants_picture, adapter.stream) == KNOWN[kind]
    assert (adapter.context_dim, adapter.base, adapter.inputs) == (128, "other", KINDS[kind].inputs)
    assert adapter.about
    assert adapter.licence
    adapter.fits(SLIM_SDXL.layers, 128)


def test_the_two_of_the_same_entries_are_told_by_the_name_or_by_who_asks():
    tensors = SLIM_SDXL.tensors("instantid")
    assert tensors.keys() == SLIM_SDXL.tensors("unnorm portrait").keys()
    assert read_adapter(tensors, "instantid/ip-adapter.bin").kind == "instantid"
    assert read_adapter(tensors, "ip-adapter-faceid-portrait_sdxl_unnorm.bin").kind == "unnorm portrait"
    assert read_adapter(tensors, "mine.bin", kind="unnorm portrait").kind == "unnorm portrait"
    with pytest.raises(AdapterError, match=r"mine\.bin: IP-Adapter FaceID portrait, expected InstantID's IP-Adapter"):
        read_adapter(SLIM_SDXL.tensors("portrait"), "mine.bin", kind="instantid")


def test_plus_and_plusv2_are_told_by_the_name():
    assert default_shortcut("ip-adapter-faceid-plusv2_sd15.bin")
    assert default_shortcut("FaceID-PlusV2-SDXL.safetensors")
    assert not default_shortcut("ip-adapter-faceid-plus_sd15.bin")
    assert not default_shortcut("ip-adapter-faceid-portrait-v11_sd15.bin")


def empty(kind, network):
    """A file of the true size without its weights."""
    shapes = stand_in_shapes(kind, network.layers, network.host["context_dim"])
    return {key: torch.zeros(1).expand(shape) for key, shape in shapes.items()}


# Bytes as published, in halves but for the last two: docs of the projects' pages, read by size.
PUBLISHED = {
    ("faceid", "SD 1.5"): (2, 96.71e6),
    ("faceid plus", "SD 1.5"): (2, 156_558_503),
    ("portrait", "SD 1.5"): (2, 64_586_623),
    ("faceid plus", "SDXL"): (2, 1_487_555_181),
    ("expression", "SD 1.5"): (4, 78_085_419),
    ("instantid", "SDXL"): (4, 1.69e9),
}


@pytest.mark.parametrize(("kind", "network"), PUBLISHED)
def test_true_layouts_are_as_large_as_the_published_files(kind, network):
    """The entries' bytes, to what a container adds and the pages round."""
    tensors = empty(kind, {"SD 1.5": SD15, "SDXL": SDXL}[network])
    size, published = PUBLISHED[kind, network]
    bytes_ = size * sum(tensor.numel() for tensor in tensors.values())
    assert abs(published - bytes_) < 0.003 * published


@pytest.mark.parametrize(
    ("kind", "network", "base", "context_dim"),
    [("faceid", SD15, "sd15", 768), ("expression", SD15, "sd15", 768), ("portrait", SDXL, "sdxl", 2048)],
)
def test_bases_are_told_and_the_other_is_refused(kind, network, base, context_dim):
    adapter = read_adapter(empty(kind, network), "mine.bin")
    assert adapter.base == base
    adapter.fits(network.layers, context_dim)
    other, others_context = (SDXL, 2048) if network is SD15 else (SD15, 768)
    here, there = ("SD 1.5 (16 layers", "SDXL (70 layers") if network is SD15 else ("SDXL (70 layers", "SD 1.5 (16 layers")
    with pytest.raises(AdapterError, match=re.escape(f"for {here}") + ".*" + re.escape(f"the model is {there}") + ".*choose"):
        adapter.fits(other.layers, others_context)


def test_sd2_has_sd15s_layers_and_is_refused_all_the_same():
    with pytest.raises(AdapterError, match=r"for SD 1\.5 .*; the model is SD 2 \(16 layers with context 1024\)"):
        read_adapter(empty("portrait", SD15), "mine.bin").fits(SD15.layers, 1024)


def test_other_widths_are_refused_by_the_layer():
    wider = [layer.__class__(**{**vars(layer), "channels": 2 * layer.channels}) for layer in SLIM_SD15.layers]
    with pytest.raises(AdapterError, match=r"its layer 1 has 16 channels, and down_blocks\.0\..* of the model has 32"):
        SLIM_SD15.adapter("portrait").fits(wider, 64)


def test_other_names_are_refused():
    adapter = SLIM_SD15.adapter("fineface")
    renamed = [layer.__class__(**{**vars(layer), "name": layer.name.replace("mid_", "middle_")}) for layer in SLIM_SD15.layers]
    with pytest.raises(AdapterError, match=r"it names mid_block\..* where the model has middle_block"):
        adapter.fits(renamed, 64)


OTHERS = {
    "a LoRA": ["lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight"],
    "a LoRA ": ["unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.lora.down.weight"],
    "a LoRA  ": ["down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight"],
    "a ControlNet": ["control_model.input_blocks.0.0.weight"],
    "a ControlNet ": ["controlnet_cond_embedding.conv_in.weight", "conv_in.weight", "down_blocks.0.resnets.0.conv1.weight"],
    "a whole checkpoint": ["model.diffusion_model.input_blocks.0.0.weight", "first_stage_model.encoder.conv_in.weight"],
    "a diffusion model (UNet)": ["conv_in.weight", "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight"],
    "a text encoder": ["text_model.embeddings.token_embedding.weight"],
    "a picture encoder": ["vision_model.embeddings.class_embedding"],
    "an autoencoder": ["encoder.conv_in.weight", "decoder.conv_in.weight"],
    "SMIRK's encoder": ["smirk_encoder.expression_encoder.encoder.conv_stem.weight"],
    "a PuLID adapter": ["id_adapter.body.0.weight", "id_adapter_attn_layers.0.id_to_k.weight"],
    "an unknown file (its first entries: a, b)": ["a", "b"],
    "holds no tensors": [],
}


@pytest.mark.parametrize(("what", "keys"), OTHERS.items())
def test_other_files_are_refused_with_what_they_are(what, keys):
    with pytest.raises(AdapterError) as error:
        read_adapter({key: torch.zeros(1) for key in keys}, "mine.bin")
    assert f"mine.bin: {what.strip()}; expected an adapter for faces" in str(error.value)


def without(tensors, *keys):
    for key in keys:
        assert key in tensors
    return {key: value for key, value in tensors.items() if key not in keys}


def faceid(**changes):
    return SLIM_SD15.tensors("faceid") | changes


LAST = 2 * len(SLIM_SD15.layers) - 1
DAMAGED = {
    "plain IP-Adapter": (
        lambda: {"image_proj": {"proj.weight": torch.zeros(8, 4)}, "ip_adapter": {"1.to_k_ip.weight": torch.zeros(8, 4)}},
        r"an IP-Adapter for pictures \(CLIP alone\).*; expected one for the embeddings of faces",
    ),
    "IP-Adapter plus": (
        lambda: SLIM_SDXL.tensors("instantid") | {"image_proj.proj_in.weight": torch.zeros(128, 1280)},
        r"an IP-Adapter for pictures \(CLIP alone\)",
    ),
    "unknown width": (
        lambda: faceid(**{"image_proj.proj.0.weight": torch.zeros(1024, 256)}),
        r"for vectors of 256 numbers; expected 512 \(a person\) or 55 \(an expression\)",
    ),
    "another picture encoder": (
        lambda: SLIM_SD15.tensors("faceid plus") | {"image_proj.perceiver_resampler.proj_in.weight": torch.zeros(64, 1024)},
        r"FaceID plus for picture features of width 1024, expected 1280",
    ),
    "half a token": (
        lambda: faceid(**{"image_proj.proj.2.weight": torch.zeros(200, 1024)}),
        r"projection's proj\.2\.bias is \(256,\), expected \(192,\)",
    ),
    "a projection cut off": (
        lambda: without(SLIM_SDXL.tensors("instantid"), "image_proj.layers.2.1.3.weight"),
        r"projection's layers\.2\.1\.3\.weight is missing, expected \(128, 512\)",
    ),
    "a projection without its first part": (
        lambda: without(SLIM_SD15.tensors("faceid plus"), "image_proj.norm.weight"),
        r"its projection lacks 'norm\.weight'",
    ),
    "no layers": (
        lambda: {"image_proj": {"norm.weight": torch.zeros(1)}},
        r"without entries under ip_adapter; the file is cut off",
    ),
    "a layer without values": (
        lambda: without(faceid(), f"ip_adapter.{LAST}.to_v_ip.weight"),
        rf"its layer {LAST} has k, expected keys \(k\) and values \(v\) in each of 16; the file is cut off",
    ),
    "a layer left out": (
        lambda: without(faceid(), "ip_adapter.5.to_k_ip.weight", "ip_adapter.5.to_v_ip.weight"),
        r"its layer 5 has nothing, expected keys",
    ),
    "keys and values of two widths": (
        lambda: faceid(**{"ip_adapter.3.to_k_ip.weight": torch.zeros(8, 64)}),
        r"its layer 3 has keys of shape \(8, 64\) and values of \(16, 64\)",
    ),
    "another context": (
        lambda: faceid(**{f"ip_adapter.3.to_{part}_ip.weight": torch.zeros(16, 32) for part in "kv"}),
        r"its layer 3 takes tokens of width 32, and its projection makes tokens of width 64",
    ),
    "half a LoRA": (
        lambda: without(faceid(), "ip_adapter.4.to_k_lora.up.weight"),
        r"its LoRA of attention 4, to_k, is not whole",
    ),
    "a LoRA of fewer layers": (
        lambda: {key: value for key, value in faceid().items() if not key.startswith("ip_adapter.6.")},
        r"its LoRA is of 31 attentions, expected 32",
    ),
    "a LoRA of another width": (
        lambda: faceid(**{"ip_adapter.3.to_k_lora.down.weight": torch.zeros(8, 16)}),
        r"its LoRA of attention 3, to_k, makes 16 channels of 16, expected 16 of 64",
    ),
    "an entry too many": (
        lambda: faceid(**{"ip_adapter.3.gate": torch.zeros(1)}),
        r"holds an unexpected entry ip_adapter\.3\.gate",
    ),
    "not a number": (
        lambda: faceid(**{"ip_adapter.3.to_k_ip.weight": torch.full((16, 64), torch.nan)}),
        r"ip_adapter\.3\.to_k_ip\.weight holds values that are not finite; the file is damaged",
    ),
    "FineFace for SD 2.1": (
        lambda: SLIM_SD15.tensors("fineface") | {"au_encoder.weight": torch.zeros(20, 12), "au_encoder.bias": torch.zeros(20)},
        r"FineFace with 12 action units and tokens of width 32 for layers of context 64.*not for SD 2\.1",
    ),
    "FineFace without its encoder": (
        lambda: without(SLIM_SD15.tensors("fineface"), "au_encoder.weight", "au_encoder.bias"),
        r"FineFace's attn_processors without its au_encoder; it comes as two files: put both into one folder",
    ),
    "FineFace's encoder alone": (
        lambda: {"au_encoder.weight": torch.zeros(52, 12), "au_encoder.bias": torch.zeros(52)},
        r"FineFace's au_encoder without its attn_processors",
    ),
    "FineFace's layer without values": (
        lambda: without(
            SLIM_SD15.tensors("fineface"),
            "mid_block.attentions.0.transformer_blocks.0.attn2.processor.au_to_v.weight",
        ),
        rf"its layer {LAST} has k, expected",
    ),
}


@pytest.mark.parametrize(("make", "message"), DAMAGED.values(), ids=DAMAGED)
def test_damaged_and_foreign_adapters_are_refused(make, message):
    with pytest.raises(AdapterError, match=r"^mine\.bin: .*" + message):
        read_adapter(make(), "mine.bin")


@pytest.mark.parametrize("kind", ["portrait", "fineface"])
def test_a_file_cut_off_at_a_layer_is_refused_by_the_network(kind):
    layer = SLIM_SD15.layers[-1]
    prefix = f"{layer.name}." if kind == "fineface" else f"ip_adapter.{layer.number}."
    tensors = {key: value for key, value in SLIM_SD15.tensors(kind).items() if not key.startswith(prefix)}
    with pytest.raises(AdapterError, match=r"15 layers .* the first without an entry is mid_block\..*; the file is cut off"):
        read_adapter(tensors, "mine.bin").fits(SLIM_SD15.layers, 64)


def test_fineface_is_read_whatever_else_its_files_hold():
    tensors = {f"unet.{key}" if "attn2" in key else key: value for key, value in SLIM_SD15.tensors("fineface").items()}
    tensors |= {"unet.conv_in.weight": torch.zeros(1), "step": 3}
    read_adapter({"state_dict": tensors}, "mine.ckpt").fits(SLIM_SD15.layers, 64)


def test_finefaces_files_know_each_other(tmp_path):
    assert companion("sd15_au_encoder.ckpt") == "sd15_attn_processors.ckpt"
    assert companion("sd15_attn_processors.ckpt") == "sd15_au_encoder.ckpt"
    assert companion("exp_adapter.bin") is None
    written = write_stand_in("fineface", tmp_path / "sd15_au_encoder.ckpt", SLIM_SD15.host)
    assert {path.name: [*read(path)][:1] for path in written} == {
        "sd15_au_encoder.ckpt": ["au_encoder.weight"],
        "sd15_attn_processors.ckpt": ["down_blocks.0.attentions.0.transformer_blocks.0.attn2.processor.au_to_k.weight"],
    }
    with pytest.raises(ValueError, match="FineFace's files are two"):
        write_stand_in("fineface", tmp_path / "mine.ckpt", SLIM_SD15.host)


def test_stand_ins_are_what_is_published(tmp_path):
    """Nested in this order, in halves for FaceID; the same for the same seed."""
    (path,) = write_stand_in("faceid", tmp_path / "one.bin", SLIM_SD15.host, seed=1)
    first = read(path)
    assert [*first] == ["image_proj", "ip_adapter"]
    assert {tensor.dtype for part in first.values() for tensor in part.values()} == {torch.float16}
    (flat,) = write_stand_in("faceid", tmp_path / "one.safetensors", SLIM_SD15.host, seed=1, dtype=torch.float32)
    again = read(flat)
    assert again.keys() == {f"{part}.{key}" for part in first for key in first[part]}
    assert torch.equal(again["ip_adapter.1.to_k_ip.weight"].half(), first["ip_adapter"]["1.to_k_ip.weight"])
    (other,) = write_stand_in("faceid", tmp_path / "two.bin", SLIM_SD15.host, seed=2)
    assert not torch.equal(read(other)["ip_adapter"]["1.to_k_ip.weight"], first["ip_adapter"]["1.to_k_ip.weight"])
    (expression,) = write_stand_in("expression", tmp_path / "three.bin", SLIM_SD15.host)
    assert read(expression)["image_proj"]["proj.0.weight"].dtype == torch.float32
