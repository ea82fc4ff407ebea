"""Every bundled workflow in its API form, and what each of them promises."""

import json
from pathlib import Path

import numpy as np
import pytest
from harness.client import PromptRejected
from harness.graph import node
from harness.workflow import load_workflow, needs_checkpoint, set_input, titled
from PIL import Image
from testkit.text_to_image import SLIM_SD15, save_text_to_image

from sfsr_model.encoders.identity_file import load_identity
from sfsr_model.expressions.library import load_library
from sfsr_model.samples import load_sample, sample_identities

API = Path(__file__).resolve().parents[2] / "workflows" / "api"
NAMES = [path.stem for path in sorted(API.glob("*.json"))]
RUN_AS_THEY_STAND = [name for name in NAMES if not needs_checkpoint(load_workflow(API / f"{name}.json"))]
FEW_STEPS = {"BasicScheduler": 2, "KSampler": 1}
EARLIER = Path(__file__).parent / "data" / "version_0_1"
SCENE_SIDE, PLACE = 384, 32  # of the generated scene; where a portrait of 320 pixels is put into it


def workflow(name, changes=(), folder=API):
    """The workflow with few steps and with inputs changed: workflow("portrait", [("Seed", "noise_seed", 2)])."""
    prompt = load_workflow(folder / f"{name}.json")
    for entry in prompt.values():
        if entry["class_type"] in FEW_STEPS:
            entry["inputs"]["steps"] = FEW_STEPS[entry["class_type"]]
    for title, key, value in changes:
        set_input(prompt, title, (key,), value, title)
    return prompt


@pytest.fixture
def pictures(client, tmp_path):
    """Runs a prompt; returns what its nodes said, by title, and what each saved, uint8 [H, W, 3], by title."""

    def run(prompt):
        result = client.run(prompt, timeout=600)
        saved = {}
        for number, image in enumerate(one for one in result.images if one.type == "output"):
            with Image.open(client.download(image, tmp_path / f"{number}.png")) as picture:
                saved[prompt[image.node_id]["_meta"]["title"]] = np.asarray(picture.convert("RGB"))
        said = {prompt[key]["_meta"]["title"]: value["text"][0] for key, value in result.outputs.items() if value.get("text")}
        return said, saved

    return run


def pixels(sample):
    return (load_sample(sample)[0].numpy() * 255).round().astype(np.uint8)


def changed(before, after):
    """Where two pictures differ, [H, W]."""
    return (before != after).any(axis=-1)


def nearly_equal(first, second):
    """Equal up to the rounding of another batch."""
    return np.abs(first.astype(int) - second.astype(int)).max() <= 2


@pytest.mark.parametrize("name", RUN_AS_THEY_STAND)
def test_it_runs_as_it_stands(client, name):
    """On the bundled weights and samples, and nothing else."""
    result = client.run(workflow(name), timeout=600)
    assert any(image.type == "output" for image in result.images)


@pytest.mark.parametrize("name", [path.stem for path in sorted(EARLIER.glob("*.json"))])
def test_a_graph_of_version_0_1_runs_as_it_stands(pictures, name):
    """On the weights that the pack has now, under their old names, whatever sizes the graph names; only the face is new."""
    prompt = workflow(name, folder=EARLIER)
    _, saved = pictures(prompt)
    target = next(entry["inputs"]["sample"] for entry in prompt.values() if entry["_meta"]["title"] == "Target")
    face = changed(pixels(target), saved["Save"])
    assert 0.02 < face.mean() < 0.6


def test_every_node_stands_in_a_workflow(client, pack_name):
    ours = {name for name, entry in client.object_info().items() if entry["python_module"] == f"custom_nodes.{pack_name}"}
    used = {entry["class_type"] for name in NAMES for entry in load_workflow(API / f"{name}.json").values()}
    assert ours
    assert sorted(ours - used) == [], "these nodes are in no workflow of workflows/api"


def test_only_what_is_about_ones_own_checkpoint_needs_one():
    others = ["arc2face_portrait", "drawn_expression", "guided_any_model", "sd15_face", "sdxl_face", "text_to_portrait"]
    assert [name for name in NAMES if name not in RUN_AS_THEY_STAND] == others


def test_identity_expression_and_target_are_three_pictures(pictures):
    """Each of the three makes a difference, and outside the face the target stays as it is."""
    said, first = pictures(workflow("photo_expression"))
    target = pixels("portrait_01")
    face = changed(target, first["Save Image"])
    assert 0.02 < face.mean() < 0.5
    assert not face[:50].any()
    assert json.loads(said["Report"])["expression_error"] is not None
    for title in ("Portrait: person", "Portrait: expression"):
        _, other = pictures(workflow("photo_expression", [(title, "sample", "portrait_37")]))
        assert not np.array_equal(first["Save Image"], other["Save Image"])
        assert np.array_equal(changed(target, other["Save Image"])[:50], face[:50])


def test_a_face_swap_keeps_the_targets_expression(client):
    """The expression is the one that is read from the target, not the person's own."""
    prompt = workflow("face_swap")
    reader = [titled(prompt, "Load Expression Encoder"), 0]
    for title in ("Portrait: target", "Portrait: person"):
        wires = {"image": [titled(prompt, title), 0], "expression_encoder": reader}
        prompt[f"of {title}"] = node("ExpressionEmbed", source="image", word="happiness", intensity=1.0, **wires)
    shown = {"used": titled(prompt, "Expression Embed"), "target": "of Portrait: target", "person": "of Portrait: person"}
    prompt |= {f"show {name}": node("PreviewAny", source=[source, 0]) for name, source in shown.items()}
    client.free()  # the host shows no text of a node that an earlier prompt ran
    outputs = client.run(prompt, timeout=600).outputs
    used, target, person = (outputs[f"show {name}"]["text"][0] for name in shown)
    assert used == target != person


def test_two_people_get_a_face_each(pictures):
    """Both faces are new; the second person and the second word reach the right one alone."""
    said, first = pictures(workflow("two_people"))
    target = np.concatenate([pixels("portrait_20"), pixels("portrait_28")], axis=1)
    middle = target.shape[1] // 2
    before, after = np.split(target, 2, axis=1), np.split(first["Save Image"], 2, axis=1)
    for old, new in zip(before, after, strict=True):
        assert 0.02 < changed(old, new).mean() < 0.5
    report = json.loads(said["Report"])
    assert report["words"] == ["happiness", "anger"]
    for figures, strangers in ((report, 0.3), (report["judges"], 0.5)):  # of each face where it was pasted
        assert len(figures["identity_cosines"]) == 2
        assert min(figures["identity_cosines"]) > strangers
    for change in (("Portrait: second person", "sample", "portrait_05"), ("Expression Sweep", "words", "happiness, fear")):
        _, other = pictures(workflow("two_people", [change]))
        assert nearly_equal(other["Save Image"][:, :middle], first["Save Image"][:, :middle])
        assert not nearly_equal(other["Save Image"][:, middle:], first["Save Image"][:, middle:])


def test_a_kept_person_takes_the_bundled_ones_place(server, client, pictures):
    """The file that the workflow saves is of the person of the bundled one, and gives the same picture."""
    _, first = pictures(workflow("keep_a_person", [("Save Identity", "name", "kept")]))
    (saved,) = (server.base_dir / "output" / "identities").glob("kept_*.safetensors")
    (bundled,) = sample_identities()
    cosine = load_identity(saved).embeddings @ load_identity(bundled).embeddings.T
    assert float(cosine) > 0.99
    (listed,) = client.object_info("SFSRLoadIdentity")["SFSRLoadIdentity"]["input"]["required"]["identity"][1:]
    choice = f"identities/{saved.name} [output]"
    assert listed["options"].index(choice) < listed["options"].index(f"bundled/{bundled.name}")
    _, again = pictures(workflow("keep_a_person", [("Load Identity", "identity", choice)]))
    assert np.abs(again["Save Image"].astype(int) - first["Save Image"].astype(int)).mean() < 1


def test_a_mixture_takes_parts_of_its_expressions(pictures):
    """Each expression moves its own cell of the sheet, and the mixture's by the part that comes from it."""
    _, first = pictures(workflow("expression_mix"))
    _, other = pictures(workflow("expression_mix", [("Expression Embed: sliders", "gaze_side", -0.8)]))
    pairs = zip(*(sheet_cells(result["Save Image"], 2, 3) for result in (first, other)), strict=True)
    joy, anger, sliders, mixture, _, neutral = (not nearly_equal(*pair) for pair in pairs)
    assert (joy, anger, sliders, mixture, neutral) == (False, False, True, True, False)


def sheet_cells(sheet, rows, columns):
    """Pictures with what is written below them, of a sheet without labels and titles."""
    return [cell for row in np.array_split(sheet, rows) for cell in np.array_split(row, columns, axis=1)]


def test_a_library_is_made_and_used_in_one_run(server, pictures):
    """The word looks otherwise as built in, refined and by the photos alone."""
    path = server.base_dir / "models" / "sfsr_libraries" / "of samples.safetensors"
    path.unlink(missing_ok=True)
    plain = [
        ("Sheet", "labels", ""),
        ("Sheet", "titles", ""),
        ("Sheet", "in_a_row", 3),
        ("Expression Library", "name", "of samples"),
    ]
    _, saved = pictures(workflow("own_expressions", plain))
    library = load_library(path)
    assert (library.words, library.counts) == (("joy", "sadness"), (2, 1))
    _, _, built_in, refined, photos_alone = sheet_cells(saved["Save Image"], 1, 5)
    assert not nearly_equal(built_in, refined)
    assert not nearly_equal(refined, photos_alone)
    assert not nearly_equal(built_in, photos_alone)


@pytest.fixture(scope="module")
def checkpoints(server):
    """The host's folder of text-to-image checkpoints."""
    folder = server.base_dir / "models" / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def small_checkpoint(checkpoints):
    """A small one of random weights."""
    path = checkpoints / "small.safetensors"
    save_text_to_image(path, SLIM_SD15)
    yield path.name
    path.unlink()


def with_a_face(prompt):
    """The workflow with a portrait put into its scene, because random weights draw none; node "placed" is that picture."""
    scene = [titled(prompt, "Scene picture"), 0]
    prompt["portrait"] = node("SFSRSamplePortrait", sample="portrait_20")
    place = {"x": PLACE, "y": PLACE, "resize_source": False}
    prompt["placed"] = node("ImageCompositeMasked", destination=scene, source=["portrait", 0], **place)
    prompt["kept"] = node("SaveImage", images=["placed", 0], filename_prefix="scene")
    for title in ("Face Crop", "Face Paste"):
        prompt[titled(prompt, title)]["inputs"]["images"] = ["placed", 0]
    return prompt


def text_to_portrait(checkpoint, text="[ID] looks [liking] in [Ollantaytambo]", side=SCENE_SIDE):
    size = [("Scene size", name, side) for name in ("width", "height")]
    return workflow("text_to_portrait", [("Checkpoint", "ckpt_name", checkpoint), ("Prompt", "prompt", text), *size])


def check_text_to_portrait(pictures, checkpoint):
    """The checkpoint draws the scene, and the person with the expression is put into it."""
    said, first = pictures(with_a_face(text_to_portrait(checkpoint)))
    scene, result = first["SaveImage"], first["Save Image"]
    assert scene.shape == (SCENE_SIDE, SCENE_SIDE, 3)
    assert scene[:PLACE].std() > 1  # what was drawn around the portrait is no single colour
    new = changed(scene, result)
    rows, columns = np.nonzero(new)
    # Her face lies between (60, 60) and (290, 270) of the portrait.
    assert PLACE + 60 < rows.min() < rows.max() < PLACE + 290
    assert PLACE + 60 < columns.min() < columns.max() < PLACE + 270
    assert new[PLACE + 120 : PLACE + 220, PLACE + 140 : PLACE + 200].mean() > 0.9
    assert said["Prompt"].startswith("a person in Ollantaytambo, portrait photo")
    assert json.loads(said["Report"])["words"] == ["liking"]
    return scene, result


def test_a_line_of_text_becomes_scene_and_expression(pictures, small_checkpoint):
    scene, result = check_text_to_portrait(pictures, small_checkpoint)
    _, word = pictures(with_a_face(text_to_portrait(small_checkpoint, "[ID] looks [rage] in [Ollantaytambo]")))
    assert np.array_equal(word["SaveImage"], scene)
    assert not np.array_equal(word["Save Image"], result)
    _, place = pictures(with_a_face(text_to_portrait(small_checkpoint, "[ID] looks [liking] on [a ship]")))
    assert not np.array_equal(place["SaveImage"], scene)


def test_a_scene_without_a_face_is_refused(refused, small_checkpoint):
    assert "no face found" in refused(text_to_portrait(small_checkpoint, side=128))


@pytest.mark.full
def test_a_full_size_checkpoint_draws_the_scene(client, checkpoints, pictures):
    """Stable Diffusion 1.5's own sizes, a billion parameters of random weights."""
    path = checkpoints / "sd15_random.safetensors"
    save_text_to_image(path)
    try:
        check_text_to_portrait(pictures, path.name)
    finally:
        client.free()
        path.unlink()


def prompt_alone(text):
    return {"read": node("SFSRPrompt", prompt=text, style=""), "shown": node("PreviewAny", source=["read", 1])}


def test_a_mistyped_prompt_is_refused_before_anything_runs(client):
    with pytest.raises(PromptRejected, match=r"prompt: \[amazment\].*did you mean amazement"):
        client.run(prompt_alone("[ID] looks [amazment] in [Rome]"))
    with pytest.raises(PromptRejected, match="prompt: found no brackets"):
        client.run(prompt_alone("a happy person in Rome"))


def test_a_prompt_over_a_link_is_read_when_it_runs(client, refused):
    typed = node("PrimitiveString", value="[a sailor] looks [joy 0.5] on [a ship]")
    result = client.run(prompt_alone(["typed", 0]) | {"typed": typed}, timeout=600)
    assert result.outputs["shown"]["text"][0] == "a sailor on a ship"
    message = refused(prompt_alone(["typed", 0]) | {"typed": node("PrimitiveString", value="[ID] is [joy] in [Rome]")})
    assert "prompt: found 'is' between [ID] and [joy]; expected 'looks'" in message
