"""The study of guidance: what is compared, what guides and what judges, and the whole command on a tiny network."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from testkit.onnx_nets import save_mobilefacenet
from testkit.tiny_makehuman import tiny_folder

from sfsr_model.bundled import Weights
from sfsr_model.evaluation.__main__ import main
from sfsr_model.evaluation.guided.runs import Setting, sample
from sfsr_model.guidance import Guide, Term
from sfsr_model.network import UNetConfig, save_checkpoint, untrained_checkpoint

SMALL = UNetConfig(model_channels=32, channel_mult=(1, 2), attention=(False, True), context_dim=24, head_channels=16)
BUNDLED = Weights(Path(__file__).resolve().parents[2] / "sfsr_model" / "weights")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    save_mobilefacenet(folder / "guide.onnx")
    checkpoint = untrained_checkpoint(unet=SMALL)
    save_checkpoint(replace(checkpoint, metadata=replace(checkpoint.metadata, resolution=64)), folder / "small.safetensors")
    return folder


def command(folder: Path, out: Path, *more: str) -> list[str]:
    return [
        "guidance", "--checkpoint", str(folder / "small.safetensors"), "--cache", str(tiny_folder() / "faces.npz"),
        "--recogniser", str(folder / "guide.onnx"), "--guide", str(folder / "guide.onnx"), "--expression-guide",
        str(BUNDLED.expression), "--judge", str(BUNDLED.judge_recogniser), "--expression-judge", str(BUNDLED.judge_expression),
        "--out", str(out), "--samples", "2", "--batch", "2", "--solver-steps", "2", "--guided", "0", "1", "--compared", "2",
        *more,
    ]  # fmt: skip


def test_every_estimate_costs_the_same():
    settings = [Setting("improved_midpoint", 12, 4), Setting("one_step", 24, 4), Setting("midpoint", 12, 0)]
    assert {one.evaluations for one in settings} == {24}
    assert [list(one.acting) for one in settings] == [[4, 5, 6, 7], [10, 11, 12, 13], []]


@pytest.mark.parametrize("estimate", ["improved_midpoint", "one_step", "midpoint"])
def test_only_the_guided_steps_are_guided(estimate):
    """And the network is asked as often as the setting says."""
    asked, guided = [], []

    def denoise(x, sigma):
        asked.append(float(sigma))
        return x / (1 + sigma**2)

    def energy(pictures):
        guided.append(len(asked))
        return pictures.square().mean((1, 2, 3))

    guide = Guide(lambda z: z[:, :3].movedim(1, -1), [Term(0.1, energy)], level=lambda share: 0.0 if share >= 1 else torch.inf)
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    setting = Setting(estimate, 4, 2)
    latents, whole, spent = sample(setting, denoise, noise, torch.ones(1, 1, 8, 8), guide, 0)
    each = setting.evaluations // 4
    assert len(asked) == setting.evaluations
    assert guided == [2 * each, 3 * each]
    assert 0 <= spent <= whole
    plain, _, none = sample(replace(setting, guided=0), denoise, noise, torch.ones(1, 1, 8, 8), guide, 0)
    assert none == 0
    assert not torch.equal(latents, plain)


def test_the_command_guidance(folder, tmp_path):
    """Table, figures and plot; it goes on where it stopped, and takes no folder of other settings."""
    out = tmp_path / "out"
    assert main(command(folder, out)) == 0
    found = json.loads((out / "guidance.json").read_text(encoding="utf-8"))
    rows = {(one["estimate"], one["steps"], one["guided"]): one for one in found["settings"]}
    assert list(rows) == [
        ("improved_midpoint", 2, 0), ("improved_midpoint", 2, 1), ("improved_midpoint", 2, 2), ("one_step", 4, 0),
        ("one_step", 4, 2), ("midpoint", 2, 0), ("midpoint", 2, 2),
    ]  # fmt: skip
    for (estimate, steps, guided), row in rows.items():
        gained = row["gained"]
        assert bool(gained) == bool(guided)
        assert row["guidance_seconds"]["value"] > 0 or not guided
        if guided:
            before = rows[estimate, steps, 0]
            assert gained["judge_cosine"]["value"] == pytest.approx(
                row["judge_cosine"]["value"] - before["judge_cosine"]["value"], abs=1e-9
            )
    table = (out / "guidance.md").read_text(encoding="utf-8")
    assert "- judges: judge_recogniser, judge_expression.onnx" in table
    assert "both streams off" in table
    with Image.open(out / "guidance.png") as plot:
        assert plot.width > 600
    before = (out / "guidance.json").read_text(encoding="utf-8")
    assert main(command(folder, out)) == 0
    assert (out / "guidance.json").read_text(encoding="utf-8") == before
    assert main(command(folder, out, "--identity-scale", "2")) == 2


def test_what_makes_no_sense_is_named(folder, tmp_path, capsys):
    shutil.copy(BUNDLED.judge_recogniser, folder / "renamed.onnx")
    cases = {
        "guided: expected 0 among them": ("--guided", "1", "2"),
        "guided: expected numbers from 0 to the 2 steps, found 3": ("--guided", "0", "3"),
        "solver-steps: expected an even number from 2 on, found 3": ("--solver-steps", "3"),
        "is the encoder that guides; what leads cannot measure": ("--guide", str(folder / "renamed.onnx")),
    }
    for message, more in cases.items():
        assert main(command(folder, tmp_path / "out", *more)) == 2
        assert message in capsys.readouterr().err
