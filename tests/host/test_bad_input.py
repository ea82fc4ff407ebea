"""What a user gets wrong: each gives one sentence that helps, and the host goes on."""

import re

import pytest
from harness.client import PromptFailed, PromptInterrupted, PromptRejected


@pytest.fixture
def refused(server, client, portrait):
    """Runs a graph that must fail at one node; returns the message. Afterwards the same host must still work."""

    def run(extra=None, **changes):
        prompt = portrait(**changes) | (extra or {})
        with server.expecting_error(""), pytest.raises(PromptFailed) as caught:
            client.run(prompt, timeout=600)
        assert server.is_alive()
        return caught.value

    return run


def grey(size=256, height=None):
    return {
        "class_type": "EmptyImage",
        "inputs": {"width": size, "height": height or size, "batch_size": 1, "color": 0x808080},
        "_meta": {"title": "Grey"},
    }


def test_no_face_in_the_selfie(refused):
    error = refused({"grey": grey(200, 120)}, Portrait_person={"image": ["grey", 0]})
    assert error.node_id == "4"
    assert "picture 0 (200 x 120 pixels): no face found" in str(error)


def test_no_face_in_the_target(refused):
    error = refused({"grey": grey()}, Portrait_target={"image": ["grey", 0]})
    assert error.node_id == "7"
    assert "no face found" in str(error)


def test_no_face_may_keep_the_picture(client, portrait, tmp_path):
    prompt = portrait(Portrait_target={"image": ["grey", 0]}, Face_Crop={"no_face": "keep the picture"}) | {"grey": grey()}
    result = client.run(prompt, timeout=600)
    (saved,) = [image for image in result.images if image.type == "output"]
    from PIL import Image

    with Image.open(client.download(saved, tmp_path / "kept.png")) as picture:
        assert picture.convert("RGB").getextrema() == ((128, 128),) * 3


def test_the_report_measures_no_made_up_face(client, portrait):
    import json

    prompt = portrait(Portrait_target={"image": ["grey", 0]}, Face_Crop={"no_face": "keep the picture"}) | {"grey": grey()}
    report = json.loads(client.run(prompt, timeout=600).outputs["16"]["text"][0])
    assert report["identity_cosine"] is None
    assert "no face was found in picture 0" in report["notes"]


def test_too_few_faces_fall_under_the_same_policy(client, portrait):
    prompt = portrait(Face_Crop={"face_index": 3, "no_face": "keep the picture"})
    assert client.run(prompt, timeout=600).images


def test_a_crop_size_of_no_multiple_of_8(refused):
    assert "size: found 100, expected a multiple of 8" in str(refused(Face_Crop={"size": 100}))


@pytest.mark.parametrize("size", [72, 136])
def test_a_crop_of_another_size_than_the_checkpoint_knows(refused, size):
    said = str(refused(Face_Crop={"size": size}))
    assert f"image: the checkpoint was trained on crops of 128 x 128 pixels, this one has {size} x {size}" in said
    assert "set Face Crop's size to 128" in said


def test_a_paste_mask_of_another_size(refused):
    mask = {"class_type": "SolidMask", "inputs": {"value": 1.0, "width": 64, "height": 64}, "_meta": {"title": "Mask"}}
    assert "does not fit 1 crops of 128 x 128" in str(refused({"mask": mask}, Face_Paste={"mask": ["mask", 0]}))


def test_a_report_that_is_no_json(refused):
    assert "report: it is not JSON" in str(refused({"info": primitive("hello")}, Save_Image={"report": ["info", 0]}))


@pytest.mark.parametrize("prefix", ["", "  ", "faces/", "faces/."])
def test_a_prefix_that_names_no_file(refused, prefix):
    assert "names no file; choose a name" in str(refused(Save_Image={"filename_prefix": prefix}))


def test_a_prefix_through_a_file(server, refused):
    (server.base_dir / "output" / "taken.png").write_bytes(b"")
    said = "filename_prefix: in 'taken.png/face' taken.png is a file, not a folder; choose another name"
    assert said in str(refused(Save_Image={"filename_prefix": "taken.png/face"}))


def test_a_report_of_pictures_that_the_faces_are_not_of(refused):
    said = str(refused(Report={"images": ["14", 0]}))
    assert "face: its faces are of pictures of 320 x 320 pixels, images are 128 x 128; connect what Face Paste made" in said


def primitive(text):
    return {"class_type": "PrimitiveString", "inputs": {"value": text}, "_meta": {"title": "Text"}}


def test_nothing_to_hold_on_to(refused):
    error = refused({"grey": grey()}, Portrait_target={"image": ["grey", 0]}, Face_Crop={"no_face": "hold the last face"})
    assert "no face found" in str(error)


def test_too_few_faces(refused):
    error = refused(Face_Crop={"face_index": 3})
    assert "picture 0: face_index: 3 asked for, but 1 face was found" in str(error)


def test_a_misspelt_word_gets_a_suggestion(client, portrait):
    with pytest.raises(PromptRejected, match="did you mean amazement"):
        client.run(portrait(Expression_Embed={"word": "amazment"}), timeout=600)


@pytest.mark.parametrize("word", ["7", "Amazement", " AMAZEMENT "])
def test_numbers_and_any_case_are_words(client, portrait, word):
    assert client.run(portrait(Expression_Embed={"word": word}), timeout=600).images


def test_source_image_without_an_image(refused):
    assert "the source is 'image' but none is connected" in str(refused(Expression_Embed={"source": "image"}))


def test_a_photo_without_an_encoder(refused):
    error = refused(Expression_Embed={"source": "image", "image": ["1", 0]})
    assert "nothing reads it; connect Load Expression Encoder" in str(error)


def test_an_image_of_another_size_is_at_fault_and_not_its_mask(refused):
    error = refused({"grey": grey(250)}, SFSR_Conditioning={"image": ["grey", 0]})
    assert "image: the checkpoint was trained on crops of 128 x 128 pixels, this one has 250 x 250" in str(error)


def test_mask_of_another_size(refused):
    mask = {"class_type": "SolidMask", "inputs": {"value": 1.0, "width": 64, "height": 64}, "_meta": {"title": "Mask"}}
    assert "does not fit the image's 1 x 128 x 128" in str(refused({"mask": mask}, SFSR_Conditioning={"mask": ["mask", 0]}))


def test_mask_over_everything(refused):
    mask = {"class_type": "SolidMask", "inputs": {"value": 1.0, "width": 128, "height": 128}, "_meta": {"title": "Mask"}}
    assert "leaves no background" in str(refused({"mask": mask}, SFSR_Conditioning={"mask": ["mask", 0]}))


def test_a_target_of_another_size_than_the_crop_came_from(refused):
    error = refused({"grey": grey(300)}, Face_Paste={"images": ["grey", 0]})
    assert "images: 300 x 300 pixels, but the face was found in a picture of 320 x 320; pass the picture" in str(error)


def test_an_unknown_checkpoint(client, portrait):
    with pytest.raises(PromptRejected, match=r"gone\.safetensors"):
        client.run(portrait(Load_SFSR_Model={"checkpoint": "gone.safetensors"}), timeout=600)


def test_a_path_outside_the_models_folder(client, portrait):
    for name in ("../../etc/passwd", "/etc/passwd"):
        with pytest.raises(PromptRejected, match="passwd"):
            client.run(portrait(Load_ID_Encoder={"encoder": name}), timeout=600)


def test_a_checkpoint_that_is_none(server, client, refused):
    folder = server.base_dir / "models" / "sfsr"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "junk.safetensors").write_bytes(b"no checkpoint")
    assert "junk.safetensors: not a readable safetensors file" in str(
        refused(Load_SFSR_Model={"checkpoint": "junk.safetensors"})
    )


def test_own_recognisers(server, client, portrait, refused):
    """A generated recogniser runs through insightface; one of another width, and a file that is none, are explained."""
    from testkit.onnx_models import save_recogniser

    folder = server.base_dir / "models" / "insightface" / "models" / "mypack"
    folder.mkdir(parents=True, exist_ok=True)
    save_recogniser(folder / "r50.onnx")
    save_recogniser(folder.parent.parent / "narrow.onnx", dim=128)
    (folder.parent.parent / "junk.onnx").write_bytes(b"no network")
    choices = client.object_info("LoadIDEncoder")["LoadIDEncoder"]["input"]["required"]["encoder"][1]["options"]
    assert {"models/mypack/", "models/mypack/r50.onnx", "narrow.onnx"} <= set(choices)

    open_to_all = {"checkpoint": "untrained (random weights)"}
    result = client.run(portrait(Load_ID_Encoder={"encoder": "models/mypack/"}, Load_SFSR_Model=open_to_all), timeout=600)
    info = result.outputs["3"]["text"][0]
    assert "512 numbers" in info
    assert "CPUExecutionProvider" in info
    assert "has 128 numbers" not in info
    narrow = {"Load_ID_Encoder": {"encoder": "narrow.onnx"}, "Load_SFSR_Model": open_to_all}
    assert "embeddings have 128 numbers, this checkpoint takes 512" in str(refused(**narrow))
    other = str(refused(Load_ID_Encoder={"encoder": "models/mypack/"}))
    assert "identity: it was made by a recogniser of the space 'onnx-" in other
    assert "choose 'bundled (comes with this pack)' in the Load ID Encoder before Identity" in other
    assert "junk.onnx cannot be read as an ONNX network" in str(refused(Load_ID_Encoder={"encoder": "junk.onnx"}))
    if "CUDA" not in info:
        error = refused(Load_ID_Encoder={"encoder": "models/mypack/", "provider": "CUDA"})
        assert "CUDA was asked for, but ONNX Runtime offers" in str(error)


def test_report_with_another_encoder_than_the_identity_was_made_with(server, refused):
    from testkit.onnx_models import save_recogniser

    folder = server.base_dir / "models" / "insightface"
    folder.mkdir(parents=True, exist_ok=True)
    save_recogniser(folder / "other.onnx")
    other = {"class_type": "LoadIDEncoder", "inputs": {"encoder": "other.onnx", "provider": "CPU"}, "_meta": {"title": "Other"}}
    error = refused({"other": other}, Report={"id_encoder": ["other", 0]})
    assert "cosines between the two mean nothing" in str(error)


def test_a_model_that_is_not_sfsr(server, client, portrait, refused):
    """An unconditioned part of the pack given a plain Stable Diffusion UNet says what to connect instead."""
    from dataclasses import replace

    import torch
    from safetensors.torch import save_file

    from sfsr_model.network.layout import SD15_INPAINTING, unet_shapes
    from sfsr_model.network.untrained import random_state

    # The host tells SD 1.x by its width and context, so its whole layout is needed for it to load.
    config = replace(SD15_INPAINTING, in_channels=4)
    folder = server.base_dir / "models" / "diffusion_models"
    folder.mkdir(parents=True, exist_ok=True)
    state = {key: value.to(torch.float16) for key, value in random_state(unet_shapes(config), 0).items()}
    save_file(state, folder / "sd15.safetensors")
    del state
    inputs = {"unet_name": "sd15.safetensors", "weight_dtype": "default"}
    error = refused(
        {"sd": {"class_type": "UNETLoader", "inputs": inputs, "_meta": {"title": "SD"}}}, SFSR_Conditioning={"model": ["sd", 0]}
    )
    assert "is no SFSR model; connect the MODEL output of Load SFSR Model" in str(error)
    (folder / "sd15.safetensors").unlink()
    client.free()


@pytest.mark.parametrize("kind", ["gray", "gray and alpha", "alpha", "16 bits", "EXIF"])
def test_photos_as_people_have_them(client, host_version, tmp_path, kind):
    """Files of other kinds show the same face at the same place."""
    if kind == "16 bits" and host_version.startswith("0.18."):
        pytest.skip("this ComfyUI's own Load Image makes such a picture white")
    import numpy as np
    from PIL import Image
    from skimage import data

    photo, path, exif = Image.fromarray(data.astronaut()).resize((256, 256)), tmp_path / "photo.png", None
    if kind == "16 bits":
        photo = Image.fromarray(np.asarray(photo.convert("L")).astype(np.uint16) * 257)
    elif kind == "EXIF":
        exif = Image.Exif()
        exif[0x0112] = 6
        photo = photo.transpose(Image.Transpose.ROTATE_90)
    else:
        photo = photo.convert({"gray": "L", "gray and alpha": "LA", "alpha": "RGBA"}[kind])
    photo.save(path, **({"exif": exif} if exif else {}))
    crop = {"face_order": "largest first", "face_index": 0, "no_face": "error"}
    prompt = {
        "photo": {"class_type": "LoadImage", "inputs": {"image": client.upload_image(path)}},
        "crop": {"class_type": "SFSRFaceCrop", "inputs": {"images": ["photo", 0], "size": 64} | crop},
        "preview": {"class_type": "PreviewImage", "inputs": {"images": ["crop", 4]}},
    }
    prompt = {name: entry | {"_meta": {"title": name}} for name, entry in prompt.items()}
    result = client.run(prompt, timeout=600)
    assert result.outputs["crop"]["text"][0].startswith("1 crop of 1 picture")
    with Image.open(client.download(result.images[0], tmp_path / "preview.png")) as preview:
        assert preview.size == (256, 256)
        green = np.nonzero((np.asarray(preview.convert("RGB")) == (60, 200, 90)).all(axis=-1))
    # Her face is about (112, 60) in the photo as it is meant to be looked at.
    assert 80 < green[1].min() < 112 < green[1].max() < 145
    assert 10 < green[0].min() < 60 < green[0].max() < 110


def test_values_that_are_no_numbers_name_the_picture(refused):
    mask = {"class_type": "SolidMask", "inputs": {"value": float("nan"), "width": 64, "height": 64}, "_meta": {"title": "Mask"}}
    image = {"class_type": "MaskToImage", "inputs": {"mask": ["mask", 0]}, "_meta": {"title": "Image"}}
    error = refused({"mask": mask, "broken": image}, Face_Crop={"images": ["broken", 0]})
    assert "images: picture 0 holds values that are not finite" in str(error)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (7680, 4320), (16000, 1)])
def test_pictures_of_any_size_without_a_face(refused, width, height):
    error = refused({"grey": grey(width, height)}, Face_Crop={"images": ["grey", 0]})
    assert f"picture 0 ({width} x {height} pixels): no face found" in str(error)


def test_a_word_of_no_kind_names_the_input(refused):
    assert "word: unknown expression 'None'" in str(refused(Expression_Embed={"word": None}))


def test_interrupt_ends_within_a_step_and_the_host_goes_on(client, portrait):
    """Of a batch, so that a step takes much longer than asking for the end of it."""
    steps = []

    def stop_when_sampling(title, value, maximum):
        if title != "Sample":
            return
        steps.append(value)
        if len(steps) == 1:
            client.interrupt()

    sweep = {"family": "the list below", "words": "joy, anger, fear, love", "intensity_from": 0.0, "intensity_to": 1.0}
    looks = {"class_type": "SFSRExpressionSweep", "inputs": sweep | {"steps": 2}, "_meta": {"title": "Looks"}}
    changes = {"Steps": {"steps": 400}, "Seed": {"noise_seed": 77}, "SFSR_Conditioning": {"expression": ["looks", 0]}}
    with pytest.raises(PromptInterrupted):
        client.run(portrait(**changes) | {"looks": looks}, on_progress=stop_when_sampling, timeout=600)
    # A step that had ended before the host heard of it may be told of afterwards.
    assert 1 <= len(steps) <= 2
    assert client.run(portrait(Seed={"noise_seed": 78}), timeout=600).images


def test_a_workflow_of_an_older_version(client, portrait, refused):
    """Inputs that this version does not have, does not know the value of, or has since."""
    # Over the API a value for no input is the host's to leave out; a link is followed, and what it brings arrives.
    assert client.run(portrait(Face_Paste={"blur": 0.5}), timeout=600).images
    assert "strength: SFSR Conditioning has no such input, so the workflow was made for another version of this pack" in str(
        refused(SFSR_Conditioning={"strength": ["6", 0]})
    )
    with pytest.raises(PromptRejected, match=r"input 'no_face' has no choice 'raise'\. It has: error, keep the picture"):
        client.run(portrait(Face_Crop={"no_face": "raise"}), timeout=600)
    prompt = portrait()
    del prompt["8"]["inputs"]["identity_guidance"]
    with pytest.raises(PromptRejected, match="input 'identity_guidance' is missing"):
        client.run(prompt, timeout=600)


def test_a_bad_graph_and_a_good_one_at_once(server, client, portrait):
    """Queued by two pages in the same moment: each gets its own end."""
    import threading

    from harness.client import ApiClient

    ends = {}

    def run(name, **changes):
        try:
            ends[name] = ApiClient(client.url).run(portrait(**changes), timeout=600).images
        except PromptFailed as error:
            ends[name] = str(error)

    with server.expecting_error("size: found 100"):
        threads = [
            threading.Thread(target=run, args=("bad",), kwargs={"Face_Crop": {"size": 100}}),
            threading.Thread(target=run, args=("good",), kwargs={"Seed": {"noise_seed": 31}}),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(600)
    assert "size: found 100, expected a multiple of 8" in ends["bad"]
    assert [image.type for image in ends["good"]].count("output") == 1


def test_twelve_faces_in_a_picture_of_4k(client, refused, tmp_path):
    """All of them are cropped and pasted back, a number is asked for that none has, and one of them is a person."""
    from pathlib import Path

    from PIL import Image

    samples = sorted((Path(__file__).resolve().parents[2] / "workflows" / "samples").glob("*.jpg"))
    crowd = Image.new("RGB", (3840, 2160))
    for number in range(12):
        with Image.open(samples[number % len(samples)]) as portrait:
            crowd.paste(portrait.convert("RGB").resize((720, 720)), (960 * (number % 4) + 120, 720 * (number // 4)))
    crowd.save(tmp_path / "crowd.jpg")
    choice = {"face_order": "left to right", "face_index": 0}
    nodes = {
        "crowd": ("LoadImage", {"image": client.upload_image(tmp_path / "crowd.jpg")}),
        "encoder": ("LoadIDEncoder", {"encoder": "bundled (comes with this pack)", "provider": "CPU"}),
        "crop": ("SFSRFaceCrop", choice | {"images": ["crowd", 0], "size": 64, "no_face": "error", "faces": "all"}),
        "paste": ("SFSRFacePaste", {"images": ["crowd", 0], "faces": ["crop", 0], "face": ["crop", 2]}),
        "small": ("ImageScale", {"image": ["paste", 0], "upscale_method": "area", "width": 384, "height": 216}),
        "look": ("PreviewImage", {"images": ["small", 0]}),
        "person": ("SFSRIdentity", choice | {"id_encoder": ["encoder", 0], "images": ["crowd", 0], "face_index": 1}),
        "sight": ("PreviewImage", {"images": ["person", 2]}),
    }
    nodes["paste"][1].update(feather=0.06, colour_match=1.0)
    nodes["small"][1].update(crop="disabled")
    prompt = {name: {"class_type": kind, "inputs": inputs, "_meta": {"title": name}} for name, (kind, inputs) in nodes.items()}
    result = client.run(prompt, timeout=600)
    assert re.match(r"\d+ crops of 1 picture", result.outputs["crop"]["text"][0])
    assert len(result.images) == 2
    nodes["crop"][1].update(faces="the numbered one", face_index=99)
    assert re.search(r"face_index: 99 asked for, but \d+ faces were found", str(refused({"crop": prompt["crop"]} | prompt)))
