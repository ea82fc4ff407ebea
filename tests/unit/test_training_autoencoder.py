"""Training the autoencoder on a few rendered faces: it learns, it resumes to the bit, it exports what the host can read."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from testkit.tiny_makehuman import tiny_folder

from sfsr_model.network.layout import HOST_FACTOR, taesd_shapes
from sfsr_model.training.autoencoder import (
    AutoencoderTask,
    TinyAutoencoder,
    begin_with,
    cut_out,
    export_autoencoder,
    load_autoencoder,
    new_autoencoder,
    round_trip,
    with_shuffled_colours,
)
from sfsr_model.training.loop import TrainingError, rate_factor, train
from sfsr_model.training.settings import SettingsError, load_settings
from sfsr_model.training.state import averages_of, latest_state

ROOT = Path(__file__).parents[2]


def settings_file(folder: Path, **changes) -> Path:
    entries = {"steps": 4, "batch": 1, "save_every": 2, "sample_every": 100, "log_every": 1, **changes}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "run.yaml"
    data = f"data: {{path: '{tiny_folder() / 'faces.npz'}', size: 32, count: 6}}\noptimiser: {{warmup: 0, rate: 0.001}}\n"
    path.write_text(
        "task: autoencoder\nstate: state\n" + data + "".join(f"{name}: {value}\n" for name, value in entries.items())
    )
    return path


def run(path: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "sfsr_model.training", "run", str(path), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def trained_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    done = run(settings_file(folder))
    assert done.returncode == 0, done.stderr
    return folder


def test_it_learns(tmp_path):
    settings = load_settings(settings_file(tmp_path, steps=25, save_every=100), {"data.count": "1"})
    losses = []
    train(settings, AutoencoderTask(settings), lambda step, values: losses.append(values["absolute"]))
    assert min(losses[-5:]) < 0.8 * losses[0]


def test_it_learns_what_encoders_see(tmp_path):
    weights = ROOT / "sfsr_model" / "weights"
    encoders = f"{{identity: '{weights / 'demo_faces' / 'rec_photo.onnx'}', expression: '{weights / 'demo_expression.onnx'}'}}"
    path = settings_file(
        tmp_path, steps=25, save_every=100, codec="{crop: 16}", losses="{identity: 3, expression: 7}", encoders=encoders
    )
    settings, found = load_settings(path, {"data.count": "1", "losses.share": "1"}), []
    train(settings, AutoencoderTask(settings), lambda step, values: found.append(values))
    for one in found:
        pixels = one["absolute"] + one["bands"] + settings.losses.latent * one["latent"]
        assert one["loss"] == pytest.approx(pixels + 3 * one["identity"] + 7 * one["expression"], rel=1e-4)
    assert min(one["identity"] for one in found[-5:]) < 0.8 * found[0]["identity"]


def test_a_killed_run_goes_on_to_the_same_weights(trained_folder, tmp_path):
    path = settings_file(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-m", "sfsr_model.training", "run", str(path)], cwd=ROOT, stderr=subprocess.DEVNULL
    ) as one:
        deadline = time.monotonic() + 120
        while latest_state(tmp_path / "state") is None and one.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(one.pid, signal.SIGKILL)
    killed_at = latest_state(tmp_path / "state")
    assert killed_at is not None
    done = run(path)
    assert done.returncode == 0, done.stderr
    whole, resumed = (load_file(latest_state(folder / "state")) for folder in (trained_folder, tmp_path))
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_finished_run_has_nothing_left_to_do(trained_folder):
    before = latest_state(trained_folder / "state").stat().st_mtime_ns
    assert run(trained_folder / "run.yaml").returncode == 0
    assert latest_state(trained_folder / "state").stat().st_mtime_ns == before


def test_other_settings_in_the_same_folder_are_refused(trained_folder):
    done = run(trained_folder / "run.yaml", "--set", "seed=5", "--set", "steps=6")
    assert done.returncode == 2
    assert "seed: the default then, 5 now" in done.stderr
    assert "Traceback" not in done.stderr


def test_exported_weights_are_the_hosts_and_come_back(trained_folder, tmp_path):
    out = tmp_path / "autoencoder.safetensors"
    settings = load_settings(trained_folder / "run.yaml")
    task = AutoencoderTask(settings)
    task.export(settings, out)
    stored = load_file(out)
    assert {name: tuple(value.shape) for name, value in stored.items()} == taesd_shapes()
    model, spread, _ = load_autoencoder(out)
    assert float(stored["vae_scale"]) == pytest.approx(HOST_FACTOR * spread)
    averages = averages_of(latest_state(settings.state), "autoencoder")
    task.autoencoder.load_state_dict(averages)
    picture = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(round_trip(model, picture), round_trip(task.autoencoder, picture), atol=2e-2, rtol=0)


def test_a_thin_autoencoder_is_the_whole_one_with_its_silent_blocks(tmp_path):
    """What was trained thin must give the same pictures in programs that run every block."""
    settings = load_settings(settings_file(tmp_path, codec="{thin: true, crop: 16, noise: 0.1}"))
    task = AutoencoderTask(settings)
    before = {name: value.clone() for name, value in task.autoencoder.state_dict().items()}
    train(settings, task)
    learned = {name for name, value in task.autoencoder.state_dict().items() if not torch.equal(value, before[name])}
    assert not any(name.startswith(("encoder.layers.1.", "decoder.layers.17.")) for name in learned)
    assert {"encoder.layers.3.conv.0.weight", "decoder.layers.12.conv.0.weight"} <= learned
    whole = new_autoencoder(1)
    whole.load_state_dict(task.autoencoder.state_dict())
    picture = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(round_trip(whole, picture), round_trip(task.autoencoder, picture), atol=1e-5, rtol=0)


def test_training_goes_on_from_exported_weights(trained_folder, tmp_path):
    out = tmp_path / "autoencoder.safetensors"
    AutoencoderTask(load_settings(trained_folder / "run.yaml")).export(load_settings(trained_folder / "run.yaml"), out)
    task = AutoencoderTask(load_settings(settings_file(tmp_path, codec=f"{{initial: '{out}'}}")))
    stored = load_autoencoder(out)[0].state_dict()
    assert all(torch.equal(value, stored[name]) for name, value in task.autoencoder.state_dict().items())


def test_channels_are_added_to_exported_weights(trained_folder, tmp_path):
    """The decoder does not hear the new ones at first: the pictures are those that the exported weights give."""
    out = tmp_path / "autoencoder.safetensors"
    AutoencoderTask(load_settings(trained_folder / "run.yaml")).export(load_settings(trained_folder / "run.yaml"), out)
    path = settings_file(tmp_path, codec=f"{{channels: 16, thin: true, noise: 0.1, initial: '{out}'}}")
    task, old = AutoencoderTask(load_settings(path)), load_autoencoder(out)[0]
    picture = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert task.autoencoder(picture, encode=True).shape == (2, 16, 4, 4)
    small = TinyAutoencoder(4, thin=True)
    begin_with(small, old)
    torch.testing.assert_close(round_trip(task.autoencoder, picture), round_trip(small, picture))
    train(load_settings(path), task)
    grown = tmp_path / "grown.safetensors"
    task.export(load_settings(path), grown)
    assert {name: tuple(value.shape) for name, value in load_file(grown).items()} == taesd_shapes(16)
    model, _, _ = load_autoencoder(grown)
    torch.testing.assert_close(round_trip(model, picture), round_trip(task.autoencoder, picture), atol=2e-2, rtol=0)


def test_crops_are_squares_of_their_own_pictures():
    pictures = torch.arange(2 * 3 * 8 * 8).reshape(2, 3, 8, 8).float()
    cut = cut_out(pictures, 4, torch.Generator().manual_seed(0))
    assert cut.shape == (2, 3, 4, 4)
    for picture, one in zip(pictures, cut, strict=True):
        top, left = divmod(int(one[0, 0, 0] - picture[0, 0, 0]), 8)
        assert torch.equal(one, picture[:, top : top + 4, left : left + 4])


def test_a_decoder_is_trained_on_under_the_same_latents(tmp_path):
    out = tmp_path / "before.safetensors"
    export_autoencoder(new_autoencoder(0).state_dict(), 1.0, out)
    path = settings_file(tmp_path, codec=f"{{initial: '{out}', decoder_only: true}}")
    settings = load_settings(path)
    task = AutoencoderTask(settings)
    before = {name: value.clone() for name, value in task.autoencoder.state_dict().items()}
    train(settings, task)
    after = task.autoencoder.state_dict()
    moved = {name.split(".")[0] for name, value in before.items() if not torch.equal(value, after[name])}
    assert moved == {"decoder"}
    with pytest.raises(SettingsError, match=r"codec.*decoder_only: there is no encoder.*give initial"):
        load_settings(settings_file(tmp_path, codec="{decoder_only: true}"))


def test_some_pictures_have_their_colours_in_another_order():
    pictures = torch.arange(3.0)[None, :, None, None].expand(600, 3, 2, 2)
    shuffled = with_shuffled_colours(pictures, 0.5, torch.Generator().manual_seed(0))
    assert torch.equal(shuffled.sort(1).values, pictures)
    assert torch.equal(shuffled.amin((2, 3)), shuffled.amax((2, 3)))
    # One order in six is that of before.
    assert 0.35 < float((shuffled[:, :, 0, 0] != pictures[:, :, 0, 0]).any(1).float().mean()) < 0.48
    assert torch.equal(with_shuffled_colours(pictures, 0.0, torch.Generator()), pictures)


def test_a_crop_beyond_the_pictures_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"codec\.crop: found 64; expected at most data\.size, 32"):
        load_settings(settings_file(tmp_path, codec="{crop: 64}"))


def test_a_loss_that_is_not_finite_stops_and_keeps_the_state(tmp_path):
    settings = load_settings(settings_file(tmp_path, save_every=1, steps=3))

    class Breaks(AutoencoderTask):
        steps = 0

        def loss(self, modules, sample, generator):
            total, parts = super().loss(modules, sample, generator)
            self.steps += 1
            return (total * float("nan") if self.steps == 3 else total), parts

    with pytest.raises(TrainingError, match="step 2: the loss is nan"):
        train(settings, Breaks(settings))
    assert latest_state(settings.state).name == "step-00000002.safetensors"


def test_what_is_no_autoencoder_is_named(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"encoder.weight": torch.zeros(1)}, path)
    with pytest.raises(SettingsError, match=r"other\.safetensors is no autoencoder of this program"):
        load_autoencoder(path)
    with pytest.raises(SettingsError, match=r"codec\.initial: .*other\.safetensors is no autoencoder"):
        AutoencoderTask(load_settings(settings_file(tmp_path, codec=f"{{initial: '{path}'}}")))


def test_the_rate_rises_then_falls_to_a_tenth():
    assert rate_factor(0, 100, 10) == pytest.approx(0.1)
    assert rate_factor(9, 100, 10) == rate_factor(10, 100, 10) == 1.0
    assert rate_factor(100, 100, 10) == pytest.approx(0.1)
