"""The bundled weights from nothing: renders the faces, trains every network, exports them. Run it again to go on.

python scripts/train_demo.py --cache faces.npz --work FOLDER [--at-once 5] [--only RESULT ...] [--set ENTRY=VALUE ...]
    [--photos FOLDER --landmarker TASK --teacher mobilefacenet.onnx --teacher dlib.dat [--sources SOURCE ...]]

What is trained stands in sfsr_model/training/configs; the settings are copied to FOLDER, where the results come to lie:
those of rendered faces alone (demo.safetensors, the encoders, the two judges), and, where --photos names a folder of labelled
photos, what goes on from them and is bundled: photos.safetensors, photo_*.onnx; --sources leaves others of its sources out.
A result that is there is not made again. Several that do not wait for each other are made at once, which fills a GPU. Their
output is in FOLDER/logs. --set changes an entry of all settings, such as batch=32 for a CPU.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import IO

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))
_CONFIGS = REPOSITORY / "sfsr_model" / "training" / "configs"
_RUNNING: set[subprocess.Popen[bytes]] = set()
_TAIL = 15  # lines of a log, where a job failed
_START = (sys.executable, "-m", "sfsr_model.training")

TRAININGS = {
    "detector.onnx": ("demo_detector", ("portraits",)),
    "recogniser.onnx": ("demo_recogniser", ("triplets",)),
    "judge_recogniser.onnx": ("judge_recogniser", ("triplets",)),
    "demo_expression.onnx": ("demo_expression", ("triplets",)),
    "expression.onnx": ("demo_expression_means", ("triplets", "demo_expression.onnx")),
    "judge_expression.onnx": ("judge_expression", ("triplets",)),
    "judge_expression_means.onnx": ("judge_expression_means", ("triplets", "judge_expression.onnx")),
    "autoencoder_pixels.safetensors": ("demo_autoencoder", ("triplets",)),
    "autoencoder.safetensors": (
        "demo_autoencoder_faces",
        ("triplets", "autoencoder_pixels.safetensors", "recogniser.onnx", "expression.onnx"),
    ),
    "network.safetensors": ("demo_network", ("triplets", "recogniser.onnx", "autoencoder.safetensors")),
    "demo.safetensors": (
        "demo_finetune",
        ("triplets", "autoencoder.safetensors", "network.safetensors", "recogniser.onnx", "expression.onnx"),
    ),
    "photo_detector.onnx": ("photo_detector", ("portraits", "labelled", "detector.onnx")),
    "photo_points.onnx": ("photo_points", ("triplets", "labelled")),
    "photo_recogniser.onnx": ("photo_recogniser", ("triplets", "labelled", "recogniser.onnx")),
    "photo_judge_recogniser.onnx": ("photo_judge_recogniser", ("triplets", "labelled", "judge_recogniser.onnx")),
    "photo_expression_first.onnx": ("photo_expression", ("triplets", "labelled", "expression.onnx")),
    "photo_expression.onnx": ("photo_expression_more", ("triplets", "labelled", "photo_expression_first.onnx")),
    "photo_judge_expression.onnx": ("photo_judge_expression", ("triplets", "labelled", "judge_expression_means.onnx")),
    "photo_autoencoder_first.safetensors": ("photo_autoencoder", ("triplets", "labelled_large", "autoencoder.safetensors")),
    "photo_autoencoder.safetensors": (
        "photo_autoencoder_more",
        ("triplets", "labelled_small", "photo_autoencoder_first.safetensors"),
    ),
    "photo_network.safetensors": (
        "photo_network",
        (
            "triplets",
            "labelled_large",
            "photo_autoencoder.safetensors",
            "grown.safetensors",
            "photo_recogniser.onnx",
            "photo_expression.onnx",
        ),
    ),
    "photos.safetensors": (
        "photo_finetune",
        (
            "triplets",
            "labelled_large",
            "photo_autoencoder.safetensors",
            "photo_network.safetensors",
            "photo_recogniser.onnx",
            "photo_expression.onnx",
        ),
    ),
}
"""Results, the settings they are trained by, and what must be there before."""
GROWN = {"grown.safetensors": ("photo_network", "demo.safetensors", "recogniser.onnx")}
"""Networks that others are carried over to: for which settings, which network, and the recogniser whose identities it knows."""
DATASETS = {
    "triplets": ("--count", "16384", "--size", "128", "--seed", "1"),
    "portraits": ("--kind", "pictures", "--unaligned", "--count", "8000", "--size", "160", "--seed", "1"),
}
LABELLED = {"labelled": "208", "labelled_small": "152", "labelled_large": "304"}
"""Stores of the labelled photos, and the side that their pictures are brought to. Teachers speak of the first."""


@dataclass(frozen=True)
class Job:
    """Commands, one after the other, that make `name` in the folder once `needs` are there."""

    name: str
    needs: tuple[str, ...]
    commands: tuple[tuple[str, ...], ...]


def main(arguments: list[str] | None = None) -> int:
    """0; 2 with one line on stderr for bad input, or what failed and the ends of its logs; 130 after an interrupt."""
    from sfsr_model.command import exit_status

    options = _parser().parse_args(arguments)

    def run() -> int:
        carry_out(planned(options), options.work, options.at_once, options.teacher)
        return 0

    return exit_status(run, "interrupted; the same command goes on where it stopped")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True, help="the renderer's cache file, such as faces.npz")
    parser.add_argument("--work", type=Path, required=True, help="folder of everything that is made")
    parser.add_argument("--at-once", type=int, default=1, help="jobs at a time (default 1; 5 for a GPU with 16 CPU cores)")
    parser.add_argument("--only", nargs="+", choices=list(TRAININGS), help="these results, and what they need")
    parser.add_argument("--photos", type=Path, help="folder of labelled photos: index.csv, labels.npz and the pictures")
    parser.add_argument("--landmarker", type=Path, help="face_landmarker.task, which gives boxes and poses of the photos")
    parser.add_argument("--teacher", type=Path, action="append", default=[], help="mobilefacenet.onnx or dlib.dat; both")
    parser.add_argument("--sources", nargs="+", default=[], help="sources of the photos to learn from (all)")
    parser.add_argument("--workers", type=int, help="processes that render (default: as many as the dataset command takes)")
    parser.add_argument("--set", action="append", default=[], metavar="ENTRY=VALUE", help="change an entry of all settings")
    return parser


def planned(options: argparse.Namespace) -> dict[str, Job]:
    """The jobs of the results that are wanted and not there yet, and of what these need, by name."""
    from sfsr_model.training.settings import changes_of

    changes_of(options.set)
    if options.at_once < 1:
        raise ValueError(f"at-once: expected at least 1, found {options.at_once}")
    jobs: dict[str, Job] = {}
    wanted = list(
        options.only or [name for name, (_, needs) in TRAININGS.items() if options.photos or not LABELLED.keys() & set(needs)]
    )
    while wanted:
        name = wanted.pop()
        if name in jobs or (name in TRAININGS.keys() | GROWN.keys() and (options.work / name).exists()):
            continue
        makers = ((DATASETS, _rendering), (LABELLED, _labelled), (GROWN, _growing))
        make = next((maker for names, maker in makers if name in names), _training)
        jobs[name] = make(options, name)
        wanted += jobs[name].needs
    return jobs


def _rendering(options: argparse.Namespace, name: str) -> Job:
    """A dataset's command, which finds out by itself what is missing."""
    command = (sys.executable, "-m", "sfsr_model.synthetic", "dataset", "--cache", str(options.cache.resolve()), "--out",
               str(options.work.resolve() / name), *DATASETS[name])  # fmt: skip
    workers = () if options.workers is None else ("--workers", str(options.workers))
    return Job(name, (), ((*command, *workers),))


def _labelled(options: argparse.Namespace, name: str) -> Job:
    """The command that prepares labelled photos, likewise."""
    if options.photos is None or options.landmarker is None:
        raise ValueError("photos: give --photos and --landmarker for what learns from photos, or leave it out of --only")
    command = [sys.executable, "-m", "sfsr_model.training", "labelled", "--out", str(options.work.resolve() / name)]
    command += ["--folder", str(options.photos.resolve()), "--landmarker", str(options.landmarker.resolve())]
    command += ["--size", LABELLED[name]]
    for teacher in options.teacher if name == "labelled" else ():
        command += ["--teacher", str(teacher.resolve())]
    return Job(name, (), ((*command, *(("--sources", *options.sources) if options.sources else ())),))


def _growing(options: argparse.Namespace, name: str) -> Job:
    """The command that carries a network over to what the settings' training looks through."""
    stem, forerunner, recogniser = GROWN[name]
    work = options.work.resolve()
    needs = tuple(need for need in TRAININGS[f"{stem}.safetensors"][1] if need != name)
    command = (*_START, "grow", str(work / f"{stem}.yaml"), "--forerunner", str(work / forerunner), "--recogniser",
               str(work / recogniser), "--out", str(work / name), *_changes(options))  # fmt: skip
    return Job(name, (*needs, forerunner, recogniser), (command,))


def _changes(options: argparse.Namespace) -> list[str]:
    return [text for change in options.set for text in ("--set", change)]


def _training(options: argparse.Namespace, name: str) -> Job:
    stem, needs = TRAININGS[name]
    work, changes = options.work.resolve(), _changes(options)
    settings = str(work / f"{stem}.yaml")
    # Apart from each other: what the training did to a network, such as half precision, must not go into the file.
    return Job(
        name, needs, ((*_START, "run", settings, *changes), (*_START, "export", settings, "--out", str(work / name), *changes))
    )


def carry_out(jobs: dict[str, Job], work: Path, at_once: int, teachers: Sequence[Path] = ()) -> None:
    """Carry out jobs as soon as what they need is made. Raises RuntimeError naming what failed, when all else is made.

    teachers: files that the settings look for in their own folder.
    """
    (work / "logs").mkdir(parents=True, exist_ok=True)
    for file in (*_CONFIGS.glob("*.yaml"), *teachers):
        if not (work / file.name).exists():
            shutil.copy(file, work)
    left, made, failed = dict(jobs), set[str](), list[str]()
    running: dict[Future[None], str] = {}
    with ThreadPoolExecutor(at_once) as threads:
        while True:
            ready = [job for job in left.values() if all(need in made or need not in jobs for need in job.needs)]
            for job in ready[: at_once - len(running)]:
                running[threads.submit(_carry_out, left.pop(job.name), work)] = job.name
            if not running:
                break
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                name, error = running.pop(done), done.exception()
                if error is None:
                    made.add(name)
                else:
                    failed.append(f"{name}: {error}")
    if failed:
        raise RuntimeError("; ".join(failed))


def _carry_out(job: Job, work: Path) -> None:
    begun = time.monotonic()
    print(f"{job.name}: begun", flush=True)
    path = work / "logs" / f"{job.name}.log"
    with path.open("a", encoding="utf-8") as log:
        for command in job.commands:
            log.write(f"{shlex.join(command)}\n")
            log.flush()
            status = _ended(command, log)
            if status:
                lines = path.read_text(encoding="utf-8", errors="replace").replace("\r", "\n").splitlines()
                raise RuntimeError(f"{command[2]} {command[3]} ended with status {status}; the end of {path}:\n" +
                                   "\n".join(lines[-_TAIL:]))  # fmt: skip
    print(f"{job.name}: made in {(time.monotonic() - begun) / 60:.1f} minutes", flush=True)


def _ended(command: tuple[str, ...], log: IO[str]) -> int:
    """The status of a command, which is ended with this process."""
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=log, stderr=log) as process:
        _RUNNING.add(process)
        try:
            return process.wait()
        finally:
            _RUNNING.discard(process)


def _end_all(number: int, frame: object) -> None:
    for process in list(_RUNNING):
        process.terminate()
    os._exit(128 + number)  # its threads wait for what they started, not for the signal


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end_all)
    sys.exit(main())
