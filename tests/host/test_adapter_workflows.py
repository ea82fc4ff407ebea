"""The workflows on weights that people own, with files of random weights under the true names."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from harness.client import PromptRejected
from harness.graph import node
from harness.workflow import behind, load_workflow, set_input, titled
from PIL import Image
from testkit.model_stand_ins import stand_ins, write_stand_ins

from sfsr_model.samples import load_sample

API = Path(__file__).resolve().parents[2] / "workflows" / "api"
SIDE, STEPS = 64, 2
FILES = {"sd15_face": 4, "sdxl_face": 3, "arc2face_portrait": 6}
PLUS = {
    version: ("sd15_face", f"ipadapter/ip-adapter-faceid-{version}_sd15.bin", "models/buffalo_l/")
    for version in ("plus", "plusv2")
}
VARIANTS = {**PLUS, "instantid": ("sdxl_face", "instantid/ip-adapter.bin", "models/antelopev2/")}
"""Other persons' adapters in these workflows: which workflow, which adapter, and the recogniser that it knows people by."""
every_workflow = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in ("sd15_face", "arc2face_portrait") else [pytest.mark.full])
        for name in (*FILES, *VARIANTS)
    ],
)


def loaded(name):
    """A workflow, or one of VARIANTS, as docs/adapters.md says how to wire it."""
    base, adapter, recogniser = VARIANTS.get(name, (name, None, None))
    prompt = load_workflow(API / f"{base}.json")
    if adapter is None:
        return prompt
    own = prompt[titled(prompt, "SFSR Model from Adapters")]["inputs"]
    # Of random weights the whole LoRA inside plus makes a network that overflows.
    own |= {"identity_adapter": adapter, "lora_strength": 0.2}
    prompt[titled(prompt, "Load ID Encoder")]["inputs"]["encoder"] = recogniser
    if name in PLUS:
        prompt["clip vision"] = node("CLIPVisionLoader", clip_name="CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors")
        own["clip_vision"] = ["clip vision", 0]
    else:
        prompt["points"] = node("ControlNetLoader", control_net_name="instantid/diffusion_pytorch_model.safetensors")
        own["control_net"] = ["points", 0]
    return prompt


def workflow(name, *changes):
    """The workflow, in two steps on a small crop, with inputs changed."""
    prompt = loaded(name)
    small = [("Face Crop", "size", SIDE), ("Steps", "steps", STEPS)]
    for title, key, value in (*small, *changes):
        set_input(prompt, title, (key,), value, title)
    prompt[titled(prompt, "SFSR Model from Adapters")]["inputs"]["size"] = SIDE
    return prompt


@pytest.fixture(scope="module")
def models(server, client):
    """Writes what a workflow asks for into the host's folders; takes it away after the last test."""
    folder = server.base_dir / "models"
    made = []

    def write(name):
        made.extend(write_stand_ins(loaded(name), folder)[0])

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


def test_a_missing_file_is_named_before_anything_runs(client):
    """What it is called, where it goes, and what can stand in."""
    with pytest.raises(PromptRejected) as caught:
        client.run(workflow("sdxl_face", ("SFSR Model from Adapters", "identity_adapter", "ipadapter/gone.bin")))
    told = str(caught.value)
    assert re.search(
        r"'ipadapter/gone\.bin' is not there.*models/ipadapter.*'portrait' runs on the bundled network", told, re.DOTALL
    ), told


def test_every_stand_in_has_a_place_of_its_own():
    for name, count in FILES.items():
        paths = [one.path for one in stand_ins(load_workflow(API / f"{name}.json"))]
        assert len(set(paths)) == count
        assert all(len(path.parts) > 1 for path in paths)


OTHERS = sorted(
    path.stem
    for path in API.glob("*.json")
    if any(entry["class_type"] == "SFSRLoadModel" for entry in load_workflow(path).values())
)


def with_the_loader_swapped(name):
    """A workflow on the bundled network, on the checkpoint, adapters and recogniser of sd15_face."""
    prompt, own = load_workflow(API / f"{name}.json"), load_workflow(API / "sd15_face.json")
    for title in ("Checkpoint", "SFSR Model from Adapters"):
        prompt[f"own {title}"] = own[titled(own, title)]
    prompt["own SFSR Model from Adapters"]["inputs"] |= {
        "model": ["own Checkpoint", 0], "clip": ["own Checkpoint", 1], "size": SIDE,
    }  # fmt: skip
    outputs = {0: ["own SFSR Model from Adapters", 0], 1: ["own Checkpoint", 2]}
    loader = next(key for key, entry in prompt.items() if entry["class_type"] == "SFSRLoadModel")
    for entry in prompt.values():
        inputs = entry["inputs"]
        inputs |= {key: outputs[value[1]] for key, value in inputs.items() if isinstance(value, list) and value[0] == loader}
        small = {"SFSRFaceCrop": {"size": SIDE}, "BasicScheduler": {"steps": STEPS}, "KSampler": {"steps": 1}}
        inputs |= small.get(entry["class_type"], {})
        if "id_encoder" in inputs and entry["class_type"] == "SFSRFaceCrop":
            inputs["id_encoder"] = ["detector", 0]  # the stand-in for buffalo_l has none
        if entry["class_type"] == "LoadIDEncoder":
            inputs["encoder"] = own[titled(own, "Load ID Encoder")]["inputs"]["encoder"]
        if entry["class_type"] == "CheckpointLoaderSimple":
            inputs["ckpt_name"] = own[titled(own, "Checkpoint")]["inputs"]["ckpt_name"]
    del prompt[loader]
    prompt["detector"] = node("LoadIDEncoder", encoder="bundled (comes with this pack)", provider="auto")
    if name == "text_to_portrait":  # random weights draw no face into a scene
        prompt["portrait"] = node("SFSRSamplePortrait", sample="portrait_20")
        for title, key in (("Face Crop", "images"), ("Face Paste", "images"), ("Report", "target")):
            prompt[titled(prompt, title)]["inputs"][key] = ["portrait", 0]
    return prompt


@pytest.fixture
def saves(client):
    """Runs a prompt, and holds it to have saved a picture."""

    def run(prompt):
        assert any(image.type == "output" for image in client.run(prompt, timeout=900).images)

    return run


@pytest.mark.full
@pytest.mark.parametrize("name", [name for name in OTHERS if name not in ("samplers", "keep_a_person")])
def test_other_workflows_run_with_the_loader_swapped(name, models, saves):
    models("sd15_face")
    saves(with_the_loader_swapped(name))


@pytest.mark.full
def test_the_samplers_run_without_the_estimator_study(models, refused, saves):
    models("sd15_face")
    prompt = with_the_loader_swapped("samplers")
    assert "it is made of adapters, and this node works on a checkpoint" in refused(prompt)
    study = titled(prompt, "Estimator Study")
    shown = [key for key, entry in prompt.items() if any(value[0] == study for value in links(entry))]
    saves({key: entry for key, entry in prompt.items() if key not in (study, *shown)})


def links(entry):
    return [value for value in entry["inputs"].values() if isinstance(value, list)]


@pytest.mark.full
def test_a_kept_person_has_to_be_of_the_adapters_recogniser(models, client, server, refused, saves):
    models("sd15_face")
    prompt = with_the_loader_swapped("keep_a_person")
    assert "knows people by w600k_r50 of buffalo_l alone" in refused(prompt)
    save = titled(prompt, "Save Identity")
    prompt[save]["inputs"]["name"] = "of_an_adapter"
    client.run(behind(prompt, {save: prompt[save]}), timeout=600)
    (kept,) = (server.base_dir / "output" / "identities").glob("of_an_adapter_*.safetensors")
    prompt[titled(prompt, "Load Identity")]["inputs"]["identity"] = f"identities/{kept.name} [output]"
    saves(prompt)
