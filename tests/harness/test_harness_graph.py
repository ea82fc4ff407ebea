"""The graph builder, reading workflows and setting their inputs, progress, picture files."""

import io
import json

import pytest
from harness.errors import UsageError
from harness.graph import GraphBuilder
from harness.pictures import free_name, require_decodable, require_picture
from harness.progress import ProgressBar
from harness.workflow import (
    PERSON,
    TARGET,
    apply_expression_picture,
    apply_picture,
    apply_word,
    behind,
    load_workflow,
    needs_checkpoint,
    set_input,
    titled,
)


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def prompt() -> dict:
    graph = GraphBuilder()
    picture = graph.node("LoadImage", title="Portrait: person", image="a.png")
    graph.node("SFSRSamplePortrait", title="Portrait: target", sample="portrait_20")
    graph.node("ExpressionEmbed", title="Expression Embed", source="word", word="joy")
    graph.node("RandomNoise", title="Seed", noise_seed=1)
    graph.node("SaveImage", images=picture, filename_prefix="x")
    return graph.prompt()


def test_graph_in_api_form():
    graph = GraphBuilder()
    picture = graph.node("LoadImage", title="Photo", image="x.png")
    graph.node("SaveImage", images=picture.out(0), mask=picture.out(1), **{"a.b": picture})
    assert graph.prompt() == {
        "1": {"class_type": "LoadImage", "inputs": {"image": "x.png"}, "_meta": {"title": "Photo"}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "mask": ["1", 1], "a.b": ["1", 0]}},
    }


def test_a_prompt_is_a_copy():
    graph = GraphBuilder()
    graph.node("LoadImage", image="x.png")
    graph.prompt()["1"]["inputs"]["image"] = "y.png"
    assert graph.prompt()["1"]["inputs"]["image"] == "x.png"


def test_inputs_are_set_by_title(prompt):
    set_input(prompt, "Seed", ("noise_seed", "seed"), 5, "--seed")
    apply_picture(prompt, PERSON, "me.png", "--identity")
    apply_picture(prompt, TARGET, "you.png", "--target")
    assert prompt["4"]["inputs"] == {"noise_seed": 5}
    assert prompt["1"]["inputs"] == {"image": "me.png"}
    assert prompt["2"]["inputs"] == {"sample": "you.png"}


def test_the_titles_of_earlier_versions_still_count(prompt):
    """A prompt that was saved then; what was "Identity" is not mistaken for the node that has this title now."""
    for node_id, title in (("1", "Identity"), ("2", "Target"), ("3", "Expression")):
        prompt[node_id]["_meta"]["title"] = title
    apply_picture(prompt, PERSON, "me.png", "--identity")
    apply_picture(prompt, TARGET, "you.png", "--target")
    apply_word(prompt, "awe")
    assert [prompt[node_id]["inputs"] for node_id in "123"] == [
        {"image": "me.png"},
        {"sample": "you.png"},
        {"source": "word", "word": "awe"},
    ]
    prompt["1"]["_meta"]["title"], prompt["4"]["_meta"]["title"] = "Portrait: person", "Identity"
    apply_picture(prompt, PERSON, "her.png", "--identity")
    assert prompt["1"]["inputs"] == {"image": "her.png"}


def test_expression_by_word_and_by_picture(prompt):
    apply_word(prompt, "awe")
    assert prompt["3"]["inputs"] == {"source": "word", "word": "awe"}
    apply_expression_picture(prompt, "grin.png", "mediapipe/face.task")
    inputs = prompt["3"]["inputs"]
    picture, encoder = (prompt[inputs[name][0]] for name in ("image", "expression_encoder"))
    assert inputs["source"] == "image"
    assert (picture["class_type"], picture["inputs"]) == ("LoadImage", {"image": "grin.png"})
    assert (encoder["class_type"], encoder["inputs"]) == ("SFSRLoadExpressionEncoder", {"encoder": "mediapipe/face.task"})


def test_an_expression_encoder_that_is_there_stays(prompt):
    prompt["3"]["inputs"]["expression_encoder"] = ["9", 0]
    apply_expression_picture(prompt, "grin.png", "mediapipe/face.task")
    assert prompt["3"]["inputs"]["expression_encoder"] == ["9", 0]
    assert "demo_expression_encoder" not in prompt


def test_a_missing_title_names_option_and_title(prompt):
    with pytest.raises(UsageError, match=r"--steps: the workflow has no node titled 'Steps'"):
        set_input(prompt, "Steps", ("steps",), 5, "--steps")
    with pytest.raises(UsageError, match="--x: the node titled 'Seed' has no input a or b"):
        set_input(prompt, "Seed", ("a", "b"), 5, "--x")
    with pytest.raises(UsageError, match="--target: the node titled 'Seed' is a RandomNoise; it has to be a Portrait"):
        apply_picture(prompt, ("Seed",), "a.png", "--target")


def test_a_title_used_twice_is_refused(prompt):
    prompt["9"] = dict(prompt["4"])
    with pytest.raises(UsageError, match="2 nodes titled 'Seed'"):
        titled(prompt, "Seed")


def test_only_what_an_end_depends_on_is_kept():
    graph = GraphBuilder()
    photo = graph.node("LoadImage", image="a.png")
    both = graph.node("ImageBatch", image1=photo, image2=graph.node("ImageInvert", image=photo))
    graph.node("SaveImage", images=graph.node("EmptyImage", width=8), filename_prefix="other")
    end = {"end": {"class_type": "PreviewImage", "inputs": {"images": both.out()}}}
    kept = behind(graph.prompt(), end)
    assert sorted(entry["class_type"] for entry in kept.values()) == ["ImageBatch", "ImageInvert", "LoadImage", "PreviewImage"]
    assert kept["end"] == end["end"]


def test_a_workflow_of_a_text_to_image_checkpoint_is_told(prompt):
    assert not needs_checkpoint(prompt)
    prompt["5"]["class_type"] = "CheckpointLoaderSimple"
    assert needs_checkpoint(prompt)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        (json.dumps({"nodes": [], "links": []}), "page's own format"),
        ("[]", "no workflow in API format"),
        ("{}", "no workflow in API format"),
        (json.dumps({"1": {"inputs": {}}}), "no workflow in API format"),
    ],
)
def test_files_that_are_no_api_workflow(text, message, tmp_path):
    path = tmp_path / "w.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        load_workflow(path)


def test_a_workflow_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match=r"--workflow: .*nowhere\.json cannot be read"):
        load_workflow(tmp_path / "nowhere.json")


@pytest.mark.parametrize("suffix", ["png", "jpeg", "webp", "bmp", "gif", "tiff"])
def test_real_pictures_of_every_kind_are_accepted(suffix, tmp_path):
    from PIL import Image

    path = tmp_path / f"a.{suffix}"
    Image.new("RGB", (9, 9)).save(path)
    assert require_picture(path, "--identity") == path
    require_decodable(path, "--identity")


def test_what_is_no_picture_is_refused(tmp_path):
    (tmp_path / "notes.png").write_text("just text")
    with pytest.raises(UsageError, match=r"--target: .*notes\.png is not a picture"):
        require_picture(tmp_path / "notes.png", "--target")
    with pytest.raises(UsageError, match=r"--target: .*nowhere\.png cannot be read"):
        require_picture(tmp_path / "nowhere.png", "--target")
    with pytest.raises(UsageError, match=r"--target: .*cannot be read"):
        require_picture(tmp_path, "--target")


def test_a_truncated_picture_is_refused(tmp_path):
    from PIL import Image

    path = tmp_path / "cut.png"
    Image.effect_noise((64, 64), 50).save(path)
    path.write_bytes(path.read_bytes()[:500])
    assert require_picture(path, "--identity")
    with pytest.raises(UsageError, match=r"--identity: .*cut\.png is damaged"):
        require_decodable(path, "--identity")


def test_free_names_never_overwrite(tmp_path):
    assert free_name(tmp_path, "portrait", ".png").name == "portrait_0001.png"
    (tmp_path / "portrait_0001.png").touch()
    (tmp_path / "portrait_0002.jpg").touch()
    assert free_name(tmp_path, "portrait", ".png").name == "portrait_0002.png"


def test_progress_on_a_terminal_redraws_one_line():
    stream = Terminal()
    bar = ProgressBar(stream)
    bar.update("Sampling step", 5, 10)
    bar.update("Done", 10, 10)
    bar.close()
    lines = stream.getvalue().split("\r")
    assert lines[1].count("#") == 15
    assert lines[2].count("#") == 30
    assert len(lines[2].rstrip("\n")) >= len(lines[1])
    assert stream.getvalue().count("\n") == 1


def test_progress_elsewhere_is_a_few_plain_lines():
    stream = io.StringIO()
    bar = ProgressBar(stream)
    for step in range(1, 101):
        bar.update("Sampling", step, 100)
    bar.close()
    lines = stream.getvalue().splitlines()
    assert lines == ["Sampling 1/100", "Sampling 25/100", "Sampling 50/100", "Sampling 75/100", "Sampling 100/100"]
