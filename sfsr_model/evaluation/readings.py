"""What the judges read in the pictures of all cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..encoders.recogniser import InsightFaceEncoder
from ..expressions import ARKIT_NAMES
from ..landmarker import FaceLandmarker, load_landmarker
from ..landmarker.regions import REGION, views
from .identities import embeddings
from .metrics import inside_differences, outside_differences
from .pictures import KINDS
from .report import UNREAD
from .store import Arrays

READABLE = torch.tensor([name not in UNREAD for name in ARKIT_NAMES])


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
    pictures, source of no meaning where the expression is a word; light [N] in stops."""

    kinds: dict[str, Reading]
    wanted: Tensor
    pose: Tensor
    reference: Tensor
    source: Tensor
    target: Tensor
    light: Tensor


class ExpressionJudge:
    """MediaPipe's landmarker from a face_landmarker.task; raises LandmarkerFileError for a file that is none."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._landmarker: FaceLandmarker = load_landmarker(path)

    @torch.no_grad()
    def regions(self, pictures: Tensor) -> Tensor:
        """Where the best face of each picture [N, H, W, 3] is: [N, 5], NaN where none is found."""
        found = torch.full((len(pictures), len(REGION)), torch.nan)
        for view in range(len(views(*pictures.shape[1:3]))):
            open_ = found[:, 0].isnan().nonzero()[:, 0]
            if not len(open_):
                break
            for number, (regions, _) in zip(open_.tolist(), self._landmarker.find(pictures[open_], view), strict=True):
                if len(regions):
                    found[number] = regions[0]
        return found

    @torch.no_grad()
    def read(self, pictures: Tensor, regions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Coefficients [N, 52], pose [N, 3] and presence [N] of the faces at the regions; NaN where there is none."""
        coefficients, pose, presence = (torch.full((len(pictures), *shape), torch.nan) for shape in ((52,), (3,), ()))
        known = ~regions[:, 0].isnan()
        if known.any():
            reading = self._landmarker.measure(pictures[known], regions[known])
            coefficients[known], pose[known] = reading.coefficients.clamp(0, 1), reading.pose
            presence[known] = reading.presence
        return coefficients, pose, presence


def read_part(arrays: Arrays, judge: InsightFaceEncoder, expressions: ExpressionJudge | None) -> Measured:
    """Read one part.

    Faces of all kinds are looked for where the answer's is: a picture without a face gives a bad reading instead of none.
    """
    count = len(arrays["answer"])
    answers = torch.from_numpy(arrays["answer"]).float() / 255
    regions = torch.full((count, len(REGION)), torch.nan) if expressions is None else expressions.regions(answers)
    target, mask = torch.from_numpy(arrays["target"]), torch.from_numpy(arrays["mask"])
    before = {"generated": arrays["before_paste"][:, 0], "answer": np.zeros(count), "round_trip": arrays["before_paste"][:, 1]}
    kinds = {}
    for kind in KINDS:
        pixels = torch.from_numpy(arrays[kind])
        read = (
            (torch.full((count, 52), torch.nan), torch.full((count, 3), torch.nan), torch.full((count,), torch.nan))
            if expressions is None
            else expressions.read(pixels.float() / 255, regions)
        )
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
    rest = {name: torch.cat([getattr(part, name) for part in parts]) for name in vars(parts[0]) if name != "kinds"}
    return Measured(kinds, **rest)
