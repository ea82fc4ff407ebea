"""How fast pictures are made, with the settings that count."""

from __future__ import annotations

import resource
import time

from .model import FaceModel
from .sample import sample_picture
from .triplet import sample_triplet

_WARM_UP = 3


def benchmark(model: FaceModel, sizes: tuple[int, ...], count: int) -> list[str]:
    """Lines of a Markdown table: random samples, everything from the seed to the finished pixels, in this one process.

    Processor time leaves out what other programs take from the core; on a free machine it is the clock's time.
    """
    lines = [
        "quality: 2 x 2 samples a pixel, shaded once per surface; shadow map; 3 lights and sky; exposure, noise, JPEG",
        "",
        "| kind | size | processor ms | pictures/s a core | clock ms |",
        "|---|---|---|---|---|",
    ]
    for size in sizes:
        for kind, pictures, make in (("picture", 1, sample_picture), ("triplet", 4, sample_triplet)):
            for number in range(_WARM_UP):
                make(model, 1, number, size)
            processor, clock = time.process_time(), time.perf_counter()
            runs = max(count // pictures, 1)
            for number in range(runs):
                make(model, 1, number, size)
            processor = (time.process_time() - processor) / (runs * pictures)
            clock = (time.perf_counter() - clock) / (runs * pictures)
            lines.append(f"| {kind} | {size} | {1000 * processor:.1f} | {1 / processor:.1f} | {1000 * clock:.1f} |")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return [*lines, "", f"memory of the process at its peak: {peak:.0f} MiB"]
