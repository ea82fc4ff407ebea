"""What Save Image keeps of the pictures it is given: every channel, and 16 bits where that is asked for."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from harness.graph import node
from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[2]


def graph(**changes):
    """Two pictures with an alpha channel of their own, saved by the host and by the pack."""
    return {
        "photo": node("SFSRSamplePortrait", sample="portrait_20"),
        "small": node("ImageScale", image=["photo", 0], upscale_method="bilinear", width=64, height=48, crop="disabled"),
        "other": node("ImageInvert", image=["small", 0]),
        "pair": node("ImageBatch", image1=["small", 0], image2=["other", 0]),
        "hole": node("ImageToMask", image=["pair", 0], channel="green"),
        "clear": node("JoinImageWithAlpha", image=["pair", 0], alpha=["hole", 0]),
        "stock": node("SaveImage", images=["clear", 0], filename_prefix="stock"),
        "ours": node("SFSRSaveImage", images=["clear", 0], filename_prefix="ours", provenance=True, **changes),
    }


@pytest.fixture
def saved(client, tmp_path):
    """Runs a graph; returns the files of the host's node and of the pack's."""

    def run(prompt):
        files = {"stock": [], "ours": []}
        for image in client.run(prompt, timeout=120).images:
            files[image.node_id].append(client.download(image, tmp_path / image.filename))
        return files["stock"], files["ours"]

    return run


def test_alpha_in_files(saved):
    stock, ours = saved(graph())
    assert len(stock) == len(ours) == 2
    for theirs, own in zip(stock, ours, strict=True):
        with Image.open(theirs) as expected, Image.open(own) as found:
            assert found.mode == expected.mode == "RGBA"
            assert np.asarray(expected)[..., 3].std() > 5
            assert np.array_equal(np.asarray(found), np.asarray(expected))
            assert "sfsr" in found.text


def test_alpha_in_a_moving_picture(saved):
    stock, (moving,) = saved(graph(format="animated WebP"))
    with Image.open(moving) as found:
        assert found.n_frames == 2
        for frame, file in enumerate(stock):
            found.seek(frame)
            with Image.open(file) as expected:
                assert np.array_equal(np.asarray(found.convert("RGBA"))[..., 3], np.asarray(expected)[..., 3])


def test_pictures_too_large_for_a_moving_one_are_named(refused):
    wide = graph(format="animated WebP")
    wide["small"]["inputs"] |= {"width": 16384, "height": 8}
    assert "images: found 16384 x 8 pixels, and a WebP has at most 16383 a side" in refused(wide)


def test_a_host_that_writes_nothing_into_files_is_named(in_host, tmp_path):
    """The note that was asked for would otherwise be missing without a word."""
    code = f"""
        import types, torch, folder_paths
        from comfy.cli_args import args

        folder_paths.set_output_directory({str(tmp_path)!r})
        pack = load({str(REPOSITORY)!r})
        save = importlib.import_module(pack.__name__ + ".nodes.report").SFSRSaveImage
        save.hidden = types.SimpleNamespace(prompt={{}}, extra_pnginfo=None)
        for args.disable_metadata, provenance in ((False, True), (True, False), (True, True)):
            save.execute(torch.zeros(1, 8, 8, 3), "plain", provenance)
    """
    told = [line for line in in_host(code).stderr.splitlines() if "SFSR: " in line]
    assert len(told) == 1
    assert "provenance: ComfyUI was started with --disable-metadata" in told[0]
    with_note, *without = [Image.open(file).text for file in sorted(tmp_path.glob("plain_*.png"))]
    assert "sfsr" in with_note
    assert without == [{}, {}]


def test_sixteen_bits(saved):
    prompt = graph(format="PNG, 16 bits")
    stock, ours = saved(prompt)
    deep, flat = (cv2.imread(str(file), cv2.IMREAD_UNCHANGED) for file in (ours[1], stock[1]))
    assert (deep.dtype, deep.shape) == (np.uint16, (48, 64, 4))
    assert len(np.unique(deep[..., 1])) > 300  # more than 8 bits can tell apart
    assert np.abs(deep / 65535 - flat / 255).max() < 1.01 / 255  # the host cuts values off where this rounds
    with Image.open(ours[1]) as picture:
        picture.load()
        assert json.loads(picture.text["prompt"]).keys() == prompt.keys()
        assert json.loads(picture.text["sfsr"])["made_with"] == "SFSR for ComfyUI"
