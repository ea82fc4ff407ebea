"""What encoding photos costs beside insightface itself: `python scripts/benchmark_encoders.py`, run with ComfyUI's Python.

Ours (picture as ComfyUI has it, to identity) and insightface's FaceAnalysis (BGR bytes to embeddings, the same detector size,
the same files) take turns in one process; the median of the rounds' ratios is the figure, for machines wander. Without `--pack`
it writes networks of random weights in the shapes of a large and a small pack: their time is that of trained ones.

    python scripts/benchmark_encoders.py [--pack FOLDER] [--photos 4] [--rounds 9] [--threads 1]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

_REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_REPOSITORY), str(_REPOSITORY / "tests")]

Timed = Callable[[], Any]
LIMIT = 1.05


def photos(count: int, side: int) -> list[Any]:
    """Pictures [side, side, 3] in 0..1 with one green square each, which the generated detector takes for a face."""
    import torch

    generator = torch.Generator().manual_seed(0)
    made = []
    for number in range(count):
        picture = 0.5 * torch.rand(side, side, 3, generator=generator)
        half = round(28 * side / 640)
        x = round((336 + 32 * (number % 3)) * side / 640)
        picture[x - half : x + half, x - half : x + half] = torch.tensor([0.0, 1.0, 0.0])
        made.append(picture)
    return made


def generated_packs(folder: Path) -> dict[str, Path]:
    """A pack with an iresnet-50 and one with a MobileFaceNet, each with a detector of a comparable cost."""
    from testkit.onnx_nets import save_detector, save_iresnet, save_mobilefacenet

    packs = {}
    for name, save, detector_layers in (("iresnet-50", save_iresnet, 24), ("MobileFaceNet", save_mobilefacenet, 6)):
        pack = folder / name
        pack.mkdir()
        save_detector(pack / "det.onnx", ballast=detector_layers)
        save(pack / "rec.onnx")
        packs[name] = pack
    return packs


def identity_lines(name: str, pack: Path, pictures: list[Any]) -> tuple[str, Timed, Timed]:
    """A line of the table: what it measures, ours, and insightface's."""
    import numpy as np
    from insightface.app import FaceAnalysis

    from sfsr_model.encoders.enrolment import enrol
    from sfsr_model.encoders.pack import load_recogniser

    encoder = load_recogniser(pack, "CPU")
    theirs = FaceAnalysis(name=str(pack), allowed_modules=["detection", "recognition"], providers=["CPUExecutionProvider"])
    theirs.prepare(ctx_id=-1, det_size=(640, 640))
    as_bytes = [np.ascontiguousarray((picture.numpy() * 255).round().astype(np.uint8)[..., ::-1]) for picture in pictures]
    side = pictures[0].shape[0]
    label = f"identity, {name}, {len(pictures)} photo(s) of {side} x {side}"
    return label, lambda: enrol(pictures, encoder), lambda: [theirs.get(picture) for picture in as_bytes]


def compared(ours: Timed, theirs: Timed, rounds: int) -> tuple[float, float, float]:
    """Median seconds of ours and theirs, and the median of the ratios of neighbouring runs."""
    ours(), theirs()
    pairs = []
    for number in range(rounds):
        order = (ours, theirs) if number % 2 else (theirs, ours)
        seconds = {}
        for run in order:
            start = time.perf_counter()
            run()
            seconds[run] = time.perf_counter() - start
        pairs.append((seconds[ours], seconds[theirs]))
    mine, other = zip(*pairs, strict=True)
    return statistics.median(mine), statistics.median(other), statistics.median(a / b for a, b in pairs)


def main() -> int:
    parser = argparse.ArgumentParser(description="Time of ours and of insightface for the same photos.")
    parser.add_argument("--pack", type=Path, help="an insightface pack folder; random networks without it")
    parser.add_argument("--photo", type=Path, action="append", help="a photo with a face, for a pack of yours; repeatable")
    parser.add_argument("--photos", type=int, default=4)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    if options.pack and not options.photo:
        parser.error("--pack needs --photo: the generated pictures show no face that a real detector would find")

    import torch

    # insightface's own use of scikit-image brings a notice of a coming removal, once a face.
    warnings.simplefilter("ignore", FutureWarning)
    torch.set_num_threads(options.threads)
    pictures = [opened(path) for path in options.photo] if options.photo else photos(options.photos, options.side)
    print(f"PyTorch {torch.__version__}, {options.threads} thread(s), median of {options.rounds} rounds, CPU\n")
    print("| what | ours, s | insightface, s | ratio |\n|---|---|---|---|")
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        packs = {options.pack.name: options.pack} if options.pack else generated_packs(Path(folder))
        for name, pack in packs.items():
            label, ours, theirs = identity_lines(name, pack, pictures)
            mine, other, ratio = compared(ours, theirs, options.rounds)
            print(f"| {label} | {mine:.3f} | {other:.3f} | {ratio:.3f} |", flush=True)
            worst = max(worst, ratio)
    print(f"\n{'Within' if worst <= LIMIT else 'Above'} the limit of {LIMIT:g}.")
    return 0


def opened(path: Path) -> Any:
    import numpy as np
    import torch
    from PIL import Image

    with Image.open(path) as picture:
        return torch.from_numpy(np.asarray(picture.convert("RGB"), dtype=np.float32) / 255.0)


if __name__ == "__main__":
    sys.exit(main())
