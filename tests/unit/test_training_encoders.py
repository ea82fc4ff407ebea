"""Training the demo encoders on a few triplets: their losses, what they learn, and the files that others read."""

import math

import numpy as np
import onnxruntime
import pytest
import torch
from testkit.onnx_graph import GraphWriter
from testkit.tiny_training import write_settings, write_triplets
from torch.utils.flop_counter import FlopCounterMode

from sfsr_model.encoders.alignment import arcface_template
from sfsr_model.encoders.expression import load_expression_reader
from sfsr_model.encoders.pack import load_recogniser
from sfsr_model.training.__main__ import main
from sfsr_model.training.aligned import cut_off, faces_of
from sfsr_model.training.data import collated
from sfsr_model.training.exported import take_over
from sfsr_model.training.expression_encoder import ExpressionTask
from sfsr_model.training.face_network import FaceNetwork, export_onnx
from sfsr_model.training.loop import train
from sfsr_model.training.onnx_export import in_8_bits
from sfsr_model.training.plain_network import PlainNetwork
from sfsr_model.training.recogniser import RecogniserTask, margin_loss, read_faces
from sfsr_model.training.settings import SettingsError, load_settings

TASKS = {"recogniser": RecogniserTask, "expression": ExpressionTask}


@pytest.fixture(scope="module")
def triplets(tmp_path_factory):
    return write_triplets(tmp_path_factory.mktemp("data") / "triplets")


@pytest.fixture
def started(triplets, tmp_path):
    """Settings file, settings and task of a name; changes replace settings."""

    def make(name, **changes):
        path = write_settings(tmp_path, triplets, tmp_path / "none", **{"task": name, "batch": 6, **changes})
        settings = load_settings(path)
        return path, settings, TASKS[name](settings)

    return make


def test_the_margin_is_of_the_right_angle_alone():
    """Own key at 60 degrees, the other at 90: logits of cos(60 degrees + 0.2) and 0, times 24."""
    query = torch.tensor([[1.0, 0.0, 0.0]])
    keys = torch.tensor([[0.5, math.sqrt(0.75), 0.0], [0.0, 0.0, 1.0]])
    right = 24 * math.cos(math.pi / 3 + 0.2)
    assert float(margin_loss(query, keys)) == pytest.approx(math.log(1 + math.exp(-right)), rel=1e-4)


@pytest.mark.parametrize(
    ("name", "architecture"), [("recogniser", "residual"), ("expression", "residual"), ("recogniser", "plain"),
                               ("expression", "plain")]
)  # fmt: skip
def test_it_learns(started, name, architecture, tmp_path):
    _, settings, task = started(
        name, steps=14, batch=3, save_every=100, sample_every=14, encoder={"architecture": architecture}
    )
    assert isinstance(task.network, FaceNetwork if architecture == "residual" else PlainNetwork)
    losses = []
    train(settings, task, lambda step, values: losses.append(values["loss"]))
    assert sum(losses[-5:]) < 0.85 * sum(losses[:5])
    assert (tmp_path / "state/sample-00000014.png").is_file()


def test_faces_vary_by_the_generator_alone(started):
    _, _, task = started("recogniser")
    sample = collated(task.dataset(), 0, 2)
    plain, again = (faces_of(sample, arcface_template(112), 112) for _ in range(2))
    varied = [faces_of(sample, arcface_template(112), 112, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert plain.shape == (8, 3, 112, 112)
    assert torch.equal(plain, again)
    assert torch.equal(varied[0], varied[1])
    assert not torch.equal(varied[0], varied[2])
    assert 0 <= float(varied[0].min()) <= float(varied[0].max()) <= 1


def test_some_faces_end_in_black_as_at_a_pictures_edge():
    faces = torch.ones(2000, 3, 112, 112)
    black = cut_off(faces, torch.Generator().manual_seed(0))[:, 0] == 0
    assert 0.3 < float(black.flatten(1).any(1).float().mean()) < 0.45
    edges = {"top": black[:, 0], "bottom": black[:, -1], "left": black[:, :, 0], "right": black[:, :, -1]}
    whole = {name: edge.all(1) for name, edge in edges.items()}
    assert 0.2 < float(whole["top"].float().mean()) < 0.32
    assert all(0.02 < float(whole[name].float().mean()) < 0.06 for name in ("bottom", "left", "right"))
    # One edge of each, never the middle of the face.
    assert int(torch.stack(list(whole.values())).sum(0).max()) == 1
    assert not black[:, 28:-17, 17:-17].any()


@pytest.mark.parametrize("architecture", ["residual", "plain"])
def test_insightface_and_this_pack_read_the_recogniser(started, architecture, tmp_path):
    path, _, task = started("recogniser", steps=2, encoder={"architecture": architecture})
    assert main(["run", str(path)]) == 0
    out = tmp_path / "weights" / "recogniser.onnx"
    assert main(["export", str(path), "--out", str(out)]) == 0
    faces = (faces_of(collated(task.dataset(), 0, 2), arcface_template(112), 112) * 255).round() / 255
    task.export(load_settings(path), tmp_path / "again.onnx")
    encoder = load_recogniser(out, "CPU")
    assert encoder.dim == 512
    # insightface takes BGR bytes.
    pixels = [(face.movedim(0, -1).flip(-1) * 255).round().byte().numpy() for face in faces]
    read = torch.nn.functional.normalize(encoder.embed_aligned(pixels), dim=-1)
    # Its weights are in 8 bits.
    torch.testing.assert_close(read, read_faces(task.network, faces), atol=5e-3, rtol=0)
    torch.testing.assert_close(
        torch.nn.functional.normalize(encoder.differentiable()(faces), dim=-1), read, atol=1e-4, rtol=1e-3
    )


@pytest.mark.parametrize("architecture", ["residual", "plain"])
def test_the_expression_encoder_is_an_onnx_file_of_any_batch(started, architecture, tmp_path):
    path, _, task = started("expression", steps=2, encoder={"architecture": architecture})
    assert main(["run", str(path)]) == 0
    out = tmp_path / "expression.onnx"
    assert main(["export", str(path), "--out", str(out)]) == 0
    faces = torch.rand(3, 3, 128, 128) * 2 - 1
    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    (read,) = session.run(None, {"input.1": faces.numpy()})
    assert read.shape == (3, 55)
    np.testing.assert_allclose(torch.cat(load_expression_reader(out)(faces / 2 + 0.5), 1).numpy(), read, atol=1e-4)
    assert task.network.side == 128


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("architecture", ["residual", "plain"])
def test_an_exported_encoder_is_trained_on(started, name, architecture, tmp_path):
    path, _, _ = started(name, steps=3, encoder={"architecture": architecture})
    out = tmp_path / "first.onnx"
    assert main(["run", str(path)]) == 0
    assert main(["export", str(path), "--out", str(out)]) == 0
    _, _, task = started(name, steps=1, encoder={"architecture": architecture, "initial": str(out)})
    side = task.network.side
    faces = torch.rand(3, 3, side, side) * 2 - 1
    (read,) = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"]).run(None, {"input.1": faces.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(task.network.eval()(faces).numpy(), read, atol=1e-4 * np.abs(read).max())
    # Normalisations have spreads of their own again, which training goes on from.
    spreads = [layer.running_var for layer in task.network.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    assert not any(torch.allclose(spread, torch.ones(())) for spread in spreads)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"architecture": "residual"}, "of a network of other layers (Conv where PRelu is expected); set encoder.architecture"),
        ({"initial": "absent.onnx"}, "encoder.initial: absent.onnx: cannot be read as an ONNX network"),
    ],
)
def test_an_encoder_of_other_layers_is_named(started, changes, told, tmp_path, capsys):
    path, _, _ = started("expression", steps=1, encoder={"architecture": "plain"})
    out = tmp_path / "first.onnx"
    assert main(["run", str(path)]) == 0
    assert main(["export", str(path), "--out", str(out)]) == 0
    encoder = {"architecture": "plain", "initial": str(out), **changes}
    sets = [text for entry, value in encoder.items() for text in ("--set", f"encoder.{entry}={value}")]
    assert main(["run", str(path), *sets, "--set", f"state={tmp_path / 'other'}"]) == 2
    assert told in capsys.readouterr().err


def test_an_encoder_that_was_not_trained_is_taken_over_too(tmp_path):
    """Its biases are all alike, and equal weights are in the file once."""
    torch.manual_seed(3)
    network, other = FaceNetwork(112, 8), FaceNetwork(112, 8)
    export_onnx(network, tmp_path / "fresh.onnx", "vector")
    faces = torch.rand(4, 3, 112, 112) * 2 - 1
    take_over(other, tmp_path / "fresh.onnx", faces)
    with torch.no_grad():
        torch.testing.assert_close(other.eval()(faces), network.eval()(faces), atol=2e-2, rtol=0)


def test_layers_without_their_weights_are_not_taken_over(tmp_path):
    graph = GraphWriter(112)
    graph.save(tmp_path / "bare.onnx", graph.node("Conv", graph.input, graph.normal(24, 3, 3, 3), kernel_shape=[3, 3]))
    with pytest.raises(SettingsError, match=r"bare\.onnx is of a network of other layers \(Conv with 1 weights where 2 are"):
        take_over(FaceNetwork(112, 8), tmp_path / "bare.onnx", torch.zeros(2, 3, 112, 112))


def test_squared_errors_are_shares_of_the_variance(started):
    """Whoever always reads the mean leaves all of it, beside the little that is added to each variance."""
    _, _, task = started("expression", encoder={"errors": "squared"})
    sample = collated(task.dataset(), 0, 6)
    wanted = sample["coefficients"].flatten(0, 1)
    mean = torch.nn.functional.pad(wanted.mean(0), (0, 3)).expand(len(wanted), -1)
    _, parts = task.loss({"network": lambda faces: mean}, sample, torch.Generator().manual_seed(0))
    variance = wanted.var(0)
    expected = (variance * (len(wanted) - 1) / len(wanted) / (variance + 0.005)).mean()
    torch.testing.assert_close(parts["coefficients"], expected)


def test_weights_in_8_bits_are_the_nearest():
    values = torch.randn(5, 3, 2, 2, generator=torch.Generator().manual_seed(0)).numpy()
    values[2] = 0
    packed, scale = in_8_bits(values)
    assert packed.dtype == np.int8
    assert np.abs(packed).reshape(5, -1).max(1).tolist() == [127, 127, 0, 127, 127]
    assert (np.abs(packed * scale[:, None, None, None] - values) <= scale[:, None, None, None] / 2 + 1e-7).all()


def test_the_work_of_the_two_architectures():
    """A step of the second costs less than half of one of the first."""
    work = {}
    for kind in (FaceNetwork, PlainNetwork):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            kind(112, 512).eval()(torch.zeros(1, 3, 112, 112))
        work[kind] = counter.get_total_flops()
    assert work[PlainNetwork] < work[FaceNetwork] / 2


def test_photos_show_nobody_twice(started, tmp_path, capsys):
    path, _, _ = started("recogniser")
    assert main(["run", str(path), "--set", "data.kind=photos"]) == 2
    assert "task: recogniser learns from rendered triplets" in capsys.readouterr().err


@pytest.mark.parametrize("name", TASKS)
def test_nothing_to_export_is_named(started, name, tmp_path, capsys):
    path, _, _ = started(name)
    assert main(["export", str(path), "--out", str(tmp_path / "x.onnx")]) == 2
    assert "holds no state; train first" in capsys.readouterr().err
    assert not (tmp_path / "x.onnx").exists()
