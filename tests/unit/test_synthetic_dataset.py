"""Shards: the same samples whatever the workers, resumed after an interruption, never torn."""

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from testkit.tiny_makehuman import tiny_folder

from sfsr_model.synthetic.shards import DatasetError, Shard, shard_path, write_shard
from sfsr_model.synthetic.torch_data import DecodedShards, RenderedDataset, ShardDataset
from sfsr_model.synthetic.write import DatasetPlan, write_dataset

ROOT = Path(__file__).parents[2]
PLAN = DatasetPlan("triplets", 5, 64, 7, 2, True, math.radians(60))


@pytest.fixture(scope="module")
def cache():
    return tiny_folder() / "faces.npz"


@pytest.fixture(scope="module")
def written(cache, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "triplets"
    assert write_dataset(cache, folder, PLAN, 1) == 5
    return folder


def same(one, other):
    return one.keys() == other.keys() and all((one[name] == other[name]).all() for name in one)


def test_shards_hold_what_is_rendered_on_the_fly(cache, written):
    stored, rendered = ShardDataset(written), RenderedDataset(cache, "triplets", 5, 64, seed=7)
    assert len(stored) == len(rendered) == 5
    assert stored[4]["image"].shape == (4, 3, 64, 64)
    assert all(same(stored[index], rendered[index]) for index in (0, 3, 4))


def test_decoded_shards_are_the_same_and_give_several_at_once(written):
    stored, decoded = ShardDataset(written), DecodedShards(written)
    assert len(decoded) == 5
    assert all(same(stored[index], decoded[index]) for index in range(5))
    both = decoded.__getitems__([4, 0])
    assert all((both[name][0] == stored[4][name]).all() and (both[name][1] == stored[0][name]).all() for name in stored[0])
    with pytest.raises(IndexError, match="sample 5 of 5"):
        decoded[5]


def test_pictures_are_stored_as_well(cache, tmp_path):
    plan = replace(PLAN, kind="pictures", count=2)
    write_dataset(cache, tmp_path / "pictures", plan, 1)
    sample = ShardDataset(tmp_path / "pictures")[1]
    assert sample["image"].shape == (3, 64, 64)
    assert sample["depth"].shape == (64, 64)
    assert sample["coefficients"].shape == (52,)


def test_two_workers_write_the_same_bytes(cache, written, tmp_path):
    write_dataset(cache, tmp_path / "again", PLAN, 2)
    for number in range(PLAN.shards):
        one, other = Shard(shard_path(written, number)), Shard(shard_path(tmp_path / "again", number))
        assert len(one) == len(other)
        assert all(same(one[index], other[index]) for index in range(len(one)))


def test_an_interrupted_dataset_resumes(cache, tmp_path):
    folder = tmp_path / "triplets"
    write_dataset(cache, folder, PLAN, 1)
    first = shard_path(folder, 0).stat().st_mtime_ns
    torn = shard_path(folder, 1)
    whole = torn.read_bytes()
    torn.write_bytes(whole[: len(whole) // 2])
    shard_path(folder, 2).unlink()
    (folder / "shard-00002.npz.partial").write_bytes(b"half a shard")
    assert write_dataset(cache, folder, PLAN, 1) == 3
    assert shard_path(folder, 0).stat().st_mtime_ns == first
    assert same(ShardDataset(folder)[2], RenderedDataset(cache, "triplets", 5, 64, seed=7)[2])
    assert sorted(path.name for path in folder.iterdir()) == ["dataset.json", *(f"shard-0000{n}.npz" for n in range(3))]


def test_another_plan_in_the_same_folder_is_refused(cache, written):
    with pytest.raises(DatasetError, match="seed = 7, asked for 8"):
        write_dataset(cache, written, replace(PLAN, seed=8), 1)


def test_missing_shards_are_named(cache, tmp_path):
    write_dataset(cache, tmp_path / "d", PLAN, 1)
    shard_path(tmp_path / "d", 1).unlink()
    with pytest.raises(DatasetError, match=r"1 of 3 shards are missing, first shard-00001\.npz"):
        ShardDataset(tmp_path / "d")
    with pytest.raises(DatasetError, match="holds no dataset"):
        ShardDataset(tmp_path)


def test_a_file_in_the_folders_place_is_named(cache, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(DatasetError, match="taken: cannot be written"):
        write_dataset(cache, tmp_path / "taken", PLAN, 1)


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full exists on Linux only")
def test_a_disk_that_is_full_from_the_start_keeps_no_half_manifest(cache, tmp_path):
    (tmp_path / "dataset.json.partial").symlink_to("/dev/full")
    with pytest.raises(DatasetError, match="cannot be written"):
        write_dataset(cache, tmp_path, PLAN, 1)
    assert not list(tmp_path.iterdir())


def test_two_commands_do_not_write_the_same_folder(cache, tmp_path):
    with FileLock(tmp_path / "dataset.lock"):
        with pytest.raises(DatasetError, match="another command is writing to it"):
            write_dataset(cache, tmp_path, PLAN, 1)
        assert [path.name for path in tmp_path.iterdir()] == ["dataset.lock"]
    assert write_dataset(cache, tmp_path, replace(PLAN, count=1), 1) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset.json", "shard-00000.npz"]


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full exists on Linux only")
def test_a_full_disk_names_the_shard(tmp_path):
    (tmp_path / "shard-00001.npz.partial").symlink_to("/dev/full")
    records = [{"image": np.zeros((64, 64, 3), np.uint8), "pose": np.zeros(3)}] * 2
    with pytest.raises(DatasetError, match=r"shard-00001\.npz: cannot be written"):
        write_shard(shard_path(tmp_path, 1), records)
    assert not list(tmp_path.iterdir())


def test_a_killed_worker_is_reported_and_leaves_whole_shards(cache, tmp_path, monkeypatch):
    from sfsr_model.synthetic import write

    monkeypatch.setattr(write, "_render_shard", _die)
    with pytest.raises(DatasetError, match="a worker was killed"):
        write.write_dataset(cache, tmp_path / "d", PLAN, 2)
    monkeypatch.undo()
    assert write_dataset(cache, tmp_path / "d", PLAN, 1) == 5


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("stop", ["SIGINT", "SIGKILL"])
def test_no_worker_outlives_a_stopped_command(cache, tmp_path, stop):
    folder = tmp_path / "d"
    arguments = f"--out {folder} --count 4000 --size 32 --shard-size 2 --workers 2 --kind pictures"
    command = [sys.executable, "-m", "sfsr_model.synthetic", "dataset", "--cache", str(cache), *arguments.split()]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_heed_ctrl_c,  # noqa: PLW1509
    )
    try:
        while not list(folder.glob("*.npz")):
            assert process.poll() is None, process.stderr.read()
        os.kill(process.pid, getattr(signal, stop))
        # The pipe ends when the last process that may write to it has ended.
        _, error = process.communicate(timeout=120)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert "Traceback" not in error
    if stop == "SIGINT":
        assert (process.returncode, error.splitlines()[-1]) == (130, "stopped")
        assert not list(folder.glob("*.partial"))


def _heed_ctrl_c():
    """A shell's background job, and what it starts, is born deaf to Ctrl-C; the command under test is not one."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _die(folder, plan, shard):
    os._exit(9)


@pytest.mark.parametrize("entry", [{"shard_size": 0}, {"count": "5"}, {"format": 9}])
def test_a_damaged_manifest_is_named(written, tmp_path, entry):
    manifest = json.loads((written / "dataset.json").read_text())
    (tmp_path / "dataset.json").write_text(json.dumps({**manifest, **entry}))
    with pytest.raises(DatasetError, match=r"dataset\.json: .*render it again"):
        ShardDataset(tmp_path)


@pytest.mark.parametrize("options", [{"count": 0}, {"size": 8}, {"seed": -1}, {"max_yaw": math.nan}, {"kind": "faces"}])
def test_impossible_rendered_datasets_are_refused(cache, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        RenderedDataset(cache, **{"kind": "pictures", "count": 1, "size": 64, **options})


@pytest.mark.parametrize(("field", "value"), [("kind", "faces"), ("count", 0), ("shard_size", 0)])
def test_impossible_plans_are_refused(field, value):
    with pytest.raises(ValueError, match=field):
        replace(PLAN, **{field: value})
