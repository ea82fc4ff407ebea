"""The workflows on weights that people own, with files of random weights under the true names."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from harness.client import PromptRejected
from harness.workflow import load_workflow, set_input
from PIL import Image
from testkit.model_stand_ins import stand_ins, write_stand_ins

from sfsr_model.samples import load_sample

API = Path(__file__).resolve().parents[2] / "workflows" / "api"
SIDE = 64
FILES = {"sd15_face": 4, "sdxl_face": 3, "arc2face_portrait": 6}
every_workflow = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.full] if name == "sdxl_face" else []) for name in FILES]
)


def workflow(name, *changes):
    """The workflow, in two steps on a small crop, with inputs changed."""
    prompt = load_workflow(API / f"{name}.json")
    small = [("Face Crop", "size", SIDE), ("Steps", "steps", 2)]
    for title, key, value in (*small, *changes):
        set_input(prompt, title, (key,), value, title)
    prompt[next(key for key, entry in prompt.items() if entry["class_type"] == "SFSRModelFromAdapters")]["inputs"]["size"] = (
        SIDE
    )
    return prompt


@pytest.fixture(scope="module")
def models(server, client):
    """Writes what a workflow asks for into the host's folders; takes it away after the last test."""
    folder = server.base_dir / "models"
    made = []

    def write(name):
        made.extend(write_stand_ins(load_workflow(API / f"{name}.json"), folder)[0])

    yield write
    client.free()
    for path in made:
        path.unlink()


@pytest.fixture
def picture(client, tmp_path):
    """Runs a prompt; returns the saved picture, uint8 [H, W, 3], and the report."""

    def run(prompt):
        result = client.run(prompt, timeout=900)
        (saved,) = [image for image in result.images if image.type == "output"]
        with Image.open(client.download(saved, tmp_path / saved.filename)) as opened:
            pixels = np.asarray(opened.convert("RGB"))
        figures = next(key for key, entry in prompt.items() if entry["_meta"]["title"] == "Report figures")
        return pixels, json.loads(result.outputs[figures]["text"][0])

    return run


@every_workflow
def test_it_runs_to_its_end(name, models, picture):
    """The picture is the target's but for the face, and another with another person; the report has its figures."""
    models(name)
    prompt = workflow(name)
    target = next(entry["inputs"]["sample"] for entry in prompt.values() if entry["_meta"]["title"] == "Portrait: target")
    before = (load_sample(target)[0].numpy() * 255).round().astype(np.uint8)
    first, report = picture(prompt)
    assert first.shape == before.shape
    face = (first != before).any(axis=-1)
    assert 0.02 < face.mean() < 0.5
    assert not face[:30].any()
    assert first[face].std() > 1  # not one colour, as a network that overflowed would give
    assert report["identity_cosines"] is not None
    assert report["expression_error"] is not None
    other, _ = picture(workflow(name, ("Portrait: person", "sample", "portrait_37")))
    assert not np.array_equal(first, other)


def test_a_missing_file_is_named_before_anything_runs(server, client):
    """What it is called, where it goes, and what can stand in."""
    with server.expecting_error("is not there"), pytest.raises(PromptRejected) as caught:
        client.run(workflow("sdxl_face", ("SFSR Model from Adapters", "identity_adapter", "ipadapter/gone.bin")))
    told = str(caught.value)
    assert re.search(r"'ipadapter/gone\.bin' is not there.*models/ipadapter.*bundled network stand in", told, re.DOTALL), told


def test_every_stand_in_has_a_place_of_its_own():
    for name, count in FILES.items():
        paths = [one.path for one in stand_ins(load_workflow(API / f"{name}.json"))]
        assert len(set(paths)) == count
        assert all(len(path.parts) > 1 for path in paths)
