"""The encoders that come with the pack: recogniser, detector, expression encoder, and the two that only judge."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..bundled import BUNDLED, DEMO, ORIGIN, Weights, restorable
from ..files import state_of
from .detection import Detection, find_candidates
from .expression import ExpressionReader, load_expression_reader
from .expression_photos import PhotoReader
from .pack import load_recogniser, space_of
from .recogniser import InsightFaceEncoder, RecogniserError
from .runtime import RuntimeProblem

# The demo recogniser scatters different people widely about a cosine of 0, many of them above the threshold of others. Of pairs
# of them at most one in a hundred reaches this one: docs/models.md has the figure and its command.
DEMO_THRESHOLD = 0.6
# Pixels from which a face's points are nearer in the next smaller look.
_LARGEST_FACE = 300.0


@dataclass(frozen=True)
class BundledEncoder(InsightFaceEncoder):
    """The demo pack. Its detector knows rendered faces alone, so where it finds none the carried detector looks as well."""

    def detect(self, image: Tensor | np.ndarray) -> list[Detection] | None:
        """As the pack's own detector finds them, or else the carried one; doubtful finds of both are kept as refused."""
        found = super().detect(image) or []
        if any(one.refused is None for one in found):
            return found
        picture = torch.from_numpy(image[..., ::-1].copy()) if isinstance(image, np.ndarray) else image[..., :3]
        return found + find_candidates(picture)


def load_bundled_encoder(provider: str = "auto", weights: Weights = BUNDLED) -> BundledEncoder:
    """The demo pack under the name that people choose it by.

    Raises FileNotFoundError or DamagedFileError naming a file, RuntimeProblem as `load_recogniser` does.
    """
    weights.require("encoder", weights.detector, weights.recogniser)
    with restorable():
        loaded = load_recogniser(weights.faces, provider)
        if loaded.detector is None:
            # A user's own pack may be without one that works; the carried detector then serves alone.
            raise RecogniserError(f"encoder: the detector of {loaded.name} is not usable ({loaded.note})")
    detector = replace(loaded.detector, largest=_LARGEST_FACE)
    values = {field.name: getattr(loaded, field.name) for field in fields(loaded)}
    note = "\n".join(line for line in (loaded.note, ORIGIN) if line)
    return BundledEncoder(**values | {"name": DEMO, "note": note, "detector": detector, "threshold": DEMO_THRESHOLD})


def bundled_space(weights: Weights = BUNDLED) -> str | None:
    """Tag of the demo recogniser's embeddings; None where its file is missing."""
    return space_of(weights.recogniser) if weights.recogniser.is_file() else None


def load_bundled_photo_reader(weights: Weights = BUNDLED) -> PhotoReader:
    """The demo expression encoder, behind the demo pack's detector where that is there and behind the carried one elsewhere.

    Raises FileNotFoundError or DamagedFileError naming a file.
    """
    weights.require("encoder", weights.expression)
    with restorable():
        reader = load_expression_reader(weights.expression)
    try:
        finder = load_bundled_encoder(weights=weights)
    except (FileNotFoundError, RuntimeProblem):
        finder = None
    return PhotoReader(DEMO, ORIGIN, reader, finder)


def load_judge_recogniser(weights: Weights = BUNDLED) -> InsightFaceEncoder:
    """The recogniser that conditions nothing, under its file's name.

    Raises FileNotFoundError or DamagedFileError naming the file, RuntimeProblem as `load_recogniser` does.
    """
    weights.require("judge", weights.judge_recogniser)
    with restorable():
        loaded = load_recogniser(weights.judge_recogniser, "CPU")
    return replace(loaded, name=weights.judge_recogniser.name, note=ORIGIN)


def load_judge_reader(weights: Weights = BUNDLED) -> PhotoReader:
    """The expression encoder that conditions nothing, under its file's name; loaded once while the file stays as it is.

    Raises FileNotFoundError or DamagedFileError naming the file.
    """
    weights.require("judge", weights.judge_expression)
    with restorable():
        reader = _load_reader_once(weights.judge_expression, state_of(weights.judge_expression))
    return PhotoReader(weights.judge_expression.name, ORIGIN, reader)


@lru_cache(maxsize=1)
def _load_reader_once(path: Path, state: tuple) -> ExpressionReader:
    return load_expression_reader(path)
