"""Face Crop and Face Paste in a real ComfyUI: several faces, pictures without one, other nodes' boxes and landmarks."""

import numpy as np
import pytest
from harness.graph import node
from PIL import Image


def crop(images, **changes):
    inputs = {"images": images, "size": 256, "face_order": "left to right", "face_index": 0, "no_face": "error"} | changes
    return node("SFSRFaceCrop", **inputs)


def paste(images, faces, face=("crop", 2), **changes):
    inputs = {"images": images, "faces": faces, "face": list(face), "feather": 0.06, "colour_match": 0.0} | changes
    return node("SFSRFacePaste", **inputs)


@pytest.fixture
def graph(astronaut, group_photo):
    """A photo of a person, one of a group, and grey; saved is what the paste gives."""
    return {
        "photo": node("LoadImage", image=astronaut),
        "group": node("LoadImage", image=group_photo),
        "grey": node("EmptyImage", width=512, height=512, batch_size=1, color=0x808080),
        "black": node("EmptyImage", width=256, height=256, batch_size=1, color=0),
        "both": node("ImageBatch", image1=["photo", 0], image2=["grey", 0]),
        "save": node("SaveImage", images=["paste", 0], filename_prefix="faces"),
    }


@pytest.fixture
def run(client, tmp_path):
    """Runs a graph; returns the report and the saved pictures, uint8 [H, W, 3]."""

    def go(prompt):
        result = client.run(prompt, timeout=600)
        pictures = []
        for image in result.images:
            if image.type == "output":
                with Image.open(client.download(image, tmp_path / image.filename)) as picture:
                    pictures.append(np.asarray(picture.convert("RGB")))
        return result.outputs.get("crop", {}).get("text", [""])[0], pictures

    return go


def test_a_held_face_fades_out_and_goes(run, graph):
    """Black is pasted where the face was: twice wholly, once by half, and then the picture is kept."""
    prompt = graph | {
        "greys": node("RepeatImageBatch", image=["grey", 0], amount=4),
        "film": node("ImageBatch", image1=["photo", 0], image2=["greys", 0]),
        "crop": crop(["film", 0], no_face="hold the last face", hold_pictures=3),
        "paste": paste(["film", 0], ["black", 0]),
    }
    report, pictures = run(prompt)
    assert [int(picture.min()) for picture in pictures[1:]] == pytest.approx([0, 0, 64, 128], abs=1)
    assert "and fades, 50% of it" in report
    assert "The picture is kept as it is: there has been no face for more than 3." in report


def test_all_faces_of_a_group_at_once(run, graph, group_pixels):
    prompt = graph | {
        "crop": crop(["group", 0], faces="all"),
        "new": node("ImageInvert", image=["crop", 0]),
        "paste": paste(["group", 0], ["new", 0]),
    }
    report, (pasted,) = run(prompt)
    assert report.startswith("4 crops of 1 picture\npicture 0: face 0 (score")
    assert "of 4 faces" in report
    assert "windows agree, 40 are needed" in report
    changed = (pasted != group_pixels).any(axis=-1)
    # The four faces that the carried detector sees, from left to right.
    for x, y in ((115, 335), (512, 350), (785, 420), (1172, 340)):
        assert changed[y - 20 : y + 20, x - 20 : x + 20].mean() > 0.95
    assert not changed[:200].any()
    assert not changed[:, 900:1000].any()


def test_two_people_one_after_the_other(run, graph, group_pixels):
    """Two numbered faces in sequence give what both at once give."""
    prompt = graph | {
        "crop": crop(["group", 0]),
        "second": crop(["group", 0], face_index=1),
        "first_done": paste(["group", 0], ["black", 0]),
        "paste": paste(["first_done", 0], ["black", 0], ("second", 2)),
    }
    _, (pasted,) = run(prompt)
    changed = np.nonzero((pasted != group_pixels).any(axis=(0, 2)))[0]
    assert changed.min() < 200
    assert 450 < changed.max() < 620


def test_a_picture_without_a_face_passes_through(run, refused, graph):
    faces = {"new": node("ImageInvert", image=["crop", 0]), "paste": paste(["both", 0], ["new", 0])}
    assert "picture 1 (512 x 512 pixels): no face found" in refused(graph | faces | {"crop": crop(["both", 0])})
    for which, crops in (("the numbered one", 2), ("all", 1)):
        kept = crop(["both", 0], no_face="keep the picture", faces=which)
        report, (person, grey) = run(graph | faces | {"crop": kept})
        assert report.startswith(f"{crops} crop")
        assert "picture 1 (512 x 512 pixels): no face found" in report
        assert report.endswith("The picture is kept as it is.")
        assert (grey == 128).all()
        assert (person[140:150, 220:230] != 128).any()


def test_travel_one_place_several_faces(run, graph, astronaut):
    prompt = graph | {
        "crop": crop(["photo", 0]),
        "new": node("RepeatImageBatch", image=["black", 0], amount=3),
        "paste": paste(["photo", 0], ["new", 0]),
    }
    _, pictures = run(prompt)
    assert len(pictures) == 3
    assert all((picture[120:150, 215:235] == 0).mean() > 0.9 for picture in pictures)


def test_a_box_says_where_to_look(run, refused, graph, group_pixels):
    box = node("PrimitiveBoundingBox", x=1090, y=250, width=160, height=180)
    prompt = graph | {
        "box": box,
        "crop": crop(["group", 0], bboxes=["box", 0]),
        "paste": paste(["group", 0], ["black", 0]),
    }
    report, (pasted,) = run(prompt)
    assert "of 1 face" in report
    changed = np.nonzero((pasted != group_pixels).any(axis=(0, 2)))[0]
    assert 1050 < changed.min() < changed.max() < 1280
    nowhere = node("PrimitiveBoundingBox", x=20, y=600, width=100, height=100)
    assert "no face was found in the given box" in refused(prompt | {"box": nowhere})
    outside = node("PrimitiveBoundingBox", x=5000, y=600, width=100, height=100)
    assert "the given box lies outside the picture" in refused(prompt | {"box": outside})


def test_what_does_not_fit_is_explained(refused, graph):
    def made(**changes):
        return graph | {"crop": crop(["photo", 0]), "paste": paste(["photo", 0], ["black", 0])} | changes

    assert "pass the picture that the crop was made from" in refused(made(paste=paste(["group", 0], ["black", 0])))
    odd = {"odd": node("EmptyImage", width=384, height=384, batch_size=1, color=0)}
    message = refused(made(**odd, paste=paste(["photo", 0], ["odd", 0])))
    assert "faces: found 384 x 384 pixels, expected 256 x 256 like Face Crop's crops or a whole multiple" in message
    pair = {"crop": crop(["group", 0], faces="all"), "two": node("RepeatImageBatch", image=["black", 0], amount=2)}
    message = refused(made(**pair, paste=paste(["group", 0], ["two", 0])))
    assert "faces: found 2 new faces for 4 that were cropped; expected one each" in message
    two_pictures = crop(["both", 0], no_face="keep the picture")
    message = refused(made(crop=two_pictures, paste=paste(["photo", 0], ["crop", 0])))
    assert "images: found 1, but the faces come from 2 pictures" in message


def test_the_preview_numbers_and_refuses(client, graph, tmp_path):
    prompt = {
        "group": graph["group"],
        "crop": crop(["group", 0], face_index=2),
        "show": node("PreviewImage", images=["crop", 4]),
    }
    (shown,) = [image for image in client.run(prompt, timeout=600).images if image.type == "temp"]
    with Image.open(client.download(shown, tmp_path / "preview.png")) as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 24)}
    assert {(60, 200, 90), (235, 190, 40), (225, 70, 60)} <= colours


def test_faces_twice_as_large_as_their_crops_are_put_back(run, graph):
    prompt = graph | {
        "crop": crop(["photo", 0], size=128),
        "new": node("ImageInvert", image=["crop", 0]),
        "large": node("ImageScaleBy", image=["new", 0], upscale_method="bicubic", scale_by=2.0),
        "paste": paste(["photo", 0], ["new", 0]),
        "paste_large": paste(["photo", 0], ["large", 0]),
        "save": node("SaveImage", images=["both", 0], filename_prefix="faces"),
        "both": node("ImageBatch", image1=["paste", 0], image2=["paste_large", 0]),
    }
    _, pictures = run(prompt)
    small, large = (picture.astype(int) for picture in pictures)
    assert np.abs(small - large).mean() < 1.0
    assert np.abs(small - large).max() > 2
