"""How fast pictures are made, with the settings that count."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from .model import FaceModel
from .render import check_size
from .sample import sample_picture
from .triplet import sample_triplet

_ROUNDS = 3


def benchmark(model: FaceModel, sizes: tuple[int, ...], count: int) -> list[str]:
    """Lines of a Markdown table: random samples, everything from the seed to the finished pixels, in this one process.

    The best of a few rounds: the first compiles and loads, and other programs only ever slow a round down. Processor time
    leaves out what they take from the core; on a free machine it is the clock's time.
    """
    if count < 1:
        raise ValueError(f"count: expected at least 1, got {count}")
    for size in sizes:
        check_size(size)
    lines = [
        "quality: 2 x 2 samples a pixel, shaded once per surface; shadow map; 3 lights and sky; exposure, noise, JPEG",
        "",
        "| kind | size | processor ms | pictures/s a core | clock ms |",
        "|---|---|---|---|---|",
    ]
    for size in sizes:
        for kind, pictures, make in (("picture", 1, sample_picture), ("triplet", 4, sample_triplet)):
            runs = max(count // pictures, 1)
            rounds = [_measure(make, model, runs, size) for _ in range(_ROUNDS)]
            processor, clock = (min(times) / (runs * pictures) for times in zip(*rounds, strict=True))
            lines.append(f"| {kind} | {size} | {1000 * processor:.1f} | {1 / processor:.1f} | {1000 * clock:.1f} |")
    return [*lines, "", f"memory of the process at its peak: {_peak()}"]


def _peak() -> str:
    try:
        import resource
    except ImportError:  # Windows
        return "not known on this system"
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit:.0f} MiB"


def _measure(make: Callable[..., object], model: FaceModel, runs: int, size: int) -> tuple[float, float]:
    """Seconds of the processor and of the clock for `runs` samples."""
    processor, clock = time.process_time(), time.perf_counter()
    for number in range(runs):
        make(model, 1, number, size)
    return time.process_time() - processor, time.perf_counter() - clock
