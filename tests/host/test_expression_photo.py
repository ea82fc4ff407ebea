"""Expressions from photos in a real ComfyUI: the encoder, which face, the host's own landmarks, libraries."""

import json
import os
import shutil
from pathlib import Path

import pytest
from harness.client import PromptRejected
from harness.graph import node
from PIL import Image
from testkit import tiny_landmarker as tiny

from sfsr_model.expressions.library import ExpressionLibrary, load_library

ROOT = Path(__file__).parents[2]
MODELS = Path(os.environ.get("SFSR_FACE_MODELS", ROOT.parent / "shared" / "face_models"))
TASK = MODELS / "face_landmarker_v2_with_blendshapes.task"


def embed(**inputs):
    return node("ExpressionEmbed", **({"source": "image", "word": "happiness", "intensity": 1.0} | inputs))


@pytest.fixture(scope="session")
def encoder(server):
    """The name of a generated encoder, which sees a face in the middle of every bright picture."""
    folder = server.base_dir / "models" / "mediapipe"
    folder.mkdir(parents=True, exist_ok=True)
    tiny.write_tiny_task(folder / "tiny.task")
    return "mediapipe/tiny.task"


@pytest.fixture
def graph(encoder):
    return {
        "encoder": node("SFSRLoadExpressionEncoder", encoder=encoder),
        "bright": node("EmptyImage", width=220, height=200, batch_size=2, color=0xF0F0E0),
        "dark": node("EmptyImage", width=220, height=200, batch_size=1, color=0),
        "expression": embed(image=["bright", 0], expression_encoder=["encoder", 0]),
        "shown": node("PreviewAny", source=["expression", 0]),
    }


def shown(client, prompt):
    return client.run(prompt, timeout=600).outputs["shown"]["text"][0]


def test_a_batch_of_photos_is_a_batch_of_expressions(client, graph):
    result = client.run(graph, timeout=600)
    assert "Expression(coefficients=tensor(" in result.outputs["shown"]["text"][0]
    assert "words=(None, None)" in result.outputs["shown"]["text"][0]
    (info,) = result.outputs["encoder"]["text"]
    assert info.startswith("mediapipe/tiny.task: 51 of 52 coefficients")
    assert "Apache License 2.0" in info


def test_intensity_scales_a_photo(client, graph):
    wires = {"image": ["bright", 0], "expression_encoder": ["encoder", 0]}
    neutral = shown(client, graph | {"expression": embed(intensity=0.0, **wires)})
    assert "0., 0., 0." in neutral
    assert neutral != shown(client, graph)


def test_what_is_missing_is_said(client, graph, refused):
    assert "image: the source is 'image' but none is connected" in refused(graph | {"expression": embed()})
    message = refused(graph | {"expression": embed(image=["bright", 0])})
    assert "connect Load Expression Encoder" in message


def test_pictures_without_the_face(graph, refused):
    wires = {"expression_encoder": ["encoder", 0]}
    message = refused(graph | {"expression": embed(image=["dark", 0], **wires)})
    assert "image: picture 0 (220 x 200 pixels): no face found" in message
    both = node("ImageBatch", image1=["bright", 0], image2=["dark", 0])
    assert "picture 2 (220 x 200 pixels)" in refused(graph | {"both": both, "expression": embed(image=["both", 0], **wires)})
    message = refused(graph | {"expression": embed(image=["bright", 0], face_index=4, **wires)})
    assert "face_index: 4 asked for, but 1 face was found" in message


def test_a_file_that_is_not_there(client, graph):
    with pytest.raises(PromptRejected, match=r"there is no \.task file.*models/mediapipe"):
        client.run(graph | {"encoder": node("SFSRLoadExpressionEncoder", encoder="no face_landmarker.task found")})
    with pytest.raises(PromptRejected, match=r"is not there\. Get MediaPipe"):
        client.run(graph | {"encoder": node("SFSRLoadExpressionEncoder", encoder="mediapipe/../sfsr/x.task")})


def test_a_file_that_is_none(server, graph, refused, encoder):
    (server.base_dir / "models" / "mediapipe" / "junk.task").write_bytes(b"nothing")
    message = refused(graph | {"encoder": node("SFSRLoadExpressionEncoder", encoder="mediapipe/junk.task")})
    assert "junk.task: cannot be read as a MediaPipe bundle" in message


def test_files_are_listed_from_where_other_packs_keep_them(server, client, encoder):
    folder = server.base_dir / "models" / "detection"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(server.base_dir / "models" / encoder, folder / "other.task")
    (entry,) = client.object_info("SFSRLoadExpressionEncoder").values()
    assert {"mediapipe/tiny.task", "detection/other.task"} <= set(entry["input"]["required"]["encoder"][1]["options"])


@pytest.mark.skipif(not TASK.is_file(), reason="MediaPipe's face_landmarker.task is not there")
def test_real_photos(server, client, graph, astronaut, group_photo):
    folder = server.base_dir / "models" / "mediapipe"
    shutil.copy(TASK, folder / "face_landmarker.task")
    wires = {
        "encoder": node("SFSRLoadExpressionEncoder", encoder="mediapipe/face_landmarker.task"),
        "photo": node("LoadImage", image=astronaut),
        "group": node("LoadImage", image=group_photo),
    }

    def read(photo, **choice):
        expression = embed(image=[photo, 0], expression_encoder=["encoder", 0], **choice)
        return shown(client, graph | wires | {"expression": expression})

    assert "Expression(coefficients=tensor(" in read("photo")
    first, last = (read("group", face_order="left to right", face_index=index) for index in (0, 5))
    assert first != last


def test_the_report_measures_the_expression(client, graph, astronaut):
    wires = {
        "photo": node("LoadImage", image=astronaut),
        "recogniser": node("LoadIDEncoder", encoder="untrained demo recogniser (random weights)", provider="CPU"),
        "person": node(
            "SFSRIdentity", id_encoder=["recogniser", 0], images=["photo", 0], face_order="largest first", face_index=0
        ),
        "expression": embed(source="word"),
        "report": node(
            "SFSRReport",
            images=["photo", 0],
            identity=["person", 0],
            expression=["expression", 0],
            id_encoder=["recogniser", 0],
            expression_encoder=["encoder", 0],
        ),
    }
    report = json.loads(client.run(graph | wires, timeout=600).outputs["report"]["text"][0])
    assert len(report["expression_errors"]) == 1
    assert not any("was not measured" in note for note in report["notes"])
    assert any("leaves out what tiny.task cannot see: cheekPuff" in note for note in report["notes"])
    # The generated encoder sees a face in the middle, where she has none.
    assert report["expression_error"] is None
    assert "the expression encoder saw no face where it is in picture 0" in report["notes"]


@pytest.mark.skipif(not TASK.is_file(), reason="MediaPipe's face_landmarker.task is not there")
def test_the_report_of_an_expression_that_came_out(server, client, graph, group_photo):
    """What was read from a photo is worn by the face in it, and not by its neighbour."""
    shutil.copy(TASK, server.base_dir / "models" / "mediapipe" / "face_landmarker.task")

    def error(place):
        wires = {
            "encoder": node("SFSRLoadExpressionEncoder", encoder="mediapipe/face_landmarker.task"),
            "photo": node("LoadImage", image=group_photo),
            "recogniser": node("LoadIDEncoder", encoder="untrained demo recogniser (random weights)", provider="CPU"),
            "crop": node(
                "SFSRFaceCrop", images=["photo", 0], size=256, face_order="largest first", face_index=place, no_face="error"
            ),
            "person": node(
                "SFSRIdentity", id_encoder=["recogniser", 0], images=["photo", 0], face_order="largest first", face_index=0
            ),
            "expression": embed(image=["crop", 0], expression_encoder=["encoder", 0]),
            "report": node(
                "SFSRReport",
                images=["photo", 0],
                identity=["person", 0],
                expression=["expression", 0],
                id_encoder=["recogniser", 0],
                face=["first", 2],
                expression_encoder=["encoder", 0],
            ),
        }
        wires["first"] = wires["crop"] | {"inputs": wires["crop"]["inputs"] | {"face_index": 0}}
        return json.loads(client.run(graph | wires, timeout=600).outputs["report"]["text"][0])["expression_error"]

    assert error(0) < 0.03 < error(1)


def test_the_hosts_own_landmarks_fit_the_socket(client):
    """The oldest host has no such node; its socket stays empty."""
    info = client.object_info()
    assert info["ExpressionEmbed"]["input"]["optional"]["face_landmarks"][0] == "FACE_LANDMARKS"
    if "MediaPipeFaceLandmarker" in info:
        assert "FACE_LANDMARKS" in info["MediaPipeFaceLandmarker"]["output"]


@pytest.fixture
def gallery(server):
    folder = server.base_dir / "input" / "gallery"
    shutil.rmtree(folder, ignore_errors=True)
    for word in ("anger", "Joy"):
        (folder / word).mkdir(parents=True)
        Image.new("RGB", (220, 200), (235, 230, 240)).save(folder / word / "one.png")
    return folder


def test_a_library_is_built_listed_and_used(server, client, graph, gallery):
    build = node("SFSRExpressionLibrary", expression_encoder=["encoder", 0], folder="gallery", name="mine")
    result = client.run({"encoder": graph["encoder"], "library": build}, timeout=600)
    assert "models/sfsr_libraries/mine.safetensors: 2 words" in result.outputs["library"]["text"][0]
    assert load_library(server.base_dir / "models" / "sfsr_libraries" / "mine.safetensors").words == ("joy", "anger")
    (entry,) = client.object_info("ExpressionEmbed").values()
    options = entry["input"]["optional"]["library"][1]["options"]  # other tests of this host leave libraries too
    assert options[0] == "built-in"
    assert "mine.safetensors" in options[1:]
    word = {"source": "word", "word": "anger"}
    looks = {
        use: shown(client, graph | {"expression": embed(**word, library="mine.safetensors", library_use=use)})
        for use in ("refine", "replace")
    }
    looks["built in"] = shown(client, graph | {"expression": embed(**word)})
    assert len(set(looks.values())) == 3
    result = client.run(graph | {"expression": embed(source="word", word="fear", library="mine.safetensors")}, timeout=600)
    assert "has no photos of 'fear'; the built-in word is used" in result.outputs["expression"]["text"][0]


def test_galleries_that_cannot_be_read(graph, gallery, refused):
    def build(**changes):
        inputs = {"expression_encoder": ["encoder", 0], "folder": "gallery", "name": "bad"} | changes
        return {"encoder": graph["encoder"], "library": node("SFSRExpressionLibrary", **inputs)}

    assert "name: '../bad' cannot be a file name" in refused(build(name="../bad"))
    assert "is no folder below ComfyUI's input folder" in refused(build(folder="../models"))
    for name in ("name", "folder"):
        assert f"{name}: 'a\\x00b' holds a sign that no file name can" in refused(build(**{name: "a\0b"}))
        assert f"{name}: 'aaaaaaaaaaaaaaaaaaaa...' has 300 bytes" in refused(build(**{name: "a" * 300}))
    (gallery / "angre").mkdir()
    assert "did you mean anger" in refused(build())
    (gallery / "angre").rmdir()
    (gallery / "fear").mkdir()
    assert "'fear' holds no picture" in refused(build())
    (gallery / "fear" / "x.png").write_bytes(b"no picture")
    assert "fear/x.png: cannot be read as a picture" in refused(build())


def test_a_library_that_is_cut_off(server, graph, refused):
    import torch

    path = server.base_dir / "models" / "sfsr_libraries" / "cut.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    ExpressionLibrary(("anger",), torch.zeros(1, 52), (1,)).save(path)
    path.write_bytes(path.read_bytes()[:100])
    message = refused(graph | {"expression": embed(source="word", word="anger", library="cut.safetensors")})
    path.unlink()
    assert "cut.safetensors: not a readable safetensors file" in message


def test_a_base_of_another_length_than_the_photos(client, graph, refused):
    ends = {"start": ["one", 0], "end": ["one", 0], "frames": 3, "easing": "linear", "there_and_back": False}
    graph |= {"one": embed(source="word"), "three": node("SFSRExpressionTravel", **ends)}
    graph["expression"]["inputs"] |= {"base": ["three", 0], "brows": False}
    assert "expression: found a batch of 2, but base is a batch of 3; expected equal numbers" in refused(graph)
