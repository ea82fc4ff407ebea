"""Reading MakeHuman's files, and the errors for missing and damaged ones."""

import gzip
import io
import json
import shutil
import zipfile

import numpy as np
import pytest
from testkit.tiny_makehuman import tiny_folder

from sfsr_model.synthetic.assets import read_mhpose, read_obj, read_proxy, read_target, triangulate
from sfsr_model.synthetic.assets.pictures import decode_picture, encode_picture
from sfsr_model.synthetic.cache import MAX_BYTES, read_cache, write_cache
from sfsr_model.synthetic.errors import AssetError


@pytest.fixture
def assets(tmp_path):
    """A copy of the tiny assets that a test may damage."""
    return shutil.copytree(tiny_folder() / "data", tmp_path / "data")


def test_obj_keeps_groups_and_splits_quads(tmp_path):
    path = tmp_path / "a.obj"
    path.write_text("v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvt 1 1\ng one\nf 1/1 2/2 3/1 4/2\ng two\nf 1 2 3\n")
    mesh = read_obj(path)
    assert mesh.vertices.shape == (4, 3)
    assert mesh.group_vertices("two").tolist() == [0, 1, 2]
    assert triangulate(mesh.corners)[..., 0].tolist() == [[0, 1, 2], [0, 1, 2], [0, 2, 3]]


@pytest.mark.parametrize("line", ["f 1 2 9", "v 0 zero 0", "f 1 2", "vt 0", "v 0 nan 0", "vt 0 inf"])
def test_obj_names_the_damaged_line(tmp_path, line):
    path = tmp_path / "a.obj"
    path.write_text(f"v 0 0 0\nv 1 0 0\nv 1 1 0\n{line}\n")
    with pytest.raises(AssetError, match=r"a\.obj, line 4"):
        read_obj(path)


def test_target_is_read_plain_and_gzipped(tmp_path):
    text = "# comment\n3 .5 -.25 0\n\n7 0 1 2\n"
    (tmp_path / "plain.target").write_text(text)
    (tmp_path / "packed.target.gz").write_bytes(gzip.compress(text.encode()))
    for name in ("plain.target", "packed.target"):
        index, move = read_target(tmp_path / name, 8)
        assert index.tolist() == [3, 7]
        assert move.tolist() == [[0.5, -0.25, 0.0], [0.0, 1.0, 2.0]]


@pytest.mark.parametrize("line", ["8 0 0 0", "1 0 0", "x 0 0 0", "1 0 nan 0", "1 0 0 1e300"])
def test_target_names_the_damaged_line(tmp_path, line):
    (tmp_path / "a.target").write_text(f"1 0 0 0\n{line}\n")
    with pytest.raises(AssetError, match=r"a\.target, line 2"):
        read_target(tmp_path / "a.target", 8)


def test_damaged_gzip_is_named(tmp_path):
    whole = gzip.compress(b"1 0 0 0\n" * 50)
    for damaged in (whole[:-9], whole[:10] + bytes([255]) * 8 + whole[18:]):
        (tmp_path / "a.target.gz").write_bytes(damaged)
        with pytest.raises(AssetError, match=r"a\.target: cannot be read"):
            read_target(tmp_path / "a.target", 8)


def test_an_empty_target_is_damaged_and_one_of_comments_moves_nothing(tmp_path):
    (tmp_path / "a.target").write_text("# nothing moves\n")
    assert read_target(tmp_path / "a.target", 8)[1].shape == (0, 3)
    (tmp_path / "a.target").write_text("")
    with pytest.raises(AssetError, match=r"a\.target: found 'an empty file'"):
        read_target(tmp_path / "a.target", 8)


def test_proxy_reads_both_kinds_of_rows_and_keywords_between(tmp_path):
    (tmp_path / "p.obj").write_text("v 0 0 0\nv 1 0 0\nv 1 1 0\nvt 0 0\nf 1/1 2/1 3/1\n")
    rows = "verts 0\n2\ntag young\n0 1 2 .5 .25 .25 .1 .2 .3\n1\n"
    (tmp_path / "p.mhclo").write_text(f"obj_file p.obj\nx_scale 0 2 1.5\n{rows}")
    proxy = read_proxy(tmp_path / "p.mhclo", 3)
    assert proxy.refs.tolist() == [[2, 2, 2], [0, 1, 2], [1, 1, 1]]
    assert proxy.weights[1].tolist() == [0.5, 0.25, 0.25]
    assert proxy.lengths.tolist() == [1.5, 1.0, 1.0]


def test_proxy_must_fit_its_mesh(tmp_path):
    (tmp_path / "p.obj").write_text("v 0 0 0\nv 1 0 0\nv 1 1 0\nvt 0 0\nf 1/1 2/1 3/1\n")
    (tmp_path / "p.mhclo").write_text("obj_file p.obj\nverts 0\n0\n1\n")
    with pytest.raises(AssetError, match=r"p\.mhclo.*2 vertices.*the 3 of p\.obj"):
        read_proxy(tmp_path / "p.mhclo", 3)


@pytest.mark.parametrize("line", ["x_scale 0 9 1", "x_scale -1 2 1", "x_scale 0 2 0", "x_scale 0 2 nan", "0 1 2 nan 0 0 0 0 0"])
def test_proxy_names_the_damaged_line(tmp_path, line):
    (tmp_path / "p.obj").write_text("v 0 0 0\nvt 0 0\nf 1/1 1/1 1/1\n")
    (tmp_path / "p.mhclo").write_text(f"obj_file p.obj\nverts 0\n{line}\n")
    with pytest.raises(AssetError, match=r"p\.mhclo, line 3"):
        read_proxy(tmp_path / "p.mhclo", 3)


def test_a_mesh_that_needs_texture_places_must_have_them(assets, tmp_path):
    base = assets / "3dobjs/base.obj"
    whole = base.read_text()
    base.write_text("\n".join(line.split("/")[0] + " 2 3" if "/" in line else line for line in whole.splitlines()))
    with pytest.raises(AssetError, match=r"base\.obj: found 'a corner without texture place'"):
        write_cache(assets, tmp_path / "faces.npz")
    base.write_text(whole)
    teeth = assets / "teeth/teeth_base/teeth_base.obj"
    teeth.write_text("\n".join(line for line in teeth.read_text().splitlines() if line[0] == "v") + "\nf 1 2 3 4\n")
    with pytest.raises(AssetError, match=r"teeth_base\.obj: found 'a corner without texture place'"):
        write_cache(assets, tmp_path / "faces.npz")


@pytest.mark.parametrize(
    "weights",
    [{}, {"root": 5}, {"root": [[0]]}, {"root": [[10**9, 1.0]]}, {"root": [[-1, 1.0]]}, {"root": [[0, float("nan")]]}],
)
def test_damaged_weights_are_named(assets, tmp_path, weights):
    (assets / "rigs/default_weights.mhw").write_text(json.dumps({"weights": weights}))
    with pytest.raises(AssetError, match=r"default_weights\.mhw: found"):
        write_cache(assets, tmp_path / "faces.npz")


@pytest.mark.parametrize("skeleton", [{"bones": 3}, {"bones": {"root": {"head": "a"}}, "joints": {"a": [-1]}}])
def test_a_damaged_skeleton_is_named(assets, tmp_path, skeleton):
    (assets / "rigs/default.mhskel").write_text(json.dumps(skeleton))
    with pytest.raises(AssetError, match=r"default\.mhskel: found"):
        write_cache(assets, tmp_path / "faces.npz")


def test_damaged_frames_are_named(assets, tmp_path):
    path = assets / "poseunits/face-poseunits.bvh"
    path.write_text(path.read_text().replace("0 0 0 0 0 0 5 0 0", "0 0 0 0 0 0 nan 0 0", 1))
    with pytest.raises(AssetError, match=r"face-poseunits\.bvh: found"):
        write_cache(assets, tmp_path / "faces.npz")


@pytest.mark.parametrize(
    ("gone", "partner"), [("nose/nose-size-incr", "nose-size-decr"), ("eyes/l-eye-bag-in", "l-eye-bag-out")]
)
def test_a_slider_that_lost_an_end_is_named(assets, tmp_path, gone, partner):
    (assets / f"targets/{gone}.target").unlink()
    with pytest.raises(AssetError, match=rf"{gone}\.target: no such file, though its partner {partner}"):
        write_cache(assets, tmp_path / "faces.npz")


def test_a_slider_that_lost_a_side_is_named(assets, tmp_path):
    for end in ("in", "out"):
        (assets / f"targets/eyes/r-eye-bag-{end}.target").unlink()
    with pytest.raises(AssetError, match=r"eyes/r-eye-bag-in\.target: no such file, though its partner l-eye-bag-in"):
        write_cache(assets, tmp_path / "faces.npz")


def test_mhpose(tmp_path):
    path = tmp_path / "a.mhpose"
    path.write_text('{"unit_poses": {"JawDrop": 0.5}}')
    assert read_mhpose(path) == {"JawDrop": 0.5}
    path.write_text("{")
    with pytest.raises(AssetError, match=r"a\.mhpose, line 1"):
        read_mhpose(path)


def test_pictures_survive_the_cache():
    alpha = np.arange(64, dtype=np.uint8).reshape(8, 8)
    assert (decode_picture(encode_picture(alpha, 50), "alpha")[..., 0] == alpha).all()
    with pytest.raises(AssetError, match="alpha"):
        decode_picture(np.zeros(20, np.uint8), "alpha")


def test_cache_is_small_and_reproducible(tmp_path):
    again = tmp_path / "again.npz"
    assert write_cache(tiny_folder() / "data", again) <= MAX_BYTES
    first, second = read_cache(tiny_folder() / "faces.npz"), read_cache(again)
    assert first.keys() == second.keys()
    assert all((first[name] == second[name]).all() for name in first)


@pytest.mark.parametrize(
    "name",
    [
        "targets/faceunits/jawOpen.target",
        "3dobjs/base.obj",
        "skins/textures/old_darkskinned_male_diffuse.png",
        "rigs/default.mhskel",
    ],
)
def test_missing_asset_is_named(assets, tmp_path, name):
    (assets / name).unlink()
    with pytest.raises(AssetError, match=name.rsplit("/", 1)[1]):
        write_cache(assets, tmp_path / "faces.npz")
    assert not list(tmp_path.glob("*.npz*"))


def test_damaged_picture_is_named(assets, tmp_path):
    picture = assets / "hair/short01/short01_diffuse.png"
    picture.write_bytes(picture.read_bytes()[:60])
    with pytest.raises(AssetError, match="short01_diffuse"):
        write_cache(assets, tmp_path / "faces.npz")


@pytest.mark.parametrize("stamp", [2, "1", [1, 1]])
def test_a_cache_of_another_format_is_refused(tmp_path, stamp):
    np.savez(tmp_path / "faces.npz", format=np.array(stamp))
    with pytest.raises(AssetError, match=r"faces\.npz: cache of format .*, expected 1; build it"):
        read_cache(tmp_path / "faces.npz")


def test_a_cache_cannot_take_a_folders_name(assets, tmp_path):
    with pytest.raises(AssetError, match="is a folder"):
        write_cache(assets, tmp_path)
    with pytest.raises(AssetError, match=r"none/faces\.npz: cannot be written"):
        write_cache(assets, tmp_path / "none/faces.npz")


def test_damaged_cache_is_named(tmp_path):
    path = tmp_path / "faces.npz"
    path.write_bytes((tiny_folder() / "faces.npz").read_bytes()[:5000])
    with pytest.raises(AssetError, match=r"faces\.npz: not a whole cache file"):
        read_cache(path)
    path.write_text("words")
    with pytest.raises(AssetError, match=r"not a whole cache file \(it is no \.npz archive, or its end is missing\)"):
        read_cache(path)
    with pytest.raises(AssetError, match="no such cache file"):
        read_cache(tmp_path / "none.npz")


def test_a_cache_with_a_damaged_header_is_named(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array(header, np.arange(3))
    with zipfile.ZipFile(tmp_path / "faces.npz", "w") as archive:
        archive.writestr("format.npy", header.getvalue().replace(b"}", b"(", 1))
    with pytest.raises(AssetError, match=r"faces\.npz: not a whole cache file"):
        read_cache(tmp_path / "faces.npz")
