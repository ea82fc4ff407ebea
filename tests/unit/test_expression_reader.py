"""The project's own expression encoder from its ONNX file: where it looks, gradients, and files that are none."""

import math
import shutil

import onnxruntime
import pytest
import torch
from testkit.onnx_graph import GraphWriter
from testkit.onnx_models import save_recogniser

from sfsr_model.encoders.expression import ExpressionFileError, load_expression_reader
from sfsr_model.face.crop import apply_affine, template

SIDE = 128
CROP_POINTS = template() * SIDE - 0.5


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return save_recogniser(tmp_path_factory.mktemp("expression") / "expression.onnx", dim=55, size=SIDE)


@pytest.fixture(scope="module")
def reader(file):
    return load_expression_reader(file)


def waves(places):
    """A smooth colour picture in 0..1 at places [..., 2] of the crop, as [..., 3]."""
    x, y = (places / SIDE).unbind(-1)
    return 0.5 + 0.4 * torch.stack([torch.sin(4 * x + 3 * y), torch.cos(5 * y), torch.sin(3 * x - y)], -1)


def shown(size, transform):
    """The waves as a transform [2, 3] from the crop puts them into a picture [size, size, 3], and the five points there."""
    steps = torch.arange(size, dtype=torch.float64)
    places = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1)
    linear, shift = transform[:, :2], transform[:, 2]
    picture = waves((places - shift) @ torch.linalg.inv(linear).T)
    return picture.float(), apply_affine(transform, CROP_POINTS)


def turned(angle, scale, shift):
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    return torch.tensor([[cos, -sin, shift], [sin, cos, shift / 2]], dtype=torch.float64)


def test_an_aligned_picture_is_its_own_crop(file, reader):
    picture, points = shown(SIDE, turned(0.0, 1.0, 0.0))
    torch.testing.assert_close(reader.crops(picture[None], points[None])[0], picture.movedim(-1, 0), atol=1e-5, rtol=0)
    coefficients, pose = reader.measure(picture[None], points[None])
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"input.1": (picture.movedim(-1, 0)[None] * 2 - 1).numpy()})
    torch.testing.assert_close(torch.cat((coefficients, pose), 1), torch.from_numpy(expected), atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("transform", [turned(0.4, 2.5, 120.0), turned(-0.3, 0.8, 70.0)], ids=["large", "small"])
def test_the_crop_follows_the_face(reader, transform):
    picture, points = shown(480, transform)
    crop = reader.crops(picture[None], points[None])[0]
    steps = torch.arange(SIDE, dtype=torch.float64)
    wanted = waves(torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1)).movedim(-1, 0).float()
    assert float((crop - wanted)[:, 4:-4, 4:-4].abs().max()) < 0.02


def test_a_fine_pattern_is_averaged_when_reduced(reader):
    """Pixels of 0 and 1 in turn, four to one of the crop: sampled alone they would stay 0 and 1."""
    picture = ((torch.arange(512)[:, None] + torch.arange(512)) % 2).float()[..., None].expand(-1, -1, 3)
    crop = reader.crops(picture[None], (CROP_POINTS * 4)[None])
    assert float((crop - 0.5).abs().max()) < 0.1


def test_what_is_read_is_in_range_and_gradients_pass(reader):
    pictures = torch.rand(2, 90, 100, 3, requires_grad=True)
    points = (CROP_POINTS * 0.7)[None].expand(2, -1, -1)
    measured, pose = reader.measure(pictures, points)
    assert measured.shape == (2, 52)
    assert pose.shape == (2, 3)
    measured[0].sum().backward()
    assert float(pictures.grad[0].abs().max()) > 0
    assert float(pictures.grad[1].abs().max()) == 0
    read, again = reader.read(pictures, points)
    assert torch.equal(read, measured.detach().clamp(0, 1))
    assert not torch.equal(read, measured)
    assert torch.equal(again, pose)
    assert not read.requires_grad


def test_loaded_in_inference_mode_it_still_gives_gradients(file):
    with torch.inference_mode():
        reader = load_expression_reader(file)
    crops = torch.rand(1, 3, SIDE, SIDE, requires_grad=True)
    reader(crops)[1].sum().backward()
    assert float(crops.grad.abs().max()) > 0


@pytest.mark.parametrize(
    ("pictures", "points"),
    [((1, 3, 8, 8), (1, 5, 2)), ((2, 8, 8, 3), (1, 5, 2)), ((8, 8, 3), (5, 2)), ((0, 8, 8, 3), (0, 5, 2))],
)
def test_other_shapes_are_named(reader, pictures, points):
    with pytest.raises(ValueError, match=r"expected \[N, H, W, 3\] with points \[N, 5, 2\], got"):
        reader.measure(torch.zeros(pictures), torch.zeros(points))


def test_crops_of_another_side_are_named(reader):
    with pytest.raises(ValueError, match=r"expected \[N, 3, 128, 128\], got \(1, 3, 112, 112\)"):
        reader(torch.zeros(1, 3, 112, 112))


def save_wide(path):
    graph = GraphWriter(None)
    pooled = graph.node("Flatten", graph.node("GlobalAveragePool", graph.input), axis=1)
    return graph.save(path, graph.gemm(pooled, 3, 55))


@pytest.mark.parametrize(
    ("save", "message"),
    [
        (save_recogniser, r"no\.onnx: gives an output of \[2, 512\] for two faces; expected .* gives \[N, 55\]"),
        (lambda path: save_recogniser(path, dim=55, outputs=2), r"no\.onnx: gives 2 outputs; expected"),
        (lambda path: save_recogniser(path, dim=55, size=8), r"no\.onnx: takes an input of \[any, 3, 8, 8\]; expected"),
        (save_wide, r"no\.onnx: takes an input of \[any, 3, any, any\]; expected"),
        (lambda path: path.write_bytes(b"no network"), r"no\.onnx: cannot be read as an ONNX network .*; expected"),
        (lambda path: None, r"no\.onnx: there is no such file; expected"),
    ],
    ids=["recogniser", "two outputs", "too small", "any size", "not onnx", "missing"],
)
def test_files_that_are_none(tmp_path, save, message):
    path = tmp_path / "no.onnx"
    save(path)
    with pytest.raises(ExpressionFileError, match=message):
        load_expression_reader(path)


def test_a_truncated_file(file, tmp_path):
    path = shutil.copy(file, tmp_path / "short.onnx")
    path.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ExpressionFileError, match=r"short\.onnx: cannot be read as an ONNX network"):
        load_expression_reader(path)
