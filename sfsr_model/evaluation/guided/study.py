"""The command `guidance`: how far guidance of x0* leads towards person and expression where the network knows neither."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...encoders.differentiable import TorchRecogniser
from ...encoders.expression import ExpressionReader, load_expression_reader
from ...encoders.expression_photos import PointsReading
from ...encoders.recogniser import InsightFaceEncoder
from ...expressions import Expression
from ...guidance import ExpressionEnergy, FacePlace, Guide, IdentityEnergy, Term
from ...naming import naming
from ..expression_judges import ExpressionJudge, load_expression_judge
from ..generate import paste
from ..identities import embeddings, load_judge
from ..metrics import active_errors, cosines
from ..network import anchored
from ..pictures import case_noise
from ..plots import plotting
from ..store import Arrays, RunFolder, digest
from ..study import Samples, Study
from .results import MEASURES, Values, write_results
from .runs import ESTIMATES, Setting, sample


@dataclass(frozen=True)
class GuidedStudy:
    """A study's triplets, sampled with both streams off and guided instead.

    guides, expression_guide: files of the encoders whose gradients lead; judge, expression_judge: of others, which measure.
    steps: of the improved midpoint; guided: numbers of guided steps, 0 for the comparison among them. compared: the number of
    guided steps of the comparison of estimates. identity_scale, expression_scale, views: as `Guide` takes them.
    """

    study: Study
    out: Path
    guide: Path
    expression_guide: Path
    judge: Path
    expression_judge: Path
    steps: int
    guided: tuple[int, ...]
    compared: int
    identity_scale: float
    expression_scale: float
    views: int

    def __post_init__(self) -> None:
        if self.steps < 2 or self.steps % 2:
            raise ValueError(f"solver-steps: expected an even number from 2 on, found {self.steps}")
        if 0 not in self.guided:
            raise ValueError("guided: expected 0 among them, which the others are compared with")
        largest = max(*self.guided, self.compared)
        if min(self.guided) < 0 or largest > self.steps or self.compared < 1:
            raise ValueError(f"guided: expected numbers from 0 to the {self.steps} steps, found {largest}")
        for mine, theirs in ((self.guide, self.judge), (self.expression_guide, self.expression_judge)):
            if digest(mine) == digest(theirs):
                raise ValueError(
                    f"judge: {theirs.name} is the encoder that guides; what leads cannot measure, so give another one"
                )

    @property
    def settings(self) -> list[Setting]:
        """Every number of guided steps with the improved midpoint; then each estimate with and without, at equal cost."""
        budget = ESTIMATES["improved_midpoint"][0] * self.steps
        found = [Setting("improved_midpoint", self.steps, count) for count in self.guided]
        for name, (each, _) in ESTIMATES.items():
            found += [Setting(name, budget // each, count) for count in (0, self.compared)]
        return list(dict.fromkeys(found))


@dataclass(frozen=True, eq=False)
class _Encoders:
    recogniser: TorchRecogniser
    embedder: InsightFaceEncoder
    reader: ExpressionReader
    judge: InsightFaceEncoder
    expressions: ExpressionJudge


def study_guidance(plan: GuidedStudy) -> str:
    """Sample and measure, going on where it was stopped; writes guidance.json, guidance.md and guidance.png, returns the table.

    Raises ValueError, OSError or ImportError naming what is wrong before anything is sampled.
    """
    plotting()
    samples = Samples(plan.study)
    embedder = load_judge(plan.guide, "guide")
    with naming("expression-guide"):
        reader = load_expression_reader(plan.expression_guide)
    encoders = _Encoders(
        embedder.differentiable(), embedder, reader, load_judge(plan.judge), load_expression_judge(plan.expression_judge)
    )
    kept = RunFolder(plan.out, _fingerprint(plan, samples), "pictures")
    parts: list[dict[str, Tensor]] = []
    for numbers in samples.ranges():
        arrays = samples.rendered(numbers)
        made = kept.part(numbers.start // plan.study.batch, partial(_make, plan, samples, numbers, arrays, encoders))
        parts.append(_measure(plan.settings, arrays, made, encoders))
    values: Values = {name: torch.cat([part[name] for part in parts], 1) for name in parts[0]}
    facts = {
        "checkpoint": f"{samples.network.name}, both streams off", "people": plan.study.samples, "seed": plan.study.seed,
        "size": samples.size, "guides": f"{plan.guide.name}, {plan.expression_guide.name}",
        "judges": f"{encoders.judge.name}, {encoders.expressions.name}",
        "scales": f"identity {plan.identity_scale:g}, expression {plan.expression_scale:g}", "views": plan.views,
        "note": samples.note,
    }  # fmt: skip
    return write_results(values, plan.settings, facts, plan.out)


def _fingerprint(plan: GuidedStudy, samples: Samples) -> dict[str, Any]:
    """What the pictures depend on; the judges are free to change."""
    return samples.settings() | {
        "guides": [digest(plan.guide), digest(plan.expression_guide)],
        "settings": [one.name for one in plan.settings],
        "scales": [plan.identity_scale, plan.expression_scale],
        "views": plan.views,
    }


def _make(plan: GuidedStudy, samples: Samples, numbers: range, arrays: Arrays, encoders: _Encoders) -> Arrays:
    """Pasted pictures uint8 [B, S, S, 3] of each setting, and seconds [2], of all and of guidance."""
    network, wanted, count = samples.network, samples.wanted(arrays), len(numbers)
    shown = network.surroundings(wanted.target, wanted.mask)
    noise = case_noise(plan.study.seed, numbers.start, count, network.latent_shape(samples.size)).to(network.device)
    tokens = network.tokens(wanted.identity, wanted.expression, None, 0.0, 0.0)
    denoise = anchored(network.denoiser_of(tokens, shown), shown.known, shown.mask, noise)
    guide = _guide(plan, samples, arrays, encoders)
    target, mask = torch.from_numpy(arrays["target"]), torch.from_numpy(arrays["mask"])
    found: Arrays = {}
    for setting in plan.settings:
        latents, whole, spent = sample(setting, denoise, noise, shown.hole, guide, plan.study.seed + numbers.start)
        found[setting.name] = paste(network.decode(latents).cpu(), target, mask).numpy()
        found[f"{setting.name}-seconds"] = torch.tensor([whole, spent]).numpy() / count
    return found


def _guide(plan: GuidedStudy, samples: Samples, arrays: Arrays, encoders: _Encoders) -> Guide:
    """Towards the reference's embedding and the wanted coefficients, where the target's face is; the answer is not shown."""
    place = FacePlace((torch.from_numpy(arrays["target_points"]).double() + 0.5) / samples.size)
    person = embeddings(encoders.embedder, arrays["reference"], arrays["reference_points"])
    terms = []
    if plan.identity_scale:
        terms.append(Term(plan.identity_scale, IdentityEnergy(encoders.recogniser, person, place)))
    if plan.expression_scale:
        look = Expression(torch.from_numpy(arrays["coefficients"]))
        terms.append(Term(plan.expression_scale, ExpressionEnergy(PointsReading(encoders.reader), look, place)))
    # Which steps are guided is the setting's, not the level's.
    return Guide(samples.network.decode, terms, level=lambda share: 0.0 if share >= 1 else torch.inf, views=plan.views)


@torch.no_grad()
def _measure(settings: Sequence[Setting], arrays: Arrays, made: Arrays, encoders: _Encoders) -> dict[str, Tensor]:
    """MEASURES [5, B] by setting."""
    wanted, points = torch.from_numpy(arrays["coefficients"]), torch.from_numpy(arrays["answer_points"])
    places = encoders.expressions.places(torch.from_numpy(arrays["answer"]).float() / 255, points)
    persons = {
        one: embeddings(one, arrays["reference"], arrays["reference_points"]) for one in (encoders.judge, encoders.embedder)
    }
    found = {}
    for setting in settings:
        pictures = made[setting.name]
        likeness = [cosines(embeddings(one, pictures, arrays["answer_points"]), person) for one, person in persons.items()]
        read = encoders.expressions.read(torch.from_numpy(pictures).float() / 255, places)[0]
        error = active_errors(read, wanted, encoders.expressions.readable)
        seconds = torch.from_numpy(made[f"{setting.name}-seconds"]).double()
        rows = [likeness[0], error, likeness[1], *(one.expand(len(pictures)) for one in seconds)]
        found[setting.name] = torch.stack([row.double() for row in rows])
        assert len(found[setting.name]) == len(MEASURES)
    return found
