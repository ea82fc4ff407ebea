"""A SMIRK file beside the expression encoder, in a real ComfyUI: which files are one, what it reads, what becomes of it."""

import os

import pytest
import torch
from harness.client import PromptRejected
from harness.graph import node
from harness.server import REPOSITORY
from testkit.random_smirk import write_smirk
from testkit.tiny_landmarker import write_tiny_task

from sfsr_model.expressions import FlameMap
from sfsr_model.expressions.flame_map import flame_map_path
from sfsr_model.files import digest_of

NAME = "sfsr/expression/numbers.pt"


@pytest.fixture(scope="session")
def folder(server):
    """Where a SMIRK file lies under a name of somebody's own, beside a map and a file that only has its name."""
    (server.base_dir / "models" / "mediapipe").mkdir(parents=True, exist_ok=True)
    write_tiny_task(server.base_dir / "models" / "mediapipe" / "tiny.task")
    folder = server.base_dir / "models" / "sfsr" / "expression"
    folder.mkdir(parents=True, exist_ok=True)
    write_smirk(folder / "numbers.pt")
    torch.save({"lora.down.weight": torch.zeros(3)}, folder / "SMIRK_em1.pt")
    FlameMap(torch.zeros(52, 55), torch.zeros(55), torch.ones(55), "ab" * 32, "none").save(
        flame_map_path(folder / "numbers.pt", "ab" * 32)
    )
    return folder


def encoder(smirk=NAME, **inputs):
    return node("SFSRLoadExpressionEncoder", encoder="mediapipe/tiny.task", smirk=smirk, **inputs)


@pytest.fixture
def graph(folder):
    return {
        "encoder": encoder(),
        "bright": node("EmptyImage", width=220, height=200, batch_size=1, color=0xF0F0E0),
        "photo": node(
            "ExpressionEmbed", source="image", word="joy", intensity=1.0, image=["bright", 0], expression_encoder=["encoder", 0]
        ),
        "word": node("ExpressionEmbed", source="word", word="joy", intensity=1.0),
        "shown": node("PreviewAny", source=["photo", 0]),
    }


def run(client, graph, of="photo"):
    """The expression of a node as text, and what the node itself shows."""
    result = client.run(graph | {"shown": node("PreviewAny", source=[of, 0])}, timeout=600)
    return result.outputs["shown"]["text"][0], (result.outputs.get(of, {}).get("text") or [""])[0]


def embed(graph, **changes):
    return {"photo": node("ExpressionEmbed", **(graph["photo"]["inputs"] | changes))}


def test_files_are_told_by_their_keys(client, folder):
    options = client.object_info("SFSRLoadExpressionEncoder")["SFSRLoadExpressionEncoder"]["input"]["optional"]["smirk"][1]
    assert options["default"] == options["options"][0] == "none"
    assert NAME in options["options"]
    assert "sfsr/expression/SMIRK_em1.pt" not in options["options"]
    (checkpoints,) = client.object_info("SFSRLoadModel").values()
    assert not [name for name in checkpoints["input"]["required"]["checkpoint"][1]["options"] if "flame_map" in name]


def test_a_photo_is_read_by_both(client, graph):
    outputs = client.run(graph, timeout=600).outputs
    (text,), (info,) = outputs["shown"]["text"], outputs["encoder"]["text"]
    assert "flame=tensor([[" in text
    assert not outputs.get("photo", {}).get("text"), "nothing is left out, so nothing is said"
    assert f"{NAME}: 55 numbers beside them, from BGR" in info
    assert run(client, graph | {"encoder": encoder(smirk_channels="RGB")})[0] != text
    plain, _ = run(client, graph | {"encoder": encoder("none")})
    assert "flame=None" in plain
    assert text.partition("flame=")[0] == plain.partition("flame=")[0]


def test_an_expression_knows_its_smirk_file(client, graph, folder):
    """A photo that the file read, and a word beside it, whose numbers the file's own map gives; a word alone knows none."""
    file = f"smirk='{digest_of(folder / 'numbers.pt')}'"
    word = node("ExpressionEmbed", source="word", word="joy", intensity=1.0, expression_encoder=["encoder", 0])
    for one, known in (("photo", True), ("beside", True), ("word", False)):
        outputs = client.run(graph | {"beside": word, "shown": node("PreviewAny", source=[one, 0])}, timeout=600).outputs
        assert (file in outputs["shown"]["text"][0]) == known


def test_what_is_left_out_is_said(client, graph):
    for changes in ({"smile": 0.5}, {"mouth": False}):
        text, note = run(client, graph | embed(graph, **changes))
        assert "flame=None" in text
        assert note.startswith("The numbers that SMIRK read from a photo are left out")
    text, note = run(client, graph | embed(graph, head=False, intensity=0.5, head_yaw=10.0))
    assert "flame=tensor(" in text
    assert not note
    mixed = {
        "mixed": node(
            "SFSRExpressionBlend", **{"expressions.expression_a": ["photo", 0], "expressions.expression_b": ["word", 0]}
        )
    }
    text, note = run(client, graph | mixed, "mixed")
    assert "flame=None" in text
    assert "left out" in note
    text, note = run(
        client, graph | {"mixed": node("SFSRExpressionBlend", **mixed["mixed"]["inputs"] | {"weight_b": 0.0})}, "mixed"
    )
    assert "flame=tensor(" in text
    assert not note
    way = {"start": ["photo", 0], "frames": 3, "easing": "linear", "there_and_back": False}
    _, note = run(client, graph | {"way": node("SFSRExpressionTravel", end=["word", 0], **way)}, "way")
    assert "left out" in note
    keys = {"frames": 3, "easing": "linear", "loop": False, "a": ["photo", 0]}
    text, note = run(client, graph | {"way": node("SFSRExpressionKeyframes", schedule="0: neutral, 2: a", **keys)}, "way")
    assert "flame=tensor(" in text
    assert not note


def test_files_that_cannot_be_used(client, graph, folder, refused):
    with pytest.raises(
        PromptRejected, match=r"smirk: 'sfsr/none\.pt' is not there\. Get a SMIRK file \(SMIRK_em1\.pt.*models/sfsr"
    ):
        client.run(graph | {"encoder": encoder("sfsr/none.pt")})
    with pytest.raises(PromptRejected, match="is not there"):
        client.run(graph | {"encoder": encoder("sfsr/../mediapipe/tiny.task")})
    message = refused(graph | {"encoder": encoder("sfsr/expression/SMIRK_em1.pt")})
    assert "smirk: SMIRK_em1.pt: found 1 tensors, such as 'lora.down.weight'" in message
    cut = folder / "cut.pt"
    cut.write_bytes((folder / "numbers.pt").read_bytes()[:200_000])
    message = refused(graph | {"encoder": encoder("sfsr/expression/cut.pt")})
    cut.unlink()
    assert "smirk: cut.pt: cannot be read" in message


def test_words_reach_an_expression_adapter_by_the_map_of_their_smirk_file_or_the_newest(in_host, tmp_path):
    """A word has no numbers of its own; without a map the error says which command makes one."""
    folder = tmp_path / "sfsr"
    folder.mkdir()
    for digest, bias, time in (("aa" * 32, 0.25, 2_000_000_000), ("bb" * 32, 0.5, 1_000_000_000)):
        path = flame_map_path(folder / "SMIRK_em1.pt", digest)
        FlameMap(torch.zeros(52, 55), torch.full((55,), bias), torch.ones(55), digest, "none").save(path)
        os.utime(path, (time, time))
    code = f"""
        import importlib, folder_paths, torch
        folder_paths.models_dir = {str(tmp_path)!r}
        pack = load({str(REPOSITORY)!r})
        vectors = importlib.import_module(f"{{pack.__name__}}.nodes.host.adapters").expression_vectors
        expressions = importlib.import_module(f"{{pack.__name__}}.sfsr_model.expressions")

        class Adapter:
            kind, name = "expression", "exp_adapter.bin"

        word = expressions.word_expression("joy")
        assert vectors(Adapter, word)[0, :2].tolist() == [0.25, 0.25]
        of_the_older = expressions.Expression(word.coefficients, smirk="bb" * 32)
        for one in (of_the_older, expressions.blend([of_the_older, word], [1.0, 1.0])):
            assert vectors(Adapter, one)[0, :2].tolist() == [0.5, 0.5]
        try:
            vectors(Adapter, expressions.Expression(word.coefficients, smirk="cc" * 32))
        except ValueError as error:
            print(error)
        assert vectors(Adapter, word)[0, 53:].tolist() == torch.tensor([0.2, 0.2]).tolist()
        photo = expressions.Expression(word.coefficients, flame=torch.zeros(1, 55))
        assert not vectors(Adapter, photo).any()
        for path in Path({str(folder)!r}).iterdir():
            path.unlink()
        try:
            vectors(Adapter, word)
        except ValueError as error:
            print(error)
    """
    said = in_host(code).stdout
    assert said.count("expression: it does not carry the 55 numbers by SMIRK") == 2
    assert "measured with the SMIRK file of the SHA-256 cccccccccccccccc..., which belongs to it" in said
    assert "run python -m sfsr_model.calibration --smirk FILE once" in said
