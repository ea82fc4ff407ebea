"""Loaders of the bundled weights, on generated files: what is loaded, who finds the faces, and files that are not whole."""

from dataclasses import replace

import pytest
import torch
from PIL import Image
from testkit.onnx_models import save_recogniser
from testkit.onnx_nets import save_detector

from sfsr_model.bundled import BUNDLED_NAME, ORIGIN, DamagedFileError, Weights, is_bundled_encoder
from sfsr_model.encoders.bundled import (
    FLOOR,
    THRESHOLD,
    bundled_space,
    load_bundled_encoder,
    load_bundled_photo_reader,
    load_judge_reader,
    load_judge_recogniser,
)
from sfsr_model.encoders.expression_photos import NoExpressionError
from sfsr_model.encoders.faces import find_faces
from sfsr_model.encoders.onnx_about import About
from sfsr_model.encoders.pack import load_recogniser
from sfsr_model.encoders.points import PointsReader
from sfsr_model.evaluation.report import expression_errors
from sfsr_model.expressions import Expression
from sfsr_model.guidance import ExpressionEnergy, face_place
from sfsr_model.landmarker.photos import read_gallery
from sfsr_model.samples import FOLDER, load_sample


def save_weights(folder):
    weights = Weights(folder)
    weights.faces.mkdir(parents=True)
    save_detector(weights.detector)
    save_recogniser(weights.recogniser)
    save_expression(weights.expression)
    # Says of every find that it is a face, whose points lie as the crop rule has them.
    save_recogniser(weights.points, dim=11, size=96, scale=0.0, offsets=[*[0.0] * 10, 9.0])
    return weights


def save_expression(path):
    save_recogniser(path, dim=55, size=128, scale=0.05)


def write_about(path, about):
    """Put metadata into a file that is there already."""
    import onnx

    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, about.to_strings())
    onnx.save(model, str(path))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The detector sees green squares alone, so the carried one finds the faces of portraits."""
    return save_weights(tmp_path_factory.mktemp("pack") / "weights")


@pytest.fixture(scope="module")
def reader(weights):
    return load_bundled_photo_reader(weights)


@pytest.fixture(scope="module")
def portraits():
    return torch.cat([load_sample(name) for name in ("portrait_05", "portrait_20")])


def with_square(size, side):
    """A grey picture with a green square in its middle, for the generated detector."""
    picture = torch.full((size, size, 3), 0.5)
    first = (size - side) // 2
    picture[first : first + side, first : first + side] = torch.tensor([0.0, 1.0, 0.0])
    return picture


def test_the_pack_says_what_it_is(weights):
    encoder = load_bundled_encoder("CPU", weights)
    assert (encoder.name, encoder.dim, encoder.provider, encoder.trained) == (BUNDLED_NAME, 512, "CPUExecutionProvider", True)
    assert f"rec_photo.onnx: {ORIGIN}" in encoder.note.splitlines()
    assert (encoder.threshold, encoder.floor) == (THRESHOLD, FLOOR)
    assert encoder.space == bundled_space(weights) == load_recogniser(weights.recogniser, "CPU").space


def test_of_a_recogniser_that_is_gone_there_is_no_space(tmp_path):
    assert bundled_space(Weights(tmp_path)) is None


def test_names_of_before_still_mean_the_bundled_encoder():
    for name in (BUNDLED_NAME, "demo (bundled with this pack)", "photos (bundled with this pack)"):
        assert is_bundled_encoder(name)
    assert not is_bundled_encoder("antelopev2/")


SAID = About("expression", "learned from rendered faces and photos, taught by somebody", "non-commercial research use")


def test_what_they_say_of_themselves_is_what_their_files_say(tmp_path):
    """A file's own words take the place of the constant, each file's for itself; of a user's own file as well."""
    weights = save_weights(tmp_path / "weights")
    weights.judge_recogniser.parent.mkdir()
    for path in (weights.expression, weights.detector, weights.points):
        write_about(path, SAID)
    save_recogniser(weights.judge_recogniser)
    save_expression(weights.judge_expression)
    write_about(weights.judge_expression, SAID)
    said = f"{SAID.about}; licence: {SAID.licence}"
    finders = [f"det_demo.onnx: {said}", f"demo_points.onnx: {said}"]
    assert load_bundled_encoder("CPU", weights).note.splitlines() == [f"rec_photo.onnx: {ORIGIN}", *finders]
    assert load_bundled_photo_reader(weights).note.splitlines() == [f"demo_expression.onnx: {said}", *finders]
    assert load_judge_reader(weights).note == f"judge_expression.onnx: {said}"
    assert load_judge_recogniser(weights).note == f"judge_recogniser.onnx: {ORIGIN}"
    assert load_recogniser(weights.faces, "CPU").note == f"det_demo.onnx: {said}"
    assert load_recogniser(weights.recogniser, "CPU").note == ""
    write_about(weights.recogniser, SAID)
    assert load_bundled_encoder("CPU", weights).note.splitlines() == [f"rec_photo.onnx: {said}", *finders]
    assert load_recogniser(weights.recogniser, "CPU").note == f"rec_photo.onnx: {said}"


def test_its_own_detector_comes_first_and_the_carried_one_helps(weights, portraits):
    encoder = load_bundled_encoder("CPU", weights)
    square = with_square(640, 56)
    own = load_recogniser(weights.faces, "CPU").detect(square)
    assert [one.score for one in encoder.detect(square)] == [one.score for one in own]
    (expected,) = encoder.detector.closely.look(encoder.prepare(portraits[0]), find_faces(portraits[0], None)[:1])
    for picture in (portraits[0], encoder.prepare(portraits[0])):
        (found,) = [one for one in encoder.detect(picture) if one.refused is None]
        torch.testing.assert_close(found.points, expected.points, atol=0.5, rtol=0)


class Refuses(torch.nn.Module):
    """In place of the second look's network: nothing is a face."""

    def forward(self, crops):
        return torch.cat((torch.zeros(len(crops), 10), torch.full((len(crops), 1), -1.0)), 1)


def test_what_the_second_look_sees_no_face_in_is_refused(weights, portraits):
    """Finds of its own detector and of the carried one alike."""
    encoder = load_bundled_encoder("CPU", weights)
    encoder = replace(encoder, detector=replace(encoder.detector, closely=PointsReader(Refuses())))
    for picture in (with_square(640, 56), portraits[0]):
        refused = {one.refused for one in encoder.detect(picture)}
        assert "a closer look at it finds no face there" in refused
        assert None not in refused


def test_photos_are_read_where_their_faces_are(reader, portraits):
    read = reader.read(portraits)
    points = torch.stack([find_faces(picture, None)[0].points for picture in portraits])
    coefficients, pose = reader.reader.read(portraits, points)
    torch.testing.assert_close(read.coefficients, coefficients, atol=0.02, rtol=0)
    torch.testing.assert_close(read.pose, pose, atol=0.2, rtol=0)
    assert not torch.equal(read.coefficients[0], read.coefficients[1])
    torch.testing.assert_close(reader.read_at(portraits[0], points[0]).coefficients[0], coefficients[0], atol=1e-5, rtol=0)


def test_every_face_of_a_picture_is_read(reader, portraits):
    both = torch.cat((portraits[0], portraits[1]), 1)
    found = reader.read_every(both)
    assert len(found) == 2
    for number, (_, expression) in enumerate(found):
        assert torch.equal(expression.coefficients, reader.read(both[None], index=number).coefficients)
    assert not torch.equal(found[0][1].coefficients, found[1][1].coefficients)
    assert reader.read_every(with_square(135, 12)) == []


def test_photos_without_the_wanted_face(reader, portraits):
    height, width = portraits.shape[1:3]
    with pytest.raises(NoExpressionError, match=rf"picture 1 \({width} x {height} pixels\): no face found\. Use a picture"):
        reader.read(torch.cat((portraits[:1], torch.zeros_like(portraits[:1]))))
    with pytest.raises(NoExpressionError, match=r"picture 0 .*face_index: 2 asked for, but 1 face was found"):
        reader.read(portraits, index=2)
    with pytest.raises(NoExpressionError, match="no face found; a face of 27 pixels is too small"):
        reader.read(with_square(135, 12)[None])


def test_without_the_pack_the_carried_detector_serves(tmp_path, reader, portraits):
    alone = Weights(tmp_path)
    save_expression(alone.expression)
    found = load_bundled_photo_reader(alone)
    assert found.finder is None
    assert torch.equal(found.read(portraits).coefficients, reader.read(portraits).coefficients)


def test_it_measures_and_guides(reader, portraits):
    """What the report and the guidance ask of either kind of expression encoder."""
    points = [find_faces(picture, None)[0].points for picture in portraits]
    read = [reader.read_at(*pair) for pair in zip(portraits, points, strict=True)]
    looks = torch.cat([one.coefficients for one in read])
    assert expression_errors(read, Expression(looks), reader.unread) == pytest.approx((0.0, 0.0))
    other = looks.clone()
    other[1, :13] = 1 - other[1, :13]
    expected = (other - looks).abs().mean(1).tolist()
    assert expression_errors(read, Expression(other), reader.unread) == pytest.approx(expected)
    assert expression_errors([None, read[1]], Expression(looks), reader.unread)[0] is None

    crops = torch.rand(1, 64, 64, 3, requires_grad=True)
    with torch.inference_mode():
        reading = reader.differentiable()
    energy = ExpressionEnergy(reading, Expression(torch.full((1, 52), 0.5)), face_place())
    energy(crops).sum().backward()
    assert float(crops.grad.abs().max()) > 0
    assert reading.reader is not reader.reader


def test_a_gallery_is_read_by_it(tmp_path, reader, portraits):
    (tmp_path / "joy").mkdir()
    with Image.open(FOLDER / "portrait_05.jpg") as picture:
        picture.save(tmp_path / "joy" / "one.png")
    library = read_gallery(tmp_path, reader)
    torch.testing.assert_close(library.expression("joy", 1.0, "replace").coefficients, reader.read(portraits[:1]).coefficients)


FILES = ("detector", "points", "recogniser", "expression")


def load(name, weights):
    if name == "expression":
        return load_bundled_photo_reader(weights)
    return load_bundled_encoder(weights=weights)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(tmp_path, name):
    weights = save_weights(tmp_path / "weights")
    gone = getattr(weights, name)
    gone.unlink()
    with pytest.raises(FileNotFoundError, match=rf"encoder: .* lacks .*{gone.name}; .*git checkout -- sfsr_model/weights"):
        load(name, weights)


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_named(tmp_path, name):
    weights = save_weights(tmp_path / "weights")
    short = getattr(weights, name)
    short.write_bytes(short.read_bytes()[:500])
    with pytest.raises(
        DamagedFileError, match=r"(encoder|demo_\w+\.onnx): .*cannot be read.*; it comes with the pack: run 'git"
    ) as caught:
        load(name, weights)
    assert short.name in str(caught.value)
