"""The command `solvers`: how near each solver comes to the exact solution at equal cost, and what that is worth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...encoders.recogniser import InsightFaceEncoder
from ...estimators import sample_improved_midpoint
from ..expression_judges import ExpressionJudge, load_expression_judge
from ..generate import paste
from ..identities import embeddings, load_judge
from ..metrics import active_errors, cosines
from ..network import Guidance, anchored
from ..pictures import case_noise
from ..plots import plotting
from ..store import Arrays, RunFolder
from ..study import Samples, Study
from .results import EXACT, MEASURES, Values, write_results
from .stock import LEVELS, STOCK, levels, sample_stock, stock_evaluations, stock_steps

OURS = ("improved_midpoint_2", "improved_midpoint_1")
"""ImprovedMidpoint of order 2, two evaluations a step, and of order 1, which is DDIM."""
SOLVERS = (*OURS, *STOCK)
_Model = Callable[..., Tensor]


@dataclass(frozen=True)
class Comparison:
    """A comparison on a study's triplets. budgets: evaluations of the guided network that a solver may take. levels: of LEVELS.
    exact_steps: of euler, whose result stands for the exact solution. judge, expression_judge: None to leave them out."""

    study: Study
    out: Path
    budgets: tuple[int, ...]
    levels: str
    guidance: Guidance
    exact_steps: int
    judge: Path | None
    expression_judge: Path | None

    def __post_init__(self) -> None:
        if not self.budgets or min(self.budgets) < 2:
            raise ValueError(f"evaluations: expected numbers from 2 on, found {', '.join(map(str, self.budgets)) or 'none'}")
        if self.levels not in LEVELS:
            raise ValueError(f"levels: expected {' or '.join(LEVELS)}, found '{self.levels}'")
        if self.exact_steps <= max(self.budgets):
            raise ValueError(f"exact-steps: expected more than any of the evaluations compared, found {self.exact_steps}")


def taken(solver: str, budget: int) -> tuple[int, int]:
    """The steps a solver makes within a budget, and the evaluations these take."""
    if solver in OURS:
        each = int(solver[-1])
        return budget // each, budget // each * each
    steps = stock_steps(solver, budget)
    return steps, stock_evaluations(solver, steps)


def compare_solvers(plan: Comparison) -> str:
    """Solve and measure, going on where it was stopped; writes solvers.json, solvers.md and solvers.png, returns the table.

    Raises ValueError, OSError or ImportError naming what is wrong before anything is solved.
    """
    plotting()
    samples = Samples(plan.study)
    judge = None if plan.judge is None else load_judge(plan.judge)
    expressions = None if plan.expression_judge is None else load_expression_judge(plan.expression_judge)
    kept = RunFolder(plan.out, _fingerprint(plan, samples), "latents")
    parts: list[dict[str, Tensor]] = []
    for numbers in samples.ranges():
        arrays = samples.rendered(numbers)
        solved = kept.part(numbers.start // plan.study.batch, partial(_solve, plan, samples, numbers, arrays))
        parts.append(_measure(samples, arrays, solved, judge, expressions))
    values: Values = {name: torch.cat([part[name] for part in parts], 1) for name in parts[0]}
    rows = {f"{solver}-{budget}": (solver, budget, *taken(solver, budget)) for solver in SOLVERS for budget in plan.budgets}
    facts = {
        "checkpoint": samples.network.name, "samples": plan.study.samples, "seed": plan.study.seed, "size": samples.size,
        "levels": plan.levels, "guidance": asdict(plan.guidance), "exact solution": f"euler, {plan.exact_steps} steps",
        "judge of identity": None if judge is None else judge.name,
        "judge of expression": None if expressions is None else expressions.name, "note": samples.note,
    }  # fmt: skip
    return write_results(values, rows, OURS, facts, plan.out)


def _fingerprint(plan: Comparison, samples: Samples) -> dict[str, Any]:
    """What the solutions depend on; the judges are free to change."""
    return samples.settings() | {
        "pose": plan.study.pose,
        "budgets": plan.budgets,
        "levels": plan.levels,
        "guidance": asdict(plan.guidance),
        "exact_steps": plan.exact_steps,
        "solvers": SOLVERS,
    }


@torch.no_grad()
def _solve(plan: Comparison, samples: Samples, numbers: range, arrays: Arrays) -> Arrays:
    """Final latents [B, C, h, w] of a batch, by solver and budget, and of the exact solution."""
    network, wanted = samples.network, samples.wanted(arrays)
    shown = network.surroundings(wanted.target, wanted.mask)
    noise = case_noise(plan.study.seed, numbers.start, len(numbers), network.latent_shape(samples.size)).to(network.device)
    pose = wanted.pose if plan.study.pose else None
    denoise = network.denoiser(wanted.identity, wanted.expression, pose, shown, plan.guidance)
    # The same for all: the background goes back around the network, as in the host.
    model = anchored(denoise, shown.known, shown.mask, noise)

    def solved(solver: str, steps: int) -> np.ndarray:
        sigmas = levels(plan.levels, steps)
        return solve(solver, model, (1 + float(sigmas[0]) ** 2) ** 0.5 * noise, sigmas).cpu().numpy()

    found = {f"{solver}-{budget}": solved(solver, taken(solver, budget)[0]) for solver in SOLVERS for budget in plan.budgets}
    return {EXACT: solved("euler", plan.exact_steps), **found}


def solve(solver: str, model: _Model, x: Tensor, sigmas: Tensor) -> Tensor:
    """x [B, C, H, W] from sigmas[0] down to 0 by a solver of SOLVERS."""
    if solver in OURS:
        return sample_improved_midpoint(model, x, sigmas, order=int(solver[-1]))
    return sample_stock(solver, model, x, sigmas)


@torch.no_grad()
def _measure(
    samples: Samples, arrays: Arrays, solved: Arrays, judge: InsightFaceEncoder | None, expressions: ExpressionJudge | None
) -> dict[str, Tensor]:
    """By solver and budget, and of the exact solution: MEASURES [4, B], NaN for what nobody judged."""
    pictures = {name: samples.network.decode(torch.from_numpy(latents).to(samples.network.device)).cpu()
                for name, latents in solved.items()}  # fmt: skip
    target, mask = torch.from_numpy(arrays["target"]), torch.from_numpy(arrays["mask"])
    wanted = torch.from_numpy(arrays["coefficients"])
    person = None if judge is None else embeddings(judge, arrays["reference"], arrays["reference_points"])
    answers, points = torch.from_numpy(arrays["answer"]).float() / 255, torch.from_numpy(arrays["answer_points"])
    places = None if expressions is None else expressions.places(answers, points)
    found = {}
    for name, picture in pictures.items():
        made = paste(picture, target, mask)
        blank = torch.full((len(made),), torch.nan, dtype=torch.float64)
        identity = expression = blank
        if judge is not None and person is not None:
            identity = cosines(embeddings(judge, made.numpy(), arrays["answer_points"]), person)
        if expressions is not None and places is not None:
            expression = active_errors(expressions.read(made.float() / 255, places)[0], wanted, expressions.readable)
        away = [
            _distance(torch.from_numpy(solved[name]), torch.from_numpy(solved[EXACT])),
            255 * _distance(picture, pictures[EXACT]),
        ]
        found[name] = torch.stack([*away, identity, expression])
    assert len(found[EXACT]) == len(MEASURES)
    return found


def _distance(one: Tensor, other: Tensor) -> Tensor:
    """Root mean square [B] of a difference [B, ...]."""
    return (one.double() - other.double()).square().flatten(1).mean(1).sqrt()
