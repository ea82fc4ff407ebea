"""Every input of every node given what it should not get: a result or a sentence that names the input, and the host goes on.

The values come over the API, or over links from a pack of somebody else's (data/stranger) that gives anything under any type.
One server takes all of it, and most of the graph stays in its cache.
"""

import importlib.util
import json
import re
import shutil
import struct
from pathlib import Path

import hypothesis.strategies as st
import pytest
from harness.client import PromptFailed, PromptRejected
from hypothesis import HealthCheck, Phase, given, settings
from PIL import Image
from testkit.small_graph import SmallGraph
from testkit.text_to_image import SLIM_SD15, save_text_to_image

from sfsr_model.adapters.kinds import PORTRAIT
from sfsr_model.adapters.stand_ins import write_stand_in

DATA = Path(__file__).parent / "data"
SCHEMA = json.loads((DATA / "schema.json").read_text(encoding="utf-8"))
SAMPLES = Path(__file__).resolve().parents[2] / "workflows" / "samples"
BUNDLED = "bundled (comes with this pack)"


def strangers_things():
    spec = importlib.util.spec_from_file_location("things", DATA / "stranger" / "things.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return sorted(module.THINGS)


class Bench(SmallGraph):
    """Something sound of every type, to be wired into the node under test or, as somebody else's, into the wrong input."""

    def __init__(self):
        super().__init__()
        reader = self.node("SFSRLoadExpressionEncoder", encoder=BUNDLED)
        conditioned = self.conditioned()
        self.portrait = self.node("SFSRSamplePortrait", sample="portrait_20").out()
        self.sound = {
            "IMAGE": self.crop.out(0), "MASK": self.crop.out(1), "FACE_FRAME": self.crop.out(2), "MODEL": self.model.out(0),
            "VAE": self.vae, "IDENTITY": self.identity.out(0), "EXPRESSION": self.expression.out(0),
            "ID_ENCODER": self.encoder.out(0), "EXPRESSION_ENCODER": reader.out(0), "CONDITIONING": conditioned.out(1),
            "LATENT": conditioned.out(3), "VIDEO": self.node("CreateVideo", images=self.portrait, fps=24.0).out(),
            "SAMPLER": self.sampler().out(),
            "SIGMAS": self.node("BasicScheduler", model=self.model, scheduler="normal", steps=1, denoise=1.0).out(),
        }  # fmt: skip


TYPES = sorted(Bench().sound)
ESCAPED = "sfsr-escaped"  # a part of every name of a file to write that leads out of ComfyUI's folders
PATHS = (
    "../../etc/passwd", "/etc/passwd", "../../../../etc/passwd [output]", f"../../{ESCAPED}", f"/tmp/{ESCAPED}",
    f"a/../../../{ESCAPED}", "..\\..\\windows\\win.ini", "C:\\windows\\win.ini", "file:///etc/passwd", ".", "..", "/",
    "bundled/../../x", "mediapipe/../../x",
)  # fmt: skip
ODD_TEXTS = ("", " ", "\0", "line\nbreak", "\ud800", "\U0001f600" * 99, "x" * 5000, "x/" * 2000, "%", "None", "nan", "-1")
ODD_VALUES = (
    None, True, -1, 0.5, 10**9, 2**70, -1e300, float("nan"), float("inf"), "words", "nan", [], [1, 2, 3], {}, {"a": 1},
    {"__value__": [1]},
)  # fmt: skip
WIDGETS = ("BOOLEAN", "COMBO", "FLOAT", "INT", "STRING")
LEFT_OUT, OLD_INPUT = "left out", "input_of_an_old_version"
# Inputs for which the default would not do; None leaves one out.
SPECIAL = {
    ("ExpressionEmbed", "face_landmarks"): None,
    ("ExpressionEmbed", "source"): "image",
    ("SFSRDrawExpression", "image"): "the portrait",
    ("SFSREstimatorStudy", "levels"): "2",
    ("SFSRExpressionLibrary", "folder"): "joyful",
    ("SFSRExpressionFilm", "images"): None,
    ("SFSRFaceCrop", "bboxes"): None,
    ("SFSRFaceCrop", "face_landmarks"): None,
    ("SFSRFaceCrop", "images"): "the portrait",
    ("SFSRFaceCrop", "size"): 64,
    ("SFSRFacePaste", "images"): "the portrait",
    ("SFSRFilmFaceCrop", "bboxes"): None,
    ("SFSRFilmFaceCrop", "face_landmarks"): None,
    ("SFSRFilmFaceCrop", "images"): "the portrait",
    ("SFSRFilmFaceCrop", "person"): None,
    ("SFSRFilmFaceCrop", "size"): 64,
    ("SFSRFilmSwap", "person"): None,
    ("SFSRFilmSwap", "size"): 64,
    ("SFSRIdentity", "images"): "the portrait",
    ("SFSRLoadExpressionEncoder", "encoder"): BUNDLED,
    ("SFSRLoadIdentity", "identity"): "kept.safetensors",
    ("SFSRLoadModel", "checkpoint"): "untrained (random weights)",
    ("SFSRReport", "images"): "the portrait",
    ("SFSRReport", "target"): "the portrait",
    ("SFSRModelFromAdapters", "identity_adapter"): "ipadapter/any.safetensors",
    ("SFSRSampleFilm", "sample"): "film_speaking",
    ("SFSRSamplePortrait", "sample"): "portrait_05",
}


def described(class_type):
    """Name and description of each input; of one that grows the first two."""
    for one in SCHEMA[class_type]["inputs"]:
        if one["type"] == "COMFY_AUTOGROW_V3":
            kind = "IDENTITY" if one["id"] == "identities" else "EXPRESSION"
            yield from ((f"{one['id']}.{name}", {"type": kind}) for name in one["template"]["names"][:2])
        else:
            yield one["id"], one


def sound_inputs(bench, class_type):
    inputs = {}
    for name, about in described(class_type):
        value = SPECIAL.get((class_type, name), bench.sound.get(about["type"], about.get("default")))
        if value is not None:
            inputs[name] = bench.portrait if value == "the portrait" else value
    if class_type == "SFSRModelFromAdapters":
        checkpoint = bench.node("CheckpointLoaderSimple", ckpt_name="any.safetensors")
        inputs |= {"model": checkpoint.out(0), "clip": checkpoint.out(1)}
    return inputs


def hostile(about):
    """What to put in place of an input's value: ("thing", a stranger's), ("ours", of a type), ("value", over the API)."""
    values = list(ODD_VALUES)
    if about["type"] in ("COMBO", "STRING"):
        values += [*PATHS, *ODD_TEXTS]
    if "max" in about:
        values += [about["min"], about["max"], about["min"] - 1, about["max"] + 1]
    kinds = [
        st.tuples(st.just("thing"), st.sampled_from(strangers_things())),
        st.tuples(st.just("ours"), st.sampled_from([one for one in TYPES if one != about["type"]])),
        st.tuples(st.just("value"), st.sampled_from(values)),
        st.just((LEFT_OUT, None)),
    ]
    # What people type and send most often ends up in widgets; what other packs give, in sockets.
    return st.one_of(kinds + kinds[2:3] * 3 if about["type"] in WIDGETS else kinds + kinds[:1] * 3)


def spoilt(class_type, name, fault):
    """A graph with a sound node of this class but for one input, and the node's id in it."""
    bench, (kind, value) = Bench(), fault
    inputs = sound_inputs(bench, class_type)
    if kind == "thing":
        value = bench.node("StrangerThing", thing=value).out()
    elif kind == "ours":
        value = bench.node("StrangerLabel", value=bench.sound[value]).out()
    inputs[name] = value
    if kind == LEFT_OUT:
        del inputs[name]
    tested = bench.node(class_type, **inputs)
    if not SCHEMA[class_type]["output_node"]:
        bench.node("StrangerSink", value=tested)
    return bench.prompt(), tested.id


def outcome(client, class_type, name, fault):
    """How a graph with this fault ended; raises AssertionError for an end that does not help who reads it."""
    prompt, tested = spoilt(class_type, name, fault)
    told = f"{class_type}.{name} = {fault!r}"[:300]
    leaf = name.rpartition(".")[2]
    refused = None
    try:
        client.run(prompt, timeout=120)
    except (PromptRejected, PromptFailed) as error:
        refused = error
    if refused is None:
        return "went through"
    if isinstance(refused, PromptRejected):
        assert "exception_during" not in json.dumps(refused.answer), f"{told}\n{refused.answer}"
        assert leaf in str(refused), f"{told}\n{refused}"
        return "rejected"
    shown = f"{told}\n{refused}\n{refused.traceback}"
    assert refused.node_id == tested, shown
    said = str(refused).split(" failed: ", 1)[1]
    known = [one.rpartition(".")[2] for one, _ in described(class_type)]
    # The message begins with an input at fault; where two do not fit each other, that may be the other one.
    assert re.match(rf"({'|'.join([leaf, *known])}): ", said), shown
    assert leaf.replace("images", "image") in said.replace(" ", "_"), shown
    assert re.search("expected|connect|choose|use|check|set|take|refresh|pass|give", said), shown
    return "failed"


@pytest.fixture(scope="module")
def files(server, client):
    """The files that the sound nodes read. Afterwards nothing is half written, and nothing lies where it should not."""
    folders = [server.base_dir / "models" / "sfsr" / "identities", server.base_dir / "input" / "joyful" / "joy"]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    bench = Bench()
    bench.node("SFSRSaveIdentity", identity=bench.identity, name="to be kept")
    client.run(bench.prompt(), timeout=300)
    (saved,) = (server.base_dir / "output" / "identities").glob("to be kept*")
    saved.rename(folders[0] / "kept.safetensors")
    shutil.copy(SAMPLES / "portrait_05.jpg", folders[1])
    own = [server.base_dir / "models" / folder / "any.safetensors" for folder in ("checkpoints", "ipadapter")]
    for path in own:
        path.parent.mkdir(parents=True, exist_ok=True)
    save_text_to_image(own[0], SLIM_SD15)
    write_stand_in(PORTRAIT, own[1], SLIM_SD15.ldm_arguments)
    before = {*server.base_dir.rglob("*")}
    yield
    for path in own:
        path.unlink()
    written = [path for path in server.base_dir.rglob("*") if path.is_file() and path not in before]
    assert not [path for path in written if path.suffix == ".partial"]
    output = server.base_dir / "output"
    assert not [path for path in written if ESCAPED in path.name and not path.is_relative_to(output)]
    assert not list(Path("/tmp").glob(f"*{ESCAPED}*")) + list(server.base_dir.parent.glob(f"*{ESCAPED}*"))
    for path in written:
        if path.suffix == ".safetensors" and path.is_relative_to(output):
            (length,) = struct.unpack("<Q", path.read_bytes()[:8])
            assert path.stat().st_size > 8 + length, path
        elif path.suffix == ".png" and path.is_relative_to(output):
            with Image.open(path) as picture:
                picture.load()


@pytest.mark.parametrize("class_type", SCHEMA)
def test_any_input_gives_a_result_or_a_sentence(server, client, files, class_type):
    inputs = {**dict(described(class_type)), OLD_INPUT: {"type": "none any more"}}
    seen = {"went through": 0, "rejected": 0, "failed": 0}

    # Each value stands for itself, so there is nothing to shrink.
    @settings(
        max_examples=4, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(faults=st.fixed_dictionaries({name: hostile(about) for name, about in inputs.items()}))
    def drive(faults):
        for name, fault in faults.items():
            seen[outcome(client, class_type, name, fault)] += 1
            assert server.is_alive()

    with server.expecting_error(""):
        drive()
        # Somebody else's value under every input's type is looked at, whatever was drawn.
        seen[outcome(client, class_type, OLD_INPUT, ("thing", "a word"))] += 1
    assert seen["failed"]
    name = next(iter(inputs))
    assert outcome(client, class_type, name, ("value", sound_inputs(Bench(), class_type)[name])) == "went through"
