"""Names of saved files in a real ComfyUI: the page's words between percent signs beside the host's own."""

import time

import pytest
from harness.graph import node


def named(prefix, value="as you like", **changes):
    """A graph whose saved picture does not hang on the node titled "Name"."""
    image = node("EmptyImage", width=16, height=8, batch_size=1, color=0)
    name = {"class_type": "PrimitiveString", "inputs": {"value": value}, "_meta": {"title": "Name"}}
    shown = node("PreviewAny", source=["name", 0])
    return {"image": image, "name": name, "shown": shown, "save": saved(prefix, **changes)}


def saved(prefix, **changes):
    return node("SFSRSaveImage", images=["image", 0], filename_prefix=prefix, provenance=True, **changes)


@pytest.fixture
def names(client):
    """Runs a graph; returns the saved files, folders included."""

    def run(prompt):
        images = client.run(prompt, timeout=60).images
        return [f"{image.subfolder}/{image.filename}".removeprefix("/") for image in images if image.type == "output"]

    return run


def test_dates_widgets_and_the_hosts_own_words(names):
    found = names(named("%date:yyyy%_%year%/%Name.value%_%width%x%height%_%batch_num%_%Nobody.value%", value="joy: a/b"))
    year = time.localtime().tm_year
    assert found == [f"{year}_{year}/joy_ a_b_16x8_0_%Nobody.value%_00001_.png"]


def test_a_moving_picture_is_named_alike(names):
    assert names(named("moving_%PrimitiveString.value%", format="animated WebP")) == ["moving_as you like_00001_.webp"]


def test_another_value_is_another_file(names):
    """Nothing that the picture is made of has changed."""
    assert names(named("named_%Name.value%", value="one")) == ["named_one_00001_.png"]
    assert names(named("named_%Name.value%", value="two")) == ["named_two_00001_.png"]


def test_a_value_that_comes_over_a_link_is_none(names):
    prompt = named("linked_%Second.value%")
    prompt["second"] = {"class_type": "PrimitiveString", "inputs": {"value": ["name", 0]}, "_meta": {"title": "Second"}}
    assert names(prompt) == ["linked_%Second.value%_00001_.png"]


@pytest.mark.parametrize(
    ("prefix", "value", "said"),
    [
        ("%Name.value%/%Name.value%/x", "..", "'../../x' leads out of ComfyUI's output folder"),
        ("%Name.value%", " ", "' ' names no file"),
        ("%Name.value%", "long " * 60, "has 300 bytes; expected 200 or fewer"),
    ],
)
def test_a_value_is_held_to_what_a_prefix_may_be(refused, prefix, value, said):
    assert said in refused(named(prefix, value))
