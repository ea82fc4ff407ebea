"""Sheets in a real ComfyUI, and the workflows that lay their results out on one."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from harness.graph import node
from harness.workflow import load_workflow, set_input, titled
from PIL import Image, ImageSequence

from sfsr_model.evaluation.solvers.stock import stock_evaluations
from sfsr_model.expressions import all_words
from sfsr_model.samples import load_sample
from sfsr_model.sheet import draw_sheet, result_rows

API = Path(__file__).resolve().parents[2] / "workflows" / "api"


def sheet(**changes):
    inputs = {"images": ["results", 0], "labels": "", "titles": "", "in_a_row": 1, "rows": 0, "cell_size": 32}
    return node("SFSRSheet", **(inputs | changes))


def flat(colour, count=1, side=32):
    return node("EmptyImage", width=side, height=side, batch_size=count, color=colour)


def as_tensors(pictures):
    return [torch.from_numpy(picture.astype(np.float32) / 255.0) for picture in pictures]


@pytest.fixture
def read(client, tmp_path):
    """Downloads a picture; returns its frames, uint8 [H, W, 3]."""

    def run(image):
        with Image.open(client.download(image, tmp_path / image.filename)) as picture:
            return [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(picture)]

    return run


@pytest.fixture
def drawn(client, read):
    """Runs a Sheet of results that are made by a node "results"; returns the sheet, uint8 [H, W, 3]."""

    def run(results, extra=None, **changes):
        prompt = {"results": results, "sheet": sheet(**changes), "shown": node("PreviewImage", images=["sheet", 0])}
        images = client.run(prompt | (extra or {}), timeout=600).images
        (image,) = [one for one in images if one.node_id == "shown"]
        return read(image)[0]

    return run


@pytest.fixture
def ran(client, read):
    """Runs a workflow with few steps and with inputs changed, as ("Sheet", "rows", 2); returns what came out.

    The frames of each picture by the title of the node that shows or saves it, under "Face Paste" the results as they
    were before they were laid out; and the report.
    """

    def run(name, *changes, steps=1):
        prompt = load_workflow(API / f"{name}.json")
        for entry in prompt.values():
            if entry["class_type"] == "BasicScheduler":
                entry["inputs"]["steps"] = steps
        for title, key, value in changes:
            set_input(prompt, title, (key,), value, title)
        prompt["paste"] = node("PreviewImage", images=[titled(prompt, "Face Paste"), 0])
        prompt["paste"]["_meta"]["title"] = "Face Paste"
        result = client.run(prompt, timeout=1800)
        found = {}
        for image in result.images:
            found.setdefault(prompt[image.node_id]["_meta"]["title"], []).extend(read(image))
        return found, json.loads(result.outputs[titled(prompt, "Report")]["text"][0])

    return run


def distinct(pictures):
    return len({picture.tobytes() for picture in pictures})


def test_labels_of_a_sweep_on_a_sheet_of_every_word(drawn):
    """135 lines over a link; pictures beside them that are gray or of another size."""
    words = node("SFSRExpressionSweep", family="all", words="", intensity_from=0.0, intensity_to=1.0, steps=1)
    mask = node("SolidMask", value=0.5, width=40, height=20)
    beside = {"words": words, "mask": mask, "gray": node("MaskToImage", mask=["mask", 0]), "other": flat(0x00FF00, side=50)}
    found = drawn(
        flat(0xFF0000, 135),
        beside,
        labels=["words", 1],
        titles="who, where, result",
        beside_a=["gray", 0],
        beside_b=["other", 0],
    )
    colours = torch.eye(3)[:2, None, None]
    red, green = colours[0].expand(32, 32, 3), colours[1].expand(50, 50, 3)
    gray = torch.full((20, 40, 3), 0.5)
    rows, names = result_rows([red] * 135, [word.word for word in all_words()], 1, beside_a=[gray], beside_b=[green])
    expected = draw_sheet(rows, names, ["who", "where", "result"], (32, 32))[0].numpy() * 255
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1


def test_a_sheet_of_results_that_are_no_squares(drawn):
    """Cells have the results' shape."""
    wide = node("EmptyImage", width=64, height=16, batch_size=4, color=0x808080)
    assert drawn(wide, in_a_row=2, rows=2, cell_size=32).shape == (2 * (8 + 4), 2 * (32 + 4), 3)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"labels": "one\ntwo"}, "labels: found 2 lines for 3 pictures"),
        ({"titles": "one, two"}, "titles: found 2 for 1 columns of pictures"),
        ({"beside_b": ["two", 0]}, "beside_b: found 2 pictures for 3 rows"),
        ({"images": ["many", 0], "cell_size": 2048, "rows": 1}, "cell_size: the sheet would have"),
    ],
)
def test_what_does_not_fit_on_a_sheet_is_named(refused, changes, said):
    extra = {"results": flat(0, 3), "two": flat(0, 2), "many": flat(0, 20)}
    prompt = {"sheet": sheet(**changes), "shown": node("PreviewImage", images=["sheet", 0])}
    assert said in refused(prompt | extra)


def check_word_sheet(found, report, words):
    """A picture for each word, each its own, laid out beside the person and the target."""
    assert report["words"] == words
    assert distinct(found["Face Paste"]) == len(words)
    rows, names = result_rows(
        as_tensors(found["Face Paste"]), words, 1, beside_a=load_sample("portrait_05"), beside_b=load_sample("portrait_37")
    )
    expected = draw_sheet(rows, names, ["who", "where", "result"], (128, 128))[0].numpy() * 255
    (saved,) = found["Save Image"]
    assert saved.shape == expected.shape
    # The host rounds pictures down before it shows them, and on the sheet they are made smaller after that.
    assert np.abs(saved - expected).max() <= 4


def test_the_word_sheet(ran):
    words = ["joy", "amusement", "sadness", "anger", "fear", "surprise", "disgust", "pride"]
    check_word_sheet(*ran("word_sheet"), words)
    check_word_sheet(*ran("word_sheet", ("Expression Sweep", "family", "surprise")), ["amazement", "astonishment", "surprise"])


@pytest.mark.full
def test_the_word_sheet_of_all_words(ran):
    """One widget makes the eight words all 135."""
    check_word_sheet(*ran("word_sheet", ("Expression Sweep", "family", "all")), [word.word for word in all_words()])


def test_the_moving_picture(ran):
    """Eight frames there and back: the ends are what a word alone gives, and the way back is the way there."""
    found, report = ran("expression_travel")
    frames = found["Face Paste"]
    assert [len(found[title]) for title in ("Face Paste", "Save Image", "Save Image: frames")] == [8, 8, 1]
    assert report["words"][0] == "sadness"
    assert report["words"][4] == "joy"
    assert distinct(frames[:5]) == 5
    for there, back in ((1, 7), (2, 6), (3, 5)):
        assert np.abs(frames[there].astype(int) - frames[back]).max() <= 2
    # Lossy, but each frame is nearer to its own picture than to the other end's.
    for own, other in ((0, 4), (4, 0)):
        assert (
            np.abs(found["Save Image"][own] - frames[own].astype(int)).mean()
            < np.abs(found["Save Image"][own] - frames[other].astype(int)).mean()
        )
    still, _ = ran("expression_travel", ("Expression Embed: to", "word", "sadness"))
    assert max(np.abs(frame.astype(int) - still["Face Paste"][0]).max() for frame in still["Face Paste"]) <= 2


def test_the_samplers_are_six(ran):
    """Each solves in its own way: in two steps no two of them arrive at the same face."""
    found, report = ran("samplers", steps=2)
    assert len(report["identity_cosines"]) == 6
    # Heun stands there twice, and with as many steps for both it is the same.
    yardstick, _, heun, *_ = found["Face Paste"]
    assert np.abs(yardstick.astype(int) - heun).max() <= 2
    assert distinct(found["Face Paste"][1:]) == 5
    assert all(title in found for title in ("Save Image", "Estimates", "Errors", "Plot"))


def test_the_samplers_look_at_the_network_as_often_as_the_sheet_says():
    prompt = load_workflow(API / "samplers.json")
    said = prompt[titled(prompt, "Sheet")]["inputs"]["labels"].splitlines()
    results = prompt[titled(prompt, "All results")]["inputs"].values()
    looks = []
    for (sample, _), label in zip(results, said, strict=True):
        inputs = prompt[sample]["inputs"]
        sampler = prompt[inputs["sampler"][0]]["inputs"]
        steps = prompt[inputs["sigmas"][0]]["inputs"]["steps"]
        looks.append(sampler["order"] * steps if "order" in sampler else stock_evaluations(sampler["sampler_name"], steps))
        assert label.endswith(f": {looks[-1]} looks")
        assert sampler.get("sampler_name", "improved midpoint") in label
    assert len(looks) == 6
    assert max(looks[1:]) - min(looks[1:]) <= 1
    assert looks[0] > 5 * max(looks[1:])
