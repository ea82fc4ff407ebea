"""What cropping and pasting faces costs: `python scripts/benchmark_faces.py`, run with ComfyUI's Python.

Every step takes turns with a plain cv2.warpAffine of the whole picture, in the same process; the best round of each is the
figure, because whatever else runs on a machine only ever adds. Detection is not part of it. The peak is that of a process that
does nothing else, beyond what PyTorch and the pictures take.

    python scripts/benchmark_faces.py [--rounds 15] [--threads 1 2] [--crop 512]
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

Timed = Callable[[], Any]
SIZES = ((2048, 2048), (1440, 2560))
# Of the picture's shorter side: a group photo, a portrait, a face that fills the picture.
EYE_DISTANCES = (0.03, 0.12, 0.24)


def points_of(height: int, width: int, eye: float) -> Any:
    """Five points [5, 2] of a face a little off the middle, rolled by 12 degrees, with this eye distance in pixels."""
    import torch

    from sfsr_model.face.crop import template

    turn = torch.tensor([[0.978, -0.208], [0.208, 0.978]], dtype=torch.float64)
    middle = torch.tensor([0.5 * width, 0.4 * height], dtype=torch.float64)
    return (template() - template()[:2].mean(0)) * eye / 0.3 @ turn.T + middle


def steps(height: int, width: int, share: float, side: int) -> tuple[dict[str, Timed], Timed]:
    """The steps to time for a face whose eyes are this share of the shorter side apart, and the plain warp beside them."""
    import cv2
    import torch

    from sfsr_model.face import crop_face, face_frame, paste_into
    from sfsr_model.face.storage import uninitialised

    picture = torch.rand(1, height, width, 3)
    points = points_of(height, width, share * min(height, width))
    frame = face_frame(points, (height, width), side)
    crop = crop_face(picture[0], frame)
    matrix, pixels = frame.transform.numpy(), picture[0].numpy()

    def paste() -> Any:
        result = uninitialised(tuple(picture.shape), picture)
        result[0] = picture[0]
        return paste_into(result[0], crop, frame)

    def cut() -> Any:
        return crop_face(picture[0], face_frame(points, (height, width), side))

    return {
        "frame and crop": cut,
        "paste": paste,
        "both": lambda: (cut(), paste()),
    }, lambda: cv2.warpAffine(pixels, matrix, (width, height))


def timed(step: Timed, plain: Timed, rounds: int) -> tuple[float, float]:
    """Milliseconds of a step's best round, and their ratio to those of the plain warp that ran beside it."""
    best = {}
    for number in range(rounds + 1):
        for run in (step, plain) if number % 2 else (plain, step):
            start = time.perf_counter()
            run()
            best[run] = min(time.perf_counter() - start, best.get(run, math.inf))
    return 1000 * best[step], best[step] / best[plain]


def peak(height: int, width: int, count: int, side: int) -> tuple[int, int]:
    """MiB of `count` pictures, and what cropping and pasting them adds to the peak, the results' own memory included."""
    code = f"""
import resource, sys
sys.path[:0] = {[str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]!r}
import torch
import benchmark_faces as bench
from sfsr_model.face import crop_face, face_frame, paste_into
from sfsr_model.face.storage import uninitialised
torch.set_num_threads(1)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
pictures = uninitialised(({count}, {height}, {width}, 3), torch.zeros(1)).fill_(0.5)
before = peak()
result = uninitialised(tuple(pictures.shape), pictures)
for number, picture in enumerate(pictures):
    frame = face_frame(bench.points_of({height}, {width}, 0.12 * min({height}, {width})), ({height}, {width}), {side})
    result[number] = picture
    paste_into(result[number], crop_face(picture, frame), frame)
print(round(pictures.numel() * 4 / 2**20), round(peak() - before))
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    own, added = answer.stdout.split()
    return int(own), int(added)


def main() -> int:
    parser = argparse.ArgumentParser(description="Time and memory of cropping and pasting faces, without detection.")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--crop", type=int, default=512)
    options = parser.parse_args()

    import cv2
    import torch

    print(f"PyTorch {torch.__version__}, OpenCV {cv2.__version__}, crop {options.crop}, best of {options.rounds} rounds, CPU\n")
    print(
        "| picture | eyes apart, px | step | "
        + " | ".join(f"{n} thread(s), ms | of warpAffine" for n in options.threads)
        + " |"
    )
    print("|---|---|---|" + "---|---|" * len(options.threads))
    with torch.inference_mode():
        for height, width in SIZES:
            for share in EYE_DISTANCES:
                made, plain = steps(height, width, share, options.crop)
                for name, step in made.items():
                    figures = []
                    for threads in options.threads:
                        torch.set_num_threads(threads)
                        cv2.setNumThreads(threads)
                        figures += ["{:.0f} | {:.1f}".format(*timed(step, plain, options.rounds))]
                    eye = round(share * min(height, width))
                    print(f"| {width} x {height} | {eye} | {name} | " + " | ".join(figures) + " |", flush=True)
    if sys.platform == "linux":
        print("\n| pictures | they take, MiB | crop and paste add, MiB |\n|---|---|---|")
        for count, height, width in ((1, 2048, 2048), (1, 4320, 7680), (60, 512, 512)):
            own, added = peak(height, width, count, options.crop)
            print(f"| {count} of {width} x {height} | {own} | {added} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
