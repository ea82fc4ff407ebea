"""Balance of the streams and errors of the estimators, on a tiny untrained network."""

import json
from dataclasses import replace

import pytest
import torch
from PIL import Image
from testkit.onnx_nets import save_mobilefacenet
from testkit.tiny_makehuman import tiny_folder

from sfsr_model.compound import CompoundConfig
from sfsr_model.estimators import ESTIMATORS
from sfsr_model.evaluation.__main__ import main
from sfsr_model.evaluation.balance import MassRecorder, measure, record_mass, stream_slices
from sfsr_model.evaluation.estimator_errors import ROUND_TRIP, squared_errors
from sfsr_model.evaluation.estimator_errors import measure as measure_errors
from sfsr_model.evaluation.network import Network
from sfsr_model.evaluation.study import Samples, Study
from sfsr_model.network import UNetConfig, save_checkpoint, untrained_checkpoint

SMALL = UNetConfig(model_channels=32, channel_mult=(1, 2), attention=(False, True), context_dim=24, head_channels=16)


def small_checkpoint():
    checkpoint = untrained_checkpoint(unet=SMALL)
    return replace(checkpoint, metadata=replace(checkpoint.metadata, resolution=64))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    save_mobilefacenet(folder / "recogniser.onnx")
    checkpoint = small_checkpoint()
    save_checkpoint(checkpoint, folder / "balanced.safetensors")
    loud = {name: 40 * value if name.startswith("identity.project") else value for name, value in checkpoint.compound.items()}
    metadata = replace(checkpoint.metadata, compound=replace(checkpoint.metadata.compound, balanced=False))
    save_checkpoint(replace(checkpoint, compound=loud, metadata=metadata), folder / "unbalanced.safetensors")
    return folder


def study(folder, name: str = "balanced", **changes) -> Study:
    inputs = folder / f"{name}.safetensors", tiny_folder() / "faces.npz", str(folder / "recogniser.onnx")
    return replace(Study(*inputs, seed=3, samples=3, batch=2, timesteps=(100, 800), size=None, device="cpu"), **changes)


def arguments(folder, command: str, *more: str) -> list[str]:
    return [
        command, "--checkpoint", str(folder / "balanced.safetensors"), "--cache", str(tiny_folder() / "faces.npz"),
        "--recogniser", str(folder / "recogniser.onnx"), "--samples", "1", "--timesteps", "100", "800", *more,
    ]  # fmt: skip


def test_recording_changes_nothing_but_rounding():
    """The recorder's own attention gives the network's prediction, and its shares are those of a softmax."""
    plain, recorded = Network(small_checkpoint()), Network(small_checkpoint())
    recorders = record_mass(recorded)
    generator = torch.Generator().manual_seed(0)
    picture, mask = torch.rand(1, 64, 64, 3, generator=generator), torch.ones(1, 64, 64)
    tokens = plain.tokens(torch.randn(1, 512, generator=generator), torch.rand(1, 52, generator=generator), None, 1.0, 1.0)
    x_t = torch.randn(1, 4, 8, 8, generator=generator)
    with torch.no_grad():
        expected, found = (net.predict(x_t, 2.0, tokens, net.surroundings(picture, mask)) for net in (plain, recorded))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert len(recorders) == 6
    for recorder in recorders.values():
        (shares,) = recorder.shares
        assert float(shares.sum()) == pytest.approx(1.0, abs=1e-5)


def test_mass_is_where_the_keys_are():
    """One head whose keys are the tokens: a query along the second token looks at it alone."""
    from diffusers.models.attention_processor import Attention

    attention = Attention(query_dim=3, cross_attention_dim=3, heads=1, dim_head=3, bias=False)
    with torch.no_grad():
        for layer in (attention.to_q, attention.to_k):
            layer.weight.copy_(torch.eye(3))
    recorder = MassRecorder([slice(0, 1), slice(1, 2), slice(2, 3)])
    attention.set_processor(recorder)
    attention(torch.tensor([[[0.0, 200.0, 0.0]]]), encoder_hidden_states=torch.eye(3)[None])
    assert recorder.shares[0].tolist() == pytest.approx([0.0, 1.0, 0.0], abs=1e-6)


def test_streams_lie_where_the_encoder_puts_them():
    slices = stream_slices(CompoundConfig(tokens_per_stream=3))
    assert slices == {"identity": slice(0, 3), "expression": slice(3, 6), "pose": slice(6, 7)}


def test_balance_is_seen_and_its_absence_too(folder):
    even, odd = (measure(Samples(study(folder, name))) for name in ("balanced", "unbalanced"))
    for result in (even, odd):
        assert sum(result.mass.values()) == pytest.approx(1.0, abs=1e-5)
        assert len(result.by_layer) == 6
        assert list(result.by_timestep) == ["100", "800"]
    assert even.even_mass == pytest.approx({"identity": 4 / 9, "expression": 4 / 9, "pose": 1 / 9})
    assert even.rms["identity"] == pytest.approx(even.rms["expression"], rel=0.4)
    assert odd.rms["identity"] > 10 * odd.rms["expression"]
    assert odd.mass["identity"] > even.mass["identity"] + 0.2


def test_the_command_balance(folder, tmp_path, capsys):
    assert main(arguments(folder, "balance", "--out", str(tmp_path))) == 0
    assert "| identity | 4 |" in capsys.readouterr().out
    document = json.loads((tmp_path / "balance.json").read_text())
    assert document["run"]["balanced"] is True
    with Image.open(tmp_path / "balance.png") as plot:
        plot.verify()


@pytest.mark.parametrize("name", ["balance", "estimators"])
def test_a_study_into_a_file_is_refused_before_the_work(folder, tmp_path, capsys, name):
    (tmp_path / "taken").write_bytes(b"")
    assert main(arguments(folder, name, "--out", str(tmp_path / "taken"))) == 2
    (told,) = capsys.readouterr().err.splitlines()  # no progress bar before it
    assert "taken cannot be made a folder" in told


def test_squared_errors_inside_a_mask():
    estimate, truth, mask = torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 2, 2), torch.zeros(1, 1, 2, 2)
    estimate[0, :, 0, 0], mask[0, 0, 0] = 3.0, 1.0
    assert squared_errors(estimate, truth).item() == pytest.approx(9 / 4)
    assert squared_errors(estimate, truth, mask).item() == pytest.approx(9 / 2)


def test_errors_of_a_denoiser_that_knows_the_answer(folder, monkeypatch):
    """Every estimator is then exact, whatever it does on the way, and pixels show the autoencoder's error alone."""
    samples = Samples(study(folder))
    batches = list(samples.batches())
    answers = {len(batch.x0): batch.x0 for batch in batches}
    monkeypatch.setattr(samples.network, "denoiser", lambda *_: lambda x, sigma: answers[len(x)])
    errors = measure_errors(samples, put_back=False)
    assert errors.keys() == {*ESTIMATORS, ROUND_TRIP}
    for name in ESTIMATORS:
        if name == "background":  # puts the target's latents outside the hole, which differ a little near it
            assert errors[name]["latents_face"][100].max() < 1e-6
            continue
        for time in (100, 800):
            assert len(errors[name]["latents"][time]) == 3
            assert errors[name]["latents"][time].max() < 1e-4
            torch.testing.assert_close(errors[name]["pixels"][time], errors[ROUND_TRIP]["pixels"][time], atol=1e-3, rtol=1e-2)


def test_the_same_background_for_all(folder):
    """Put back, what lies outside the mask is the target's for every estimator, so only the face is left to be wrong."""
    samples = Samples(study(folder, samples=1))
    free, known = (measure_errors(samples, put_back) for put_back in (False, True))
    for name in ESTIMATORS:
        for time in (100, 800):
            torch.testing.assert_close(free[name]["pixels_face"][time], known[name]["pixels_face"][time], rtol=0.2, atol=1e-3)
            assert (known[name]["pixels"][time] < free[name]["pixels"][time]).all()
            if name != "background":
                torch.testing.assert_close(free[name]["latents_face"][time], known[name]["latents_face"][time])


def test_the_command_estimators(folder, tmp_path, capsys):
    assert main(arguments(folder, "estimators", "--out", str(tmp_path))) == 0
    table = capsys.readouterr().out
    assert "the paper's improved midpoint here" in table
    document = json.loads((tmp_path / "estimators.json").read_text())
    one = document["estimators"]["one_step"]
    assert one["evaluations"] == 1
    assert set(one["latents_face"]["by_timestep"]) == {"100", "800"}
    assert one["latents_face"]["mean"]["low"] <= one["latents_face"]["mean"]["value"] <= one["latents_face"]["mean"]["high"]
    assert (tmp_path / "estimators.md").read_text() in table
    with Image.open(tmp_path / "estimators.png") as plot:
        plot.verify()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"samples": 0}, "samples: expected at least 1, found 0"),
        ({"timesteps": (0, 500)}, "timesteps: expected some from 1 to 999, found 0"),
        ({"timesteps": ()}, "found none"),
        ({"seed": -2}, "seed: expected 0 to"),
    ],
)
def test_studies_that_make_no_sense(folder, changes, message):
    with pytest.raises(ValueError, match=message):
        study(folder, **changes)


def test_the_sheet_of_words_has_a_row_a_person_and_a_column_a_word(folder, tmp_path, capsys):
    common = [
        "--checkpoint", str(folder / "balanced.safetensors"), "--cache", str(tiny_folder() / "faces.npz"),
        "--recogniser", str(folder / "recogniser.onnx"), "--steps", "1", "--people", "2",
    ]  # fmt: skip
    out = tmp_path / "sheets" / "words.jpg"
    assert main(["words", *common, "--out", str(out), "--words", "joy", "anger", "fear"]) == 0
    assert Image.open(out).size == (5 * 64, 2 * 64 + 16)
    assert main(["words", *common, "--out", str(out), "--words", "joyful"]) == 2
    assert "joyful" in capsys.readouterr().err
    assert main(["words", *common[:-1], "0", "--out", str(out)]) == 2
    assert "found 0, 0 and joy, amusement" in capsys.readouterr().err
