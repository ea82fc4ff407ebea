"""The weights that come with the pack, in a real ComfyUI: fresh nodes, photos, guidance, files that are gone."""

import json

import torch
from harness.graph import node
from harness.workflow import titled

from sfsr_model.encoders.identity import Identity
from sfsr_model.encoders.identity_file import save_identity

BUNDLED, CHECKPOINT = "bundled (comes with this pack)", "bundled/photos.safetensors"
EARLIER = ("demo (bundled with this pack)", "photos (bundled with this pack)")
JUDGES = ("judge_recogniser.onnx", "judge_expression.onnx")
LOADERS = {
    "LoadIDEncoder": ("encoder", BUNDLED),
    "SFSRLoadExpressionEncoder": ("encoder", BUNDLED),
    "SFSRLoadModel": ("checkpoint", CHECKPOINT),
}


def test_a_fresh_node_shows_the_bundled_one(client):
    for name, (key, expected) in LOADERS.items():
        (entry,) = client.object_info(name).values()
        options = entry["input"]["required"][key][1]
        assert options["options"][0] == options.get("default", expected) == expected
        assert not any("untrained" in one or "found" in one for one in options["options"])
        assert not set(EARLIER) & set(options["options"])


def test_photos_are_read_without_a_file_of_ones_own(client):
    prompt = {
        "encoder": node("SFSRLoadExpressionEncoder", encoder=BUNDLED),
        "recogniser": node("LoadIDEncoder", encoder=BUNDLED, provider="CPU"),
        "one": node("SFSRSamplePortrait", sample="portrait_05"),
        "other": node("SFSRSamplePortrait", sample="portrait_20"),
    }
    for name in ("one", "other"):
        wires = {"image": [name, 0], "expression_encoder": ["encoder", 0]}
        prompt[f"{name} look"] = node("ExpressionEmbed", source="image", word="happiness", intensity=1.0, **wires)
        prompt[f"{name} text"] = node("PreviewAny", source=[f"{name} look", 0])
    prompt["person"] = node(
        "SFSRIdentity", id_encoder=["recogniser", 0], images=["one", 0], face_order="largest first", face_index=0
    )
    prompt["preview"] = node("PreviewImage", images=["person", 2])
    client.free()  # the host shows no text of a node that an earlier prompt ran
    outputs = client.run(prompt, timeout=600).outputs
    looks = [outputs[f"{name} text"]["text"][0] for name in ("one", "other")]
    assert all(look.startswith("Expression(coefficients=tensor(") for look in looks)
    assert looks[0] != looks[1]
    for name in ("encoder", "recogniser"):
        assert outputs[name]["text"][0].startswith(f"{BUNDLED}: ")
    info = outputs["recogniser"]["text"][0].splitlines()
    (recogniser,) = [line for line in info if line.startswith("rec_photo.onnx: ")]
    assert "non-commercial research" in recogniser
    for name in ("det_demo.onnx", "demo_points.onnx"):
        assert any(line.startswith(f"{name}: ") for line in info)
    assert "\ndemo_expression.onnx: " in outputs["encoder"]["text"][0]
    assert "52 of 52 coefficients" in outputs["encoder"]["text"][0]
    assert outputs["person"]["text"][0].startswith("1 of 1 used; space onnx-")


def test_names_of_before_mean_what_the_pack_has_now(client):
    prompt = {name: node("LoadIDEncoder", encoder=name, provider="CPU") for name in EARLIER}
    prompt |= {f"{name} info": node("PreviewAny", source=[name, 1]) for name in EARLIER}
    prompt["reader"] = node("SFSRLoadExpressionEncoder", encoder=EARLIER[0])
    prompt["reader info"] = node("PreviewAny", source=["reader", 1])
    prompt["model"] = node("SFSRLoadModel", checkpoint="bundled\\demo.safetensors")
    prompt["model kept"] = node("PreviewAny", source=["model", 1])
    client.free()  # the host shows no text of a node that an earlier prompt ran
    outputs = client.run(prompt, timeout=600).outputs
    for name in EARLIER:
        assert outputs[f"{name} info"]["text"][0].startswith(f"{BUNDLED}: ")
    assert "demo_expression.onnx: " in outputs["reader info"]["text"][0]


def test_a_saved_identity_of_another_recogniser_is_refused_with_what_to_do(server, refused, portrait):
    """As those are that were saved with what came with the pack before."""
    folder = server.base_dir / "models" / "sfsr" / "identities"
    folder.mkdir(parents=True, exist_ok=True)
    person = Identity(torch.eye(512)[:1], "onnx-ca4ebfd84054", (1.0,), ("before, picture 0",))
    save_identity(person, folder / "before.safetensors")
    prompt = portrait()
    prompt["kept"] = node("SFSRLoadIdentity", identity="before.safetensors")
    prompt[titled(prompt, "SFSR Conditioning")]["inputs"]["identity"] = ["kept", 0]
    told = refused(prompt)
    assert "identity: it was made by a recogniser of the space 'onnx-ca4ebfd84054'" in told
    assert f"choose '{BUNDLED}' in the Load ID Encoder before Identity, and make a saved identity anew with it" in told


def test_the_expression_encoder_guides(small, latents):
    reader = small.node("SFSRLoadExpressionEncoder", encoder=BUNDLED)
    wires = {"vae": small.vae, "expression_encoder": reader, "expression": small.expression}
    conditioned = small.conditioned()
    samplers = (small.sampler(**wires), small.sampler(expression_guidance=5.0, **wires))
    plain, guided = latents(small, *(small.custom(conditioned, one) for one in samplers))
    assert not torch.allclose(plain, guided, atol=1e-3)


def test_judges_that_conditioned_nothing_measure_as_well(client, portrait):
    """The portrait workflow's report, beside one with a photo of somebody else, and one without any but with a pose to keep."""
    prompt = portrait()
    report, target = (titled(prompt, title) for title in ("Report", "Portrait: target"))
    inputs = prompt[report]["inputs"]
    wires = {"image": [target, 0], "expression_encoder": inputs["expression_encoder"]}
    prompt["posed"] = node("ExpressionEmbed", source="image", word="happiness", intensity=1.0, **wires)
    rest = {name: wire for name, wire in inputs.items() if name not in ("reference", "target")}
    prompt["beside"] = node("SFSRReport", **inputs | {"target": [target, 0]})
    prompt["other"] = node("SFSRReport", **rest, reference=[target, 0])
    prompt["alone"] = node("SFSRReport", **rest | {"expression": ["posed", 0]})
    prompt["turned"] = node("ExpressionEmbed", source="word", word="joy", intensity=1.0, head_yaw=50)
    prompt["away"] = node("SFSRReport", **rest | {"expression": ["turned", 0]})
    client.free()  # the host shows no text of a node that an earlier prompt ran
    outputs = client.run(prompt, timeout=600).outputs
    first, other, alone, away, beside = (
        json.loads(outputs[name]["text"][0]) for name in (report, "other", "alone", "away", "beside")
    )
    assert (first["encoder"], first["expression_encoder"]) == (BUNDLED, BUNDLED)
    assert (first["judges"]["encoder"], first["judges"]["expression_encoder"]) == JUDGES
    assert first["judges"]["identity_cosine"] > other["judges"]["identity_cosine"]
    assert first["bundled"]["encoder"] is first["bundled"]["identity_cosine"] is None  # it is the connected one
    assert first["identity_cosine"] == other["identity_cosine"] != first["judges"]["identity_cosine"]
    assert 0 < first["judges"]["expression_error"] != first["expression_error"]
    assert not any("judged" in note for note in first["notes"])
    assert first["pose_error"] is first["judges"]["pose_error"] is None
    assert "no pose was measured: the expression asks for none" in first["notes"]
    assert "the identity was not judged: connect the person's photo to reference" in alone["notes"]
    assert (alone["judges"]["encoder"], alone["judges"]["identity_cosine"]) == (None, None)
    assert first["likeness"]["by"] == BUNDLED
    assert other["target"] is alone["target"] is None
    assert beside["target"]["identity_cosine"] < beside["identity_cosine"]
    assert beside["target"]["expression_error"] > beside["expression_error"]
    assert beside["target"]["kept_cosine"] < 0.99
    # The target's pose stays, and its own is the one asked for.
    assert 0 < alone["pose_error"] < 15
    assert 0 < alone["judges"]["pose_error"] < 15
    assert away["pose_error"] > 10
    assert any(note.startswith("the head in picture 0 is ") for note in away["notes"])
    assert not any("pose asked for" in note for report in (first, other, alone) for note in report["notes"])


def test_without_the_judges_the_report_goes_on(in_host, copy_of_pack, tmp_path):
    """In a copy of the pack that has no weights, with the untrained recogniser."""
    copy = copy_of_pack(tmp_path / "pack")
    code = f"""
        pack = load({str(copy)!r})
        node_ids(pack)

        def module(name):
            return sys.modules[f"{{pack.__name__}}.{{name}}"]

        photo = module("sfsr_model.samples").load_sample("portrait_05")
        encoder = module("nodes.identity").UntrainedEncoder()
        person = module("sfsr_model.encoders.enrolment").enrol(photo, encoder).identity
        look = module("sfsr_model.expressions").Expression.neutral()
        print(module("nodes.report").SFSRReport.execute(photo, person, look, encoder, reference=photo).args[0])
    """
    answer = in_host(code).stdout
    report = json.loads(answer[answer.index("{") :])
    assert report["identity_cosine"] > 0.99
    assert report["judges"]["identity_cosine"] is report["judges"]["expression_error"] is None
    for what, file in zip(("the identity was", "expression and pose were"), JUDGES, strict=True):
        (note,) = [one for one in report["notes"] if one.startswith(f"{what} not judged")]
        assert f"lacks judges/{file}; it comes with the pack" in note


def test_missing_and_damaged_files_are_named(in_host, copy_of_pack, tmp_path):
    """In a copy of the pack: without its weights, then with damaged ones."""
    copy = copy_of_pack(tmp_path / "pack")
    code = f"""
        import json

        pack = load({str(copy)!r})
        node_ids(pack)
        family = {{"LoadIDEncoder": "identity", "SFSRLoadExpressionEncoder": "expression_photo", "SFSRLoadModel": "model"}}
        nodes = {{name: getattr(sys.modules[f"{{pack.__name__}}.nodes.{{file}}"], name) for name, file in family.items()}}
        answers = {{}}
        for name, (key, value) in {LOADERS!r}.items():
            (shown,) = [one for one in nodes[name].define_schema().inputs if one.id == key]
            answers[name] = [shown.options, shown.default, nodes[name].validate_inputs(value)]
        weights = Path({str(copy)!r}) / "sfsr_model" / "weights"
        (weights / "demo_faces").mkdir(parents=True)
        in_faces = ("demo_faces/det_demo.onnx", "demo_faces/rec_photo.onnx")
        for file in ("photos.safetensors", "demo_expression.onnx", "demo_points.onnx", *in_faces):
            (weights / file).write_bytes(b"damaged")
        for name, (key, value) in {LOADERS!r}.items():
            assert nodes[name].validate_inputs(value) is True
            try:
                nodes[name].execute(value, *(["CPU"] if name == "LoadIDEncoder" else []))
            except ValueError as error:
                answers[name].append(str(error))
        fingerprints = [nodes["LoadIDEncoder"].fingerprint_inputs({BUNDLED!r}, "CPU")]
        for file in in_faces:
            (weights / file).write_bytes(b"damaged once more")
            fingerprints.append(nodes["LoadIDEncoder"].fingerprint_inputs({BUNDLED!r}, "CPU"))
        print(json.dumps([answers, fingerprints]))
    """
    answers, fingerprints = json.loads(in_host(code).stdout.strip().splitlines()[-1])
    assert len(set(fingerprints)) == 3
    stand_ins = {"LoadIDEncoder": "untrained demo recogniser (random weights)", "SFSRLoadModel": "untrained (random weights)"}
    files = {
        "LoadIDEncoder": "demo_faces/det_demo.onnx and demo_points.onnx and demo_faces/rec_photo.onnx",
        "SFSRLoadExpressionEncoder": "demo_expression.onnx",
        "SFSRLoadModel": "photos.safetensors",
    }
    advice = f"; it comes with the pack: run 'git checkout -- sfsr_model/weights' in '{copy}', or install the pack again"
    weights = copy / "sfsr_model" / "weights"
    for name, (options, default, missing, damaged) in answers.items():
        assert missing.endswith(f": '{weights}' lacks {files[name]}{advice}")
        assert files[name].rpartition("/")[2] in damaged
        assert damaged.endswith(advice)
        assert LOADERS[name][1] not in options
        assert default == stand_ins.get(name)
        assert stand_ins.get(name, "no face_landmarker.task found") in options
