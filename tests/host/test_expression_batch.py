"""Batches of expressions in a real ComfyUI: how they are made, how many pictures come out, and what is refused."""

import numpy as np
import pytest
from harness.client import PromptFailed, PromptRejected
from harness.graph import node
from PIL import Image


def word(name, intensity=1.0):
    return node("ExpressionEmbed", source="word", word=name, intensity=intensity)


def travel(**changes):
    inputs = {"start": ["from", 0], "end": ["to", 0], "frames": 3, "easing": "linear", "there_and_back": False}
    return node("SFSRExpressionTravel", **(inputs | changes))


def keyframes(schedule, frames=5, **inputs):
    return node("SFSRExpressionKeyframes", schedule=schedule, frames=frames, easing="linear", **({"loop": False} | inputs))


def sweep(**changes):
    inputs = {"family": "the list below", "words": "", "intensity_from": 0.0, "intensity_to": 1.0, "steps": 1}
    return node("SFSRExpressionSweep", **(inputs | changes))


def blend(first="from", second="to", **inputs):
    return node(
        "SFSRExpressionBlend", **{"expressions.expression_a": [first, 0], "expressions.expression_b": [second, 0]}, **inputs
    )


ENDS = {"from": word("anger"), "to": word("amazement")}


@pytest.fixture
def labels(client):
    """Runs only the nodes that make an expression "mix" and returns a label for each of its batch."""

    def run(mix, **extra):
        nodes = ENDS | extra | {"mix": mix}
        if mix["class_type"] != "SFSRExpressionSweep":
            nodes["sheet"] = sweep(expression=["mix", 0])
        nodes["read"] = node("PreviewAny", source=["sheet" if "sheet" in nodes else "mix", 1])
        return client.run(nodes, timeout=600).outputs["read"]["text"][0].splitlines()

    return run


@pytest.fixture
def fails(server, labels):
    """The message of a graph that must fail while it runs; the host stands afterwards."""

    def run(mix, **extra):
        with server.expecting_error(""), pytest.raises(PromptFailed) as caught:
            labels(mix, **extra)
        assert server.is_alive()
        return str(caught.value)

    return run


@pytest.fixture
def pictures(client, portrait, tmp_path):
    """Runs the portrait workflow with the expressions of a node "mix", all from the same noise: uint8 [N, H, W, 3]."""

    def run(mix, conditioning=None, report=None, **extra):
        prompt = portrait(
            SFSR_Conditioning={"expression": ["mix", 0]} | (conditioning or {}),
            Report={"expression": ["mix", 0]} | (report or {}),
            Sample={"latent_image": ["same", 0]},
        )
        prompt |= ENDS | {"mix": mix, "same": node("LatentBatchSeedBehavior", samples=["8", 3], seed_behavior="fixed")} | extra
        saved = [image for image in client.run(prompt, timeout=600).images if image.type == "output"]
        found = []
        for number, image in enumerate(saved):
            with Image.open(client.download(image, tmp_path / f"{number}.png")) as picture:
                found.append(np.asarray(picture.convert("RGB")))
        return np.stack(found)

    return run


def difference(first, second):
    return int(np.abs(first.astype(int) - second.astype(int)).max())


def test_one_picture_for_each_expression(pictures):
    """Three frames on the way are three pictures; the ends are what a run with that word alone gives."""
    path = pictures(travel())
    assert len(path) == 3
    assert min(difference(path[one], path[other]) for one, other in ((0, 1), (1, 2), (0, 2))) > 8
    for frame, name in ((0, "anger"), (2, "amazement")):
        (alone,) = pictures(word(name))
        assert difference(path[frame], alone) <= 2
    (single,) = pictures(travel(frames=1))
    assert difference(single, path[0]) <= 2


def test_one_expression_repeated_is_one_picture_repeated(pictures):
    """So the pictures above differ by their expressions and by nothing else."""
    path = pictures(travel(end=["from", 0]))
    assert len(path) == 3
    assert max(difference(path[0], other) for other in path) <= 1


def test_a_long_batch_from_one_person_and_one_target(client, portrait):
    """Sixty frames go through the sampler as any batch of latents does."""
    prompt = portrait(
        Load_SFSR_Model={"checkpoint": "untrained (random weights)"},  # which takes a crop of any size
        SFSR_Conditioning={"expression": ["mix", 0]},
        Face_Crop={"size": 64},
        Steps={"steps": 1},
        Report={"expression": ["mix", 0]},
    )
    result = client.run(prompt | ENDS | {"mix": travel(frames=60)}, timeout=600)
    assert len([image for image in result.images if image.type == "output"]) == 60


def test_a_blend_of_one_is_that_one(pictures):
    (mixed,) = pictures(blend(weight_a=0.0, weight_b=3.0))
    (alone,) = pictures(word("amazement"))
    assert difference(mixed, alone) == 0


def test_batches_that_do_not_meet_are_named(server, pictures):
    two = {"crops": node("RepeatImageBatch", image=["7", 0], amount=2)}
    said = "image: found a batch of 2, but expression is a batch of 3; expected equal numbers"
    with server.expecting_error(""), pytest.raises(PromptFailed, match=said):
        pictures(travel(), conditioning={"image": ["crops", 0]}, **two)


def test_masks_may_be_a_batch_of_their_own(server, pictures):
    """A mask for each frame over one picture; as many as frames, or they are named."""
    masks = {"image": node("MaskToImage", mask=["7", 1])}
    masks["many"] = node("RepeatImageBatch", image=["image", 0], amount=3)
    masks["masks"] = node("ImageToMask", image=["many", 0], channel="red")
    each = pictures(travel(), conditioning={"mask": ["masks", 0]}, **masks)
    assert max(difference(one, other) for one, other in zip(each, pictures(travel()), strict=True)) <= 2
    said = "expression: found a batch of 2, but mask is a batch of 3"
    with server.expecting_error(""), pytest.raises(PromptFailed, match=said):
        pictures(travel(frames=2), conditioning={"mask": ["masks", 0]}, **masks)


def test_the_report_wants_as_many_expressions_as_pictures(server, pictures):
    said = "expression: found a batch of 2, but images is a batch of 3"
    with server.expecting_error(""), pytest.raises(PromptFailed, match=said):
        pictures(travel(), report={"expression": ["two", 0]}, two=travel(frames=2))


def test_keys_words_and_inputs(labels):
    assert labels(keyframes("4: b\n0: Joy 0.5, 2: neutral", b=["to", 0])) == [
        "joy", "expression 2", "neutral", "expression 4", "amazement",
    ]  # fmt: skip
    assert labels(keyframes("1: fear", frames=3)) == ["fear"] * 3
    assert labels(keyframes("0: fear", frames=1)) == ["fear"]
    assert labels(keyframes("0: fear, 1: joy", frames=4, loop=True)) == ["fear", "joy", "expression 3", "expression 4"]


def test_there_and_back(labels):
    path = labels(travel(frames=4, there_and_back=True))
    assert path == ["anger", "expression 2", "amazement", "expression 4"]


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ("", "schedule: the schedule is empty"),
        ("0 joy", "schedule: entry 1, '0 joy': it has no colon"),
        ("0: joy, 3: amazment", "entry 2, '3: amazment': unknown expression 'amazment'.*did you mean amazement"),
        ("0: joy, 0: fear", "frame 0 is taken by entry 1, '0: joy'"),
    ],
)
def test_a_bad_schedule_never_runs(labels, schedule, message):
    with pytest.raises(PromptRejected, match=message):
        labels(keyframes(schedule))


def test_a_schedule_over_a_link_is_read_as_well(labels, fails):
    text = node("PrimitiveString", value="0: joy, 4: fear")
    assert labels(keyframes(["text", 0]), text=text)[-1] == "fear"
    assert "schedule: entry 1, '0': it has no colon" in fails(keyframes(["text", 0]), text=node("PrimitiveString", value="0"))


def test_keys_that_have_no_place_or_no_expression(fails):
    assert "schedule: entry 2, '5: fear': there is no frame 5, as the 5 frames are 0 to 4" in fails(
        keyframes("0: joy, 5: fear")
    )
    assert "schedule: entry 1, '0: c': nothing is connected to the input c" in fails(keyframes("0: c"))
    assert "a: found a batch of 3 expressions; expected one" in fails(keyframes("0: a", a=["three", 0]), three=travel())


@pytest.mark.parametrize("frames", [0, -1, 10_000])
def test_frames_out_of_range_never_run(labels, frames):
    for mix in (travel(frames=frames), keyframes("0: joy", frames=frames)):
        with pytest.raises(PromptRejected, match="frames"):
            labels(mix)


def test_travel_wants_single_expressions(fails):
    assert "end: found a batch of 3 expressions; expected one" in fails(travel(end=["three", 0]), three=travel())


def test_sweeps_of_words(labels):
    assert labels(sweep(words="joy, 8 0.5\nNeutral")) == ["joy", "amazement 0.5", "neutral"]
    assert labels(sweep(family="surprise")) == ["amazement", "astonishment", "surprise"]
    assert len(labels(sweep(family="all"))) == 135


def test_sweeps_of_intensities(labels):
    assert labels(sweep(expression=["to", 0], steps=3)) == ["amazement 0.00", "amazement 0.50", "amazement 1.00"]
    assert labels(sweep(words="joy, fear", intensity_from=2.0, steps=2)) == ["joy 2.00", "joy 1.00", "fear 2.00", "fear 1.00"]
    assert labels(sweep(expression=["three", 0]), three=travel()) == ["anger", "expression 2", "amazement"]


def test_sweeps_of_nothing_and_of_too_much(labels, fails):
    assert "words: the list is empty" in fails(sweep())
    assert "steps: 135 expressions at 100 intensities are 13500; expected 1 to 4096" in fails(sweep(family="all", steps=100))
    with pytest.raises(PromptRejected, match="words: entry 2, 'amazment': unknown expression"):
        labels(sweep(words="joy, amazment"))
    with pytest.raises(PromptRejected, match="steps"):
        labels(sweep(words="joy", steps=0))
    with pytest.raises(PromptRejected, match="family"):
        labels(sweep(family="rage"))


def test_blends_of_many(labels):
    extra = {"expressions.expression_d": ["from", 0], "weight_d": 0.0}
    assert labels(blend(weight_a=0.0)) == ["amazement"]
    mixed = blend("three", "to", brows_from="expression_d", **extra)
    assert labels(mixed, three=travel()) == ["expression 1", "expression 2", "expression 3"]
    everything = {f"{part}_from": "expression_b" for part in ("brows", "eyes", "gaze", "nose", "mouth", "head")}
    assert labels(blend(**everything)) == ["amazement"]


def test_blends_that_cannot_be(labels, fails):
    assert "weights are all 0" in fails(blend(weight_a=0.0, weight_b=0.0))
    assert "weight_b: found nan, expected a number from 0.0 to 10.0" in fails(blend(weight_b=float("nan")))
    assert "mouth_from: found expression_c, which is not connected; expected 'the blend' or one of" in fails(
        blend(mouth_from="expression_c")
    )
    assert "expression_b: found a batch of 2, but expression_a is a batch of 3" in fails(
        blend("three", "two"), three=travel(), two=travel(frames=2)
    )
    for alone in (blend() | {"inputs": {"expressions.expression_a": ["from", 0]}}, blend(weight_a=-1.0), blend(weight_a=11.0)):
        with pytest.raises(PromptRejected):
            labels(alone)
