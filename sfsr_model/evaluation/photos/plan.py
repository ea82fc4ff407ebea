"""What a run of the command `photos` is asked for, and that loaded and checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...bundled import BUNDLED
from ...encoders.bundled import bundled_space
from ...encoders.expression import ExpressionReader, load_expression_reader
from ...encoders.recogniser import InsightFaceEncoder
from ...naming import naming
from ...network import Checkpoint, load_checkpoint
from ...network.checkpoint import ANY_SPACE
from ...training.labelled import load_labelled
from ..cases import check_seed
from ..encoders.finders import FaceFinder, load_finder
from ..generate import Sampling
from ..identities import conditioner
from ..network import Network, check_size
from .cast import Cast, Numbers, draw_cast
from .judges import ExpressionJudge, IdentityJudge, load_expression_judge, load_identity_judge, load_landmarker_judge
from .painters import CHECKPOINT, FORERUNNER


@dataclass(frozen=True)
class Subject:
    """A checkpoint and the recogniser of its identities; None for the bundled one."""

    checkpoint: Path
    recogniser: Path | None


@dataclass(frozen=True)
class Plan:
    """An evaluation on labelled photos. photos: their folder. expression: the encoder that reads what the network is told.
    judges: recognisers beside the bundled judge. cache: the renderer's, for what the words look like. detector: finds the faces
    instead of the labels. limit: of the cases of each kind. sheet_rows: swaps on the contact sheet."""

    photos: Path
    out: Path
    subject: Subject
    forerunner: Subject | None
    expression: Path
    judges: tuple[Path, ...]
    landmarker: Path | None
    cache: Path | None
    detector: Path | None
    numbers: Numbers
    split: str
    seed: int
    batch: int
    limit: int | None
    sheet_rows: int
    sampling: Sampling
    device: str


@dataclass(frozen=True, eq=False)
class Conditioned:
    """A network and who makes its identities, with the files of both."""

    network: Network
    encoder: InsightFaceEncoder
    checkpoint: Path
    recogniser: Path


@dataclass(frozen=True, eq=False)
class Loaded:
    """networks: by the painter's name. reader: of expressions and poses, for the networks. finder: None for labelled points."""

    cast: Cast
    networks: dict[str, Conditioned]
    reader: ExpressionReader
    identity: tuple[IdentityJudge, ...]
    expression: tuple[ExpressionJudge, ...]
    finder: FaceFinder | None


def load(plan: Plan) -> Loaded:
    """Everything that a plan names. Raises ValueError, OSError or ImportError naming the option at fault."""
    check_seed(plan.seed)
    for name, value, least in (("batch", plan.batch, 1), ("limit", plan.limit, 1), ("sheet-rows", plan.sheet_rows, 1)):
        if value is not None and value < least:
            raise ValueError(f"{name}: expected at least {least}, found {value}")
    if plan.cache is not None and not plan.cache.is_file():
        raise ValueError(f"cache: {plan.cache} does not exist; give the renderer's cache file")
    with naming("photos"):
        photos = load_labelled(plan.photos).chosen(plan.split)
    cast = draw_cast(photos, plan.seed, plan.numbers, plan.limit)
    networks = {CHECKPOINT: _conditioned(plan.subject, CHECKPOINT, "recogniser", plan.device)}
    if plan.forerunner is not None:
        networks[FORERUNNER] = _conditioned(plan.forerunner, FORERUNNER, "forerunner-recogniser", plan.device)
    with naming("expression"):
        reader = load_expression_reader(plan.expression)
    finder = None if plan.detector is None else load_finder(plan.detector)
    return Loaded(cast, networks, reader, _identity_judges(plan), _expression_judges(plan), finder)


def _conditioned(subject: Subject, name: str, option: str, device: str) -> Conditioned:
    """name, option: what the checkpoint and its recogniser are asked for by."""
    with naming(name):
        checkpoint = load_checkpoint(subject.checkpoint)
    metadata = checkpoint.metadata
    check_size(metadata.resolution, metadata.unet)
    recogniser = subject.recogniser or _bundled_recogniser(checkpoint, option)
    encoder = conditioner(str(recogniser), metadata, checkpoint.name, option)
    assert encoder is not None
    return Conditioned(Network(checkpoint, device), encoder, subject.checkpoint, recogniser)


def _bundled_recogniser(checkpoint: Checkpoint, option: str) -> Path:
    """The bundled recogniser, where a checkpoint's identities lie in its space."""
    wanted = checkpoint.metadata.identity_space
    if wanted not in (ANY_SPACE, bundled_space()):
        raise ValueError(
            f"{option}: {checkpoint.name} takes identities of the space '{wanted}', which the bundled recogniser does not "
            "make; give the recogniser that it was trained with"
        )
    return BUNDLED.recogniser


def _identity_judges(plan: Plan) -> tuple[IdentityJudge, ...]:
    files = dict.fromkeys(path.resolve() for path in (*plan.judges, BUNDLED.judge_recogniser))
    judges = tuple(load_identity_judge(path) for path in files)
    names = [judge.label for judge in judges]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"judge: two files are called {name}; give one of them another name")
    return judges


def _expression_judges(plan: Plan) -> tuple[ExpressionJudge, ...]:
    own = load_expression_judge(BUNDLED.judge_expression)
    return (own,) if plan.landmarker is None else (load_landmarker_judge(plan.landmarker), own)
