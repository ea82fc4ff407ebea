"""`python -m sfsr_model.synthetic`, on tiny assets and, where they are present, on MakeHuman's own."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from harness.tiny_makehuman import tiny_folder
from PIL import Image

from sfsr_model.synthetic.__main__ import main
from sfsr_model.synthetic.cache import MAX_BYTES, write_cache
from sfsr_model.synthetic.model import FaceModel
from sfsr_model.synthetic.render import LABELS
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


def test_portraits(cache, tmp_path):
    assert main(["sheet", "--cache", cache, "--out", str(tmp_path), "--kind", "portraits", "--count", "2", "--size", "64"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["portrait_00.jpg", "portrait_01.jpg"]


def test_dataset(cache, tmp_path, capsys):
    arguments = ["dataset", "--cache", cache, "--out", str(tmp_path / "d"), "--count", "2", "--size", "32", "--workers", "1"]
    assert main(arguments) == 0
    assert main(arguments) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("2 samples, 0 of them rendered now")


def test_benchmark(cache, capsys):
    assert main(["benchmark", "--cache", cache, "--sizes", "32", "--count", "4"]) == 0
    out = capsys.readouterr().out
    assert "| picture | 32 |" in out
    assert "| triplet | 32 |" in out


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
