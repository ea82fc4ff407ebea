"""scripts/run_ablation.py on tiny networks: fine-tunes of one base, their evaluation, the table, and going on."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import pytest
from testkit.onnx_nets import save_mobilefacenet
from testkit.tiny_makehuman import tiny_folder
from testkit.tiny_training import TINY_UNET, write_autoencoder, write_settings, write_triplets

from sfsr_model.network import UNetConfig, load_checkpoint, save_checkpoint, untrained_checkpoint
from sfsr_model.training import loop

ROOT = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location("run_ablation", ROOT / "scripts" / "run_ablation.py")
script = importlib.util.module_from_spec(spec)
spec.loader.exec_module(script)


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ablation")
    save_mobilefacenet(folder / "recogniser.onnx")
    sizes = UNetConfig.from_dict({**UNetConfig().as_dict(), **TINY_UNET})
    base = untrained_checkpoint(1, sizes)
    save_checkpoint(replace(base, metadata=replace(base.metadata, resolution=64)), folder / "base.safetensors")
    return write_settings(
        folder, write_triplets(folder / "triplets"), write_autoencoder(folder / "autoencoder.safetensors"),
        network={"initial": "base.safetensors"}, encoders={"identity": "recogniser.onnx"},
        losses={"identity": 0.5, "share": 0.5}, save_every=1, optimiser={"rate": 0.01},
    )  # fmt: skip


def command(settings: Path, work: Path, *more: str) -> list[str]:
    return [
        str(settings), "--work", str(work), "--cache", str(tiny_folder() / "faces.npz"), "--people", "2",
        "--primary-people", "0", "--solver-steps", "1", "--seeds", "0", "--variants", "none", "one_step", "--steps", "2", *more,
    ]  # fmt: skip


def test_it_trains_evaluates_and_compares(settings, tmp_path, capsys, monkeypatch):
    """Stopped in the second fine-tune it goes on with that one; what was done before is neither trained nor made again."""
    train, report = loop.train, []

    def stopped(step, values):
        report.append(step)
        if len(report) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop, "train", lambda one, task: train(one, task, stopped))
    assert script.main(command(settings, tmp_path)) == 130
    done = [tmp_path / "finetunes/none-seed0/none-seed0.safetensors", *tmp_path.glob("evaluations/*/pictures/*.npz")]
    assert len(done) == 2
    kept = {path: path.stat().st_mtime_ns for path in done}
    assert script.main(command(settings, tmp_path)) == 0
    # Two steps, then the interrupt in the report of the first one, before it was saved; then both again.
    assert report == [1, 2, 1, 1, 2]
    table = capsys.readouterr().out
    assert "| none | 0 |" in table
    assert "| one_step | 0 |" in table
    document = json.loads((tmp_path / "ablation/ablation.json").read_text())
    values = [document["variants"][name]["identity_cosine"]["value"] for name in ("none", "one_step")]
    assert values[0] != values[1]
    files = sorted(tmp_path.glob("finetunes/*/*.safetensors"))
    assert [load_checkpoint(path).metadata.step for path in files] == [2, 2]
    assert not list(tmp_path.glob("finetunes/*/state"))
    assert len(list(tmp_path.glob("latents/*.safetensors"))) == 1

    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert script.main(command(settings, tmp_path, "--steps", "3")) == 2
    assert "steps: 2 then, 3 now" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--set", "network.initial="], "network.initial: expected a base checkpoint"),
        (["--set", "losses.identity=0"], "losses: none is on pictures"),
        (["--variants", "none", "truth"], "truth looks at the truth"),
        (["--variants", "three_step"], "three_step"),
        (["--steps", "0"], "steps"),
    ],
)
def test_ablations_that_make_no_sense(settings, tmp_path, capsys, more, message):
    assert script.main(command(settings, tmp_path / "work", *more)) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "work").exists()
