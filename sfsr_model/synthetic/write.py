"""The dataset writer: shards rendered by several processes, resumable, the same for the same seed."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from ..files import whole_file
from .model import FaceModel
from .packages import optional
from .records import KINDS, make_record
from .render import check_size
from .sample import check_number
from .scene import check_yaw
from .shards import FORMAT, MANIFEST, DatasetError, is_whole, read_manifest, shard_path, write_shard

# A shard's name has five digits.
_MOST_SHARDS = 100_000
# Windows waits for no more processes at once than this.
_MOST_PROCESSES = 61


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
        if self.shards > _MOST_SHARDS:
            raise ValueError(
                f"shard_size: {self.count} samples in shards of {self.shard_size} are {self.shards} files; "
                f"expected at most {_MOST_SHARDS}; ask for larger shards"
            )
        check_size(self.size)
        check_number("seed", self.seed)
        check_yaw(self.max_yaw)

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
    most = min(2 * (os.cpu_count() or 1), _MOST_PROCESSES)
    if not 1 <= workers <= most:
        raise ValueError(f"workers: expected 1 to {most} on this machine, got {workers}")
    optional("tqdm")
    optional("cv2")
    FaceModel.load(cache)
    manifest = {"format": FORMAT, "cache": _digest(cache), **asdict(plan)}
    if _holds(folder, manifest) and not _missing(folder, plan):
        return 0
    with _alone(folder):
        _claim(folder, manifest)
        return _render_missing(cache, folder, plan, workers)


def _missing(folder: Path, plan: DatasetPlan) -> list[int]:
    return [s for s in range(plan.shards) if not is_whole(shard_path(folder, s), len(plan.shard_numbers(s)))]


def _render_missing(cache: Path, folder: Path, plan: DatasetPlan, workers: int) -> int:
    tqdm = optional("tqdm").tqdm
    todo = _missing(folder, plan)
    samples = sum(len(plan.shard_numbers(shard)) for shard in todo)
    processes = min(workers, len(todo))
    with tqdm(total=plan.count, initial=plan.count - samples, unit="sample", desc=folder.name) as bar:
        if processes == 1:
            _start(cache, plan.procedural_skin)
            for shard in todo:
                bar.update(_render_shard(folder, plan, shard))
            return samples
        try:
            for count in _by_workers(processes, cache, folder, plan, todo):
                bar.update(count)
        except BrokenProcessPool:
            raise DatasetError(
                f"{folder}: a worker was killed, most likely for memory; run the same command again with fewer --workers, "
                "whole shards are kept"
            ) from None
        finally:
            _sweep(folder)
    return samples


def _by_workers(processes: int, cache: Path, folder: Path, plan: DatasetPlan, todo: list[int]) -> Iterator[int]:
    """Render shards by several processes; yields the size of each that is done.

    The processes end when `hold` closes, so they outlive neither an error here nor the death of this process.
    """
    context = multiprocessing.get_context("spawn")
    lifeline, hold = context.Pipe(duplex=False)
    with hold, ProcessPoolExecutor(processes, context, _start_worker, (lifeline, cache, plan.procedural_skin)) as pool:
        try:
            with _unheard_interrupts():
                jobs = [pool.submit(_render_shard, folder, plan, shard) for shard in todo]
            for job in as_completed(jobs):
                yield job.result()
        except BaseException:
            hold.close()
            pool.shutdown(cancel_futures=True)
            raise


@contextmanager
def _unheard_interrupts() -> Iterator[None]:
    """Processes started in here inherit that they do not hear Ctrl-C, which a terminal sends to all of a command's."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


_model: FaceModel | None = None


def _start(cache: Path, procedural_skin: bool) -> None:
    """Make a process ready to render. One thread each: the processes are the parallelism."""
    global _model  # noqa: PLW0603 - one model for each worker process
    optional("cv2").setNumThreads(1)
    _model = FaceModel.load(cache, procedural_skin)


def _start_worker(lifeline: Connection, cache: Path, procedural_skin: bool) -> None:
    """`_start`, in a process that ends at once when the other end of its pipe closes."""
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    _start(cache, procedural_skin)


def _end_with(lifeline: Connection) -> None:
    with suppress(EOFError, OSError):
        lifeline.recv()
    os._exit(1)


def _render_shard(folder: Path, plan: DatasetPlan, shard: int) -> int:
    assert _model is not None
    records = [
        make_record(_model, plan.kind, plan.seed, number, plan.size, plan.aligned, plan.max_yaw)
        for number in plan.shard_numbers(shard)
    ]
    write_shard(shard_path(folder, shard), records)
    return len(records)


def _holds(folder: Path, manifest: dict) -> bool:
    """Whether the folder holds a dataset of this plan; raises DatasetError where it is one of another."""
    if not (folder / MANIFEST).exists():
        return False
    found = read_manifest(folder)
    differing = sorted(key for key in manifest.keys() | found.keys() if manifest.get(key) != found.get(key))
    if differing:
        key = differing[0]
        raise DatasetError(
            f"{folder}: holds a dataset with {key} = {found.get(key)!r}, asked for {manifest.get(key)!r}; "
            "choose another folder or the same options"
        )
    return True


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Create the folder and keep other commands out of it; the system opens the lock when this process dies."""
    from filelock import FileLock, Timeout

    path = folder / "dataset.lock"
    lock = FileLock(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise DatasetError(f"{folder}: another command is writing to it; wait for it or choose another folder") from None
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        yield
    finally:
        # Removed while it is held, so that nobody waits at a lock that is about to vanish; Windows refuses, and keeps it.
        with suppress(OSError):
            path.unlink()
        lock.release()


def _claim(folder: Path, manifest: dict) -> None:
    """Write the folder's manifest, or check that it holds the same plan; sweep out what a killed run left."""
    try:
        if not _holds(folder, manifest):
            with whole_file(folder / MANIFEST) as partial:
                partial.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        _sweep(folder)
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(folder: Path, error: OSError) -> DatasetError:
    return DatasetError(f"{folder}: cannot be written ({error}); choose a folder that can or free the disk")


def _sweep(folder: Path) -> None:
    for leftover in folder.glob("*.partial"):
        leftover.unlink(missing_ok=True)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
