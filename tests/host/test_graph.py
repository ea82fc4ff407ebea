"""The whole graph in a real ComfyUI: on rendered portraits, on real photos, with stock samplers, with a user's own files."""

import json

import numpy as np
import pytest
from PIL import Image

from sfsr_model.face import face_frame, warp_mask
from sfsr_model.network import save_checkpoint, untrained_checkpoint
from sfsr_model.samples import load_sample

SIDE = 128  # of the workflow's crops
STAND_INS = {
    "Load_SFSR_Model": {"checkpoint": "untrained (random weights)"},
    "Load_ID_Encoder": {"encoder": "untrained demo recogniser (random weights)"},
}


def sample_pixels(name):
    return (load_sample(name)[0].numpy() * 255).round().astype(np.uint8)


def test_only_the_face_changes(run_portrait):
    before, after = sample_pixels("portrait_20"), run_portrait()
    changed = (before != after).any(axis=-1)
    rows, columns = np.nonzero(changed)
    assert before.shape == after.shape
    # Her eyes are near (135, 130) and (205, 130), her mouth is near (170, 215): changed there, untouched outside the face.
    assert changed[120:220, 140:200].mean() > 0.9
    assert 60 < columns.min() < columns.max() < 270
    # By the renderer's own points of her, the mask ends in row 290.
    assert 60 < rows.min() < rows.max() < 295


def test_same_seed_same_pixels_other_seed_others(run_portrait):
    first = run_portrait(Seed={"noise_seed": 5})
    # A step more and back: otherwise the host would answer from its cache.
    run_portrait(Seed={"noise_seed": 6}, Steps={"steps": 3})
    assert np.array_equal(first, run_portrait(Seed={"noise_seed": 5}))
    assert not np.array_equal(first, run_portrait(Seed={"noise_seed": 7}))


def test_only_the_sampler_runs_again_for_another_seed(client, portrait):
    client.run(portrait(Seed={"noise_seed": 21}), timeout=600)
    again = client.run(portrait(Seed={"noise_seed": 22}), timeout=600)
    titles = {portrait()[node]["_meta"]["title"] for node in again.executed}
    assert titles == {"Seed", "Sample", "Decode", "Face Paste", "Report", "Save Image", "Report picture", "Report figures"}


def test_identity_and_expression_reach_the_network(run_portrait):
    base = run_portrait()
    assert not np.array_equal(base, run_portrait(Portrait_person={"sample": "portrait_32"}))
    assert not np.array_equal(base, run_portrait(Expression_Embed={"word": "sadness"}))


def test_weight_zero_is_the_null(run_portrait):
    """With both weights 0 neither the person nor the expression matters, and cfg has nothing to push."""
    off = {"identity_weight": 0.0, "expression_weight": 0.0}
    first = run_portrait(SFSR_Conditioning=off)
    other = run_portrait(SFSR_Conditioning=off, Portrait_person={"sample": "portrait_32"}, Expression_Embed={"word": "sadness"})
    assert np.array_equal(first, other)


def test_end_before_start_never_acts(run_portrait):
    never = run_portrait(SFSR_Conditioning={"expression_start": 0.8, "expression_end": 0.2})
    assert np.array_equal(never, run_portrait(SFSR_Conditioning={"expression_weight": 0.0}))


def test_equal_guidance_is_plain_cfg(run_portrait):
    """Both scales at 2 with cfg 1.5 push as much as scales of 1 with cfg 3."""
    doubled = run_portrait(SFSR_Conditioning={"identity_guidance": 2.0, "expression_guidance": 2.0}, Guider={"cfg": 1.5})
    plain = run_portrait(Guider={"cfg": 3.0})
    assert np.abs(doubled.astype(int) - plain.astype(int)).max() <= 2


def test_two_scales_follow_the_formula(run_portrait):
    """With the expression's scale at 0 only the identity is left, as if the expression's weight were 0."""
    only = run_portrait(SFSR_Conditioning={"identity_guidance": 1.0, "expression_guidance": 0.0})
    same = run_portrait(SFSR_Conditioning={"expression_weight": 0.0})
    assert np.abs(only.astype(int) - same.astype(int)).max() <= 2
    assert not np.array_equal(only, run_portrait())


@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m", "uni_pc"])
def test_stock_samplers_run_the_model(client, portrait, sampler):
    prompt = portrait()
    prompt["k"] = {
        "class_type": "KSampler",
        "inputs": {
            "model": ["8", 0], "positive": ["8", 1], "negative": ["8", 2], "latent_image": ["8", 3],
            "seed": 1, "steps": 2, "cfg": 2.0, "sampler_name": sampler, "scheduler": "normal", "denoise": 1.0,
        },
        "_meta": {"title": "KSampler"},
    }  # fmt: skip
    prompt["14"]["inputs"]["samples"] = ["k", 0]
    assert any(image.type == "output" for image in client.run(prompt, timeout=600).images)


def load_image(name):
    return {"class_type": "LoadImage", "inputs": {"image": name}, "_meta": {"title": f"Load {name}"}}


def test_real_photos(run_portrait, astronaut, group_photo, group_pixels):
    """A real person into a real portrait, and into the third face from the left of a group."""
    extra = {"photo": load_image(astronaut), "scene": load_image(group_photo)}
    swapped = run_portrait(extra, Portrait_person={"image": ["scene", 0]}, Portrait_target={"image": ["photo", 0]})
    from skimage import data

    changed = (swapped != data.astronaut()).any(axis=-1)
    # Her face: eyes near (205, 110) and (245, 110), mouth near (225, 160).
    assert changed[105:165, 200:250].mean() > 0.9
    assert changed[256:].sum() == 0
    assert changed[:, 320:].sum() == 0

    third = {"images": ["scene", 0], "face_order": "left to right", "face_index": 2}
    people = {"Portrait_person": {"image": ["photo", 0]}, "Portrait_target": {"image": ["scene", 0]}}
    group = run_portrait(extra, **people, Face_Crop=third, Face_Paste={"images": ["scene", 0]})
    columns = np.nonzero((group != group_pixels).any(axis=(0, 2)))[0]
    assert 0 < columns.max() - columns.min() < group_pixels.shape[1] / 3


def test_report_measures_person_and_expression(client, portrait):
    result = client.run(portrait(), timeout=600)
    report = json.loads(result.outputs["16"]["text"][0])
    assert -1.0 <= report["identity_cosine"] <= 1.0
    assert 0.0 <= report["expression_error"] <= 1.0
    assert report["trained"] is True
    assert "the expression was read by bundled (comes with this pack)" in report["notes"]


def test_report_names_what_is_missing(client, portrait):
    prompt = portrait(**STAND_INS)
    del prompt["16"]["inputs"]["expression_encoder"]
    report = json.loads(client.run(prompt, timeout=600).outputs["16"]["text"][0])
    assert report["expression_error"] is None
    assert report["trained"] is False
    assert any("untrained" in note for note in report["notes"])
    assert report["expression_errors"] == []
    assert any("connect Load Expression Encoder to expression_encoder" in note for note in report["notes"])


def test_the_picture_says_how_it_was_made(client, portrait, tmp_path):
    result = client.run(portrait(), timeout=600)
    (saved,) = [image for image in result.images if image.type == "output"]
    with Image.open(client.download(saved, tmp_path / "saved.png")) as picture:
        note = json.loads(picture.text["sfsr"])
        prompt = json.loads(picture.text["prompt"])
    assert note["digital_source_type"].endswith("/compositeWithTrainedAlgorithmicMedia")
    assert note["report"]["trained"] is True
    assert prompt.keys() == portrait().keys()


def test_a_moving_picture_carries_the_graph_and_the_note(client, portrait, tmp_path):
    frames = {"class_type": "BatchImagesNode", "inputs": {"images.image0": ["15", 0], "images.image1": ["2", 0]}}
    graph = portrait(Save_Image={"images": ["frames", 0], "format": "animated WebP", "fps": 4.0}) | {"frames": frames}
    (saved,) = [image for image in client.run(graph, timeout=600).images if image.type == "output"]
    with Image.open(client.download(saved, tmp_path / "saved.webp")) as picture:
        assert (picture.format, picture.n_frames) == ("WEBP", 2)
        picture.load()
        assert picture.info["duration"] == 250
        entries = dict(text.split(":", 1) for text in picture.getexif().values())
    assert json.loads(entries["prompt"]).keys() == graph.keys()
    note = json.loads(entries["sfsr"])
    assert note["digital_source_type"].endswith("/compositeWithTrainedAlgorithmicMedia")
    assert note["report"]["trained"] is True


def test_a_batch_of_expressions(client, portrait):
    """Words differ per frame: two frames from one target, each equal to its own single run up to rounding."""
    prompt = portrait()
    for name, source in (("crops", "7"), ("targets", "2")):
        repeat = {"image": [source, 0], "amount": 2}
        prompt[name] = {"class_type": "RepeatImageBatch", "inputs": repeat, "_meta": {"title": name}}
    prompt["8"]["inputs"]["image"] = ["crops", 0]
    prompt["15"]["inputs"]["images"] = ["targets", 0]
    result = client.run(prompt, timeout=600)
    assert len([image for image in result.images if image.type == "output"]) == 2


def test_a_checkpoint_from_a_file_is_the_same_model(server, client, run_portrait):
    """The untrained weights, saved to models/sfsr and loaded from there, give the same picture."""
    folder = server.base_dir / "models" / "sfsr"
    folder.mkdir(parents=True, exist_ok=True)
    save_checkpoint(untrained_checkpoint(), folder / "same.safetensors")
    from_file = STAND_INS | {"Load_SFSR_Model": {"checkpoint": "same.safetensors"}}
    assert np.array_equal(run_portrait(**STAND_INS), run_portrait(**from_file))


def test_another_mask_is_pasted_where_it_says(run_portrait):
    """With one mask for conditioning and paste, only what it covers changes; an empty one leaves every pixel alone."""
    solid = {"class_type": "SolidMask", "inputs": {"value": 0.0, "width": SIDE, "height": SIDE}, "_meta": {"title": "Mask"}}
    masks = {"SFSR_Conditioning": {"mask": ["own", 0]}, "Face_Paste": {"mask": ["own", 0]}}
    assert np.array_equal(run_portrait({"own": solid}, **masks), sample_pixels("portrait_20"))


def test_mask_of_the_frame_is_what_changed(run_portrait):
    """The pasted area is exactly the pack's own mask, computed here from the detector's points."""
    from sfsr_model.encoders.bundled import load_bundled_encoder
    from sfsr_model.encoders.faces import find_faces

    picture = load_sample("portrait_20")[0]
    face = find_faces(picture, load_bundled_encoder("CPU"))[0]
    mask = warp_mask(face_frame(face.points, tuple(picture.shape[:2]), SIDE)).numpy()
    changed = (sample_pixels("portrait_20") != run_portrait()).any(axis=-1)
    assert not changed[mask == 0].any()
    assert changed[mask == 1].mean() > 0.9


def test_a_smaller_crop_is_enlarged_for_the_network(run_portrait):
    """Graphs made for a network of smaller pictures run on: its face is put back where the crop came from."""
    before, after, small = sample_pixels("portrait_20"), run_portrait(), run_portrait(Face_Crop={"size": SIDE // 2})
    assert not np.array_equal(small, after)
    changed, also = ((before != picture).any(axis=-1) for picture in (after, small))
    # The smaller crop's mask has pixels twice as large, so it reaches a little further, all around.
    assert (changed & also).sum() > 0.99 * changed.sum()
    assert (changed & also).sum() > 0.93 * (changed | also).sum()
    # One face in both, if not to the pixel.
    assert np.abs(small.astype(int) - after)[changed].mean() < 0.5 * np.abs(before.astype(int) - after)[changed].mean()
