"""The demo weights that come with the pack, in a real ComfyUI: fresh nodes, photos, guidance, files that are gone."""

import json

import torch
from harness.graph import node
from harness.workflow import titled

DEMO, CHECKPOINT = "demo (bundled with this pack)", "bundled/demo.safetensors"
PHOTOS = "photos (bundled with this pack)"
JUDGES = ("judge_recogniser.onnx", "judge_expression.onnx")
LOADERS = {
    "LoadIDEncoder": ("encoder", DEMO),
    "SFSRLoadExpressionEncoder": ("encoder", DEMO),
    "SFSRLoadModel": ("checkpoint", CHECKPOINT),
}


def test_a_fresh_node_shows_the_bundled_one(client):
    for name, (key, expected) in LOADERS.items():
        (entry,) = client.object_info(name).values()
        options = entry["input"]["required"][key][1]
        assert options["options"][0] == options.get("default", expected) == expected
        assert not any("untrained" in one or "found" in one for one in options["options"])
        assert options["options"][1:2] == [PHOTOS] or name != "LoadIDEncoder"


def test_photos_are_read_without_a_file_of_ones_own(client):
    prompt = {
        "encoder": node("SFSRLoadExpressionEncoder", encoder=DEMO),
        "recogniser": node("LoadIDEncoder", encoder=DEMO, provider="CPU"),
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
        assert outputs[name]["text"][0].startswith(f"{DEMO}: ")
    assert "\nrec_demo.onnx: trained by this project on rendered faces alone" in outputs["recogniser"]["text"][0]
    assert "\ndemo_expression.onnx: " in outputs["encoder"]["text"][0]
    assert "52 of 52 coefficients" in outputs["encoder"]["text"][0]
    assert outputs["person"]["text"][0].startswith("1 of 1 used; space onnx-")


def test_the_second_encoder_finds_and_knows_people(client):
    prompt = {
        "recogniser": node("LoadIDEncoder", encoder=PHOTOS, provider="CPU"),
        "photo": node("SFSRSamplePortrait", sample="portrait_05"),
    }
    choice = {"face_order": "largest first", "face_index": 0}
    prompt["person"] = node("SFSRIdentity", id_encoder=["recogniser", 0], images=["photo", 0], **choice)
    prompt["preview"] = node("PreviewImage", images=["person", 2])
    client.free()  # the host shows no text of a node that an earlier prompt ran
    outputs = client.run(prompt, timeout=600).outputs
    info = outputs["recogniser"]["text"][0].splitlines()
    assert info[0].startswith(f"{PHOTOS}: ")
    (recogniser,) = [line for line in info if line.startswith("rec_photo.onnx: ")]
    assert "non-commercial research" in recogniser
    for name in ("det_demo.onnx", "demo_points.onnx"):
        assert any(line.startswith(f"{name}: ") for line in info)
    assert outputs["person"]["text"][0].startswith("1 of 1 used; space onnx-")


def test_an_identity_of_the_second_encoder_is_not_the_bundled_networks(refused, portrait):
    """The message names the encoder that fits, and what the chosen one is for."""
    told = refused(portrait(Load_ID_Encoder={"encoder": PHOTOS}))
    assert "identity: it was made by a recogniser of the space 'onnx-" in told
    assert f"choose '{DEMO}' in the Load ID Encoder before Identity: this checkpoint was trained on its identities" in told
    assert f"'{PHOTOS}' serves detection, reports and checkpoints that were trained on it" in told


def test_the_expression_encoder_guides(small, latents):
    reader = small.node("SFSRLoadExpressionEncoder", encoder=DEMO)
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
    assert (first["encoder"], first["expression_encoder"]) == (DEMO, DEMO)
    assert (first["judges"]["encoder"], first["judges"]["expression_encoder"]) == JUDGES
    assert first["judges"]["identity_cosine"] > other["judges"]["identity_cosine"]
    assert first["photos"]["encoder"] == PHOTOS
    assert first["photos"]["identity_cosine"] > other["photos"]["identity_cosine"]
    assert first["photos"]["identity_cosine"] not in (first["identity_cosine"], first["judges"]["identity_cosine"])
    assert first["identity_cosine"] == other["identity_cosine"] != first["judges"]["identity_cosine"]
    assert 0 < first["judges"]["expression_error"] != first["expression_error"]
    assert not any("judged" in note for note in first["notes"])
    assert first["pose_error"] is first["judges"]["pose_error"] is None
    assert "no pose was measured: the expression asks for none" in first["notes"]
    assert "the identity was not judged: connect the person's photo to reference" in alone["notes"]
    for measured in (alone["judges"], alone["photos"]):
        assert (measured["encoder"], measured["identity_cosine"]) == (None, None)
    assert first["likeness"]["by"] == PHOTOS
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
        second = [nodes["LoadIDEncoder"].validate_inputs({PHOTOS!r})]
        for name, (key, value) in {LOADERS!r}.items():
            (shown,) = [one for one in nodes[name].define_schema().inputs if one.id == key]
            answers[name] = [shown.options, shown.default, nodes[name].validate_inputs(value)]
        weights = Path({str(copy)!r}) / "sfsr_model" / "weights"
        (weights / "demo_faces").mkdir(parents=True)
        in_faces = ("demo_faces/det_demo.onnx", "demo_faces/rec_demo.onnx")
        for file in ("demo.safetensors", "demo_expression.onnx", "demo_points.onnx", *in_faces):
            (weights / file).write_bytes(b"damaged")
        for name, (key, value) in {LOADERS!r}.items():
            assert nodes[name].validate_inputs(value) is True
            try:
                nodes[name].execute(value, *(["CPU"] if name == "LoadIDEncoder" else []))
            except ValueError as error:
                answers[name].append(str(error))
        fingerprints = [nodes["LoadIDEncoder"].fingerprint_inputs({DEMO!r}, "CPU")]
        (weights / "photo_faces").mkdir()
        (weights / "photo_faces" / "rec_photo.onnx").write_bytes(b"damaged")
        (shown,) = [one for one in nodes["LoadIDEncoder"].define_schema().inputs if one.id == "encoder"]
        second += [shown.options[:2], nodes["LoadIDEncoder"].validate_inputs({PHOTOS!r})]
        fingerprints.append(nodes["LoadIDEncoder"].fingerprint_inputs({PHOTOS!r}, "CPU"))
        for file in ("photo_faces/rec_photo.onnx", "demo_faces/det_demo.onnx"):
            (weights / file).write_bytes(b"damaged once more")
            fingerprints.append(nodes["LoadIDEncoder"].fingerprint_inputs({PHOTOS!r}, "CPU"))
        try:
            nodes["LoadIDEncoder"].execute({PHOTOS!r}, "CPU")
        except ValueError as error:
            second.append(str(error))
        print(json.dumps([answers, second, fingerprints]))
    """
    answers, second, fingerprints = json.loads(in_host(code).stdout.strip().splitlines()[-1])
    assert len(set(fingerprints)) == 4
    stand_ins = {"LoadIDEncoder": "untrained demo recogniser (random weights)", "SFSRLoadModel": "untrained (random weights)"}
    files = {
        "LoadIDEncoder": "demo_faces/det_demo.onnx and demo_points.onnx and demo_faces/rec_demo.onnx",
        "SFSRLoadExpressionEncoder": "demo_expression.onnx",
        "SFSRLoadModel": "demo.safetensors",
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
        assert PHOTOS not in options
    lacking, options, there, damaged = second
    lacks = "demo_faces/det_demo.onnx and demo_points.onnx and photo_faces/rec_photo.onnx"
    assert lacking == f"encoder: '{weights}' lacks {lacks}{advice}"
    assert options == [DEMO, PHOTOS]
    assert there is True
    assert "rec_photo.onnx" in damaged
    assert damaged.endswith(advice)
