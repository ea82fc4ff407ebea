"""People from photos in a real ComfyUI: several photos, skipped ones, the preview, and keeping identities as files."""

import json

import pytest
from harness.client import PromptRejected
from harness.graph import node
from PIL import Image

from sfsr_model.encoders.identity_file import load_identity

UNTRAINED = "untrained demo recogniser (random weights)"


def encoder(name=UNTRAINED):
    return node("LoadIDEncoder", encoder=name, provider="CPU")


def person(images, **changes):
    inputs = {"id_encoder": ["encoder", 0], "images": images, "face_order": "largest first", "face_index": 0} | changes
    return node("SFSRIdentity", **inputs)


@pytest.fixture
def graph(astronaut):
    """An encoder, a photo of a person, the same photo followed by a grey picture, and the person."""
    return {
        "encoder": encoder(),
        "photo": node("LoadImage", image=astronaut),
        "grey": node("EmptyImage", width=512, height=512, batch_size=1, color=0x808080),
        "both": node("ImageBatch", image1=["photo", 0], image2=["grey", 0]),
        "person": person(["photo", 0]),
        "preview": node("PreviewImage", images=["person", 2]),
    }


def test_a_photo_without_a_face_is_skipped_and_reported(client, graph, refused, tmp_path):
    assert "picture 1 (512 x 512 pixels): no face found" in refused(graph | {"person": person(["both", 0])})
    result = client.run(graph | {"person": person(["both", 0], no_face="skip the picture")}, timeout=600)
    (report,) = result.outputs["person"]["text"]
    assert report.startswith("1 of 2 used")
    assert "picture 1: not used: picture 1 (512 x 512 pixels): no face found" in report
    first, second = [image for image in result.images if image.type == "temp"]
    with Image.open(client.download(first, tmp_path / "preview.png")) as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 24)}
    assert (60, 200, 90) in colours
    assert second.filename != first.filename


def test_photos_of_a_list_make_a_person_each_or_one(server, client, graph):
    """Photos of two sizes, handed on one by one."""
    two = {"other": node("SFSRSamplePortrait", sample="portrait_05")}
    two["folder"] = node("StrangerFolder", first=["photo", 0], second=["other", 0])
    prompt = graph | two | {"person": person(["folder", 0], outliers="keep")}
    prompt["saved"] = node("SFSRSaveIdentity", identity=["person", 0], name="of_a_list")
    result = client.run(prompt, timeout=600)
    reports = result.outputs["person"]["text"]
    assert [report.splitlines()[0] for report in reports] == ["1 of 1 used; space sfsr-untrained"] * 2
    told = (
        "2 photos or batches came one by one, as a list, and each made a person of its own; for one person of all of them set"
    )
    assert all(f"warning: {told} photo_list to 'one person of all'" in report for report in reports)
    assert told in server.log_text()
    assert len([image for image in result.images if image.type == "temp"]) == 2
    folder = server.base_dir / "output" / "identities"
    assert len(list(folder.glob("of_a_list_*"))) == 2

    prompt["person"] = person(["folder", 0], outliers="keep", photo_list="one person of all")
    result = client.run(prompt, timeout=600)
    (report,) = result.outputs["person"]["text"]
    assert report.startswith("2 of 2 used")
    assert "came one by one" not in report
    assert len([image for image in result.images if image.type == "temp"]) == 2
    assert len(list(folder.glob("of_a_list_*"))) == 3
    assert len(load_identity(sorted(folder.glob("of_a_list_*"))[-1]).sources) == 2


def test_an_empty_list_is_named(graph, refused):
    nothing = {"none": node("StrangerThing", thing="an empty list"), "folder": node("StrangerUnpacked", value=["none", 0])}
    assert "images: the list that comes over it is empty" in refused(graph | nothing | {"person": person(["folder", 0])})


def test_boxes_and_refused_faces(client, graph, group_photo, refused):
    """One of six people by a box; and a grey square taken for a face, because somebody says so."""
    prompt = graph | {
        "group": node("LoadImage", image=group_photo),
        "box": node("PrimitiveBoundingBox", x=1090, y=230, width=160, height=200),
        "person": person(["group", 0], bboxes=["box", 0]),
    }
    (report,) = client.run(prompt, timeout=600).outputs["person"]["text"]
    assert "picture 0: used" in report  # of several it would say which
    prompt["person"] = person(["grey", 0], bboxes=["box", 0])
    prompt["box"] = node("PrimitiveBoundingBox", x=200, y=200, width=160, height=200)
    message = refused(prompt)
    assert "(no face was found in the given box). If it is a face, set refused_faces to 'take them'" in message
    prompt["person"]["inputs"]["refused_faces"] = "take them"
    (report,) = client.run(prompt, timeout=600).outputs["person"]["text"]
    assert report.startswith("1 of 1 used")
    assert "picture 0: its face was taken although it had been refused: no face was found in the given box" in report
    prompt["crop"] = node(
        "SFSRFaceCrop", images=["grey", 0], size=64, face_order="largest first", face_index=0, no_face="error"
    )
    prompt["crop"]["inputs"] |= {"bboxes": ["box", 0], "refused_faces": "take them", "id_encoder": ["encoder", 0]}
    prompt["shown"] = node("PreviewImage", images=["crop", 0])
    (told,) = client.run(prompt, timeout=600).outputs["crop"]["text"]
    assert "face 0 was taken although it had been refused: no face was found in the given box" in told


def test_photos_of_two_people_by_the_recognisers_own_threshold(client, graph, refused):
    """What is typed in holds in its place."""
    bundled = encoder("bundled (comes with this pack)")
    two = {name: node("SFSRSamplePortrait", sample=name) for name in ("portrait_05", "portrait_10")}
    both = node("ImageBatch", image1=["portrait_05", 0], image2=["portrait_10", 0])
    prompt = graph | two | {"encoder": bundled, "both": both}
    for own in ({}, {"outlier_threshold": 0}):
        message = refused(prompt | {"person": person(["both", 0], outliers="error", **own)})
        assert "not one person's, as far as the recogniser can tell: picture 0 and picture 1" in message
        assert "below 0.3 two faces count as two people" in message
    typed = prompt | {"person": person(["both", 0], outliers="error", outlier_threshold=0.1)}
    (report,) = client.run(typed, timeout=600).outputs["person"]["text"]
    assert report.startswith("2 of 2 used")
    assert "warning" not in report


def test_saved_and_loaded_again(server, client, graph):
    prompt = graph | {"save": node("SFSRSaveIdentity", identity=["person", 0], name="people/astronaut")}
    client.run(prompt, timeout=600)
    client.run(prompt | {"save": node("SFSRSaveIdentity", identity=["person", 0], name="people/astronaut ")}, timeout=600)
    folder = server.base_dir / "output" / "identities" / "people"
    saved = sorted(path.name for path in folder.iterdir())
    assert "astronaut_00001_.safetensors" in saved
    assert len(saved) == 2
    made = load_identity(folder / "astronaut_00001_.safetensors")
    assert (made.space, len(made.sources)) == ("sfsr-untrained", 1)

    name = "identities/people/astronaut_00001_.safetensors [output]"
    choices = client.object_info("SFSRLoadIdentity")["SFSRLoadIdentity"]["input"]["required"]["identity"][1]["options"]
    assert name in choices
    own = server.base_dir / "models" / "sfsr" / "identities"
    own.mkdir(parents=True, exist_ok=True)
    (own / "kept.safetensors").write_bytes((folder / "astronaut_00001_.safetensors").read_bytes())
    for choice in (name, "kept.safetensors"):
        again = graph | {
            "loaded": node("SFSRLoadIdentity", identity=choice),
            "person": person(["photo", 0], identity=["loaded", 0], similar_to=["loaded", 0], face_order="most similar"),
        }
        (report,) = client.run(again, timeout=600).outputs["person"]["text"]
        assert "earlier untrained demo recogniser (random weights), picture 0: used, cosine 1.00 to the rest" in report
    checkpoints = client.object_info("SFSRLoadModel")["SFSRLoadModel"]["input"]["required"]["checkpoint"][1]["options"]
    assert not any("kept" in entry for entry in checkpoints)


@pytest.mark.parametrize("name", ["../escaped", "a/../../escaped", "/tmp/escaped", "", ".", "people/.."])
def test_no_name_leads_out_of_the_folder(server, graph, refused, name):
    message = refused(graph | {"save": node("SFSRSaveIdentity", identity=["person", 0], name=name)})
    assert (f"name: '{name}' does not lie in identities of the output folder" if name else "name: it is empty") in message
    assert not list(server.base_dir.rglob("*escaped*"))


@pytest.mark.parametrize(("name", "message"), [("a\0b", "holds a sign that no file name can"), ("a" * 300, "has 300 bytes")])
def test_names_that_no_file_can_have(graph, refused, name, message):
    assert message in refused(graph | {"save": node("SFSRSaveIdentity", identity=["person", 0], name=name)})


def test_a_name_of_any_script(server, client, graph):
    client.run(graph | {"save": node("SFSRSaveIdentity", identity=["person", 0], name="\u5c71\u7530\u3000\u00e9")}, timeout=600)
    assert (server.base_dir / "output" / "identities" / "\u5c71\u7530\u3000\u00e9_00001_.safetensors").is_file()


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "../../../etc/passwd [output]", "x.safetensors [output]"])
def test_no_file_from_elsewhere_is_loaded(client, graph, name):
    prompt = graph | {"loaded": node("SFSRLoadIdentity", identity=name), "person": person(["photo", 0], identity=["loaded", 0])}
    with pytest.raises(PromptRejected, match="identity"):
        client.run(prompt, timeout=600)


@pytest.mark.parametrize("name", ["junk", "foreign"])
def test_a_file_that_is_no_identity(server, graph, refused, name):
    import torch
    from safetensors.torch import save_file

    folder = server.base_dir / "models" / "sfsr" / "identities"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.safetensors"
    path.write_bytes(b"nothing") if name == "junk" else save_file({"a": torch.ones(1)}, path)
    prompt = graph | {"loaded": node("SFSRLoadIdentity", identity=path.name)}
    message = refused(prompt | {"person": person(["photo", 0], identity=["loaded", 0])})
    assert {"junk": "junk.safetensors: not a readable", "foreign": "foreign.safetensors: not an identity"}[name] in message


def test_spaces_are_not_mixed(server, graph, refused):
    from testkit.onnx_models import save_recogniser

    folder = server.base_dir / "models" / "insightface"
    folder.mkdir(parents=True, exist_ok=True)
    save_recogniser(folder / "another.onnx")
    prompt = graph | {"encoder2": encoder("another.onnx"), "other": person(["photo", 0], id_encoder=["encoder2", 0])}
    mixed = prompt | {"person": person(["photo", 0], identity=["other", 0])}
    assert "identity: its embeddings are of the space 'onnx-" in refused(mixed)
    similar = prompt | {"person": person(["photo", 0], similar_to=["other", 0], face_order="most similar")}
    assert "similar_to: its embeddings are of the space 'onnx-" in refused(similar)


def test_most_similar_to_nobody(graph, refused):
    message = refused(graph | {"person": person(["photo", 0], face_order="most similar")})
    assert "similar_to: the face order is 'most similar' but no identity is connected" in message


def test_a_whole_pack_in_the_graph(server, client, graph):
    """A generated pack with a detector of its own, and a damaged file that nobody needs."""
    from testkit.onnx_nets import save_detector, save_se_recogniser

    folder = server.base_dir / "models" / "insightface" / "models" / "whole"
    folder.mkdir(parents=True, exist_ok=True)
    save_detector(folder / "det.onnx")
    (folder / "genderage.onnx").write_bytes(b"damaged")
    save_se_recogniser(folder / "rec.onnx")
    picture = node("EmptyImage", width=640, height=640, batch_size=1, color=0x808080)
    square = node("EmptyImage", width=56, height=56, batch_size=1, color=0x00FF00)
    place = node("ImageCompositeMasked", destination=["grey", 0], source=["square", 0], x=308, y=276, resize_source=False)
    prompt = graph | {"encoder": encoder("models/whole/"), "grey": picture, "square": square, "marked": place}
    result = client.run(prompt | {"person": person(["marked", 0])}, timeout=600)
    assert "left out, cannot be read: genderage.onnx" in result.outputs["encoder"]["text"][0]
    assert result.outputs["person"]["text"][0].startswith("1 of 1 used; space onnx-")


def test_recognisers_are_listed_whatever_another_pack_told_the_host_of_their_folder(server, client):
    """The pack beside this one has told it of another folder and of other endings."""
    folder = server.base_dir / "models" / "insightface" / "another's"
    folder.mkdir(parents=True)
    (folder / "listed.onnx").touch()
    assert {"another's/", "another's/listed.onnx"} <= {*client.options("LoadIDEncoder", "encoder")}


def test_a_report_against_a_loaded_identity(client, graph):
    prompt = graph | {"save": node("SFSRSaveIdentity", identity=["person", 0], name="measured")}
    client.run(prompt, timeout=600)
    prompt |= {
        "loaded": node("SFSRLoadIdentity", identity="identities/measured_00001_.safetensors [output]"),
        "look": node("ExpressionEmbed", source="word", word="happiness", intensity=1.0),
        "report": node(
            "SFSRReport",
            images=["photo", 0],
            identity=["loaded", 0],
            expression=["look", 0],
            id_encoder=["encoder", 0],
        ),
    }
    report = json.loads(client.run(prompt, timeout=600).outputs["report"]["text"][0])
    assert report["identity_cosine"] == pytest.approx(1.0, abs=1e-4)
