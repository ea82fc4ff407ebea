"""What is measured of one recogniser, one expression encoder, one detector."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...encoders.detection import Detection
from ...encoders.detector import FaceDetector
from ...encoders.recogniser import InsightFaceEncoder
from ...expressions import ARKIT_NAMES
from ...training.detector_loss import overlaps
from ..expression_judges import ExpressionJudge
from ..identities import embeddings
from ..metrics import Figure, correlation_figure, cosines, figure, pose_errors, retrieved
from .pairs import matched_pairs, verification
from .people import ANSWER, REFERENCE, ROLES, TARGET, People, Scene

ACTIVE = 0.05
"""A coefficient above this counts as active."""
OVERLAP = 0.5
"""A face counts as found where a box's intersection over union with its own is at least this."""
_CHUNK = 64
Figures = dict[str, Figure]


def measure_recogniser(encoder: InsightFaceEncoder, people: People) -> Figures:
    """Verification and retrieval of the references' people in the answers, and whether a head of hair is taken for a person."""
    shown = {role: embeddings(encoder, *(part.numpy() for part in people.of(role))) for role in (REFERENCE, TARGET, ANSWER)}
    queries, gallery = shown[ANSWER], shown[REFERENCE]
    found = verification(*matched_pairs(queries, gallery))
    own, head = cosines(queries, gallery), cosines(queries, shown[TARGET])
    numbers = torch.arange(len(queries))
    others = (queries @ gallery.T).fill_diagonal_(0).sum(1) / (len(queries) - 1)
    return {
        **found,
        "retrieved": figure(retrieved(queries, gallery, numbers).double()),
        "face_before_head": figure((own > head).double()),
        "cosine_same": figure(own),
        "cosine_others": figure(others),
        "cosine_same_head": figure(head),
    }


def measure_expressions(judge: ExpressionJudge | None, people: People) -> tuple[Figures, dict[str, Figures]]:
    """Errors of coefficients and pose over all pictures, and those of each coefficient by its name.

    No judge: of reading a face at rest that looks straight on, whatever is shown.
    """
    wanted, pose = people.coefficients.flatten(0, 1), people.pose.flatten(0, 1)
    owners = torch.arange(len(people.pictures)).repeat_interleave(len(ROLES))
    if judge is None:
        read, turned = torch.zeros_like(wanted), torch.zeros_like(pose)
    else:
        read, turned = _read(judge, people.pictures.flatten(0, 1), people.points.flatten(0, 1))
    seen = ~read.isnan().any(1)
    error, active = (read - wanted).abs().double(), wanted > ACTIVE
    figures = {
        "read": figure(seen.double(), owners),
        "error_active": figure(torch.where(active, error, 0.0).sum(1) / active.sum(1), owners),
        "error_all": figure(error.mean(1), owners),
        "correlation": _correlation(read[seen], wanted[seen], owners[seen]),
        "pose": figure(pose_errors(turned, pose), owners),
        **{
            name: figure(torch.rad2deg((turned - pose)[:, place].abs()), owners)
            for place, name in enumerate(("pitch", "yaw", "roll"))
        },
    }
    by_name = {}
    for place, name in enumerate(ARKIT_NAMES):
        column = slice(place, place + 1)
        by_name[name] = {
            "error_active": figure(torch.where(active[:, place], error[:, place], torch.nan), owners),
            "error_all": figure(error[:, place], owners),
            "correlation": _correlation(read[seen, column], wanted[seen, column], owners[seen]),
        }
    return figures, by_name


def _read(judge: ExpressionJudge, pictures: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    parts = []
    for some, five in zip(pictures.split(_CHUNK), points.split(_CHUNK), strict=True):
        images = some.float() / 255
        parts.append(judge.read(images, judge.places(images, five))[:2])
    coefficients, pose = zip(*parts, strict=True)
    return torch.cat(coefficients), torch.cat(pose)


def _correlation(read: Tensor, wanted: Tensor, owners: Tensor) -> Figure:
    return correlation_figure(read, wanted, torch.ones(wanted.shape[1], dtype=torch.bool), owners=owners)


def measure_detector(detector: FaceDetector, scenes: Sequence[Scene]) -> Figures:
    """How many of the scenes' faces are found, how far off their points lie in shares of the eyes' distance, false finds."""
    rows = [_compared([one for one in detector.detect(scene.picture) if one.refused is None], scene) for scene in scenes]
    found, points, false = torch.tensor(rows, dtype=torch.float64).unbind(1)
    return {"recall": figure(found), "points": figure(points), "false": figure(false)}


def _compared(finds: Sequence[Detection], scene: Scene) -> tuple[float, float, float]:
    shared = overlaps(torch.stack([one.box for one in finds]), scene.box[None])[0].tolist() if finds else []
    hits = [place for place, overlap in enumerate(shared) if overlap >= OVERLAP]
    if not hits:
        return 0.0, float("nan"), float(len(finds))
    best = finds[max(hits, key=lambda place: shared[place])]
    eyes = (scene.points[1] - scene.points[0]).norm()
    return 1.0, float((best.points - scene.points).norm(dim=1).mean() / eyes), float(len(finds) - 1)
