"""Libraries of expressions: the gallery's folders, the file, what a word becomes, the command."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from testkit import tiny_landmarker as tiny

from sfsr_model.expressions import ARKIT_INDEX, word_expression
from sfsr_model.expressions.__main__ import main
from sfsr_model.expressions.library import (
    BUILT_IN_WEIGHT,
    ExpressionLibrary,
    LibraryError,
    build_library,
    gallery_photos,
    load_library,
)
from sfsr_model.landmarker import BLIND, load_expression_encoder
from sfsr_model.landmarker.photos import load_photo, read_gallery

ROOT = Path(__file__).parents[2]


@pytest.fixture
def library():
    return ExpressionLibrary(
        ("anger", "joy"), torch.stack((torch.full((52,), 0.25), torch.linspace(0, 1, 52))), (3, 1), BLIND, "e"
    )


@pytest.fixture
def gallery(tmp_path):
    """A bright photo of each kind of file, in two folders of words."""
    folder = tmp_path / "gallery"
    for name, mode, kind in (("joy", "RGB", "png"), ("Joy", "L", "png"), ("8", "RGBA", "webp"), ("8", "RGB", "jpg")):
        place = folder / name.lower()
        place.mkdir(parents=True, exist_ok=True)
        Image.new(mode, (220, 200), {"L": 230, "RGB": (230, 240, 220), "RGBA": (230, 240, 220, 255)}[mode]).save(
            place / f"photo_{mode}.{kind}"
        )
    (folder / "joy" / "notes.txt").write_text("not a photo", encoding="utf-8")
    (folder / ".cache").mkdir()
    return folder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return load_expression_encoder(tiny.write_tiny_task(tmp_path_factory.mktemp("task") / "tiny.task"))


def test_there_and_back(library, tmp_path):
    library.save(tmp_path / "one.safetensors")
    again = load_library(tmp_path / "one.safetensors")
    assert (again.words, again.counts, again.blind, again.encoder) == (library.words, library.counts, library.blind, "e")
    assert torch.equal(again.coefficients, library.coefficients)
    assert [file.name for file in tmp_path.iterdir()] == ["one.safetensors"]


def test_a_failed_save_leaves_the_file_that_was_there(library, tmp_path, monkeypatch):
    path = tmp_path / "one.safetensors"
    library.save(path)
    before = path.read_bytes()

    def torn(tensors, place, metadata):
        Path(place).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr("sfsr_model.expressions.library.save_file", torn)
    with pytest.raises(OSError, match="disk full"):
        library.save(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["one.safetensors"]


def test_replace_takes_the_photos(library):
    found = library.expression("anger", 0.5, "replace")
    torch.testing.assert_close(found.coefficients, torch.full((1, 52), 0.125))
    assert found.words == ("anger",)


def test_refine_is_a_weighted_mean_that_spares_what_the_encoder_cannot_see(library):
    found, built_in = library.expression("ANGER").coefficients[0], word_expression("anger").coefficients[0]
    share = BUILT_IN_WEIGHT / (BUILT_IN_WEIGHT + 3)
    expected = built_in * share + 0.25 * (1 - share)
    for name in BLIND:
        expected[ARKIT_INDEX[name]] = built_in[ARKIT_INDEX[name]]
    torch.testing.assert_close(found, expected)
    assert not torch.equal(found, built_in)


def test_the_heads_pose_stays_the_words():
    library = ExpressionLibrary(("shame",), torch.zeros(1, 52), (1,))
    torch.testing.assert_close(library.expression("shame", use="replace").pose, word_expression("shame").pose)


@pytest.mark.parametrize("word", ["sorrow", "neutral"])
def test_a_word_without_photos_is_the_built_in_one(library, word):
    assert word not in library
    assert torch.equal(library.expression(word, 0.7, "replace").coefficients, word_expression(word, 0.7).coefficients)


def test_a_gallery_becomes_a_library(gallery, encoder, tmp_path):
    library = read_gallery(gallery, encoder)
    assert dict(zip(library.words, library.counts, strict=True)) == {"amazement": 2, "joy": 2}
    assert library.encoder == "tiny.task"
    one = encoder.read(load_photo(gallery / "joy" / "photo_RGB.png")[None]).coefficients
    other = encoder.read(load_photo(gallery / "joy" / "photo_L.png")[None]).coefficients
    torch.testing.assert_close(library.coefficients[library.words.index("joy")], (one + other)[0] / 2)


def test_the_command(gallery, tmp_path, capsys):
    task, out = tiny.write_tiny_task(tmp_path / "tiny.task"), tmp_path / "mine.safetensors"
    arguments = ["library", "--gallery", str(gallery), "--out", str(out), "--encoder"]
    assert main([*arguments, str(task)]) == 0
    assert "2 words from 4 photos" in capsys.readouterr().out
    assert set(load_library(out).words) == {"amazement", "joy"}
    assert main([*arguments, str(out)]) == 2
    assert "cannot be read as a MediaPipe bundle" in capsys.readouterr().err


def test_a_folder_that_is_no_word_gets_a_suggestion(gallery):
    (gallery / "hapiness").mkdir()
    with pytest.raises(LibraryError, match=r"folder 'hapiness' is named by no word.*did you mean happiness"):
        gallery_photos(gallery)


def test_an_empty_folder(gallery):
    (gallery / "anger").mkdir()
    with pytest.raises(LibraryError, match="'anger' holds no picture"):
        gallery_photos(gallery)


def test_two_folders_of_one_word(gallery):
    (gallery / "amazement").mkdir()
    Image.new("RGB", (9, 9)).save(gallery / "amazement" / "a.png")
    with pytest.raises(LibraryError, match="two folders are named by the word 'amazement'"):
        gallery_photos(gallery)


def test_no_gallery(tmp_path):
    with pytest.raises(LibraryError, match="the folder 'nowhere' does not exist"):
        gallery_photos(tmp_path / "nowhere")
    with pytest.raises(LibraryError, match="holds no folder; make one for each word"):
        gallery_photos(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"no picture", "cannot be read as a picture"), (b"", "cannot be read as a picture"), (None, "no face found")],
)
def test_the_photo_at_fault_is_named(gallery, encoder, content, message):
    place = gallery / "joy" / "zebra.png"
    if content is None:
        Image.new("RGB", (200, 200)).save(place)
    else:
        place.write_bytes(content)
    with pytest.raises(LibraryError, match=rf"^joy/zebra\.png: .*{message}"):
        read_gallery(gallery, encoder)


@pytest.mark.parametrize("kind", [np.uint16, np.int32])
def test_a_photo_of_16_bits_keeps_its_tones(tmp_path, kind):
    tones = np.arange(256).reshape(16, 16)
    Image.fromarray((tones * 257).astype(kind)).save(tmp_path / "deep.tif")
    expected = torch.from_numpy(tones / 255).float()[..., None].expand(-1, -1, 3)
    torch.testing.assert_close(load_photo(tmp_path / "deep.tif"), expected)


def test_a_photo_is_turned_as_its_exif_says(tmp_path):
    pixels = np.random.default_rng(1).integers(0, 255, (6, 9, 3), np.uint8)
    turned = Image.Exif()
    turned[0x0112] = 6  # the camera was held upright: turn a quarter clockwise to look at it
    Image.fromarray(pixels).save(tmp_path / "selfie.png", exif=turned)
    expected = torch.from_numpy(np.rot90(pixels, -1).copy()).float() / 255
    torch.testing.assert_close(load_photo(tmp_path / "selfie.png"), expected)


def test_a_half_photo_is_named(gallery, encoder):
    whole = gallery / "joy" / "whole.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(whole)
    whole.write_bytes(whole.read_bytes()[:3000])
    with pytest.raises(LibraryError, match=r"joy/whole\.png: cannot be read as a picture"):
        read_gallery(gallery, encoder)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_library_that_is_cut_off(library, tmp_path, share):
    path = tmp_path / "cut.safetensors"
    library.save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(LibraryError, match=r"cut\.safetensors: not a readable safetensors file"):
        load_library(path)


def test_files_that_are_no_library(tmp_path):
    path = tmp_path / "other.safetensors"
    with pytest.raises(LibraryError, match=r"other\.safetensors: no such file"):
        load_library(path)
    save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(LibraryError, match="is no expression library"):
        load_library(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "format version 2, this pack reads 1; update the pack"),
        ({"words": ["anger", "jo"]}, "unknown expression 'jo'"),
        ({"words": ["anger"]}, "1 words and 2 counts"),
        ({"counts": [1, 0]}, "a word without photos"),
        ({"counts": 5}, "metadata is damaged"),
        ({"blind": ["tail"]}, "'tail' is no ARKit coefficient"),
    ],
)
def test_metadata_that_does_not_fit(library, tmp_path, change, message):
    path = tmp_path / "odd.safetensors"
    about = {"version": 1, "words": ["anger", "joy"], "counts": [3, 1], "blind": [], "encoder": "e"} | change
    metadata = {"format": "sfsr-expression-library", "library": json.dumps(about)}
    save_file({"coefficients": library.coefficients}, path, metadata=metadata)
    with pytest.raises(LibraryError, match=rf"odd\.safetensors: .*{message}"):
        load_library(path)


@pytest.mark.parametrize("value", [float("nan"), 1.5, -0.1])
def test_values_that_are_no_coefficients(value):
    with pytest.raises(LibraryError, match="not a number from 0 to 1"):
        ExpressionLibrary(("anger",), torch.full((1, 52), value), (1,))


def test_an_empty_gallery_and_an_unknown_use(library):
    with pytest.raises(LibraryError, match="no photos"):
        build_library({}, lambda file: torch.zeros(52))
    with pytest.raises(ValueError, match="use of the library: 'mix' is unknown"):
        library.expression("anger", use="mix")


def test_words_are_listed_without_pytorch():
    code = (
        "import sys; sys.modules['torch'] = None; sys.modules['numpy'] = None\n"
        "from sfsr_model.expressions.__main__ import main; sys.exit(main([]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 135
