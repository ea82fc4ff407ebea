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
HEAVY = ("insightface", "onnxruntime", "cv2", "diffusers", "mediapipe", "skimage", "scipy", "onnx")
# Lists of what lies on the machine; their defaults alone are promised.
MACHINE_LISTS = {
    ("ExpressionEmbed", "library"),
    ("LoadIDEncoder", "encoder"),
    ("SFSRLoadExpressionEncoder", "encoder"),
    ("SFSRLoadIdentity", "identity"),
    ("SFSRLoadModel", "checkpoint"),
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
    assert mask == "mask: found a NoneType, expected a MASK; connect it"
    assert frame == "face: found a str, expected this pack's FaceFrame; connect the output of Face Crop"


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
