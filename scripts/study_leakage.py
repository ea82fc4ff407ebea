"""What an expression tells of the person who wears it, and an identity of the expression it was taken from.

python scripts/study_leakage.py --faces CACHE --task FILE [--encoder ONNX_OR_PACK]

Rendered people (CACHE, made by `python -m sfsr_model.synthetic cache`), each in several random expressions, poses, lights and
looks. Identity from expression: is the nearest other expression vector one of the same person? Expression from identity: ridge
regression from the embedding, tested on people it did not see. Prints Markdown.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from sfsr_model.encoders.pack import load_recogniser  # noqa: E402
from sfsr_model.evaluation.neighbours import (  # noqa: E402
    bootstrap_interval,
    chance_of_hit,
    explained_variance,
    nearest_neighbour_hits,
)
from sfsr_model.expressions import ARKIT_NAMES  # noqa: E402
from sfsr_model.landmarker import load_expression_encoder  # noqa: E402
from sfsr_model.synthetic.model import FaceModel  # noqa: E402
from sfsr_model.synthetic.render import render  # noqa: E402
from sfsr_model.synthetic.sample import sample_parts, sample_person  # noqa: E402

_GAZE = torch.tensor([name.startswith("eyeLook") for name in ARKIT_NAMES])


@dataclass(frozen=True)
class Readings:
    """M faces: people [M], truth [M, 52], coefficients [M, 52] and pose [M, 3] as read, embeddings [M, D] or None."""

    people: Tensor
    truth: Tensor
    coefficients: Tensor
    pose: Tensor
    embeddings: Tensor | None


def main(arguments: list[str]) -> int:
    """Print the tables; 1 with a message for bad input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True, help="cache file of the renderer")
    parser.add_argument("--task", type=Path, required=True, help="MediaPipe's face_landmarker.task")
    parser.add_argument("--encoder", type=Path, help="a recogniser's ONNX or an insightface pack folder")
    parser.add_argument("--people", type=int, default=60, help="(60)")
    parser.add_argument("--each", type=int, default=10, help="pictures of each (10)")
    parser.add_argument("--size", type=int, default=256, help="pixels of a picture (256)")
    parser.add_argument("--seed", type=int, default=21)
    options = parser.parse_args(arguments)
    try:
        readings = _read(options)
    except (ValueError, OSError, ImportError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    _print_identity(readings, options)
    if readings.embeddings is not None:
        _print_expression(readings, options.encoder.name)
    return 0


def _read(options: argparse.Namespace) -> Readings:
    model, reader = FaceModel.load(options.faces), load_expression_encoder(options.task)
    recogniser = None if options.encoder is None else load_recogniser(options.encoder, "CPU")
    rows: dict[str, list[Tensor]] = {name: [] for name in ("people", "truth", "coefficients", "pose", "embeddings")}
    for number in tqdm(range(options.people * options.each), unit="face"):
        person = number // options.each
        _, coefficients, look, scene = sample_parts(model, options.seed, number, max_yaw=float(np.radians(30)))
        identity = sample_person(model, options.seed, person)
        look, scene = replace(look, glasses=None), replace(scene, occluder=None)
        picture = render(model, identity, coefficients, look, scene, options.size)
        pixels = torch.from_numpy(picture.image).float() / 255
        _, reading, _ = reader.faces(pixels)
        if reading is None:
            continue
        rows["people"].append(torch.tensor(person))
        rows["truth"].append(torch.from_numpy(picture.coefficients))
        rows["coefficients"].append(reading.coefficients[0])
        rows["pose"].append(reading.pose[0])
        if recogniser is not None:
            rows["embeddings"].append(recogniser.embed(pixels, torch.from_numpy(picture.five)))
    if len(rows["people"]) < 2:
        raise ValueError(f"people: faces were found in {len(rows['people'])} pictures; expected at least 2")
    stacked = {name: torch.stack(values) if values else None for name, values in rows.items()}
    return Readings(**stacked)  # type: ignore[arg-type]


def _print_identity(readings: Readings, options: argparse.Namespace) -> None:
    people = readings.people
    chance = chance_of_hit(people)
    print(f"{options.people} people, {options.each} pictures each, {len(people)} read. Chance {chance:.1%}.\n")
    print("| vector | nearest neighbour is the same person | 95 % interval | times chance |\n|---|---|---|---|")
    vectors: dict[str, Callable[[], Tensor]] = {
        "truth": lambda: readings.truth,
        "read by MediaPipe's network": lambda: readings.coefficients,
        "the same without gaze": lambda: readings.coefficients[:, ~_GAZE],
        "the same with the head's pose": lambda: torch.cat((readings.coefficients, readings.pose), 1),
    }
    if readings.embeddings is not None:
        embeddings = torch.nn.functional.normalize(readings.embeddings, dim=1)
        vectors["identity embedding, for comparison"] = lambda: embeddings
    for name, make in vectors.items():
        hits = nearest_neighbour_hits(make(), people)
        low, high = bootstrap_interval(hits, people)
        rate = float(hits.double().mean())
        print(f"| {name} | {rate:.1%} | {low:.1%} to {high:.1%} | {rate / chance:.1f} |")


def _print_expression(readings: Readings, name: str) -> None:
    assert readings.embeddings is not None
    active = readings.truth.std(0) > 0.1
    explained = explained_variance(readings.embeddings, readings.truth[:, active], readings.people)
    names = [ARKIT_NAMES[index] for index in active.nonzero()[:, 0].tolist()]
    order = explained.argsort(descending=True).tolist()
    strongest = ", ".join(f"{names[index]} {explained[index]:.2f}" for index in order[:5])
    print(
        f"\nExpression from the embedding of {name}, share of variance explained on unseen people: mean {explained.mean():.2f}"
    )
    print(f"over {len(names)} coefficients that vary; strongest {strongest}.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
