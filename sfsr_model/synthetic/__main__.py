"""`python -m sfsr_model.synthetic`: faces with known truth: cache, contact sheets, datasets, speed, checks."""

from __future__ import annotations

import argparse
import math
import os
import sys
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    """Run a command; 0, 2 with one line on stderr for bad input, or 130 where it was interrupted."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except ModuleNotFoundError as error:
        print(
            f"error: {error}; run this with ComfyUI's Python, or another that has PyTorch and requirements.txt", file=sys.stderr
        )
        return 2
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except MemoryError:
        print("error: not enough memory; ask for a smaller --size, a smaller --count or fewer --workers", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sfsr_model.synthetic", description=__doc__)
    parser.add_argument(
        "--procedural-skin", action="store_true", help="draw the skins instead of taking MakeHuman's pictures of skin"
    )
    commands = parser.add_subparsers(required=True, metavar="command")

    cache = commands.add_parser("cache", help="turn MakeHuman's assets into one cache file")
    cache.add_argument("--assets", type=Path, required=True, help="MakeHuman's `data` folder (3dobjs, targets, skins ...)")
    cache.add_argument("--out", type=Path, required=True, help="cache file to write, such as faces.npz")
    cache.set_defaults(run=_cache)

    sheet = commands.add_parser("sheet", help="draw a contact sheet, or single portraits")
    sheet.add_argument("--cache", type=Path, required=True, help="cache file")
    sheet.add_argument("--out", type=Path, required=True, help="picture to write; for portraits a folder")
    sheet.add_argument(
        "--kind", choices=("expressions", "random", "masked", "triplets", "portraits", "hard"), default="random",
        help="expressions: people x primary emotions; masked: the same without hair; triplets: reference, source, target, "
        "answer; hard: portraits as training meets them, turned away, dim, with things before them (default random)",
    )  # fmt: skip
    sheet.add_argument("--count", type=int, default=24, help="people, samples or portraits (default 24)")
    sheet.add_argument("--size", type=int, default=192, help="pixels of one picture (default 192)")
    sheet.add_argument("--seed", type=int, default=0)
    sheet.add_argument("--numbers", type=int, nargs="+", help="the portraits to draw, instead of the first --count")
    sheet.set_defaults(run=_sheet)

    dataset = commands.add_parser("dataset", help="write shards; run it again to resume")
    dataset.add_argument("--cache", type=Path, required=True, help="cache file")
    dataset.add_argument("--out", type=Path, required=True, help="folder of the dataset")
    dataset.add_argument("--kind", choices=("pictures", "triplets"), default="triplets", help="(default triplets)")
    dataset.add_argument("--count", type=int, required=True, help="how many samples")
    dataset.add_argument("--size", type=int, default=128, help="pixels of a picture's side (default 128)")
    dataset.add_argument("--seed", type=int, default=0)
    dataset.add_argument("--shard-size", type=int, default=256, help="samples in a shard (default 256)")
    dataset.add_argument("--workers", type=int, default=min(os.cpu_count() or 1, 61), help="processes (default: one a core)")
    dataset.add_argument("--max-yaw", type=float, default=60.0, help="largest turn of the head in degrees (default 60)")
    dataset.add_argument("--unaligned", action="store_true", help="frame pictures by their camera, not by the crop rule")
    dataset.set_defaults(run=_dataset)

    table = commands.add_parser("table", help="print how each ARKit coefficient is built from the assets' units")
    table.set_defaults(run=_table)

    benchmark = commands.add_parser("benchmark", help="measure the rate on one core")
    benchmark.add_argument("--cache", type=Path, required=True, help="cache file")
    benchmark.add_argument("--sizes", type=int, nargs="+", default=[128, 256], help="(default 128 256)")
    benchmark.add_argument("--count", type=int, default=60, help="pictures measured for each line (default 60)")
    benchmark.set_defaults(run=_benchmark)

    check = commands.add_parser("check", help="compare the truth with a detector's and a blendshape network's opinion")
    check.add_argument("--cache", type=Path, required=True, help="cache file")
    check.add_argument("--yunet", type=Path, help="YuNet's ONNX file, for the detection rate")
    check.add_argument("--landmarker", type=Path, help="MediaPipe's face_landmarker task file, for the blendshapes")
    check.add_argument("--count", type=int, default=300, help="pictures (default 300)")
    check.add_argument("--size", type=int, default=256)
    check.add_argument("--seed", type=int, default=0)
    check.set_defaults(run=_check)

    points = commands.add_parser(
        "face-points", help="MediaPipe's 478 points on the mesh, and how each coefficient moves them; run again to resume"
    )
    points.add_argument("--cache", type=Path, required=True, help="cache file")
    points.add_argument("--landmarker", type=Path, required=True, help="MediaPipe's face_landmarker task file")
    points.add_argument("--out", type=Path, required=True, help="file to write, such as face_points.safetensors")
    points.add_argument("--pictures", type=int, default=240, help="renders in which the points are looked for (default 240)")
    points.add_argument("--seed", type=int, default=0)
    points.set_defaults(run=_face_points)
    return parser


def _cache(options: argparse.Namespace) -> int:
    from .cache import MAX_BYTES, write_cache

    size = write_cache(options.assets, options.out, lambda step: print(step, flush=True))
    print(f"{options.out}: {size / 1e6:.2f} MB")
    if size > MAX_BYTES:
        print(f"error: {options.out}: larger than {MAX_BYTES / 1e6:g} MB", file=sys.stderr)
        return 2
    return 0


def _sheet(options: argparse.Namespace) -> int:
    from .model import FaceModel
    from .sheet import draw

    model = FaceModel.load(options.cache, options.procedural_skin)
    for path in draw(model, options.kind, options.out, options.count, options.size, options.seed, options.numbers):
        print(path)
    return 0


def _dataset(options: argparse.Namespace) -> int:
    from .write import DatasetPlan, write_dataset

    plan = DatasetPlan(
        options.kind, options.count, options.size, options.seed, options.shard_size, not options.unaligned,
        math.radians(options.max_yaw), options.procedural_skin,
    )  # fmt: skip
    rendered = write_dataset(options.cache, options.out, plan, options.workers)
    print(f"{options.out}: {plan.count} samples, {rendered} of them rendered now")
    return 0


def _table(_options: argparse.Namespace) -> int:
    from .arkit_table import markdown_table

    print("\n".join(markdown_table()))
    return 0


def _benchmark(options: argparse.Namespace) -> int:
    from .benchmark import benchmark
    from .model import FaceModel

    print("\n".join(benchmark(FaceModel.load(options.cache, options.procedural_skin), tuple(options.sizes), options.count)))
    return 0


def _check(options: argparse.Namespace) -> int:
    from .check import blendshape_table, detection_table
    from .model import FaceModel

    if options.yunet is None and options.landmarker is None:
        raise ValueError("check: nothing to compare with; give --yunet, --landmarker or both")
    model = FaceModel.load(options.cache, options.procedural_skin)
    if options.yunet is not None:
        print("\n".join(detection_table(model, options.yunet, options.seed, options.count, options.size)))
    if options.landmarker is not None:
        print("\n".join(blendshape_table(model, options.landmarker, options.seed, options.count, options.size)))
    return 0


def _face_points(options: argparse.Namespace) -> int:
    from ..files import digest_of
    from ..landmarker import load_landmarker
    from .face_points import Plan, face_points
    from .model import FaceModel

    landmarker = load_landmarker(options.landmarker)
    plan = Plan(options.pictures, options.seed, digest_of(options.landmarker), digest_of(options.cache))
    model = FaceModel.load(options.cache, options.procedural_skin)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    kept = options.out.with_name(options.out.name + ".finds.npz")

    def told(done: int) -> None:
        if done % 20 == 0 or done == plan.pictures:
            print(f"{done} of {plan.pictures}", flush=True)

    found = face_points(model, landmarker, plan, kept, told)
    about = f"points by MediaPipe's landmarker in {plan.pictures} renders of seed {plan.seed}, on MakeHuman's CC0 mesh"
    found.save(options.out, about)
    kept.unlink(missing_ok=True)
    print(f"{options.out}: {options.out.stat().st_size / 1e3:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
