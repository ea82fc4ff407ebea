"""The paper's study in its parts, on tiny untrained networks: what is written, how it goes on, and what is refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from testkit.onnx_nets import save_mobilefacenet, save_se_recogniser
from testkit.tiny_landmarker import write_tiny_task
from testkit.tiny_makehuman import tiny_folder

from sfsr_model.estimators import ESTIMATORS
from sfsr_model.evaluation.__main__ import main
from sfsr_model.evaluation.metrics import Figure
from sfsr_model.evaluation.paper.ablation import VARIANTS, ablation, over_seeds, variant_and_seed
from sfsr_model.evaluation.paper.bins import spread
from sfsr_model.evaluation.paper.curve import METHODS, Point, lowest, training_step, training_steps
from sfsr_model.evaluation.paper.reconstructions import COLUMNS, with_details
from sfsr_model.network import UNetConfig, save_checkpoint, untrained_checkpoint

SMALL = UNetConfig(model_channels=32, channel_mult=(1, 2), attention=(False, True), context_dim=24, head_channels=16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two checkpoints of one training, fine-tunes of two variants, and the judges."""
    folder = tmp_path_factory.mktemp("inputs")
    save_mobilefacenet(folder / "recogniser.onnx")
    save_se_recogniser(folder / "judge.onnx", seed=1)
    write_tiny_task(folder / "judge.task")
    for number, (name, step) in enumerate({"first": 10, "last-20": None, "none-seed0": 1, "one_step-seed0": 1}.items()):
        checkpoint = untrained_checkpoint(number, SMALL)
        metadata = replace(checkpoint.metadata, resolution=64, step=step, training_data="rendered triplets, seed 7")
        save_checkpoint(replace(checkpoint, metadata=metadata), folder / f"{name}.safetensors")
    return folder


def command(folder: Path, out: Path, *parts: str, **changes) -> list[str]:
    options = {
        "cache": tiny_folder() / "faces.npz", "recogniser": folder / "recogniser.onnx", "out": out, "seed": 5, "samples": 2,
        "batch": 2, "rows": 2, "steps": 1, "people": 2, "primary-people": 0, "judge": folder / "judge.onnx",
        "expression-judge": folder / "judge.task",
    }  # fmt: skip
    lists = {
        "checkpoints": [folder / "first.safetensors", folder / "last-20.safetensors"],
        "finetunes": sorted(folder.glob("*-seed0.safetensors")),
        "timesteps": [100, 800],
        "shown-timesteps": [500],
    }
    options |= {name.replace("_", "-"): value for name, value in changes.items()}
    lists |= {name: options.pop(name) for name in list(options) if isinstance(options[name], list)}
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    words += [word for name, values in lists.items() if values for word in (f"--{name}", *values)]
    return ["study", *(["--parts", *parts] if parts else []), *map(str, words)]


@pytest.fixture(scope="module")
def finished(folder, tmp_path_factory):
    """All parts in one go."""
    out = tmp_path_factory.mktemp("study") / "out"
    assert main(command(folder, out)) == 0
    return out


def test_the_curve_follows_the_training(finished):
    document = json.loads((finished / "curve/curve.json").read_text())
    assert [(point["name"], point["step"]) for point in document["checkpoints"]] == [
        ("first.safetensors", 10), ("last-20.safetensors", 20),
    ]  # fmt: skip
    first, last = (point["estimators"] for point in document["checkpoints"])
    assert set(first) == {*ESTIMATORS, "round_trip"}
    assert set(first["ddim"]["pixels_face"]["by_timestep"]) == {"100", "800"}
    assert first["ddim"]["latents"]["mean"]["count"] == 2
    assert first["one_step"]["latents"]["mean"] != last["one_step"]["latents"]["mean"]
    assert all(sum(found.values()) == 2 for found in document["lowest"].values())
    assert "| 20 |" in (finished / "curve/curve.md").read_text()
    for name in ("curve", "curve_latents", "curve_pixels_face"):
        with Image.open(finished / f"curve/{name}.png") as plot:
            plot.verify()


def test_the_curve_goes_on_where_it_was_stopped(folder, finished, tmp_path):
    """What was measured and rendered is taken as it lies there, what is missing is made again to the same figures."""
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    errors = sorted(out.glob("curve/kept/*/errors/part-*.npz"))
    assert len(errors) == 2
    kept, gone = errors
    gone.unlink()
    (out / "curve/curve.json").unlink()
    times = {path: path.stat().st_mtime_ns for path in (kept, *out.glob("rendered/faces/*.npz"))}
    assert len(times) == 2
    assert main(command(folder, out, "curve")) == 0
    assert (out / "curve/curve.json").read_text() == (finished / "curve/curve.json").read_text()
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert gone.exists()


def test_other_settings_do_not_mix_with_what_lies_there(folder, finished, tmp_path, capsys):
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    assert main(command(folder, out, "curve", timesteps=[200])) == 2
    assert "timesteps: [100, 800] then, [200] now" in capsys.readouterr().err
    assert main(command(folder, out, "curve", samples=4)) == 2
    assert "samples: 2 then, 4 now" in capsys.readouterr().err


def test_the_sheets_show_every_column(finished):
    """Width tells the columns: cells of 128 pixels and 4 between them, beside the rows' captions."""
    for name, columns, rows in (("reconstructions/reconstructions", len(COLUMNS), 2), ("faces/faces", 3 + 2 + 1, 2)):
        with Image.open(finished / f"{name}.jpg") as sheet:
            assert (sheet.width - 132 * columns) in range(5, 80), name
            assert sheet.height > rows * 132, name
    for name in ("yaw", "light"):
        with Image.open(finished / f"bins/{name}.jpg") as sheet:
            assert sheet.width > 5 * 132


def test_the_faces_of_other_weights_differ(finished):
    kept = [np.load(path)["generated"] for path in sorted(finished.glob("faces/kept/*/pictures/part-0000.npz"))]
    assert len(kept) == 2
    assert np.abs(kept[0].astype(int) - kept[1]).mean() > 1


def test_the_ablation_of_one_seed(finished):
    document = json.loads((finished / "ablation/ablation.json").read_text())
    assert list(document["variants"]) == ["none", "one_step"]
    metrics = json.loads((finished / "evaluations/one_step-seed0/metrics.json").read_text())["metrics"]
    one = document["variants"]["one_step"]
    assert one["identity_cosine"] == metrics["identity_cosine"]["generated"]
    assert one["paper"] == {"ID": 83.1, "Exp": 0.62}
    assert one["seeds"] == [0]
    with Image.open(finished / "ablation/ablation.png") as plot:
        plot.verify()


def evaluations(folder: Path, values: dict[str, list[float]], **run) -> list[Path]:
    """Finished folders of two metrics: identity as given, for each seed, and an expression that nobody judged."""
    folders = []
    for variant, seeds in values.items():
        for seed, value in enumerate(seeds):
            folders.append(folder / f"{variant}-seed{seed}")
            folders[-1].mkdir()
            figure = {"value": value, "low": value - 0.1, "high": value + 0.1, "count": 9}
            nothing = {"value": None, "low": None, "high": None, "count": 0}
            metrics = {"identity_cosine": figure, "identity_retrieval": figure, "expression_error": nothing}
            document = {"run": {"people": 9, **run}, "metrics": {name: {"generated": one} for name, one in metrics.items()}}
            (folders[-1] / "metrics.json").write_text(json.dumps(document))
    return folders


def test_the_ablation_over_seeds(tmp_path):
    values = {"improved_midpoint": [0.80, 0.82, 0.84], "one_step": [0.70, 0.74, 0.78], "mean": [0.5, 0.5, 0.5]}
    table = ablation(evaluations(tmp_path, values), tmp_path / "out")
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert [row.split("|")[1].strip() for row in rows[2:5]] == ["one_step", "improved_midpoint", "mean"]
    # Student's t of two degrees of freedom is 4.3027: 0.82 -+ 4.3027 * 0.02 / sqrt(3).
    assert "| improved_midpoint | 0, 1, 2 | 82.00 (77.03 to 86.97) | 82.00 (77.03 to 86.97) | - | 87.0 | 0.63 |" in table
    assert "| mean | 0, 1, 2 | 50.00 (50.00 to 50.00) | 50.00 (50.00 to 50.00) | - | - | - |" in table
    assert "Order here by identity cosine: improved_midpoint > one_step > mean" in table
    assert "Order in the paper by ID: improved_midpoint > one_step > midpoint > none" in table
    # 0.10, 0.08, 0.06 on the same seeds: their mean, and 4.3027 * 0.02 / sqrt(3) about it.
    assert "| one_step | 8.00 (3.03 to 12.97) |" in table


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a, b: b.rename(b.with_name("two")), "two: expected a name such as one_step-seed0"),
        (lambda a, b: (b / "metrics.json").write_text("{}"), "is not the result of an evaluation"),
        (lambda a, b: (b / "metrics.json").unlink(), "is not the result of an evaluation"),
        (lambda a, b: b.rename(b.with_name("none-seed-0")), "both are of none, seed 0"),
        (
            lambda a, b: (b / "metrics.json").write_text(
                (a / "metrics.json").read_text().replace('"people": 9', '"people": 8')
            ),
            "people: 8 here, 9 there",
        ),
    ],
)
def test_evaluations_that_cannot_be_compared(tmp_path, change, message):
    first, second = evaluations(tmp_path, {"none": [0.1, 0.2]})
    change(first, second)
    second = next(path for path in tmp_path.iterdir() if path.is_dir() and path != first)
    with pytest.raises(ValueError, match=message):
        ablation([first, second], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_names_of_variants():
    assert [variant_and_seed(f"{name}-seed12") for name in VARIANTS] == [(name, 12) for name in VARIANTS]


def test_one_seed_keeps_the_interval_of_its_people():
    alone = Figure(0.5, 0.4, 0.6, 9)
    assert over_seeds([alone]) == alone
    assert over_seeds([Figure(None, None, None, 0)]).value is None


def test_the_smallest_error_counts_for_estimators_without_the_truth():
    def point(**values: float) -> Point:
        figures = {name: {"latents": {"mean": Figure(values.get(name, 9.0), 0, 0, 1)}} for name in ESTIMATORS}
        return Point("", 0, figures)

    points = [point(truth=0.1, ddim=1.0), point(truth=0.1, ddim=2.0, one_step=1.0), point(ddim=1.0)]
    assert "truth" not in METHODS
    assert lowest(points, "latents") == {"one_step": 1, "ddim": 2}


def test_steps_come_from_the_checkpoint_or_its_name(folder, tmp_path):
    first, last = folder / "first.safetensors", folder / "last-20.safetensors"
    assert [training_step(first), training_step(last)] == [10, 20]
    with pytest.raises(ValueError, match=r"found first.safetensors \(step 10\) after last-20.safetensors \(step 20\)"):
        training_steps([last, first])
    shutil.copy(last, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="names no training step"):
        training_step(tmp_path / "model.safetensors")


def test_details_show_eyes_and_mouth():
    """A red dot at an eye and a green one at the mouth's corner lie where the enlarged boxes say."""
    picture = torch.zeros(64, 64, 3)
    points = torch.tensor([[20.0, 24.0], [40.0, 24.0], [30.0, 34.0], [24.0, 46.0], [36.0, 46.0]])
    picture[24, 20, 0] = picture[46, 36, 1] = 1.0
    whole = with_details(picture, points)
    eyes_height, mouth_height = round(64 * 0.9 / 2.2), round(64 * 0.9 / 1.6)
    assert whole.shape == (64 + eyes_height + mouth_height, 64, 3)
    eyes, mouth = whole[64 : 64 + eyes_height], whole[64 + eyes_height :]
    # 20 pixels between the eyes: a box of 44 x 18 about (30, 24), one of 32 x 18 about (30, 46).
    for part, channel, wanted in ((eyes, 0, (0.5, 0.5 - 10 / 44)), (mouth, 1, (0.5, 0.5 + 6 / 32))):
        place = np.unravel_index(int(part[..., channel].argmax()), part.shape[:2])
        found = [(number + 0.0) / (side - 1) for number, side in zip(place, part.shape, strict=False)]
        assert found == pytest.approx(wanted, abs=0.03)
        assert part[..., 1 - channel].max() == 0


def test_examples_lie_evenly_in_their_bin():
    values = torch.tensor([5.0, 1.0, 9.0, 3.0, 7.0, 20.0])
    members = values < 10
    assert spread(values, members, 3) == [1, 0, 2]
    assert spread(values, members, 9) == [1, 3, 0, 4, 2]
    assert spread(values, values > 30, 3) == []


@pytest.mark.parametrize(
    ("parts", "changes", "message"),
    [
        (("curve",), {"checkpoints": []}, "parts: curve needs --checkpoints"),
        (("ablation",), {"finetunes": []}, "ablation needs --evaluations or --finetunes"),
        (("faces",), {"rows": 0}, "rows: expected at least 1, found 0"),
        (("reconstructions",), {"shown_timesteps": [1000]}, "shown-timesteps: expected some from 1 to 999, found 1000"),
        (("curve",), {"seed": 7}, "first.safetensors was trained on rendered faces of seed 7"),
    ],
)
def test_studies_that_make_no_sense(folder, tmp_path, capsys, parts, changes, message):
    assert main(command(folder, tmp_path / "out", *parts, **changes)) == 2
    assert message in capsys.readouterr().err


def test_bins_need_whole_pictures(folder, finished, tmp_path, capsys):
    broken = tmp_path / "broken"
    shutil.copytree(finished / "evaluations/last-20", broken)
    assert main(command(folder, tmp_path / "out", "bins", binned=broken)) == 0
    part = broken / "pictures/part-0000.npz"
    part.write_bytes(part.read_bytes()[:1000])
    assert main(command(folder, tmp_path / "out", "bins", binned=broken)) == 2
    assert "part-0000.npz cannot be read" in capsys.readouterr().err
