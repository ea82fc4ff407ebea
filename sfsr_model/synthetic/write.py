"""The dataset writer: shards rendered by several processes, resumable, the same for the same seed."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path

from .model import FaceModel
from .records import KINDS, make_record
from .shards import FORMAT, MANIFEST, DatasetError, is_whole, read_manifest, shard_path, write_shard


@dataclass(frozen=True)
class DatasetPlan:
    """kind: one of `records.KINDS`. count samples of size x size pixels in shards of shard_size; max_yaw in radians.
    procedural_skin: see `FaceModel.load`."""

    kind: str
    count: int
    size: int
    seed: int
    shard_size: int
    aligned: bool
    max_yaw: float
    procedural_skin: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind: expected one of {', '.join(KINDS)}, got {self.kind!r}")
        for field in ("count", "shard_size"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field}: expected at least 1, got {getattr(self, field)}")

    def shard_numbers(self, shard: int) -> range:
        """Sample numbers of one shard."""
        return range(shard * self.shard_size, min((shard + 1) * self.shard_size, self.count))

    @property
    def shards(self) -> int:
        """How many shards there are."""
        return -(-self.count // self.shard_size)


def write_dataset(cache: Path, folder: Path, plan: DatasetPlan, workers: int) -> int:
    """Render what is missing of a dataset; returns how many samples were rendered now.

    Whole shards of an interrupted run are kept. Raises DatasetError for a folder of another plan or cache, a disk that is
    full or a worker that was killed; AssetError for a bad cache.
    """
    FaceModel.load(cache)
    manifest = {"format": FORMAT, "cache": _digest(cache), **asdict(plan)}
    _claim(folder, manifest)
    todo = [s for s in range(plan.shards) if not is_whole(shard_path(folder, s), len(plan.shard_numbers(s)))]
    samples = sum(len(plan.shard_numbers(shard)) for shard in todo)
    if not todo:
        return 0
    from tqdm import tqdm

    context = multiprocessing.get_context("spawn")
    with tqdm(total=plan.count, initial=plan.count - samples, unit="sample", desc=folder.name) as bar:
        if workers <= 1:
            _start(cache, plan.procedural_skin)
            for shard in todo:
                bar.update(_render_shard(folder, plan, shard))
            return samples
        with ProcessPoolExecutor(min(workers, len(todo)), context, _start, (cache, plan.procedural_skin)) as pool:
            jobs = {pool.submit(_render_shard, folder, plan, shard): shard for shard in todo}
            try:
                for job in as_completed(jobs):
                    bar.update(job.result())
            except BrokenProcessPool:
                raise DatasetError(
                    f"{folder}: a worker was killed, most likely for memory; run the same command again with fewer --workers, "
                    "whole shards are kept"
                ) from None
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    return samples


_model: FaceModel | None = None


def _start(cache: Path, procedural_skin: bool) -> None:
    """Make a process ready to render. One thread each: the processes are the parallelism."""
    global _model  # noqa: PLW0603 - one model for each worker process
    import cv2

    cv2.setNumThreads(1)
    _model = FaceModel.load(cache, procedural_skin)


def _render_shard(folder: Path, plan: DatasetPlan, shard: int) -> int:
    assert _model is not None
    records = [
        make_record(_model, plan.kind, plan.seed, number, plan.size, plan.aligned, plan.max_yaw)
        for number in plan.shard_numbers(shard)
    ]
    write_shard(shard_path(folder, shard), records)
    return len(records)


def _claim(folder: Path, manifest: dict) -> None:
    """Create the folder and its manifest, or check that it holds the same plan; sweep out what a killed run left."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / MANIFEST).exists():
            found = read_manifest(folder)
            differing = sorted(key for key in manifest.keys() | found.keys() if manifest.get(key) != found.get(key))
            if differing:
                key = differing[0]
                raise DatasetError(
                    f"{folder}: holds a dataset with {key} = {found.get(key)!r}, asked for {manifest.get(key)!r}; "
                    "choose another folder or the same options"
                )
        else:
            partial = folder / f"{MANIFEST}.partial"
            partial.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
            partial.replace(folder / MANIFEST)
        for leftover in folder.glob("*.partial"):
            leftover.unlink()
    except OSError as error:
        raise DatasetError(f"{folder}: cannot be written ({error}); choose a folder that can") from error


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
