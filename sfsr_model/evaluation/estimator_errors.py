"""How far each estimator's x0* is from the truth, by noise level, in latents and in pixels, whole and inside the mask."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, autocast

from ..estimators import ESTIMATORS, Noisy
from ..estimators.study import remembering
from ..estimators.variants import ROLES
from ..schedule import ScaledLinearSchedule, midpoint_sigma
from .metrics import figure, shown
from .plots import plotting, save
from .store import Arrays, RunFolder, out_folder, write_text
from .study import Batch, Samples, Study

MEASURES = ("latents", "latents_face", "pixels", "pixels_face")
TITLES = {
    "latents": "latents, whole",
    "latents_face": "latents, face",
    "pixels": "pixels, whole",
    "pixels_face": "pixels, face",
}
ROUND_TRIP = "round_trip"
"""The truth itself, encoded and decoded: what no estimator can beat in pixels."""
BACKGROUND = {True: "known, put back after every estimate", False: "as estimated"}
MEASURED = (*ESTIMATORS, ROUND_TRIP)

Errors = dict[str, dict[str, dict[int, Tensor]]]
"""Squared errors [N], a mean over each sample, by estimator, measure and timestep."""


def squared_errors(estimate: Tensor, truth: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean squared difference [B] of [B, C, H, W], inside a mask [B, 1, H, W] where one is given."""
    squared = (estimate - truth).square()
    if mask is None:
        return squared.mean((1, 2, 3))
    return (squared * mask).sum((1, 2, 3)) / (mask.sum((1, 2, 3)) * estimate.shape[1]).clamp_min(1e-9)


def measure(samples: Samples, put_back: bool, kept: RunFolder | None = None) -> Errors:
    """Errors on held-out triplets: full conditions, no guidance, the midpoint at half the time, as in training.

    put_back: whether the known background takes the place of every estimate outside the mask before it is measured, the same
    for all estimators (in latents outside the hole, in pixels by the mask). kept: what was measured before, batch by batch.
    """
    parts = []
    for numbers in samples.ranges():
        make = partial(_measured, samples, numbers, put_back)
        part = make() if kept is None else kept.part(numbers.start // samples.study.batch, make)
        parts.append(torch.from_numpy(part["errors"]))
    errors = torch.cat(parts, -1)
    return {
        name: {
            kind: dict(zip(samples.study.timesteps, times, strict=True)) for kind, times in zip(MEASURES, kinds, strict=True)
        }
        for name, kinds in zip(MEASURED, errors, strict=True)
    }


@torch.no_grad()
def _measured(samples: Samples, numbers: range, put_back: bool) -> Arrays:
    """errors: of a batch, float32 [MEASURED, MEASURES, timesteps, B]."""
    batch = samples.batch(numbers)
    exact = _errors_of(samples, batch, batch.x0, put_back)
    network = samples.denoiser(batch)
    rows = []
    for time in samples.study.timesteps:
        noisy = noisy_at(batch, time)
        denoise = remembering(network, noisy)
        found = [_errors_of(samples, batch, estimator(denoise, noisy).x0, put_back) for estimator in ESTIMATORS.values()]
        rows.append(torch.stack([*found, exact]))
    return {"errors": torch.stack(rows, 2).cpu().numpy()}


def noisy_at(batch: Batch, time: int) -> Noisy:
    """The answers' latents at a timestep, with all that an estimator may ask for."""
    schedule = ScaledLinearSchedule()
    sigma = schedule.sigma(time)
    return Noisy(
        x=batch.x0 + sigma * batch.noise,
        sigma=sigma,
        sigma_mid=midpoint_sigma(sigma, 0.0, "half time", schedule=schedule),
        background=batch.shown.known,
        hole=batch.shown.hole,
        truth=batch.x0,
        noise=batch.fresh,
    )


def _errors_of(samples: Samples, batch: Batch, x0: Tensor, put_back: bool) -> Tensor:
    """[MEASURES, B]"""
    hole, mask = batch.shown.hole, batch.mask[:, None]
    # It errs by a thousandth of white, a squared error of 1e-6, and takes a third of the time on a CPU.
    with autocast(x0.device.type, torch.bfloat16):
        picture = samples.network.decode(x0).float().movedim(-1, 1)
    answer = batch.answer.movedim(-1, 1)
    if put_back:
        x0 = torch.lerp(batch.shown.known, x0, hole)
        picture = torch.lerp(batch.target.movedim(-1, 1), picture, mask)
    return torch.stack(
        [
            squared_errors(x0, batch.x0),
            squared_errors(x0, batch.x0, hole),
            squared_errors(picture, answer),
            squared_errors(picture, answer, mask),
        ]
    )


def summary(errors: Errors) -> dict[str, Any]:
    """By estimator: what it is, and by measure the mean over all timesteps and at each, with intervals over the samples."""
    return {name: _about(name) | {kind: _figures(times) for kind, times in kinds.items()} for name, kinds in errors.items()}


def _about(name: str) -> dict[str, Any]:
    if name == ROUND_TRIP:
        return {"about": "x0 itself, encoded and decoded", "evaluations": 0, "bound": True, "roles": []}
    one = ESTIMATORS[name]
    roles = [role for role, meant in ROLES.items() if meant == name]
    return {"about": one.about, "evaluations": one.evaluations, "bound": one.bound, "roles": roles}


def _figures(times: dict[int, Tensor]) -> dict[str, Any]:
    by_timestep = {str(time): figure(values) for time, values in times.items()}
    return {"mean": figure(torch.stack(list(times.values())).mean(0)), "by_timestep": by_timestep}


def estimator_errors(study: Study, put_back: bool, out: Path) -> str:
    """Measure, write estimators.json, estimators.md and estimators.png, and return the table."""
    plotting()
    samples = Samples(study)
    out_folder(out)
    found = summary(measure(samples, put_back))
    run = {"checkpoint": samples.network.name, "seed": study.seed, "samples": study.samples, "size": samples.size,
           "background": BACKGROUND[put_back], "note": samples.note}  # fmt: skip
    text = json.dumps({"run": run, "estimators": found}, indent=2, default=asdict) + "\n"
    table = _table(found, run)
    write_text(out / "estimators.json", text)
    write_text(out / "estimators.md", table)
    _plot(found, study.timesteps, out / "estimators.png")
    return table


def _table(found: dict[str, Any], run: dict[str, Any]) -> str:
    lines = ["# Mean squared error of x0*", "", *(f"- {name}: {value}" for name, value in run.items()), ""]
    lines += [f"| estimator | evaluations | {' | '.join(TITLES.values())} |", "|---" * (2 + len(MEASURES)) + "|"]
    for name, one in found.items():
        title = ", ".join([name, *(f"the paper's {role.replace('_', ' ')} here" for role in one["roles"])])
        title += ", a bound" if one["bound"] else ""
        cells = " | ".join(shown(one[kind]["mean"], "{:.4g}".format) for kind in MEASURES)
        lines.append(f"| {title} | {one['evaluations']} | {cells} |")
    return "\n".join(lines) + "\n"


def _plot(found: dict[str, Any], times: Sequence[int], path: Path) -> None:
    pyplot = plotting()
    drawn, grid = pyplot.subplots(1, len(MEASURES), figsize=(4.2 * len(MEASURES), 4), layout="constrained")
    ordered = sorted(times)
    for axes, kind in zip(grid, MEASURES, strict=True):
        for name, one in found.items():
            values = [one[kind]["by_timestep"][str(time)].value for time in ordered]
            axes.plot(ordered, values, ":" if one["bound"] else "-", marker=".", label=name)
        axes.set_title(TITLES[kind])
        axes.set_xlabel("timestep")
        axes.set_yscale("log")
    grid[0].set_ylabel("mean squared error")
    grid[-1].legend(fontsize=8)
    save(drawn, path)
