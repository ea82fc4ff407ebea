"""The API client against a real ComfyUI."""

import json
import threading
from pathlib import Path

import pytest
from harness.client import ApiClient, PromptFailed, PromptInterrupted, PromptRejected, PromptTimeout, ServerGone
from harness.graph import GraphBuilder
from harness.server import free_port


@pytest.fixture
def png(tmp_path) -> Path:
    """A small valid picture."""
    from PIL import Image

    Image.new("RGB", (8, 8), (200, 100, 50)).save(tmp_path / "small.png")
    return tmp_path / "small.png"


def save_colour(colour: int) -> dict:
    graph = GraphBuilder()
    picture = graph.node("EmptyImage", title="Colour", width=16, height=16, batch_size=1, color=colour)
    graph.node("SaveImage", title="Save", images=picture, filename_prefix="harness")
    return graph.prompt()


def endless() -> dict:
    """Many slow nodes in a row, to be interrupted between two of them."""
    graph = GraphBuilder()
    picture = graph.node("EmptyImage", title="Start", width=1024, height=1024, batch_size=1, color=1)
    for _ in range(100):
        picture = graph.node("ImageBlur", image=picture, blur_radius=31, sigma=10.0)
    graph.node("PreviewImage", images=picture)
    return graph.prompt()


def test_a_prompt_runs_and_its_picture_comes_back(client, tmp_path):
    result = client.run(save_colour(0x102030))
    assert (result.executed, result.cached) == (["1", "2"], [])
    assert [(image.node_id, image.type) for image in result.images] == [("2", "output")]
    saved = client.download(result.images[0], tmp_path / "got.png")

    from PIL import Image

    assert Image.open(saved).getpixel((0, 0)) == (0x10, 0x20, 0x30)
    assert result.prompt_id in client.history()


def test_a_second_run_is_cached(client):
    client.run(save_colour(7))
    again = client.run(save_colour(7))
    assert (again.executed, sorted(again.cached)) == ([], ["1", "2"])
    client.free()


def test_workflow_metadata_reaches_the_picture(client, tmp_path):
    result = client.run(save_colour(8), extra_pnginfo={"workflow": {"marker": "kept"}})
    from PIL import Image

    assert json.loads(Image.open(client.download(result.images[0], tmp_path / "a.png")).text["workflow"]) == {"marker": "kept"}


def test_an_uploaded_picture_is_read_back(client, png):
    name = client.upload_image(png, "uploaded by a test.png")
    graph = GraphBuilder()
    graph.node("PreviewImage", images=graph.node("LoadImage", image=name))
    assert client.run(graph.prompt()).images[0].type == "temp"


def test_a_picture_of_another_with_its_name_is_kept_apart(client, png, tmp_path):
    from PIL import Image

    other = tmp_path / "other.png"
    Image.new("RGB", (8, 8), "red").save(other)
    first = client.upload_image(png, "same name.png", overwrite=False)
    assert client.upload_image(png, "same name.png", overwrite=False) == first
    assert client.upload_image(other, "same name.png", overwrite=False) != first


def test_node_descriptions(client):
    assert len(client.object_info()) > 100
    assert list(client.object_info("SaveImage")) == ["SaveImage"]


def test_a_missing_node_type_is_explained(client):
    graph = GraphBuilder()
    graph.node("NodeOfAnAbsentPack", title="Mystery")
    with pytest.raises(PromptRejected, match=r"Node 1: this ComfyUI has no node type 'NodeOfAnAbsentPack'\. Install the pack"):
        client.run(graph.prompt())


def test_a_missing_model_file_is_explained(client):
    graph = GraphBuilder()
    model = graph.node("UNETLoader", unet_name="absent.safetensors", weight_dtype="default")
    latent = graph.node("EmptyLatentImage", width=64, height=64, batch_size=1)
    graph.node("SaveLatent", samples=latent, filename_prefix="x")
    graph.node("ModelSave", model=model, filename_prefix="x")
    with pytest.raises(PromptRejected) as caught:
        client.run(graph.prompt())
    assert "Node 1 (UNETLoader): input 'unet_name' names the model file 'absent.safetensors'" in str(caught.value)
    assert "it has none" not in str(caught.value)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"width": 0}, "Node 1 (EmptyImage): input 'width': value 0 smaller than min of 1."),
        ({"width": "wide"}, "Node 1 (EmptyImage): input 'width': "),
        ({"batch_size": None}, "Node 1 (EmptyImage): input 'batch_size'"),
    ],
)
def test_a_bad_value_names_node_class_and_input(inputs, message, client):
    prompt = save_colour(1)
    prompt["1"]["inputs"] |= inputs
    with pytest.raises(PromptRejected) as caught:
        client.run(prompt)
    assert message in str(caught.value)


def test_missing_and_mismatched_links_are_explained(client):
    graph = GraphBuilder()
    latent = graph.node("EmptyLatentImage", width=64, height=64, batch_size=1)
    graph.node("SaveImage", images=latent, filename_prefix="x")
    graph.node("PreviewImage")
    with pytest.raises(PromptRejected) as caught:
        client.run(graph.prompt())
    lines = str(caught.value).splitlines()
    assert any(line.startswith("Node 2 (SaveImage): input 'images' is linked to an output of another type") for line in lines)
    assert "Node 3 (PreviewImage): input 'images' is missing." in lines


def test_a_choice_that_does_not_exist_lists_those_that_do(client):
    graph = GraphBuilder()
    picture = graph.node("EmptyImage", width=16, height=16, batch_size=1, color=0)
    scaled = graph.node("ImageScale", image=picture, upscale_method="magic", width=8, height=8, crop="disabled")
    graph.node("PreviewImage", images=scaled)
    with pytest.raises(PromptRejected, match=r"input 'upscale_method' has no choice 'magic'\. It has: nearest"):
        client.run(graph.prompt())


def test_half_valid_prompts_do_not_run(client):
    prompt = save_colour(9)
    prompt["3"] = {"class_type": "PreviewImage", "inputs": {}}
    with pytest.raises(PromptRejected, match=r"Node 3 \(PreviewImage\)"):
        client.run(prompt)


def test_a_prompt_without_outputs_and_one_without_types_are_explained(client):
    graph = GraphBuilder()
    graph.node("EmptyImage", width=16, height=16, batch_size=1, color=0)
    with pytest.raises(PromptRejected, match="no output node"):
        client.run(graph.prompt())
    with pytest.raises(PromptRejected, match="no workflow in API format"):
        client.run({"1": {"inputs": {}}})


def test_a_node_that_raises_is_named(client, png, tmp_path):
    damaged = tmp_path / "damaged.png"
    content = bytearray(png.read_bytes())
    at = content.index(b"IDAT")
    content[at + 4 : at + 8] = b"\xff\xff\xff\xff"
    damaged.write_bytes(bytes(content))
    graph = GraphBuilder()
    graph.node("PreviewImage", images=graph.node("LoadImage", title="Broken", image=client.upload_image(damaged)))
    with pytest.raises(PromptFailed, match=r"Node 1 \(LoadImage\) failed: \S") as caught:
        client.run(graph.prompt())
    assert (caught.value.node_id, caught.value.class_type) == ("1", "LoadImage")
    assert "load_image" in caught.value.traceback


def test_interrupt_from_another_thread_ends_the_run(client):
    threading.Timer(2.0, client.interrupt).start()
    with pytest.raises(PromptInterrupted, match="interrupted in node"):
        client.run(endless())


def test_a_prompt_that_takes_too_long_is_interrupted(client):
    with pytest.raises(PromptTimeout, match="did not finish within 1 s"):
        client.run(endless(), timeout=1.0)
    # The queue is free again only if the host has stopped the prompt.
    assert client.run(save_colour(10), timeout=300).images


def test_no_host_is_a_clear_error():
    nobody = ApiClient(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(ServerGone, match=r"ComfyUI at http://127\.0\.0\.1:\d+ cannot be reached"):
        nobody.object_info()
    with pytest.raises(ServerGone, match="cannot be reached"):
        nobody.run(save_colour(1))
