"""The 135 words on one rendered face, and which of them a face can be told apart by.

python scripts/study_words.py sheet --faces CACHE --out PICTURE
python scripts/study_words.py confusion --faces CACHE --task FILE --out PLOT

CACHE is made by `python -m sfsr_model.synthetic cache`; FILE is MediaPipe's face_landmarker.task. `confusion` prints Markdown
and needs matplotlib.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from sfsr_model.evaluation.neighbours import leave_out_confusion  # noqa: E402
from sfsr_model.evaluation.plots import plotting  # noqa: E402
from sfsr_model.expressions import Expression, all_words, word_expression  # noqa: E402
from sfsr_model.landmarker import load_expression_encoder  # noqa: E402
from sfsr_model.synthetic.identity import IdentitySpace  # noqa: E402
from sfsr_model.synthetic.look import Look, sample_look  # noqa: E402
from sfsr_model.synthetic.model import FaceModel  # noqa: E402
from sfsr_model.synthetic.render import render  # noqa: E402
from sfsr_model.synthetic.sheet import plain_scene  # noqa: E402

# Neighbours in meaning stand side by side.
WORDS = tuple(sorted(all_words(), key=lambda word: (word.primary, word.group, word.number)))
COLUMNS, CAPTION = 15, 12
PRIMARIES = tuple(dict.fromkeys(word.primary for word in WORDS))


def main(arguments: list[str]) -> int:
    """Run a command; 1 with a message for bad input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="command")
    sheet = commands.add_parser("sheet", help="draw all words on one face")
    sheet.add_argument("--person", type=int, default=0, help="number of the person (0)")
    sheet.add_argument("--size", type=int, default=112, help="pixels of one face (112)")
    sheet.set_defaults(run=_sheet)
    confusion = commands.add_parser("confusion", help="read the words from rendered faces of many people")
    confusion.add_argument("--task", type=Path, required=True, help="MediaPipe's face_landmarker.task")
    confusion.add_argument("--people", type=int, default=16, help="(16)")
    confusion.add_argument("--size", type=int, default=256, help="pixels of one face (256)")
    confusion.set_defaults(run=_confusion)
    for command in (sheet, confusion):
        command.add_argument("--faces", type=Path, required=True, help="cache file of the renderer")
        command.add_argument("--out", type=Path, required=True, help="picture to write")
        command.add_argument("--seed", type=int, default=11)
    options = parser.parse_args(arguments)
    try:
        options.run(options)
    except (ValueError, OSError, ImportError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


def _person(model: FaceModel, seed: int, number: int) -> tuple[np.ndarray, Look]:
    rng = np.random.default_rng([seed, number])
    identity = IdentitySpace.of(model).sample(rng)
    return identity, replace(sample_look(rng, (float(identity[0]) + 1) / 2), glasses=None)


def _face(model: FaceModel, person: tuple[np.ndarray, Look], expression: Expression, seed: int, size: int) -> np.ndarray:
    scene = plain_scene(seed)
    if expression.pose is not None:
        pitch, yaw, roll = expression.pose[0].tolist()
        scene = replace(scene, pose=(pitch, yaw, roll))
    identity, look = person
    return render(model, identity, expression.coefficients[0].numpy(), look, scene, size).image


def _sheet(options: argparse.Namespace) -> None:
    from PIL import Image, ImageDraw

    model = FaceModel.load(options.faces)
    person = _person(model, options.seed, options.person)
    rows = -(-len(WORDS) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * options.size, rows * (options.size + CAPTION)), (24, 24, 24))
    draw = ImageDraw.Draw(sheet)
    for number, word in enumerate(tqdm(WORDS, unit="word")):
        left, top = number % COLUMNS * options.size, number // COLUMNS * (options.size + CAPTION)
        face = _face(model, person, word_expression(word.word), options.seed, options.size)
        sheet.paste(Image.fromarray(face), (left, top))
        draw.text((left + 3, top + options.size), word.word, fill=(255, 255, 255))
    sheet.save(options.out, quality=85)
    print(options.out)


def _confusion(options: argparse.Namespace) -> None:
    features, found = _readings(options)
    labels = torch.arange(len(WORDS)).repeat(options.people)[found]
    people = torch.arange(options.people).repeat_interleave(len(WORDS))[found]
    counts = leave_out_confusion(features[found], labels, people, len(WORDS))
    print(f"{options.people} people, {len(labels)} of {options.people * len(WORDS)} faces read by {options.task.name}.\n")
    print("| read as | share | chance |\n|---|---|---|")
    for name, kinds in (
        ("the word", tuple(word.word for word in WORDS)),
        ("a word of its group", tuple(word.group for word in WORDS)),
        ("a word of its primary emotion", tuple(word.primary for word in WORDS)),
    ):
        same = torch.tensor([[one == other for other in kinds] for one in kinds])
        print(f"| {name} | {counts[same].sum() / counts.sum():.1%} | {same.double().mean():.1%} |")
    shares = counts.double() / counts.sum(1, keepdim=True)
    print("\nWords taken for one other word more often than for themselves:\n")
    worse = [
        (WORDS[row].word, WORDS[int(shares[row].argmax())].word) for row in range(len(WORDS)) if shares[row].argmax() != row
    ]
    print("; ".join(f"{word} for {other}" for word, other in worse))
    _plot(shares, options.out)


def _readings(options: argparse.Namespace) -> tuple[Tensor, Tensor]:
    """Coefficients and pose [people * words, 55] as the landmarker reads them, and which faces it found."""
    model, encoder = FaceModel.load(options.faces), load_expression_encoder(options.task)
    rows, found = [], []
    with tqdm(total=options.people * len(WORDS), unit="face") as progress:
        for number in range(options.people):
            person = _person(model, options.seed, number)
            for word in WORDS:
                face = _face(model, person, word_expression(word.word), options.seed, options.size)
                _, reading, _ = encoder.faces(torch.from_numpy(face).float() / 255)
                found.append(reading is not None)
                rows.append(torch.zeros(55) if reading is None else torch.cat((reading.coefficients[0], reading.pose[0])))
                progress.update()
    return torch.stack(rows), torch.tensor(found)


def _plot(shares: Tensor, out: Path) -> None:
    figure, axes = plotting().subplots(figsize=(14, 13))
    image = axes.imshow(shares.numpy(), cmap="magma", vmin=0, vmax=1)
    names = [word.word for word in WORDS]
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=4.5)
    axes.set_yticks(range(len(names)), names, fontsize=4.5)
    firsts = [number for number, word in enumerate(WORDS) if number and word.primary != WORDS[number - 1].primary]
    for first in firsts:
        axes.axhline(first - 0.5, color="white", linewidth=0.5)
        axes.axvline(first - 0.5, color="white", linewidth=0.5)
    axes.set_xlabel("read as")
    axes.set_ylabel("shown")
    axes.set_title(f"135 words, by primary emotion ({', '.join(PRIMARIES)})")
    figure.colorbar(image, ax=axes, shrink=0.6, label="share of people")
    figure.savefig(out, dpi=130, bbox_inches="tight")
    print(f"\n{out}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
