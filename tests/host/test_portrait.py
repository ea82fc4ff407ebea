"""The node Portrait: samples of the pack, pictures of the user, and what the page shows of either."""

import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from harness.client import PromptRejected
from harness.graph import node
from PIL import Image

from sfsr_model.samples import FOLDER

REPOSITORY = Path(__file__).resolve().parents[2]
SAMPLE = "portrait_05"


def shown(sample, **inputs):
    return {
        "portrait": node("SFSRSamplePortrait", sample=sample, **inputs),
        "shown": node("PreviewImage", images=["portrait", 0]),
    }


@pytest.fixture
def picture_of(client, tmp_path):
    """Runs a graph whose node "shown" shows one picture; returns its pixels and whether the portrait was read anew."""

    def run(prompt):
        result = client.run(prompt, timeout=300)
        (image,) = [one for one in result.images if one.node_id == "shown"]
        with Image.open(client.download(image, tmp_path / "shown.png")) as picture:
            return np.asarray(picture.convert("RGB")), "portrait" in result.executed

    return run


@pytest.fixture
def photo(server):
    """A picture in a folder of the input folder, its camera held on its side, with an alpha channel."""
    path = server.base_dir / "input" / "mine" / "photo.png"
    path.parent.mkdir(exist_ok=True)
    pixels = np.random.default_rng(5).integers(0, 256, (48, 64, 4), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels, "RGBA").save(path, exif=exif)
    return path


def test_a_photo_of_ones_own_is_read_as_the_hosts_loader_reads_it(client, picture_of, photo):
    pixels, _ = picture_of(shown("mine/photo.png"))
    loaded = {"photo": node("LoadImage", image="mine/photo.png"), "shown": node("PreviewImage", images=["photo", 0])}
    assert np.array_equal(pixels, picture_of(loaded)[0])
    assert pixels.shape == (64, 48, 3)


@pytest.mark.parametrize("name", ["mine\\photo.png", "mine/photo.png [input]", "mine\\photo.png [input]"])
def test_a_photo_in_a_folder_by_either_spelling(picture_of, photo, name):
    """A graph from Windows names what was pasted into a node by a backslash."""
    assert picture_of(shown(name))[0].shape == (64, 48, 3)


def test_a_photo_is_read_anew_when_it_has_changed(picture_of, photo):
    first, _ = picture_of(shown("mine/photo.png"))
    assert not picture_of(shown("mine/photo.png"))[1]
    Image.new("RGB", (40, 40), "red").save(photo)
    other, anew = picture_of(shown("mine/photo.png"))
    assert anew
    assert other.shape != first.shape


def test_pictures_stand_in_the_list_beside_the_samples(client, photo):
    Image.new("RGB", (8, 8)).save(photo.parent.parent / "listed.png")
    options = client.options("SFSRSamplePortrait", "sample")
    assert {"listed.png", SAMPLE} <= {*options}
    assert client.object_info("SFSRSamplePortrait")["SFSRSamplePortrait"]["input"]["required"]["sample"][1]["image_upload"]


def test_an_input_folder_that_comes_later_and_is_listed_when_it_has_changed(in_host, tmp_path):
    """A folder on a disk that is not there yet costs no node, and one of many thousands of pictures no time in every run."""
    code = f"""
        import os, folder_paths

        folder = Path({str(tmp_path / "input")!r})
        folder_paths.set_input_directory(str(folder))
        pack = load({str(REPOSITORY)!r})
        print("SFSRSamplePortrait" in node_ids(pack))
        portrait = importlib.import_module(pack.__name__ + ".nodes.samples").SFSRSamplePortrait
        looks, look = [], os.listdir
        os.listdir = lambda path=".": looks.append(str(path)) or look(path)

        def listed():
            names = portrait.define_schema().inputs[0].options
            return "late.png" in names, "later.png" in names, looks.count(str(folder))

        folder.mkdir()
        (folder / "late.png").touch()
        print(listed())
        portrait.execute("portrait_05")
        print(listed())
        os.utime(folder, (0, 0))
        (folder / "later.png").touch()
        print(listed())
    """
    assert in_host(code).stdout.splitlines()[-4:] == ["True", "(True, False, 1)", "(True, False, 1)", "(True, True, 2)"]


def test_what_is_connected_goes_first(picture_of):
    pixels, _ = picture_of(
        shown(SAMPLE, image=["red", 0]) | {"red": node("EmptyImage", width=8, height=8, batch_size=1, color=0xFF0000)}
    )
    assert (pixels == (255, 0, 0)).all()


@pytest.mark.parametrize("name", ["gone.png", "../comfyui.log", "mine", "", "portrait_99"])
def test_what_is_no_picture_is_refused_beforehand(client, photo, name):
    with pytest.raises(PromptRejected, match=r"sample: there is no picture '.*' in ComfyUI's input folder"):
        client.run(shown(name))


def test_a_damaged_picture_is_named(refused, photo):
    photo.write_bytes(photo.read_bytes()[:60])
    assert "sample: " in refused(shown("mine/photo.png"))


@pytest.fixture
def asked(server):
    """Asks the host as the page does; returns the content."""

    def ask(query, path="/view", method="GET"):
        request = urllib.request.Request(f"{server.url}{path}?{query}", method=method)
        with urllib.request.urlopen(request) as answer:
            return answer.read()

    return ask


@pytest.mark.parametrize("path", ["/view", "/api/view"])
def test_the_page_gets_the_picture_of_a_sample(asked, photo, path):
    shown = f"filename={SAMPLE}&subfolder=&type=input&preview=webp;75"
    assert asked(shown, path) == (FOLDER / f"{SAMPLE}.jpg").read_bytes()
    assert asked(shown, path, "HEAD") == b""
    assert asked("filename=photo.png&subfolder=mine&type=input", path) == photo.read_bytes()


@pytest.mark.parametrize(
    ("query", "code"),
    [
        (f"filename={SAMPLE}&type=output", 404),
        (f"filename={SAMPLE}", 404),
        (f"filename={SAMPLE}&type=input&subfolder=mine", 404),
        (f"filename={SAMPLE}&type=input&subfolder=../..", 403),
        (f"filename=../{SAMPLE}&type=input", 400),
        (f"filename={SAMPLE}.jpg&type=input", 404),
        ("filename=portrait_0*&type=input", 404),
        ("type=input", 404),
    ],
)
def test_every_other_request_for_a_picture_is_the_hosts(asked, photo, query, code):
    with pytest.raises(urllib.error.HTTPError) as caught:
        asked(query)
    assert caught.value.code == code


def test_a_file_of_a_samples_name_is_shown_as_it_is(asked, photo):
    """A file without an ending, as another pack may leave one; and in another folder."""
    for folder, query in ((photo.parent, "&subfolder=mine"), (photo.parent.parent, "")):
        own = folder / SAMPLE
        own.write_bytes(photo.read_bytes())
        try:
            assert asked(f"filename={SAMPLE}&type=input{query}") == photo.read_bytes()
        finally:
            own.unlink()


def test_nothing_but_reading_is_answered(asked):
    with pytest.raises(urllib.error.HTTPError) as caught:
        asked(f"filename={SAMPLE}&type=input", method="POST")
    assert caught.value.code == 405
