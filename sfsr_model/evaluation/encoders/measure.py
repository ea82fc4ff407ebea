"""What is measured of one recogniser, one expression encoder, one detector."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...expressions import ARKIT_NAMES
from ...training.teachers import FaceTeacher
from ..expression_judges import ExpressionJudge
from ..metrics import Figure, correlation_figure, cosines, figure, pose_errors, retrieved
from .finders import FaceFinder
from .finds import by_yaw, look_at
from .pairs import matched_pairs, verification
from .people import ANSWER, REFERENCE, ROLES, TARGET, People, Scene
from .recognisers import unit_vectors, vectors

ACTIVE = 0.05
"""A coefficient above this counts as active."""
_CHUNK = 64
Figures = dict[str, Figure]


def measure_recogniser(encoder: FaceTeacher, people: People) -> Figures:
    """Verification and retrieval of the references' people in the answers, and whether a head of hair is taken for a person."""
    roles = (REFERENCE, TARGET, ANSWER)
    raw = torch.cat([vectors(encoder, (one.float() / 255 for one in people.of(role)[0]), people.of(role)[1]) for role in roles])
    shown = dict(zip(roles, unit_vectors(encoder, raw).chunk(len(roles)), strict=True))
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


def measure_detector(detector: FaceFinder, scenes: Sequence[Scene]) -> Figures:
    """How many of the scenes' faces are found, how far off their points lie in shares of the eyes' distance, false finds.

    The points' error also by the head's turn.
    """
    looks = [look_at(detector, scene) for scene in scenes]
    errors = torch.tensor([one.error for one in looks], dtype=torch.float64)
    return {
        "recall": figure((~errors.isnan()).double()),
        "points": figure(errors),
        **by_yaw(errors, torch.tensor([scene.yaw for scene in scenes])),
        "false": figure(torch.tensor([float(len(one.rest)) for one in looks])),
    }
