"""What the faces in the pictures do, by one judge: the source's expression, the target's pose, the words."""

from __future__ import annotations

import torch
from torch import Tensor

from ..cases import PRIMARIES
from ..metrics import Figure, active_errors, correlation_figure, figure, pose_errors, recognised
from .cast import WORDS
from .gathered import Gathered
from .identity_figures import Figures
from .judges import ExpressionJudge

EYES = 0.08
"""Of the eyes' distance: as far as an eye may lie from where the target's is."""
WORN = "renders"


def expression_figures(
    gathered: Gathered, judge: ExpressionJudge, maker: str, kind: str, members: Tensor | None = None
) -> Figures:
    """Against the judge's reading of the photo that gave the expression; members: bool [N], the cases that count."""
    cases = gathered.cast.cases[kind]
    chosen = torch.ones(len(cases), dtype=torch.bool) if members is None else members
    owners = gathered.cast.owners(cases)[chosen]
    targets = [case.target for case in cases]

    def read(name: str) -> Tensor:
        return gathered.of(maker, kind, judge.label, name)

    coefficients = read("coefficients")[chosen]
    wanted = gathered.of_photos(judge.label, "coefficients", [int(case.expression) for case in cases])[chosen]
    errors = (coefficients - wanted).abs()[:, judge.readable].double().mean(1)
    turned = pose_errors(read("pose"), gathered.of_photos(judge.label, "pose", targets))[chosen]
    found = {
        "correlation": correlation_figure(coefficients, wanted, judge.readable, owners=owners),
        "error_active": figure(active_errors(coefficients, wanted, judge.readable), owners),
        "error_all": figure(errors, owners),
        "pose": figure(turned, owners),
    }
    if judge.sees:
        seen = read("seen").bool()
        known = gathered.of_photos(judge.label, "seen", targets).bool()
        kept = seen & eyes_kept(read("eyes"), gathered.of_photos(judge.label, "eyes", targets))
        found["seen"] = figure(seen.double()[chosen], owners)
        # Where the target's own eyes were not seen, nobody knows where they are.
        found["eyes"] = figure(torch.where(known, kept.double(), torch.nan)[chosen], owners)
    return found


def eyes_kept(eyes: Tensor, before: Tensor) -> Tensor:
    """Whether both eyes [N, 2, 2] lie within EYES of the distance of the eyes before [N, 2, 2] from these: bool [N]."""
    distance = (before[:, 1] - before[:, 0]).norm(dim=1)
    return ((eyes - before).norm(dim=2) <= EYES * distance[:, None]).all(1)


def words_told_apart(gathered: Gathered, judge: ExpressionJudge, maker: str) -> Figure:
    """The share of the pictures of words whose reading is nearest to the mean reading of the renders that wear the same word;
    WORN for maker: of the renders themselves, each compared with other people's."""
    known = gathered.renders.get(judge.label)
    if known is None:
        return Figure(None, None, None, 0)
    classes = len(PRIMARIES)
    known = known[:, judge.readable]
    labels, wearers = torch.arange(len(known)) % classes, torch.arange(len(known)) // classes
    if maker == WORN:
        shown, asked, owners = known, labels, wearers
    else:
        cases = gathered.cast.cases[WORDS]
        shown = gathered.of(maker, WORDS, judge.label, "coefficients")[:, judge.readable]
        asked = torch.tensor([PRIMARIES.index(str(case.expression)) for case in cases], dtype=torch.long)
        owners = len(known) + gathered.cast.owners(cases)
    try:
        hits = recognised(shown, asked, owners, known, labels, wearers)
    except ValueError:  # of a single person's renders nobody else's words are known
        return Figure(None, None, None, 0)
    return figure(hits.double(), owners)
