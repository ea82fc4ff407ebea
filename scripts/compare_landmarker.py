"""MediaPipe's face landmarker against this project's PyTorch one: coefficients, head pose, speed, as a Markdown table.

Runs in a Python that has the package mediapipe:
python scripts/compare_landmarker.py --task FILE [--faces CACHE] [--photo FILE ...]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from sfsr_model.expressions import ARKIT_NAMES  # noqa: E402
from sfsr_model.landmarker import FaceLandmarker, load_landmarker  # noqa: E402

_ROUNDS, _BATCH = 60, 8


def main(arguments: list[str]) -> int:
    """Print the tables; 1 with a message where mediapipe or a file is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", type=Path, required=True, help="MediaPipe's face_landmarker.task")
    parser.add_argument("--faces", type=Path, help="a cache of `python -m sfsr_model.synthetic build`, for rendered faces")
    parser.add_argument("--photo", type=Path, action="append", default=[], help="a picture with faces; may be repeated")
    parser.add_argument("--count", type=int, default=60, help="rendered faces (60)")
    parser.add_argument("--size", type=int, default=512, help="their side in pixels (512)")
    options = parser.parse_args(arguments)
    try:
        from mediapipe.tasks.python import BaseOptions, vision
    except ImportError as error:
        print(f"Error: this Python has no mediapipe ({error}); run it in one that has: pip install mediapipe", file=sys.stderr)
        return 1
    ours = load_landmarker(options.task)
    settings = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(str(options.task)),
        output_face_blendshapes=True,
        output_facial_transformation_matrixes=True,
        num_faces=20,
    )
    with vision.FaceLandmarker.create_from_options(settings) as theirs:
        columns = ("pictures", "faces, MediaPipe", "of these here", "head, largest", "chain, mean", "chain, largest")
        print(f"| {' | '.join(columns)} | pose, mean degrees |")
        print("|---|---|---|---|---|---|---|")
        if options.faces is not None:
            _print_row(f"{options.count} rendered, {options.size} px", _rendered(options), ours, theirs)
        for photo in options.photo:
            _print_row(photo.name, iter([(_load(photo), None)]), ours, theirs)
        picture = _load(options.photo[0]) if options.photo else next(_rendered(options))[0]
        _print_speed(picture, ours, theirs)
    return 0


def _rendered(options: argparse.Namespace) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """Rendered faces and the pose [3] they were given."""
    from sfsr_model.synthetic.model import FaceModel
    from sfsr_model.synthetic.render import render
    from sfsr_model.synthetic.sample import sample_parts

    model = FaceModel.load(options.faces)
    for number in range(options.count):
        identity, coefficients, look, scene = sample_parts(model, 7, number, max_yaw=np.radians(45), finish_strength=0.3)
        look, scene = replace(look, glasses=None), replace(scene, occluder=None)
        picture = render(model, identity, coefficients, look, scene, options.size)
        yield np.ascontiguousarray(picture.image), np.asarray(picture.pose)


def _load(path: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).copy()


def _print_row(label: str, pictures: Iterator[tuple[np.ndarray, np.ndarray | None]], ours: FaceLandmarker, theirs: Any) -> None:
    import mediapipe

    count, heads, chains, poses = 0, [], [], []
    for pixels, pose in pictures:
        result = theirs.detect(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=pixels))
        height, width = pixels.shape[:2]
        with torch.inference_mode():
            batch = torch.from_numpy(pixels)[None].float() / 255
            regions, _ = ours.find(batch)[0]
            reading = ours.measure(batch, regions, torch.zeros(len(regions), dtype=torch.long)) if len(regions) else None
        for points, shapes in zip(result.face_landmarks, result.face_blendshapes, strict=True):
            count += 1
            known = {entry.category_name: entry.score for entry in shapes}
            wanted = torch.tensor([known.get(name, 0.0) for name in ARKIT_NAMES])
            landmarks = torch.tensor([[p.x * width, p.y * height, p.z * width] for p in points])
            with torch.inference_mode():
                heads.append(float((ours.coefficients(landmarks[None])[0] - wanted).abs().max()))
            if reading is None:
                continue
            distances = (reading.landmarks[..., :2] - landmarks[:, :2]).norm(dim=-1).mean(1)
            nearest = int(distances.argmin())
            if distances[nearest] > 0.1 * float(landmarks[:, 0].max() - landmarks[:, 0].min()):
                continue
            chains.append((reading.coefficients[nearest] - wanted).abs())
            if pose is not None:
                poses.append(np.degrees(np.abs(reading.pose[nearest].numpy() - pose)))
    if not chains:
        print(f"| {label} | {count} | 0 | - | - | - | - |")
        return
    chain = torch.stack(chains)
    mean = float(chain.sum(1).mean()) / (len(ARKIT_NAMES) - 1)
    angles = ", ".join(f"{value:.1f}" for value in np.mean(poses, 0)) if poses else "-"
    print(f"| {label} | {count} | {len(chains)} | {max(heads):.1e} | {mean:.4f} | {chain.max():.3f} | {angles} |")


def _print_speed(pixels: np.ndarray, ours: FaceLandmarker, theirs: Any) -> None:
    """Rounds of one and the other in turn, so that what else the machine does hits both alike."""
    import mediapipe

    shown = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=pixels)
    batch = torch.from_numpy(pixels)[None].float() / 255

    def here() -> None:
        with torch.inference_mode():
            regions, _ = ours.find(batch)[0]
            ours.measure(batch, regions[:1])

    several = batch.repeat(_BATCH, 1, 1, 1)

    def batched() -> None:
        with torch.inference_mode():
            ours.measure(several, torch.cat([regions[:1] for regions, _ in ours.find(several)]))

    calls = {"MediaPipe": (lambda: theirs.detect(shown), 1), "here": (here, 1), f"here, {_BATCH} at once": (batched, _BATCH)}
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(_ROUNDS):
        for name, (call, count) in calls.items():
            start = time.perf_counter()
            call()
            times[name].append((time.perf_counter() - start) * 1e3 / count)
    print(f"\n{pixels.shape[1]} x {pixels.shape[0]} pixels, {_ROUNDS} rounds, {torch.get_num_threads()} threads of PyTorch\n")
    print("| a face | median, ms | least, ms | ratio of medians | of least |\n|---|---|---|---|---|")
    base = times["MediaPipe"]
    for name, values in times.items():
        middle, least = float(np.median(values)), min(values)
        print(f"| {name} | {middle:.1f} | {least:.1f} | {middle / np.median(base):.2f} | {least / min(base):.2f} |")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
