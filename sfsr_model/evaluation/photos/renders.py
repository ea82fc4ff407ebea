"""What the six primary words look like: the renderer's faces of held-out people that wear them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import radians
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...expressions import word_expression
from ...synthetic.model import FaceModel
from ...synthetic.render import render
from ...synthetic.triplet import triplet_parts
from ..cases import PRIMARIES
from ..store import RunFolder, digest
from .judges import ExpressionJudge
from .kept import read_parts, reading_folder
from .readers import Shown

PEOPLE, SIZE = 40, 256
"""How many people wear each word, and pixels of their pictures."""
# As far as the heads of the photos are turned.
_MAX_YAW = radians(30)
_KEPT = "words"


def read_renders(cache_file: Path, seed: int, judges: Sequence[ExpressionJudge], out: Path) -> dict[str, Tensor]:
    """What each judge reads of them, kept in a folder: coefficients [PEOPLE * 6, 52], person by person, each in the order of
    PRIMARIES."""
    settings = {"faces": digest(cache_file), "seed": seed, "size": SIZE}
    folders = {judge.label: RunFolder(reading_folder(out, judge), {**settings, **judge.settings}, _KEPT) for judge in judges}
    model = cache(lambda: FaceModel.load(cache_file))
    found = read_parts(range(PEOPLE), judges, folders, lambda number: wearing_words(model(), seed, number), "words on renders")
    return {label: read["coefficients"] for label, read in found.items()}


def wearing_words(model: FaceModel, seed: int, number: int) -> Shown:
    """A numbered person with each of the primary words, in the order of PRIMARIES."""
    identity, _, look, scene = triplet_parts(model, seed, number, _MAX_YAW)[0]
    worn = [word_expression(word).coefficients[0].numpy() for word in PRIMARIES]
    shown = [render(model, identity, coefficients, look, scene, SIZE, aligned=True) for coefficients in worn]
    pictures = [torch.from_numpy(one.image) for one in shown]
    return Shown(pictures, torch.from_numpy(np.stack([one.five for one in shown])).double(), pictures)
