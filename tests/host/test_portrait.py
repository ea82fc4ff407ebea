"""The node Portrait: samples of the pack, pictures of the user, and what the page shows of either."""

import urllib.error
import urllib.request

import numpy as np
import pytest
from harness.client import PromptRejected
from harness.graph import node
from PIL import Image

from sfsr_model.samples import FOLDER

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


@pytest.mark.parametrize("path", ["/view", "/api/view"])
def test_the_page_gets_the_picture_of_a_sample(server, photo, path):
    def get(query):
        with urllib.request.urlopen(f"{server.url}{path}?{query}") as answer:
            return answer.read()

    assert get(f"filename={SAMPLE}&subfolder=&type=input&preview=webp;75") == (FOLDER / f"{SAMPLE}.jpg").read_bytes()
    assert get("filename=photo.png&subfolder=mine&type=input") == photo.read_bytes()
    for query in (f"filename={SAMPLE}&type=output", "filename=portrait_99&type=input", f"filename=../{SAMPLE}&type=input"):
        with pytest.raises(urllib.error.HTTPError):
            get(query)
