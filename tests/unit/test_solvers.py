"""The solver comparison: stock samplers on an equation whose solution is known, and the whole command on a tiny network."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from testkit.onnx_nets import save_mobilefacenet
from testkit.tiny_landmarker import write_tiny_task
from testkit.tiny_makehuman import tiny_folder

from sfsr_model.evaluation.__main__ import main
from sfsr_model.evaluation.solvers.comparison import OURS, SOLVERS, solve, taken
from sfsr_model.evaluation.solvers.results import MEASURES, duel, verdict
from sfsr_model.evaluation.solvers.stock import LEVELS, STOCK, levels, sample_stock
from sfsr_model.network import UNetConfig, save_checkpoint, untrained_checkpoint

SMALL = UNetConfig(model_channels=32, channel_mult=(1, 2), attention=(False, True), context_dim=24, head_channels=16)
SPREAD = 0.5


class Gaussian:
    """The best denoiser of data of deviation SPREAD about 0; its flow takes x at sigma to x SPREAD / hypot(SPREAD, sigma)."""

    def __init__(self) -> None:
        self.looks: list[float] = []

    def __call__(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        assert sigma.shape == x.shape[:1]
        self.looks.append(float(sigma[0]))
        return x * SPREAD**2 / (SPREAD**2 + sigma.reshape(-1, 1, 1, 1) ** 2)


def error(solver: str, steps: int, kind: str = "karras") -> float:
    """How far a solver ends from the known solution, of its size."""
    sigmas = levels(kind, steps)
    x = torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(0)) * sigmas[0]
    exact = x * SPREAD / math.hypot(SPREAD, float(sigmas[0]))
    return float((solve(solver, Gaussian(), x, sigmas) - exact).norm() / exact.norm())


@pytest.mark.parametrize("solver", SOLVERS)
def test_solvers_come_to_the_known_solution(solver):
    """With twice the steps a rule of first order is twice as near, one of second order or more clearly nearer than that."""
    coarse, fine = error(solver, 20), error(solver, 40)
    assert fine < 0.05
    ratio = coarse / fine
    if solver in ("euler", "improved_midpoint_1"):
        assert 1.7 < ratio < 2.2
    else:
        assert fine < 0.2 * error("euler", 40)


def test_ddim_is_euler():
    """In sigma space the two are one rule, which only works out where both go over the same levels with the same noise."""
    for kind in LEVELS:
        assert error("euler", 9, kind) == pytest.approx(error("improved_midpoint_1", 9, kind), rel=1e-4)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("budget", [8, 9, 12, 32])
def test_nobody_looks_more_often_than_allowed(solver, budget):
    steps, evaluations = taken(solver, budget)
    model = Gaussian()
    x = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    solve(solver, model, 14 * x, levels("normal", steps))
    assert len(model.looks) == evaluations
    assert budget - 1 <= evaluations <= budget


@pytest.mark.parametrize("kind", LEVELS)
@pytest.mark.parametrize("name", STOCK)
def test_stock_samplers_look_at_the_levels_they_are_given(name, kind):
    sigmas, model = levels(kind, 6), Gaussian()
    sample_stock(name, model, torch.ones(1, 4, 4, 4), sigmas)
    assert all(any(look == pytest.approx(float(sigma), rel=1e-5) for look in model.looks) for sigma in sigmas[:-1])
    assert max(model.looks) == pytest.approx(float(sigmas[0]), rel=1e-5)


def test_levels_are_the_hosts():
    """ComfyUI 0.30.0: calculate_sigmas(model_sampling of SD 1.x, name, 4), to its digits."""
    for kind, wanted in {"normal": [14.6146, 2.9183, 0.9324, 0.0292], "karras": [14.6146, 3.1686, 0.4469, 0.0292]}.items():
        assert levels(kind, 4).tolist() == pytest.approx([*wanted, 0.0], abs=1e-4), kind


def test_a_duel_is_fought_sample_by_sample():
    rows = {f"{name}-8": (name, 8, 8, 8) for name in ("improved_midpoint_2", "euler", "heun")}
    near = torch.tensor([0.1, 0.9, 0.5, 0.3, 0.7, 0.2, 0.8, 0.4])
    other = torch.zeros(len(MEASURES) - 1, len(near))
    shift = {"improved_midpoint_2-8": 0.0, "euler-8": 0.2, "heun-8": 0.05}
    values = {name: torch.cat([(near + more)[None], other]).double() for name, more in shift.items()}
    one = duel(values, rows, OURS, "latents_rms", 8)
    assert (one["ours"], one["stock"]) == ("improved_midpoint_2", "heun")
    assert one["better"].value == pytest.approx(0.05)
    assert verdict(one) == "improved_midpoint_2 beats heun, the best stock sampler"
    # Of an identity more is better, so the same numbers are won by the other side.
    turned = {name: one.roll(2, 0) for name, one in values.items()}
    assert verdict(duel(turned, rows, OURS, "identity_cosine", 8)) == "the stock sampler euler beats improved_midpoint_2"
    assert "cannot be told apart" in verdict(duel(values, rows, OURS, "expression_error", 8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    save_mobilefacenet(folder / "recogniser.onnx")
    write_tiny_task(folder / "judge.task")
    checkpoint = untrained_checkpoint(unet=SMALL)
    save_checkpoint(replace(checkpoint, metadata=replace(checkpoint.metadata, resolution=64)), folder / "small.safetensors")
    return folder


def command(folder: Path, out: Path, *more: str) -> list[str]:
    return [
        "solvers", "--checkpoint", str(folder / "small.safetensors"), "--cache", str(tiny_folder() / "faces.npz"),
        "--recogniser", str(folder / "recogniser.onnx"), "--judge", str(folder / "recogniser.onnx"), "--out", str(out),
        "--samples", "2", "--batch", "1", "--evaluations", "2", "4", "--exact-steps", "6", *more,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def finished(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("solvers") / "out"
    assert main(command(folder, out, "--expression-judge", str(folder / "judge.task"))) == 0
    return out


def test_the_command_solvers(finished):
    document = json.loads((finished / "solvers.json").read_text())
    assert len(document["solvers"]) == 2 * len(SOLVERS)
    assert document["exact"]["latents_rms"]["value"] == 0
    assert document["run"]["exact solution"] == "euler, 6 steps"
    for row in document["solvers"]:
        assert row["latents_rms"]["value"] > 0
        assert row["pixels_rms"]["value"] > 0
        assert row["identity_cosine"]["count"] == 2
        # The tiny judge reads something of every answer it sees a face in.
        assert row["expression_error"]["value"] is None or row["expression_error"]["value"] >= 0
    by_name = {(row["solver"], row["budget"]): row for row in document["solvers"]}
    assert by_name["euler", 4]["latents_rms"]["value"] == pytest.approx(
        by_name["improved_midpoint_1", 4]["latents_rms"]["value"], rel=1e-3
    )
    assert by_name["heun", 4]["evaluations"] == 3
    assert set(document["best"]["latents_rms"]) == {"2", "4"}
    with Image.open(finished / "solvers.png") as plot:
        plot.verify()


def test_it_goes_on_and_takes_other_judges(folder, finished, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    first, second = sorted(out.glob("latents/part-*.npz"))
    second.unlink()
    before = first.stat().st_mtime_ns
    assert main(command(folder, out)) == 0
    assert first.stat().st_mtime_ns == before
    assert second.exists()
    old, new = (json.loads((one / "solvers.json").read_text()) for one in (finished, out))
    found, wanted = ([row["pixels_rms"]["value"] for row in one["solvers"]] for one in (new, old))
    assert found == pytest.approx(wanted, rel=1e-4)
    assert new["exact"]["expression_error"]["value"] is None
    assert "expression_error" not in new["best"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--evaluations", "1", "8"], "evaluations: expected numbers from 2 on, found 1, 8"),
        (["--levels", "simple"], "levels: expected normal or karras, found 'simple'"),
        (["--exact-steps", "4"], "exact-steps: expected more than any of the evaluations compared, found 4"),
        (["--judge", "gone.onnx"], "judge: gone.onnx does not exist"),
    ],
)
def test_comparisons_that_make_no_sense(folder, tmp_path, capsys, more, message):
    assert main(command(folder, tmp_path / "out", *more)) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
