"""Files that change while the host runs: what was written anew is read in the next run, what is gone or damaged is named."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from harness.client import PromptRejected
from harness.graph import GraphBuilder
from testkit.onnx_models import save_recogniser
from testkit.small_graph import SmallGraph
from testkit.tiny_landmarker import write_tiny_task

from sfsr_model.encoders.identity import Identity
from sfsr_model.encoders.identity_file import save_identity
from sfsr_model.expressions import ARKIT_NAMES
from sfsr_model.expressions.library import ExpressionLibrary
from sfsr_model.network import save_checkpoint, untrained_checkpoint

WHOLE = untrained_checkpoint()


def folder_of(server, *parts) -> Path:
    folder = server.base_dir.joinpath("models", *parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def reading(class_type, **inputs):
    """A graph of one reader, whose outputs are taken as they are, and the reader's id."""
    graph = GraphBuilder()
    reader = graph.node(class_type, **inputs)
    graph.node("StrangerSink", value=reader)
    return graph.prompt(), reader.id


def person(seed):
    generator = torch.Generator().manual_seed(seed)
    embedding = torch.nn.functional.normalize(torch.randn(1, 512, generator=generator), dim=-1)
    return Identity(embedding, "any", (1.0,), (f"photo {seed}",))


def library(value):
    return ExpressionLibrary(("joy",), torch.full((1, len(ARKIT_NAMES)), value), (3,))


# By reader: where its file lies, how versions 1 and 2 of it are written, and the inputs that name it.
READERS = {
    "SFSRLoadModel": (
        ("sfsr", "changing.safetensors"),
        lambda path, version: save_checkpoint(replace(WHOLE, metadata=replace(WHOLE.metadata, step=version)), path),
        {"checkpoint": "changing.safetensors"},
    ),
    "SFSRLoadIdentity": (
        ("sfsr", "identities", "changing.safetensors"),
        lambda path, version: save_identity(person(version), path),
        {"identity": "changing.safetensors"},
    ),
    "ExpressionEmbed": (
        ("sfsr_libraries", "changing.safetensors"),
        lambda path, version: library(version / 4).save(path),
        {"source": "word", "word": "joy", "intensity": 1.0, "library": "changing.safetensors"},
    ),
    "LoadIDEncoder": (
        ("insightface", "changing.onnx"),
        lambda path, version: save_recogniser(path, seed=version),
        {"encoder": "changing.onnx", "provider": "CPU"},
    ),
    "SFSRLoadExpressionEncoder": (
        ("mediapipe", "changing.task"),
        lambda path, version: write_tiny_task(path),
        {"encoder": "mediapipe/changing.task"},
    ),
}


@pytest.mark.parametrize("class_type", READERS)
def test_a_file_written_anew_is_read_again(server, client, refused, class_type):
    """Read, then served from the cache while it stays as it is, read again; cut off it is named, and whole it serves again."""
    (*parts, name), write, inputs = READERS[class_type]
    path = folder_of(server, *parts) / name
    write(path, 1)
    prompt, reader = reading(class_type, **inputs)
    assert reader in client.run(prompt, timeout=300).executed
    assert reader in client.run(prompt, timeout=300).cached
    write(path, 2)
    assert reader in client.run(prompt, timeout=300).executed
    os.truncate(path, path.stat().st_size // 2)
    message = refused(prompt)
    assert f"Node {reader} ({class_type}) failed: " in message
    assert name in message
    path.unlink()
    with pytest.raises(PromptRejected, match=name.replace(".", r"\.")):
        client.run(prompt, timeout=300)
    write(path, 1)
    assert reader in client.run(prompt, timeout=300).executed


def test_what_a_checkpoint_says_anew_is_what_is_sampled(server, client, latents):
    path = folder_of(server, "sfsr") / "anew.safetensors"

    def sampled():
        graph = SmallGraph()
        graph.model = graph.node("SFSRLoadModel", checkpoint=path.name)
        graph.vae = graph.model.out(1)
        (found,) = latents(graph, graph.sampled(graph.conditioned()))
        return found

    save_checkpoint(WHOLE, path)
    first = sampled()
    save_checkpoint(replace(WHOLE, unet={key: value * 0.9 for key, value in WHOLE.unet.items()}), path)
    other = sampled()
    assert not torch.allclose(first, other, atol=1e-4)
    save_checkpoint(WHOLE, path)
    assert torch.equal(first, sampled())


def test_weights_that_go_while_they_are_in_use(server, client, latents):
    """What is loaded goes on: the network, the autoencoder and the recogniser need their files no more."""
    checkpoint, recogniser = folder_of(server, "sfsr") / "cut.safetensors", folder_of(server, "insightface") / "cut.onnx"
    save_checkpoint(WHOLE, checkpoint)
    save_recogniser(recogniser)

    graph = SmallGraph()
    model = graph.node("SFSRLoadModel", checkpoint=checkpoint.name)
    graph.model, graph.vae = model, model.out(1)
    graph.encoder = graph.node("LoadIDEncoder", encoder=recogniser.name, provider="CPU")
    graph.identity = graph.person("portrait_05")
    sampled = graph.sampled(graph.conditioned(), steps=60)
    graph.keep(sampled)
    graph.node("PreviewImage", images=graph.node("VAEDecode", samples=sampled, vae=graph.vae))
    cut = []

    def cut_off(title, value, maximum):
        if not cut and title == "KSampler":
            for path in (checkpoint, recogniser):
                os.truncate(path, 100)
            cut.append(value)

    result = client.run(graph.prompt(), on_progress=cut_off, timeout=600)
    assert cut
    assert result.images
    assert server.is_alive()


@pytest.mark.parametrize("class_type", READERS)
def test_a_file_in_a_folder_is_read_by_either_spelling(server, client, class_type):
    """Graphs travel between systems that part folders by / and by a backslash."""
    (*folders, name), write, inputs = READERS[class_type]
    write(folder_of(server, *folders, "of_anna") / name, 1)
    for separator in ("/", "\\"):
        spelt = {
            key: value.replace("changing", f"of_anna{separator}changing").replace("mediapipe/", f"mediapipe{separator}")
            if "changing" in str(value)
            else value
            for key, value in inputs.items()
        }
        prompt, reader = reading(class_type, **spelt)
        assert reader in client.run(prompt, timeout=120).executed


@pytest.fixture
def link():
    """Makes links for the length of a test."""
    made = []

    def make(path, target):
        path.symlink_to(target)
        made.append(path)

    yield make
    for path in made:
        path.unlink()


@pytest.mark.parametrize("class_type", READERS)
def test_a_file_on_another_disk_is_listed_and_read(server, client, tmp_path, link, class_type):
    """Many keep their models elsewhere, and a link to a file or a folder in ComfyUI's own. No name leads there without one."""
    (*parts, name), write, inputs = READERS[class_type]
    (tmp_path / "disk").mkdir()
    write(tmp_path / "disk" / name, 1)
    folder = folder_of(server, *parts)
    link(folder / f"linked_{name}", tmp_path / "disk" / name)
    link(folder / "linked", tmp_path / "disk")
    key, value = next((key, value) for key, value in inputs.items() if name in str(value))
    for behind in (f"linked_{name}", f"linked/{name}"):
        chosen = value.replace(name, behind)
        offered = client.object_info(class_type)[class_type]["input"]
        assert chosen in (offered["required"] | offered.get("optional", {}))[key][1]["options"]
        prompt, reader = reading(class_type, **inputs | {key: chosen})
        assert reader in client.run(prompt, timeout=120).executed
    outside, _ = reading(class_type, **inputs | {key: value.replace(name, os.path.relpath(tmp_path / "disk" / name, folder))})
    with pytest.raises(PromptRejected, match="is not "):
        client.run(outside, timeout=120)


def test_bundled_files_are_read_by_either_spelling(client):
    for class_type, name in (("SFSRLoadModel", "checkpoint"), ("SFSRLoadIdentity", "identity")):
        bundled = next(one for one in client.options(class_type, name) if one.startswith("bundled/"))
        prompt, reader = reading(class_type, **{name: bundled.replace("/", "\\")})
        assert reader in client.run(prompt, timeout=120).executed


def test_folders_of_new_files_by_either_spelling(server, client):
    graph = GraphBuilder()
    person = next(one for one in client.options("SFSRLoadIdentity", "identity") if one.startswith("bundled/"))
    picture = graph.node("EmptyImage", width=16, height=8, batch_size=1, color=0)
    graph.node("SFSRSaveImage", images=picture, filename_prefix="of_anna\\picture", provenance=True)
    graph.node("SFSRSaveIdentity", identity=graph.node("SFSRLoadIdentity", identity=person), name="of_anna\\person")
    client.run(graph.prompt(), timeout=120)
    output = server.base_dir / "output"
    assert list((output / "of_anna").glob("picture_*.png"))
    assert list((output / "identities" / "of_anna").glob("person_*.safetensors"))
