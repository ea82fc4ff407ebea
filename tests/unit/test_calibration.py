"""The map from coefficients to SMIRK's numbers: the fit, faces to measure it on, and the command."""

import hashlib
import re
import shutil

import pytest
import torch
from testkit.random_smirk import write_smirk
from testkit.tiny_makehuman import tiny_folder

from sfsr_model.calibration import Readings, correlations, fit_map
from sfsr_model.calibration.__main__ import main
from sfsr_model.expressions import clamp_flame, flame_numbers, load_flame_map, word_expression
from sfsr_model.samples import FOLDER


def readings(count, noise=0.0, seed=0):
    """Faces whose numbers are a linear map of their coefficients, clamped, with noise."""
    generator = torch.Generator().manual_seed(seed)
    known = torch.rand(count, 52, generator=generator)
    weights, bias = torch.randn(52, 55, generator=generator) * 0.2, torch.randn(55, generator=generator)
    weights[:, 50:] *= 0.02
    bias[50:] = 0.1
    exact = known @ weights + bias
    wanted = clamp_flame(exact + noise * torch.randn(count, 55, generator=generator))
    return Readings(known, wanted), weights, bias


def test_a_linear_map_is_found():
    faces, weights, bias = readings(400)
    fit = fit_map(faces, "ab", "400 faces")
    torch.testing.assert_close(fit.flame_map.weights[:, :50], weights[:, :50], atol=2e-3, rtol=0)
    torch.testing.assert_close(fit.flame_map.bias[:50], bias[:50], atol=1e-2, rtol=0)
    assert fit.flame_map.correlations[:50].min() > 0.999
    assert fit.held_out == 80
    assert (fit.flame_map.smirk, fit.flame_map.faces) == ("ab", "400 faces")


def test_noise_asks_for_a_stronger_ridge():
    clean, noisy = (fit_map(readings(100, noise)[0], "ab", "x") for noise in (0.0, 5.0))
    assert clean.strength < noisy.strength
    assert noisy.flame_map.correlations[:50].mean() < clean.flame_map.correlations[:50].mean()


def test_correlations_are_of_faces_that_were_held_out():
    """Numbers that have nothing to do with the coefficients are known by heart, but not told."""
    generator = torch.Generator().manual_seed(0)
    faces = Readings(torch.rand(100, 52, generator=generator), clamp_flame(torch.randn(100, 55, generator=generator)))
    fit = fit_map(faces, "ab", "x")
    assert fit.flame_map.correlations.mean().abs() < 0.15


def test_columns_that_stand_still_have_no_correlation():
    moving = torch.rand(20, 1)
    found = correlations(torch.cat((moving, moving, torch.ones(20, 1)), 1), torch.cat((moving, -moving, moving), 1))
    torch.testing.assert_close(found, torch.tensor([1.0, -1.0, 0.0]))


def test_too_few_faces():
    with pytest.raises(ValueError, match="49 faces; expected at least 50"):
        fit_map(readings(49)[0], "ab", "x")


def map_beside(file):
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return load_flame_map(file.parent / f"smirk_{digest[:16]}.flame_map.safetensors")


def test_the_command_renders_fits_and_writes(tmp_path, capsys):
    file = write_smirk(tmp_path / "SMIRK_em1.pt")
    cache = str(tiny_folder() / "faces.npz")
    assert main(["--smirk", str(file), "--cache", cache, "--count", "60"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "60 rendered faces, BGR; ridge of strength" in lines[0]
    assert "12 faces held out" in lines[0]
    assert [line[:16].strip() for line in lines[1:56:50]] == ["expression 0", "eyelid left"]
    assert all(re.fullmatch(r".{17} *-?[01]\.\d{3}", line) for line in lines[1:56])
    assert lines[56].startswith("mean: expression ")
    found = map_beside(file)
    assert found.weights.abs().max() > 1e-3
    numbers = flame_numbers(word_expression("joy"), found)
    assert torch.equal(numbers, clamp_flame(numbers))
    assert not torch.equal(numbers, flame_numbers(word_expression("anger"), found))
    assert main(["--smirk", str(file), "--cache", cache, "--count", "60"]) == 0
    assert torch.equal(map_beside(file).weights, found.weights), "the same faces give the same map"


def test_the_command_takes_photos(tmp_path, capsys):
    """Pictures without a face are named and left out; what is left must be enough."""
    folder, file = tmp_path / "photos", write_smirk(tmp_path / "SMIRK_em1.pt")
    folder.mkdir()
    portrait = next(FOLDER.glob("portrait_*.jpg"))
    for number in range(2):
        (folder / str(number)).mkdir()
        shutil.copy(portrait, folder / str(number) / "one.jpg")
    (folder / "broken.png").write_bytes(b"no picture")
    assert main(["--smirk", str(file), "--photos", str(folder)]) == 2
    errors = capsys.readouterr().err
    assert "left out: broken.png: cannot be read as a picture" in errors
    assert "error: 2 faces; expected at least 50" in errors


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.pt", None, "none.pt: no such file; give a SMIRK file (SMIRK_em1.pt"),
        ("junk.pt", b"nothing", "junk.pt: cannot be read as a file of tensors"),
        ("junk.safetensors", b"nothing", "junk.safetensors: not a readable safetensors file"),
    ],
)
def test_files_that_are_none(tmp_path, capsys, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert main(["--smirk", str(tmp_path / name), "--photos", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err


class Surprise:
    def __reduce__(self):
        return print, ("unpickled",)


def test_nothing_but_tensors_is_unpickled(tmp_path, capsys):
    torch.save({"x": Surprise()}, tmp_path / "x.pt")
    assert main(["--smirk", str(tmp_path / "x.pt"), "--photos", str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert "unpickled" not in said.out
    assert "cannot be read as a file of tensors" in said.err


def test_folders_without_faces(tmp_path, capsys):
    file = write_smirk(tmp_path / "s.pt")
    for folder, message in ((tmp_path / "none", "no such folder"), (tmp_path, "holds no photo")):
        assert main(["--smirk", str(file), "--photos", str(folder)]) == 2
        assert message in capsys.readouterr().err
