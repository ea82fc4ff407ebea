"""The command `words`: one row a held-out person, one column an expression, as the paper shows its results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..expressions import word_expression
from .cases import Case, check_seed
from .generate import Sampling
from .pictures import make_pictures
from .sheet import draw_columns
from .subject import load_subject

_CAPTION = 16


@dataclass(frozen=True)
class WordSheet:
    """People times words. first: number of the first person among the seed's. Other fields as in `run.Plan`."""

    checkpoint: Path
    cache: Path
    recogniser: str
    out: Path
    people: int
    first: int
    words: tuple[str, ...]
    seed: int
    size: int | None
    sampling: Sampling
    device: str


def draw_words(plan: WordSheet) -> str:
    """Write the sheet: reference, target, then a picture for each word; returns its path as text.

    Everything is checked before the first picture. Raises ValueError or OSError naming what is wrong.
    """
    from tqdm import tqdm

    check_seed(plan.seed)
    if plan.people < 1 or plan.first < 0 or not plan.words:
        raise ValueError(
            f"expected at least one person, a first number from 0 on and a word; found {plan.people}, {plan.first} and "
            f"{', '.join(plan.words) or 'no word'}"
        )
    for word in plan.words:
        word_expression(word)
    plan.out.parent.mkdir(parents=True, exist_ok=True)
    one = load_subject(plan.checkpoint, plan.cache, plan.recogniser, plan.seed, plan.size, plan.device)
    rows = []
    for person in tqdm(range(plan.first, plan.first + plan.people), unit="person"):
        cases = [Case("word", person, word, person) for word in plan.words]
        first = person * len(cases)
        rows.append(make_pictures(one.network, one.model, one.encoder, cases, first, plan.seed, one.size, plan.sampling))
    cells = [[row["reference"][0], row["target"][0], *row["generated"]] for row in rows]
    draw_columns(cells, ("person", "portrait", *plan.words), plan.out, _CAPTION)
    return str(plan.out)
