"""Training the network on a few tiny triplets: what it is fed and learns from, how it stops and goes on, what it exports."""

import itertools
import math
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from testkit.onnx_models import save_recogniser
from testkit.onnx_nets import save_se_recogniser
from testkit.tiny_landmarker import write_tiny_task
from testkit.tiny_training import PERSON, SIZE, write_autoencoder, write_settings, write_triplets

from sfsr_model.compound import CompoundEncoder
from sfsr_model.encoders.expression import ExpressionFileError, load_expression_reader
from sfsr_model.evaluation.cases import check_held_out
from sfsr_model.face.faceless import without_face
from sfsr_model.losses import expression_loss
from sfsr_model.network import load_checkpoint, save_checkpoint, untrained_checkpoint
from sfsr_model.network.checkpoint import RENDERED_SPACE
from sfsr_model.network.diffusers_names import unet_to_diffusers
from sfsr_model.network.layout import SD15_INPAINTING, unet_shapes
from sfsr_model.training.__main__ import main
from sfsr_model.training.balance import pulls
from sfsr_model.training.data import batch_of, collated, open_dataset
from sfsr_model.training.latents import LatentDataset
from sfsr_model.training.loop import TrainingError, train
from sfsr_model.training.network import NetworkTask
from sfsr_model.training.order import step_generator
from sfsr_model.training.picture_losses import Judged
from sfsr_model.training.settings import SettingsError, load_settings
from sfsr_model.training.state import averages_of, latest_state

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shared")
    write_triplets(folder / "triplets")
    write_autoencoder(folder / "autoencoder.safetensors")
    write_tiny_task(folder / "tiny.task")
    save_se_recogniser(folder / "recogniser.onnx")
    return folder


@pytest.fixture
def written(shared, tmp_path):
    """Write settings for the shared data, with changes, and return the file."""

    def write(**changes):
        return write_settings(tmp_path, shared / "triplets", shared / "autoencoder.safetensors", **changes)

    return write


def started(path):
    return NetworkTask(load_settings(path), quiet=True)


def first_batch(task, count=2):
    return collated(task.raw, 0, count)


def test_it_learns_from_cached_latents_and_exports_what_comes_back(written, tmp_path):
    path = written(
        steps=20,
        save_every=100,
        keep_every=8,
        sample_every=20,
        batch=4,
        losses={"outside": 1.0},
        about="noise",
        licence="CC0-1.0",
    )
    settings = load_settings(path)
    task = started(path)
    losses = []
    train(settings, task, lambda step, values: losses.append(values["loss"]))
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
    assert (tmp_path / "state/sample-00000020.png").is_file()

    out = tmp_path / "weights/model.safetensors"
    task.export(settings, out)
    loaded = load_checkpoint(out)
    about = loaded.metadata
    assert about.trained
    assert (about.identity_space, about.compound.identity_dim, about.resolution) == (RENDERED_SPACE, PERSON, SIZE)
    assert about.training_data.startswith("noise; shards: ")
    assert about.step == settings.steps
    with pytest.raises(ValueError, match="not held out"):
        check_held_out(task.raw.manifest["seed"], about.training_data, "model")
    assert (about.licence, about.prediction, about.base) == ("CC0-1.0", "eps", "demo")
    assert {name: tuple(value.shape) for name, value in loaded.unet.items()} == unet_shapes(settings.network.unet)
    assert all(value.dtype == torch.float16 for value in (*loaded.unet.values(), *loaded.compound.values()))
    named = unet_to_diffusers(loaded.unet, settings.network.unet)
    for name, value in averages_of(latest_state(settings.state), "unet").items():
        torch.testing.assert_close(named[name].float(), value, atol=1e-3, rtol=1e-3)
    CompoundEncoder(about.compound).load_state_dict(loaded.compound)
    task.export(settings, tmp_path / "earlier.safetensors", step=8)
    earlier = load_checkpoint(tmp_path / "earlier.safetensors")
    assert earlier.metadata.step == 8
    assert any(not torch.equal(earlier.unet[name], value) for name, value in loaded.unet.items())
    stored = load_file(settings.autoencoder)
    assert loaded.autoencoder.keys() == stored.keys()
    assert float(loaded.autoencoder["vae_scale"]) == float(stored["vae_scale"])


@pytest.mark.parametrize(
    "name",
    [
        "demo_autoencoder",
        "demo_detector",
        "demo_expression",
        "demo_finetune",
        "demo_network",
        "demo_recogniser",
        "full_network",
        "judge_expression",
        "judge_recogniser",
    ],
)
def test_the_examples_can_be_read(name):
    settings = load_settings(ROOT / f"sfsr_model/training/configs/{name}.yaml")
    millions = sum(math.prod(shape) for shape in unet_shapes(settings.network.unet).values()) / 1e6
    assert (settings.network.unet == SD15_INPAINTING) == (name == "full_network")
    assert millions <= 17 or name == "full_network"
    assert settings.losses.on_pictures == (name in ("demo_finetune", "full_network"))


def test_the_channels_are_the_hosts(written):
    """comfy/model_base.py, `concat_cond` after `set_inpaint()`: mask before masked latent, both behind the noisy latent.

    The mask is bilinear at the latent's size, then rounded; latents are times the format's 0.18215 after the autoencoder's own
    `vae_scale`.
    """
    task = started(written())
    sample = first_batch(task, 1)
    batch = batch_of(sample)
    seen = []
    task.unet.register_forward_pre_hook(lambda _module, arguments: seen.append(arguments))
    task.loss(task.modules, sample, step_generator(0, 0))
    channels, steps, tokens = seen[0]
    assert channels.shape == (1, 9, SIZE // 8, SIZE // 8)
    assert tokens.shape == (1, 9, task.compound_config.context_dim)
    stored = task.codec.stored

    def host_latent(image):
        encoder = task.codec.model.encoder.layers
        return encoder(image.movedim(-1, 1)) / stored["vae_scale"] * 0.18215

    mask = torch.nn.functional.interpolate(batch.mask[:, None], size=(8, 8), mode="bilinear").round()
    assert 0 < mask.mean() < 1
    assert torch.equal(channels[:, 4:5], mask)
    torch.testing.assert_close(channels[:, 5:], host_latent(without_face(batch.target, batch.mask)))
    generator = step_generator(0, 0)
    step = torch.randint(1000, (1,), generator=generator)
    noise = torch.randn(1, 4, 8, 8, generator=generator)
    sigma = task.sigmas[step]
    assert torch.equal(steps, step)
    torch.testing.assert_close(channels[:, :4], (host_latent(batch.answer) + sigma * noise) / (1 + sigma**2).sqrt())


@pytest.mark.parametrize(("dropped", "kept"), [("identity", "expression"), ("expression", "identity")])
def test_a_dropped_stream_is_its_null_and_the_other_is_not(written, dropped, kept):
    task = started(written(losses={f"{dropped}_drop": 1.0, f"{kept}_drop": 0.0, "pose_drop": 0.0}))
    sample = first_batch(task)
    seen = []
    task.unet.register_forward_pre_hook(lambda _module, arguments: seen.append(arguments[2]))
    task.loss(task.modules, sample, step_generator(0, 0))
    batch = batch_of(sample)
    inputs = (batch.person, batch.expression, batch.pose)
    off, on = torch.zeros(2), torch.ones(2)
    weights = (off, on) if dropped == "identity" else (on, off)
    assert torch.equal(seen[0], task.compound(*inputs, *weights))
    assert not torch.equal(seen[0], task.compound(*inputs, on, on))


def test_the_pose_alone_is_dropped_as_words_leave_it_out(written):
    task = started(written(losses={"identity_drop": 0.0, "expression_drop": 0.0, "pose_drop": 1.0}))
    sample = first_batch(task)
    seen = []
    task.unet.register_forward_pre_hook(lambda _module, arguments: seen.append(arguments[2]))
    task.loss(task.modules, sample, step_generator(0, 0))
    batch = batch_of(sample)
    on = torch.ones(2)
    assert torch.equal(seen[0], task.compound(batch.person, batch.expression, None, on, on))
    assert not torch.equal(seen[0], task.compound(batch.person, batch.expression, batch.pose, on, on))


def test_streams_are_dropped_independently(written):
    task = started(written(losses={"identity_drop": 0.5, "expression_drop": 0.5, "pose_drop": 0.5}))
    seen = []
    task.compound.register_forward_pre_hook(lambda _module, arguments: seen.append(arguments[3:]))
    sample = collated(task.dataset(), 0, 6)
    for step in range(6):
        task.loss(task.modules, sample, step_generator(0, step))
    drawn = {one for weights in seen for one in zip(*(weight.tolist() for weight in weights), strict=True)}
    assert {(identity, expression) for identity, expression, _ in drawn} == set(itertools.product((0.0, 1.0), repeat=2))
    assert {(expression, pose) for _, expression, pose in drawn} == {(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)}


@pytest.mark.parametrize("loss", ["identity", "expression", "perceptual", "background"])
@pytest.mark.parametrize(
    ("estimator", "gradient"), [("improved_midpoint", "last"), ("midpoint", "full"), ("background", "full")]
)
def test_each_loss_reaches_the_network(shared, written, loss, estimator, gradient):
    encoders = {"expression": str(shared / "tiny.task"), "identity": str(shared / "recogniser.onnx")}
    losses = {loss: 1000.0, "estimator": estimator, "gradient": gradient, "share": 0.5}
    task = started(written(losses=losses, encoders=encoders))
    sample = first_batch(task)
    total, parts = task.loss(task.modules, sample, step_generator(0, 0))
    assert parts.keys() == {"diffusion", loss}
    diffusion = replace_losses(task, **{loss: 0.0}).loss(task.modules, sample, step_generator(0, 0))[0]
    gradients = torch.autograd.grad(total - diffusion, list(task.unet.parameters()), allow_unused=True)
    sizes = [float(one.abs().sum()) for one in gradients if one is not None]
    assert all(torch.isfinite(torch.tensor(sizes)))
    # The two gradients of the diffusion loss cancel to about 1e-6.
    assert max(sizes) > 1e-3


def test_a_loss_pulls_by_its_weight(shared, written, capsys):
    """With one loss alone the whole gradient is its own; a weight of ten makes it ten times as long, the value stays."""
    losses = {"background": 1.0, "share": 0.5}

    def of(weight):
        settings = load_settings(written(losses={**losses, "background": weight}))
        return {one.name: one for one in pulls(settings, NetworkTask(settings), 2)}

    once, tenfold = of(1.0), of(10.0)
    assert set(once) == {"diffusion", "background"}
    assert tenfold["background"].value == pytest.approx(once["background"].value)
    assert tenfold["background"].norm == pytest.approx(10 * once["background"].norm, rel=1e-3)
    assert tenfold["diffusion"].norm == pytest.approx(once["diffusion"].norm, rel=1e-3)
    assert tenfold["background"].along > once["background"].along
    assert of(1e-6)["diffusion"].along == pytest.approx(1, abs=1e-3)
    assert main(["balance", str(written(losses=losses)), "--batches", "1"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()][-2:] == ["diffusion", "background"]
    assert main(["balance", str(written(losses=losses)), "--batches", "0"]) == 2


def test_the_projects_own_encoder_gives_the_expression_loss(written, tmp_path):
    reader = save_recogniser(tmp_path / "reader.onnx", dim=55, size=128)
    weights = {"expression": 1.0, "share": 1.0, "cross": 0.0}
    task = started(written(losses=weights, encoders={"expression": str(reader)}))
    sample = first_batch(task)
    total, parts = task.loss(task.modules, sample, step_generator(0, 0))
    (total - parts["diffusion"]).backward()
    assert max(float(one.grad.abs().max()) for one in task.unet.parameters() if one.grad is not None) > 0
    batch = batch_of(sample)
    shown = torch.rand(len(batch.answer), 3, SIZE, SIZE)
    points = batch.answer_points
    judged = Judged(
        shown,
        points,
        batch.person,
        batch.expression,
        batch.mask[:, None],
        batch.answer.movedim(-1, 1),
        torch.tensor([1.0, 0.0]),
    )
    found = task._picture_losses(judged)["expression"][1]
    encoder = load_expression_reader(reader)
    read, true = (encoder.measure(pictures, points)[0] for pictures in (shown.movedim(1, -1), batch.answer))
    wanted = torch.stack((true[0], batch.expression[1]))
    torch.testing.assert_close(found, expression_loss(read, wanted).mean())


def test_an_expression_encoder_that_is_none_is_named(shared, written):
    path = written(losses={"expression": 1.0}, encoders={"expression": str(shared / "recogniser.onnx")})
    with pytest.raises(ExpressionFileError, match=r"recogniser\.onnx: gives an output of"):
        started(path)


def replace_losses(task, **changes):
    """The same networks with other weights of the losses."""
    other = object.__new__(NetworkTask)
    other.__dict__.update(task.__dict__)
    other._losses = task._losses.model_copy(update=changes)
    return other


def test_v_is_trained_as_well(written):
    task = started(written(network={"prediction": "v"}, losses={"perceptual": 1.0}))
    total, parts = task.loss(task.modules, first_batch(task), step_generator(0, 0))
    assert torch.isfinite(total)
    assert parts["perceptual"] > 0


def test_checkpointing_changes_nothing_but_memory(written):
    sample, results = None, []
    for checkpointing in (False, True):
        task = started(written(network={"gradient_checkpointing": checkpointing}))
        task.unet.train()
        sample = sample or first_batch(task)
        total, _ = task.loss(task.modules, sample, step_generator(0, 0))
        total.backward()
        results.append((float(total.detach()), task.unet.conv_in.weight.grad))
    assert task.unet.is_gradient_checkpointing
    # The two attend by other kernels.
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-5)
    torch.testing.assert_close(results[0][1], results[1][1])


def test_latents_are_computed_once_and_give_the_same_loss(written, tmp_path):
    task = started(written(losses={"perceptual": 1.0}))
    kept = task.dataset()
    assert isinstance(kept, LatentDataset)
    files = sorted((tmp_path / "state/latents").iterdir())
    times = [path.stat().st_mtime_ns for path in files]
    again = task.dataset()
    assert [path.stat().st_mtime_ns for path in files] == times
    fresh, _ = task.loss(task.modules, first_batch(task), step_generator(0, 0))
    cached, _ = task.loss(task.modules, collated(again, 0, 2), step_generator(0, 0))
    torch.testing.assert_close(cached, fresh, rtol=2e-3, atol=0)


def test_latents_of_other_weights_or_torn_ones_are_made_anew(shared, written, tmp_path):
    task = started(written())
    task.dataset()
    path = tmp_path / "state/latents/latents-00000.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    task.dataset()
    assert path.read_bytes() == whole
    other = load_file(shared / "autoencoder.safetensors")
    other["vae_scale"] = other["vae_scale"] * 2
    save_file(other, tmp_path / "other.safetensors")
    first = load_file(path)["latent"].float()
    started(written(autoencoder=str(tmp_path / "other.safetensors"))).dataset()
    torch.testing.assert_close(2 * load_file(path)["latent"].float(), first, rtol=2e-3, atol=1e-3)


def test_a_killed_run_goes_on_to_the_same_weights(shared, written, tmp_path):
    extra = {"steps": 6, "save_every": 1, "losses": {"perceptual": 0.1, "background": 0.1}}
    whole = write_settings(tmp_path / "whole", shared / "triplets", shared / "autoencoder.safetensors", **extra)
    settings = load_settings(whole)
    train(settings, NetworkTask(settings, quiet=True))
    path = written(**extra)
    command = [sys.executable, "-m", "sfsr_model.training", "run", str(path)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as one:
        deadline = time.monotonic() + 120
        while latest_state(tmp_path / "state") is None and one.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(float(torch.rand(1)) * 0.3)
        os.kill(one.pid, signal.SIGKILL)
    assert latest_state(tmp_path / "state") is not None
    settings = load_settings(path)
    train(settings, NetworkTask(settings, quiet=True))
    states = [load_file(latest_state(folder / "state")) for folder in (tmp_path / "whole", tmp_path)]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_loss_that_is_not_finite_names_step_and_part(written):
    settings = load_settings(written(save_every=1, losses={"perceptual": 1.0}))
    task = NetworkTask(settings, quiet=True)

    def broken(step, values):
        if step == 1:
            with torch.no_grad():
                task.unet.conv_out.bias.fill_(float("nan"))

    with pytest.raises(TrainingError, match=r"step 1: the loss is nan \(diffusion nan, perceptual nan\)"):
        train(settings, task, broken)
    assert latest_state(settings.state).name == "step-00000001.safetensors"


@contextmanager
def files_of_at_most(size):
    """What a full disk does: no file of this process can grow beyond `size` bytes."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.skipif(sys.platform == "win32", reason="the size of files is limited as POSIX does")
def test_a_full_disk_is_named_and_what_was_there_stays(written, tmp_path, capsys):
    path = written(steps=2, save_every=1)
    with files_of_at_most(100_000):
        assert main(["run", str(path)]) == 2
    assert "step-00000001.safetensors: cannot be written" in capsys.readouterr().err
    assert main(["run", str(path)]) == 0
    out = tmp_path / "model.safetensors"
    out.write_bytes(b"earlier")
    with files_of_at_most(100_000):
        assert main(["export", str(path), "--out", str(out)]) == 2
    assert "model.safetensors: cannot be written" in capsys.readouterr().err
    assert out.read_bytes() == b"earlier"
    assert not list(tmp_path.rglob("*.partial"))


def test_a_state_folder_that_cannot_be_written_is_named_before_the_first_step(written, tmp_path, capsys):
    (tmp_path / "taken").write_bytes(b"")
    assert main(["run", str(written(state="taken/state"))]) == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert "state: " in told
    assert "cannot be written" in told


def test_a_place_for_an_export_that_cannot_be_written_is_named_first(written, tmp_path, capsys):
    (tmp_path / "taken").write_bytes(b"")
    assert main(["export", str(written()), "--out", str(tmp_path / "taken/model.safetensors")]) == 2
    assert capsys.readouterr().err.startswith(f"error: --out: {tmp_path / 'taken'} cannot be written")


def test_a_damaged_shard_is_named_before_the_first_step(shared, tmp_path, capsys):
    folder = write_triplets(tmp_path / "triplets")
    path = write_settings(tmp_path, folder, shared / "autoencoder.safetensors")
    shard = folder / "shard-00001.npz"
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    assert main(["run", str(path)]) == 2
    assert "shard-00001.npz: not a whole shard" in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"shard-00001\.npz: not a whole shard"):
        open_dataset(load_settings(path).data)
    middle = len(whole) // 3
    shard.write_bytes(whole[:middle] + bytes(byte ^ 255 for byte in whole[middle : middle + 64]) + whole[middle + 64 :])
    with pytest.raises(ValueError, match=r"shard-00001\.npz"):
        started(path).dataset()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {"size": 128}}, "holds triplets of 64 pixels; expected triplets of 128"),
        ({"encoders": {"identity": "nowhere.onnx"}}, r"encoders\.identity: .*nowhere\.onnx does not exist"),
        (
            {"losses": {"perceptual": 1.0, "highest_sigma": 0.001}},
            r"losses\.highest_sigma: 0\.001 lies below every noise level",
        ),
        ({"network": {"initial": "weights.ckpt"}}, r"weights\.ckpt is no \.safetensors file"),
        ({"network": {"initial": "missing.safetensors"}}, r"missing\.safetensors cannot be read"),
    ],
)
def test_what_does_not_fit_is_named(written, changes, message):
    with pytest.raises(SettingsError, match=message):
        started(written(**changes))


def test_an_autoencoder_is_no_network_to_begin_with(written):
    autoencoder = str(load_settings(written()).autoencoder)
    with pytest.raises(SettingsError, match=r"network\.initial: .* is a file of the format sfsr-autoencoder"):
        started(written(network={"initial": autoencoder}))


def stable_diffusion(folder, settings, change=lambda state: None):
    """A file laid out like a Stable Diffusion inpainting checkpoint, with the tiny UNet in it."""
    unet = untrained_checkpoint(3, settings.network.unet).unet
    state = {f"model.diffusion_model.{name}": value for name, value in unet.items()}
    state |= {f"first_stage_model.{name}": value for name, value in load_file(settings.autoencoder).items()}
    state["cond_stage_model.transformer.weight"] = torch.zeros(2)
    change(state)
    save_file(state, folder / "sd.safetensors")
    return unet


def test_a_stable_diffusion_checkpoint_gives_the_unet(written, tmp_path):
    unet = stable_diffusion(tmp_path, load_settings(written()))
    task = started(written(network={"initial": "sd.safetensors"}, autoencoder=None))
    named = unet_to_diffusers(unet, task._settings.network.unet)
    assert all(torch.equal(value, named[name]) for name, value in task.unet.state_dict().items())


def _four_channels(state):
    name = "model.diffusion_model.input_blocks.0.0.weight"
    state[name] = state[name][:, :4].contiguous()


def _without_middle(state):
    del state["model.diffusion_model.middle_block.0.in_layers.0.weight"]


def _no_unet(state):
    for name in [name for name in state if name.startswith("model.")]:
        del state[name]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_four_channels, "takes 4 channels, so it is not for inpainting"),
        (_without_middle, r"1 entries are missing, 0 unknown, 0 of another shape \(middle_block\.0\.in_layers\.0\.weight\)"),
        (_no_unet, r"holds no entry model\.diffusion_model\."),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_named(written, tmp_path, change, message):
    stable_diffusion(tmp_path, load_settings(written()), change)
    with pytest.raises(SettingsError, match=message):
        started(written(network={"initial": "sd.safetensors"}))


def test_training_goes_on_from_a_checkpoint_of_the_same_identities_alone(written, tmp_path):
    first = started(written())
    made = untrained_checkpoint(1, first._settings.network.unet)
    about = replace(made.metadata, compound=first.compound_config, identity_space=RENDERED_SPACE)
    compound = {name: value + 1 for name, value in first.compound.state_dict().items()}
    save_checkpoint(replace(made, compound=compound, metadata=about), tmp_path / "earlier.safetensors")
    task = started(written(network={"initial": "earlier.safetensors"}))
    assert all(torch.equal(value, compound[name]) for name, value in task.compound.state_dict().items())
    save_checkpoint(
        replace(made, compound=compound, metadata=replace(about, identity_space="onnx-1")), tmp_path / "earlier.safetensors"
    )
    with pytest.raises(SettingsError, match="the identities' space: onnx-1 there, rendered person here"):
        started(written(network={"initial": "earlier.safetensors"}))


def test_stable_diffusions_own_autoencoder_is_read(tmp_path):
    from diffusers import AutoencoderKL

    from sfsr_model.training.codec import load_codec

    levels = 4
    torch.manual_seed(0)
    theirs = AutoencoderKL(
        block_out_channels=(32,) * levels, down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels, layers_per_block=2, latent_channels=4,
    ).eval()  # fmt: skip
    save_file(
        {f"first_stage_model.{name}": value for name, value in original_names(theirs).items()}, tmp_path / "sd.safetensors"
    )
    codec = load_codec(tmp_path / "sd.safetensors")
    image = torch.rand(1, 32, 32, 3)
    with torch.no_grad():
        latent = theirs.encode(image.movedim(-1, 1) * 2 - 1).latent_dist.mode()
        torch.testing.assert_close(codec.encode(image), 0.18215 * latent)
        torch.testing.assert_close(codec.decode(codec.encode(image)), (theirs.decode(latent).sample + 1) / 2)
    assert "encoder.down.0.block.0.conv1.weight" in codec.stored


def original_names(model):
    """The weights of diffusers' autoencoder under the names that latent diffusion gave them."""
    names, levels = {}, len(model.config.block_out_channels)
    for name, value in model.state_dict().items():
        new, tensor = name, value
        for old, other in (
            ("mid_block.resnets.0", "mid.block_1"), ("mid_block.resnets.1", "mid.block_2"),
            ("mid_block.attentions.0", "mid.attn_1"), ("group_norm", "norm"), ("to_q", "q"), ("to_k", "k"), ("to_v", "v"),
            ("to_out.0", "proj_out"), ("conv_shortcut", "nin_shortcut"), ("conv_norm_out", "norm_out"),
        ):  # fmt: skip
            new = new.replace(old, other)
        for level in range(levels):
            new = new.replace(f"down_blocks.{level}.resnets", f"down.{level}.block")
            new = new.replace(f"down_blocks.{level}.downsamplers.0", f"down.{level}.downsample")
            new = new.replace(f"up_blocks.{level}.resnets", f"up.{levels - 1 - level}.block")
            new = new.replace(f"up_blocks.{level}.upsamplers.0", f"up.{levels - 1 - level}.upsample")
        if "attn_1" in new and tensor.ndim == 2:
            tensor = tensor[:, :, None, None]
        names[new] = tensor.contiguous()
    return names
