"""`python -m sfsr_model.synthetic`, on tiny assets and, where they are present, on MakeHuman's own."""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from testkit.tiny_makehuman import tiny_folder

from sfsr_model import synthetic
from sfsr_model.synthetic.__main__ import main
from sfsr_model.synthetic.cache import MAX_BYTES, write_cache
from sfsr_model.synthetic.check import detection_line
from sfsr_model.synthetic.look import SHAVED
from sfsr_model.synthetic.model import FaceModel
from sfsr_model.synthetic.render import LABELS, render
from sfsr_model.synthetic.sample import sample_picture
from sfsr_model.synthetic.triplet import sample_triplet

ROOT = Path(__file__).parents[2]
MAKEHUMAN = Path(os.environ.get("SFSR_MAKEHUMAN", ROOT.parent / "shared" / "makehuman_cc0" / "data"))


@pytest.fixture
def cache():
    return str(tiny_folder() / "faces.npz")


def test_help_names_every_command():
    done = subprocess.run(
        [sys.executable, "-m", "sfsr_model.synthetic", "--help"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    first_words = {line.split()[0] for line in done.stdout.splitlines() if line.strip()}
    assert first_words >= {"cache", "sheet", "dataset", "benchmark", "check", "table"}


def test_no_public_name_is_taken_by_a_module():
    for name in synthetic.__all__:  # the first use imports the modules, which set their own names
        getattr(synthetic, name)
    assert [name for name in synthetic.__all__ if not callable(getattr(synthetic, name))] == []


def test_cache(tmp_path, capsys):
    assert main(["cache", "--assets", str(tiny_folder() / "data"), "--out", str(tmp_path / "faces.npz")]) == 0
    assert (tmp_path / "faces.npz").is_file()
    assert "MB" in capsys.readouterr().out


def test_missing_assets_are_one_line_on_stderr(tmp_path, capsys):
    assert main(["cache", "--assets", str(tmp_path / "none"), "--out", str(tmp_path / "faces.npz")]) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'none'}: no such folder")


@pytest.mark.parametrize(
    ("kind", "count", "shape"),
    [("expressions", 2, (64, 224)), ("masked", 1, (32, 224)), ("random", 10, (64, 256)), ("triplets", 2, (64, 128))],
)
def test_sheets(cache, tmp_path, kind, count, shape):
    out = tmp_path / "sheet.png"
    assert main(["sheet", "--cache", cache, "--out", str(out), "--kind", kind, "--count", str(count), "--size", "32"]) == 0
    assert np.asarray(Image.open(out)).shape == (*shape, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--size 31", "size: expected at least 32 pixels, got 31"),
        ("--size 8192", "size: expected at most 2048 pixels, got 8192"),
        ("--count 0", "count: expected at least 1, got 0"),
        ("--seed -1", "seed: expected a whole number from 0, got -1"),
        ("--numbers 3", "numbers: chooses portraits only"),
        ("--kind portraits --numbers -1", "numbers: expected a whole number from 0, got -1"),
        ("--out sheet.xyz", "sheet.xyz: not a picture's name; expected a file that ends in .png"),
        ("--out .", ".: is a folder; expected a file"),
        ("--count 1000000000", "count: the sheet would be 1536 x 24000000000 pixels; expected at most 65500 a side in a .png"),
        ("--kind triplets --count 33 --size 2048 --out a.JPG", "count: the sheet would be 8192 x 67584 pixels"),
        ("--size 2048 --out a.webp", "count: the sheet would be 16384 x 6144 pixels; expected at most 16383 a side in a .webp"),
    ],
)
def test_impossible_sheets_leave_nothing(cache, tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.chdir(tmp_path)
    assert main(["sheet", "--cache", cache, "--out", "new/sheet.png", *options.split()]) == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full exists on Linux only")
def test_a_sheet_on_a_full_disk_is_named_and_keeps_the_old_one(cache, tmp_path, capsys):
    (tmp_path / "sheet.png").write_bytes(b"old")
    (tmp_path / "sheet.png.partial").symlink_to("/dev/full")
    assert main(["sheet", "--cache", cache, "--out", str(tmp_path / "sheet.png"), "--count", "1", "--size", "32"]) == 2
    assert f"{tmp_path / 'sheet.png'}: cannot be written" in capsys.readouterr().err
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_portraits(cache, tmp_path):
    assert main(["sheet", "--cache", cache, "--out", str(tmp_path), "--kind", "portraits", "--count", "2", "--size", "64"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["portrait_00.jpg", "portrait_01.jpg"]


def test_dataset(cache, tmp_path, capsys):
    arguments = ["dataset", "--cache", cache, "--out", str(tmp_path / "d"), "--count", "2", "--size", "32", "--workers", "1"]
    assert main(arguments) == 0
    assert main(arguments) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("2 samples, 0 of them rendered now")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--size 31", "size: expected at least 32"),
        ("--seed -1", "seed: expected a whole number"),
        ("--max-yaw nan", "max_yaw: expected 0 to 90 degrees, got nan"),
        ("--max-yaw -1", "max_yaw: expected 0 to 90 degrees, got -1"),
        (
            "--count 100001 --shard-size 1",
            "shard_size: 100001 samples in shards of 1 are 100001 files; expected at most 100000",
        ),
        ("--workers 0", "workers: expected 1 to"),
        ("--workers 1000000", "workers: expected 1 to"),
    ],
)
def test_impossible_datasets_leave_no_folder(cache, tmp_path, capsys, options, message):
    arguments = ["dataset", "--cache", cache, "--out", str(tmp_path / "d"), "--count", "2", *options.split()]
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize(("module", "package"), [("cv2", "opencv-python-headless"), ("tqdm", "tqdm")])
def test_a_missing_package_is_named_before_anything_is_written(cache, tmp_path, monkeypatch, capsys, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    assert main(["dataset", "--cache", cache, "--out", str(tmp_path / "d"), "--count", "1"]) == 2
    assert f"`pip install {package}`" in capsys.readouterr().err
    assert not (tmp_path / "d").exists()


def test_a_python_without_the_projects_packages_is_told_so():
    code = "import sys; sys.modules['torch'] = None; from sfsr_model.synthetic.__main__ import main; sys.exit(main(['table']))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "run this with ComfyUI's Python" in done.stderr


def test_masked_people_have_no_hair(cache, monkeypatch):
    from sfsr_model.synthetic import sheet

    styles = []

    def spy(model, identity, coefficients, look, *rest):
        styles.append(look.hair)
        return render(model, identity, coefficients, look, *rest)

    monkeypatch.setattr(sheet, "render", spy)
    sheet.expression_sheet(FaceModel.load(cache), 0, 3, 32, ("neutral",))
    assert styles != [SHAVED] * 3
    styles.clear()
    sheet.expression_sheet(FaceModel.load(cache), 0, 3, 32, ("neutral",), hide_hair=True)
    assert styles == [SHAVED] * 3


def test_benchmark(cache, capsys):
    assert main(["benchmark", "--cache", cache, "--sizes", "32", "--count", "4"]) == 0
    out = capsys.readouterr().out
    assert "| picture | 32 |" in out
    assert "| triplet | 32 |" in out
    assert main(["benchmark", "--cache", cache, "--count", "0"]) == 2
    assert "count: expected at least 1, got 0" in capsys.readouterr().err


def test_table_has_every_coefficient_once(capsys):
    assert main(["table"]) == 0
    rows = capsys.readouterr().out.splitlines()[2:]
    assert len(rows) == 52 - 18  # right sides are left out
    assert "face:jawOpen" in next(row for row in rows if row.startswith("| jawOpen "))


def test_check_says_what_it_needs(cache, tmp_path, capsys):
    assert main(["check", "--cache", cache]) == 2
    assert "--yunet" in capsys.readouterr().err
    assert main(["check", "--cache", cache, "--yunet", str(tmp_path / "none.onnx")]) == 2
    assert "none.onnx: no such file" in capsys.readouterr().err
    (tmp_path / "junk.onnx").write_text("junk")
    assert main(["check", "--cache", cache, "--yunet", str(tmp_path / "junk.onnx")]) == 2
    assert "junk.onnx: OpenCV cannot use it as YuNet" in capsys.readouterr().err


def test_a_row_without_a_found_face_has_no_distance():
    assert detection_line("frontal", [(False, math.inf)] * 2) == "| frontal | 2 | 0.0 % | - |"
    assert detection_line("frontal", [(False, math.inf), (True, 0.125)]) == "| frontal | 2 | 50.0 % | 12.5 |"


@pytest.fixture(scope="module")
def makehuman(tmp_path_factory):
    if not MAKEHUMAN.is_dir():
        pytest.skip("MakeHuman's assets are not here; SFSR_MAKEHUMAN names their data folder")
    path = tmp_path_factory.mktemp("makehuman") / "faces.npz"
    assert write_cache(MAKEHUMAN, path) <= MAX_BYTES
    return FaceModel.load(path)


def test_real_assets_show_every_part(makehuman):
    seen = set()
    for number in range(12):
        seen |= set(np.unique(sample_picture(makehuman, 0, number, 128).labels).tolist())
    assert seen >= {LABELS.index(name) for name in ("background", "skin", "cloth", "eyes", "mouth", "hair")}


def test_real_landmarks_lie_on_the_face(makehuman):
    for number in range(6):
        picture = sample_picture(makehuman, 0, number, 128, max_yaw=0.3)
        x, y = picture.landmarks[27:36].round().astype(int).T
        assert (picture.labels[y, x] != LABELS.index("background")).all()


def test_real_triplets_keep_the_target_outside_the_mask(makehuman):
    triplet = sample_triplet(makehuman, 0, 1, 128)
    outside = triplet.mask == 0
    assert (triplet.answer.image[outside] == triplet.target.image[outside]).all()
    inside = triplet.mask == 1
    change = np.abs(triplet.answer.image.astype(int) - triplet.target.image)[inside].mean()
    assert change > 4
