"""Who plays which part, drawn from labelled photos by a seed: whose face is wanted, in whose picture, with whose expression."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

import torch

from ...training.labelled import LabelledPhotos
from ..cases import PRIMARIES

SWAPS, WORDS, OWN = "swaps", "words", "own"
"""Kinds of cases: another person's picture and a third one's expression; the same with a word; a person's own other photo."""
GALLERY = "lfw"
"""The source whose people are looked for among each other, and whose pictures are targets and sources of expressions."""
PAIRS = ("london", "omi_people")
"""Sources of people besides, with several photos each."""
PHOTOS = 10
"""Of one person no more photos than this play a part, beside the one kept apart."""
_EVERY = 5


@dataclass(frozen=True)
class Case:
    """Rows of photos. reference: what the network is shown of the person. apart: their other photo, which results are compared
    with. target: the picture that gets the face. expression: the photo whose expression it gets, or a word."""

    reference: int
    apart: int
    target: int
    expression: int | str


@dataclass(frozen=True)
class Numbers:
    """How much is drawn. gallery: people to look among. swaps, own: cases. words: people with each primary emotion. Raises
    ValueError for fewer than are needed."""

    gallery: int
    swaps: int
    words: int
    own: int

    def __post_init__(self) -> None:
        for name, least in (("gallery", 3), ("swaps", 1), ("words", 0), ("own", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}: expected at least {least}, found {getattr(self, name)}")


@dataclass(frozen=True, eq=False)
class Cast:
    """photos: that the rows are of. gallery [G]: the row kept apart of each person to look among. cases: by kind."""

    photos: LabelledPhotos
    gallery: tuple[int, ...]
    cases: Mapping[str, tuple[Case, ...]]

    def person(self, row: int) -> tuple[str, str]:
        """Source and name of who is in a row."""
        return self.photos.sources[row], self.photos.people[row]

    def rows(self) -> tuple[int, ...]:
        """Every row that plays a part, in order."""
        parts = [part for cases in self.cases.values() for case in cases for part in vars(case).values()]
        return tuple(sorted({*self.gallery, *(part for part in parts if isinstance(part, int))}))

    def numbers(self, rows: Sequence[int]) -> torch.Tensor:
        """The gallery's number of the person of each row, -1 for people who are not in it."""
        known = {self.person(row): number for number, row in enumerate(self.gallery)}
        return torch.tensor([known.get(self.person(row), -1) for row in rows], dtype=torch.long)

    def owners(self, cases: Sequence[Case]) -> torch.Tensor:
        """A number for the person of each case."""
        people = {person: number for number, person in enumerate(dict.fromkeys(self.person(case.apart) for case in cases))}
        return torch.tensor([people[self.person(case.apart)] for case in cases], dtype=torch.long)


def draw_cast(photos: LabelledPhotos, seed: int, numbers: Numbers, limit: int | None = None) -> Cast:
    """Draw the parts, of each kind at most `limit` cases.

    Person, target's person and source's person are three. Every fifth swap's person is of PAIRS, where there are any. Raises
    ValueError where the photos do not have the people.
    """
    drawn = torch.Generator().manual_seed(seed)
    people = _several(photos, drawn)
    known = people.get(GALLERY, [])
    if len(known) < numbers.gallery:
        raise ValueError(
            f"gallery: expected at most {len(known)}, as many people of {GALLERY} have two photos or more in {photos.folder}; "
            f"found {numbers.gallery}"
        )
    gallery = known[: numbers.gallery]
    others = _shuffled([rows for source in PAIRS for rows in people.get(source, [])], drawn)
    cases = {
        SWAPS: _swaps(gallery, others, numbers.swaps, drawn),
        WORDS: _words(gallery, numbers.words, drawn),
        OWN: _own(gallery, numbers.own, drawn),
    }
    return Cast(photos, tuple(rows[0] for rows in gallery), {kind: tuple(some[:limit]) for kind, some in cases.items()})


def _several(photos: LabelledPhotos, drawn: torch.Generator) -> dict[str, list[list[int]]]:
    """By source, rows of each person with several photos, people and rows shuffled; the first row is the one kept apart."""
    by_person: dict[tuple[str, str], list[int]] = {}
    for row, person in enumerate(zip(photos.sources, photos.people, strict=True)):
        by_person.setdefault(person, []).append(row)
    found: dict[str, list[list[int]]] = {}
    for (source, _), rows in sorted(by_person.items()):
        if len(rows) > 1:
            found.setdefault(source, []).append(_shuffled(rows, drawn)[: PHOTOS + 1])
    return {source: _shuffled(people, drawn) for source, people in found.items()}


def _shuffled(values: list, drawn: torch.Generator) -> list:
    return [values[place] for place in torch.randperm(len(values), generator=drawn).tolist()]


def _one(rows: Sequence[int], drawn: torch.Generator) -> int:
    return rows[int(torch.randint(len(rows), (), generator=drawn))]


def _swaps(gallery: list[list[int]], others: list[list[int]], amount: int, drawn: torch.Generator) -> list[Case]:
    cases = []
    inside, outside = _in_turn(gallery), _in_turn(others or gallery)
    for number in range(amount):
        rows = next(outside if number % _EVERY == _EVERY - 1 else inside)
        target, source = _strangers(gallery, rows, drawn)
        cases.append(Case(_one(rows[1:], drawn), rows[0], _one(target[1:], drawn), _one(source[1:], drawn)))
    return cases


def _in_turn(people: list[list[int]]) -> Iterator[list[int]]:
    return (people[number % len(people)] for number in count())


def _strangers(gallery: list[list[int]], rows: list[int], drawn: torch.Generator) -> list[list[int]]:
    """Two people of the gallery who are two, and not this one."""
    three = torch.randperm(len(gallery), generator=drawn)[:3].tolist()
    return [gallery[number] for number in three if gallery[number] is not rows][:2]


def _words(gallery: list[list[int]], amount: int, drawn: torch.Generator) -> list[Case]:
    cases = []
    for rows in gallery[:amount]:
        reference, target = _one(rows[1:], drawn), _one(_strangers(gallery, rows, drawn)[0][1:], drawn)
        cases += [Case(reference, rows[0], target, word) for word in PRIMARIES]
    return cases


def _own(gallery: list[list[int]], amount: int, drawn: torch.Generator) -> list[Case]:
    """Of people with three photos: one seen, one to be made again, one kept apart."""
    three = [rows for rows in gallery if len(rows) > 2]
    cases = []
    for _, rows in zip(range(amount), _in_turn(three) if three else (), strict=False):
        reference, target = _shuffled(rows[1:], drawn)[:2]
        cases.append(Case(reference, rows[0], target, target))
    return cases
