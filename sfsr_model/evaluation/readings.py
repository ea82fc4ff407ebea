"""What the judges read in the pictures of all cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..encoders.recogniser import InsightFaceEncoder
from .expression_judges import READABLE, ExpressionJudge, nothing_read
from .identities import embeddings
from .metrics import inside_differences, outside_differences
from .pictures import KINDS
from .store import Arrays


@dataclass(frozen=True, eq=False)
class Reading:
    """Of the pictures of one kind. embedding [N, D]; coefficients [N, 52] and pose [N, 3], NaN where no face is known to be;
    presence [N]: how sure the expression's judge is that it looks at a face; outside_largest, outside_before_paste, inside
    [N]: differences in grey levels."""

    embedding: Tensor
    coefficients: Tensor
    pose: Tensor
    presence: Tensor
    outside_largest: Tensor
    outside_before_paste: Tensor
    inside: Tensor


@dataclass(frozen=True, eq=False)
class Measured:
    """All cases. kinds: by name. wanted [N, 52], pose [N, 3]; reference, source, target [N, D]: embeddings of the other
    pictures, source of no meaning where the expression is a word; light [N] in stops. readable [52]: what the
    expression's judge can read."""

    kinds: dict[str, Reading]
    wanted: Tensor
    pose: Tensor
    reference: Tensor
    source: Tensor
    target: Tensor
    light: Tensor
    readable: Tensor = READABLE


def read_part(arrays: Arrays, judge: InsightFaceEncoder, expressions: ExpressionJudge | None) -> Measured:
    """Read one part.

    Faces of all kinds are looked for where the answer's is: a picture without a face gives a bad reading instead of none.
    """
    count = len(arrays["answer"])
    answers = torch.from_numpy(arrays["answer"]).float() / 255
    points = torch.from_numpy(arrays["answer_points"])
    places = None if expressions is None else expressions.places(answers, points)
    target, mask = torch.from_numpy(arrays["target"]), torch.from_numpy(arrays["mask"])
    before = {"generated": arrays["before_paste"][:, 0], "answer": np.zeros(count), "round_trip": arrays["before_paste"][:, 1]}
    kinds = {}
    for kind in KINDS:
        pixels = torch.from_numpy(arrays[kind])
        read = nothing_read(count) if expressions is None or places is None else expressions.read(pixels.float() / 255, places)
        kinds[kind] = Reading(
            embeddings(judge, arrays[kind], arrays["answer_points"]),
            *read,
            outside_differences(pixels, target, mask)[0],
            torch.from_numpy(before[kind]),
            inside_differences(pixels, torch.from_numpy(arrays["answer"]), mask),
        )
    return Measured(
        kinds=kinds,
        wanted=torch.from_numpy(arrays["coefficients"]),
        pose=torch.from_numpy(arrays["pose"]),
        reference=embeddings(judge, arrays["reference"], arrays["reference_points"]),
        source=_sources(judge, arrays),
        target=embeddings(judge, arrays["target"], arrays["target_points"]),
        light=torch.from_numpy(arrays["light"]),
        readable=READABLE if expressions is None else expressions.readable,
    )


def _sources(judge: InsightFaceEncoder, arrays: Arrays) -> Tensor:
    # A word has no picture; any five points serve for the black one that stands in its place.
    worn = np.any(arrays["source_points"] != 0, axis=(1, 2))
    points = np.where(worn.reshape(-1, 1, 1), arrays["source_points"], arrays["answer_points"])
    return embeddings(judge, arrays["source"], points)


def join(parts: Sequence[Measured]) -> Measured:
    """The parts one after the other."""
    kinds = {
        kind: Reading(**{name: torch.cat([getattr(part.kinds[kind], name) for part in parts]) for name in vars(reading)})
        for kind, reading in parts[0].kinds.items()
    }
    by_sample = [name for name in vars(parts[0]) if name not in ("kinds", "readable")]
    rest = {name: torch.cat([getattr(part, name) for part in parts]) for name in by_sample}
    return Measured(kinds, **rest, readable=parts[0].readable)
