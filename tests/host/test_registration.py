"""The nodes as the host sees them: ids, inputs, defaults and outputs are a promise to every saved workflow.

After a change that is meant: python -m pytest tests/host/test_registration.py --update-schema, and read the difference.
"""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

SNAPSHOT = Path(__file__).parent / "data" / "schema.json"
REPOSITORY = Path(__file__).resolve().parents[2]
HEAVY = ("insightface", "onnxruntime", "cv2", "diffusers", "mediapipe", "skimage", "scipy", "onnx", "matplotlib")
# Lists of what lies on the machine; their defaults alone are promised.
MACHINE_LISTS = {
    ("ExpressionEmbed", "library"),
    ("LoadIDEncoder", "encoder"),
    ("SFSRLoadExpressionEncoder", "encoder"),
    ("SFSRLoadExpressionEncoder", "smirk"),
    ("SFSRLoadIdentity", "identity"),
    ("SFSRLoadModel", "checkpoint"),
    ("SFSRModelFromAdapters", "expression_adapter"),
    ("SFSRModelFromAdapters", "identity_adapter"),
    ("SFSRSamplePortrait", "sample"),
}


def is_ours(entry):
    return entry["category"].startswith("SFSR")


def ours(info):
    return {name: entry for name, entry in info.items() if is_ours(entry)}


def described_inputs(name, entry):
    for group in ("required", "optional"):
        for key in entry["input_order"].get(group, []):
            kind, options = (*entry["input"][group][key], {})[:2]
            if kind == "COMBO":
                choices = [] if (name, key) in MACHINE_LISTS else options["options"]
                options = {"options": choices, "default": options.get("default")}
            promised = {field: options[field] for field in ("default", "min", "max", "step", "options") if field in options}
            if "template" in options:  # sockets that grow
                promised["template"] = {field: options["template"][field] for field in ("names", "min")}
            yield {"id": key, "type": kind, "optional": group == "optional", **promised}


def described(info):
    return {
        name: {
            "display_name": entry["display_name"],
            "inputs": list(described_inputs(name, entry)),
            "outputs": [list(pair) for pair in zip(entry["output_name"], entry["output"], strict=True)],
            "output_node": entry["output_node"],
        }
        for name, entry in sorted(ours(info).items())
    }


def test_schema_is_the_committed_one(client, request):
    found = described(client.object_info())
    if request.config.getoption("--update-schema"):
        SNAPSHOT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    assert found == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


def test_the_four_promised_nodes_exist(client):
    promised = {"LoadIDEncoder", "ExpressionEmbed", "SFSRConditioning", "ImprovedMidpointSampler"}
    assert promised <= ours(client.object_info()).keys()


def test_every_input_and_output_has_a_tooltip(client):
    for name, entry in ours(client.object_info()).items():
        assert entry["description"], name
        for group in ("required", "optional"):
            for key, value in entry["input"].get(group, {}).items():
                assert value[1].get("tooltip"), f"{name}.{key}"
        tooltips = entry.get("output_tooltips") or []
        assert len(tooltips) == len(entry["output"]), name
        assert all(tooltips), name


def test_the_hosts_own_nodes_module_is_untouched(client):
    assert {"KSampler", "LoadImage", "CheckpointLoaderSimple"} <= client.object_info().keys()


def test_import_time_is_the_hosts_own_figure(server, pack_name):
    # The figure itself is the machine's; that the host lists it means that the import did not fail.
    assert server.import_seconds(pack_name) >= 0


def test_import_brings_nothing_heavy(in_host, host_path):
    code = f"""
        before = set(sys.modules)
        ids = node_ids(load({str(REPOSITORY)!r}))
        new = {{name.partition(".")[0] for name in set(sys.modules) - before}}
        print(sorted(new & set({HEAVY!r})), len(ids), host_nodes.__file__)
    """
    heavy, count, host_file = in_host(code).stdout.strip().splitlines()[-1].rsplit(maxsplit=2)
    assert heavy == "[]"
    assert int(count) == len(json.loads(SNAPSHOT.read_text(encoding="utf-8")))
    assert Path(host_file) == host_path / "nodes.py"


def test_imports_without_any_of_them(in_host):
    without = ("insightface", "onnxruntime", "cv2", "diffusers", "mediapipe", "skimage")
    code = f"print(len(node_ids(load({str(REPOSITORY)!r}))))"
    answer = in_host(code, without=without)
    assert int(answer.stdout.strip().splitlines()[-1]) == len(json.loads(SNAPSHOT.read_text(encoding="utf-8")))


def test_any_folder_name_will_do(in_host, tmp_path):
    folder = tmp_path / "nodes.v2 (copy)"
    folder.symlink_to(REPOSITORY, target_is_directory=True)
    code = f"""
        ids = node_ids(load({str(folder)!r}))
        import nodes
        print(len(ids), nodes is host_nodes)
    """
    count, same = in_host(code).stdout.split()[-2:]
    assert (int(count), same) == (len(json.loads(SNAPSHOT.read_text(encoding="utf-8"))), "True")


def test_the_api_and_the_page_agree_on_defaults(in_host):
    """An API prompt that leaves an input out gets what the page would have sent for it."""
    code = f"""
        import inspect

        from comfy_api.latest import io

        module = load({str(REPOSITORY)!r})
        for node in asyncio.run(asyncio.run(module.comfy_entrypoint()).get_node_list()):
            parameters = inspect.signature(node.execute).parameters
            open_ended = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
            for one in node.GET_SCHEMA().inputs:
                if not one.optional:
                    continue
                shown = getattr(one, "default", None)
                found = parameters[one.id].default if one.id in parameters else 0.0 if open_ended else "no such parameter"
                assert found == shown, (node.__name__, one.id, found, shown)
                print(one.id)
    """
    assert "smile" in in_host(code).stdout.split()


def test_values_of_another_kind_are_explained(in_host):
    code = f"""
        import torch

        pack = load({str(REPOSITORY)!r})
        node_ids(pack)
        sockets = sys.modules[pack.__name__ + ".nodes.sockets"]
        face = sys.modules[pack.__name__ + ".nodes.face"]
        whole = torch.zeros(1, 8, 8, 3, dtype=torch.uint8)
        for check in (
            lambda: sockets.require_images(whole, "images"),
            lambda: sockets.require_images(None, "images"),
            lambda: sockets.require_images([whole], "images"),
            lambda: sockets.require_masks(None, (8, 8), 1, "it", "connect it"),
            lambda: face.require_frames("text"),
        ):
            try:
                check()
            except TypeError as error:
                print(error)
    """
    pictures, nothing, listed, mask, frame = in_host(code).stdout.strip().splitlines()[-5:]
    assert pictures.startswith("images: found pictures of torch.uint8, expected floating-point numbers from 0 to 1")
    assert nothing == "images: found a NoneType, expected pictures [B, H, W, 3]; connect an IMAGE"
    assert listed.startswith("images: found a list")
    assert mask == "mask: found a NoneType, expected a MASK of floating-point numbers from 0 to 1; connect it"
    assert frame == "face: found str, expected this pack's FaceFrame; connect the output of Face Crop"


def test_what_comes_over_links_is_checked(in_host):
    """A line for each check, which begins with the input at fault, says what was found and ends with what to do."""
    code = f"""
        import torch, types

        pack = load({str(REPOSITORY)!r})
        node_ids(pack)
        def module(name):
            return importlib.import_module(pack.__name__ + ".nodes." + name)

        sockets, folders, network = module("sockets"), module("host.folders"), module("host.network")
        crop, blend = module("face").SFSRFaceCrop, module("expression_mix").SFSRExpressionBlend
        embed, travel = module("expression").ExpressionEmbed, module("expression_motion").SFSRExpressionTravel
        picture, four = torch.zeros(1, 64, 64, 3), torch.zeros(1, 4, 8, 8)
        vae = comfy.sd.VAE.__new__(comfy.sd.VAE)
        vae.latent_channels = 16
        patched = types.SimpleNamespace(latent_format=types.SimpleNamespace(latent_channels=4))
        model = types.SimpleNamespace(model=patched)
        checks = [
            lambda: crop.execute(picture, 10**9, "largest first", 0, "error"),
            lambda: crop.execute(picture, "64", "largest first", 0, "error"),
            lambda: crop.execute(picture, 64, "by age", 0, "error"),
            lambda: blend.execute({{}}, weight_a=float("nan")),
            lambda: embed.execute("word", "joy", 1.0, smile=None),
            lambda: travel.execute(1, 2, frames=3, easing="linear", there_and_back="no"),
            lambda: travel.execute(1, 2, frames=3, easing="linear", there_and_back=False, length=3),
            lambda: sockets.require_latent({{"samples": 5}}, "latent", 4),
            lambda: sockets.require_latent({{"samples": torch.zeros(1, 16, 8, 8)}}, "latent", 4),
            lambda: sockets.require_latent({{"samples": four, "noise_mask": "all"}}, "latent", 4),
            lambda: sockets.require_conditioning([[four, {{}}]], "positive", 768),
            lambda: sockets.require_conditioning([[torch.zeros(1, 77, 2048), {{}}]], "positive", 768),
            lambda: sockets.require_masks(torch.ones(8, 8, dtype=torch.bool), (8, 8), 1, "it", "connect it"),
            lambda: network.require_vae("none"),
            lambda: network.require_vae_of(model, vae),
            lambda: module("host.faces").given_boxes([[], 5], 2),
            lambda: folders.checkpoint_path(None),
            lambda: folders.encoder_path("\\ud800"),
            lambda: folders.checkpoint_path("."),
            lambda: folders.require_file_name("x/" * 999, "folder"),
            lambda: folders.require_output_prefix("a/../../b", "filename_prefix"),
        ]
        for check in checks:
            try:
                print("accepted:", check())
            except (TypeError, ValueError, FileNotFoundError) as error:
                print(str(error).encode("ascii", "backslashreplace").decode())
        print(folders.fingerprint(None, list), sockets.told_beforehand(len, [1, 2, 3]))
    """
    expected = """
        size: found 1000000000, expected a whole number from 64 to 1024; choose such a value, or connect what gives one
        size: found '64', expected a whole number from 64 to 1024; choose
        face_order: found 'by age', expected one of largest first,
        weight_a: found nan, expected a number from 0.0 to 10.0; choose
        smile: found a NoneType, expected a number from -1.0 to 1.0; choose
        there_and_back: found 'no', expected true or false; choose
        length: Expression Travel (SFSR) has no such input, so the workflow was made for another version of this pack; take
        latent: found a dict without samples, expected latents of pictures [B, 4, h, w]; connect
        latent: found samples of shape (1, 16, 8, 8), expected [B, 4, h, w] as this model's; connect
        latent: its noise mask is a str, expected a MASK; connect
        positive: found a list, expected a CONDITIONING; connect
        positive: its tokens have 2048 numbers, this model takes 768; connect
        mask: found a mask of torch.bool, expected a MASK of floating-point numbers from 0 to 1; connect it
        vae: found a str, expected a VAE; connect
        vae: its latents have 16 channels, this model's have 4; connect
        bboxes: picture 1: found a int, no list of boxes; connect
        checkpoint: found a NoneType, expected the name of a file or folder; choose
        encoder: '\\ud800' holds a sign that no file name can; use
        checkpoint: '.' is not in ComfyUI's models/sfsr folder; put
        folder: 'x/x/x/x/x/x/x/x/x/x/...' has 1998 bytes; expected 1000 or fewer
        filename_prefix: 'a/../../b' leads out of ComfyUI's output folder; choose
        nan True
    """
    wanted = [line.strip() for line in expected.strip().splitlines()]
    found = in_host(code).stdout.strip().splitlines()[-len(wanted) :]
    for line, start in zip(found, wanted, strict=True):
        assert line.startswith(start)


def test_a_broken_family_leaves_the_others(in_host, copy_of_pack, tmp_path):
    """A copy of the pack with a fault in one family: the rest is there and the log says why that one is not."""
    copy = copy_of_pack(tmp_path / "pack")
    (copy / "nodes" / "face.py").write_text("raise RuntimeError('a fault of this test')\n", encoding="utf-8")
    answer = in_host(f"print(node_ids(load({str(copy)!r})))")
    assert "ExpressionEmbed" in answer.stdout
    assert "SFSRFaceCrop" not in answer.stdout
    assert "the node family 'face' could not be loaded" in answer.stderr
    assert "a fault of this test" in answer.stderr


@pytest.mark.parametrize("module", ["sfsr_model", "sfsr_model.expressions", "sfsr_model.network", "sfsr_model.evaluation"])
def test_the_model_needs_no_host(module):
    code = f"import {module}, sys; assert not any(n.partition('.')[0] in ('comfy', 'comfy_api') for n in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True, timeout=300)
    assert importlib.util.find_spec(module)


def test_every_node_has_a_help_page(client):
    pages = {path.stem for path in (REPOSITORY / "web" / "docs").glob("*.md")}
    assert pages == ours(client.object_info()).keys()
