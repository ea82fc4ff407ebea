"""What is asked of the network: rendered people, expressions and scenes that no training saw, and the right answers."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from ..expressions import all_words, word_expression
from ..synthetic.model import FaceModel
from ..synthetic.render import Picture, render
from ..synthetic.scene import MAX_YAW, Lighting
from ..synthetic.triplet import target_and_answer, triplet_parts

MAIN, NEW_EXPRESSION, NEW_PERSON, PRIMARY = "main", "new expression", "new person", "primary"
LARGEST_SEED = 1 << 40
PRIMARIES = tuple(sorted({word.primary for word in all_words()}))


@dataclass(frozen=True)
class Case:
    """The person of one triplet's reference, the expression of one's source or of a word, the scene of one's target."""

    kind: str
    person: int
    expression: int | str
    target: int


@dataclass(frozen=True, eq=False)
class Example:
    """A rendered case. Pictures uint8 [S, S, 3]; source black where the expression is a word. Five points [5, 2] in pixels.

    person [D]: the renderer's own vector. coefficients [52], pose [3]: of the answer. light: see `light_difference`.
    """

    reference: np.ndarray
    reference_points: np.ndarray
    source: np.ndarray
    source_points: np.ndarray
    target: np.ndarray
    target_points: np.ndarray
    answer: np.ndarray
    answer_points: np.ndarray
    mask: np.ndarray
    person: np.ndarray
    coefficients: np.ndarray
    pose: np.ndarray
    light: np.ndarray


def plan_cases(people: int, primary_people: int) -> list[Case]:
    """All cases: every triplet as it is, with the next one's expression, with the next one's person; and the primaries.

    Raises ValueError for numbers that leave nothing to compare.
    """
    if people < 2:
        raise ValueError(f"people: expected at least 2, found {people}")
    if not (primary_people == 0 or 2 <= primary_people <= people):
        raise ValueError(f"primary-people: expected 0, or 2 to {people} (as many as people), found {primary_people}")
    numbers = range(people)
    following = [(number + 1) % people for number in numbers]
    return [
        *(Case(MAIN, number, number, number) for number in numbers),
        *(Case(NEW_EXPRESSION, number, following[number], number) for number in numbers),
        *(Case(NEW_PERSON, following[number], number, number) for number in numbers),
        *(Case(PRIMARY, number, word, number) for number in range(primary_people) for word in PRIMARIES),
    ]


def render_case(model: FaceModel, seed: int, case: Case, size: int, max_yaw: float = MAX_YAW) -> Example:
    """The pictures and truth of a case."""
    reference = triplet_parts(model, seed, case.person, max_yaw)[0]
    target = triplet_parts(model, seed, case.target, max_yaw)[2]
    worn_by_another: Picture | None = None
    if isinstance(case.expression, str):
        coefficients = word_expression(case.expression).coefficients[0].numpy()
    else:
        source = triplet_parts(model, seed, case.expression, max_yaw)[1]
        worn_by_another, coefficients = render(model, *source, size, aligned=True), source[1]
    person = render(model, *reference, size, aligned=True)
    shown, answer, mask = target_and_answer(model, reference[0], coefficients, target, size)
    return Example(
        reference=person.image,
        reference_points=person.five,
        source=np.zeros_like(person.image) if worn_by_another is None else worn_by_another.image,
        source_points=np.zeros((5, 2)) if worn_by_another is None else worn_by_another.five,
        target=shown.image,
        target_points=shown.five,
        answer=answer.image,
        answer_points=answer.five,
        mask=mask,
        person=person.identity,
        coefficients=np.asarray(answer.coefficients, np.float32),
        pose=np.array(answer.pose, np.float32),
        light=np.float64(light_difference(reference[3].lighting, target[3].lighting)),
    )


def light_difference(one: Lighting, other: Lighting) -> float:
    """How differently two lights fall on the visible half of a matt white ball: RMS of the ratio's logarithm, in stops."""
    across, up = np.meshgrid(*[np.linspace(-1, 1, 33)] * 2)
    seen = across**2 + up**2 < 1
    normals = np.stack((across[seen], up[seen], np.sqrt(1 - across[seen] ** 2 - up[seen] ** 2)), -1)
    return float(np.sqrt(np.mean(np.log2(_brightness(one, normals) / _brightness(other, normals)) ** 2)))


def _brightness(light: Lighting, normals: np.ndarray) -> np.ndarray:
    above = 0.5 + 0.5 * normals[:, 1]
    total = above * np.mean(light.sky) + (1 - above) * np.mean(light.ground)
    for source in (light.key, light.fill, light.rim):
        total = total + np.clip(normals @ np.array(source.direction), 0, None) * np.mean(source.colour)
    return total


def check_seed(seed: int) -> None:
    """Raise ValueError for a number that cannot be an evaluation's seed."""
    if not 0 <= seed < LARGEST_SEED:
        raise ValueError(f"seed: expected 0 to {LARGEST_SEED - 1}, found {seed}")


def check_held_out(seed: int, training_data: str, name: str) -> str:
    """A note on how far the seed is known to be held out; raises ValueError where training used it.

    Training draws people, expressions and scenes from its data's seed; another seed draws other ones. training_data: what the
    checkpoint says of it.
    """
    named = {int(found) for found in re.findall(r"seeds?\W{0,3}(\d+)", training_data)}
    if seed in named:
        raise ValueError(
            f"seed: {name} was trained on rendered faces of seed {seed} ('{training_data}'), so they are not held out; choose "
            "another seed"
        )
    if named:
        return f"held out: trained on seed {', '.join(map(str, sorted(named)))}, evaluated on seed {seed}"
    return (
        f"the checkpoint names no seed it was trained on ('{training_data}'); seed {seed} is held out only where that was "
        "another one"
    )
