"""The report's figures: how near a picture is to the person, the expression and the head pose that were asked for."""

import json
import math
import shutil

import pytest
import torch
from harness import tiny_landmarker as tiny

from sfsr_model.bundled import BUNDLED, Weights
from sfsr_model.encoders.bundled import load_bundled_encoder, load_judge_reader, load_judge_recogniser
from sfsr_model.encoders.enrolment import enrol
from sfsr_model.encoders.faces import find_faces
from sfsr_model.encoders.identity_batch import join
from sfsr_model.evaluation.judges import judge
from sfsr_model.evaluation.report import Figures, Report, measure
from sfsr_model.expressions import ARKIT_INDEX, ARKIT_NAMES, Expression
from sfsr_model.face.annotate import annotate
from sfsr_model.landmarker import UNREAD, load_expression_encoder
from sfsr_model.samples import load_sample

SHE, HE = "portrait_05", "portrait_20"


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    return load_expression_encoder(tiny.write_tiny_task(tmp_path_factory.mktemp("task") / "tiny.task"))


@pytest.fixture(scope="module")
def picture():
    return torch.full((1, 200, 300, 3), 0.9)


@pytest.fixture(scope="module")
def points(reader, picture):
    (face,), _, _ = reader.faces(picture[0])
    return face.points


def measured(pictures, points, wanted, reader):
    return measure(pictures, points, wanted, (), None, reader)


def test_what_is_read_has_no_error(reader, picture, points):
    found = measured(picture, [points], reader.read(picture), reader)
    assert (found.encoder, found.expression_encoder) == (None, "tiny.task")
    assert found.identity_cosines == ()
    assert found.expression_errors + found.pose_errors == pytest.approx((0.0, 0.0), abs=1e-5)


def test_the_error_is_the_mean_over_what_can_be_seen(reader, picture, points):
    read = reader.read(picture).coefficients
    wanted = read.clone()
    wanted[0, ARKIT_INDEX["jawOpen"]] = 1.0 if read[0, ARKIT_INDEX["jawOpen"]] < 0.5 else 0.0
    expected = (wanted - read).abs().sum().item() / (len(ARKIT_NAMES) - len(UNREAD))
    for name in UNREAD:
        wanted[0, ARKIT_INDEX[name]] = 1.0
    assert measured(picture, [points], Expression(wanted), reader).expression_errors == pytest.approx((expected,), abs=1e-6)


def test_the_pose_error_is_in_degrees_and_over_three_angles(reader, picture, points):
    read = reader.read(picture)
    turned = read.pose - torch.tensor([[math.radians(3.0), math.radians(-6.0), 0.0]])
    found = measured(picture, [points], Expression(read.coefficients, turned), reader)
    assert found.pose_errors == pytest.approx((3.0,), abs=1e-3)


def test_where_no_pose_is_wanted_none_is_compared(reader, picture, points):
    found = measured(picture, [points], Expression(reader.read(picture).coefficients), reader)
    assert found.pose_errors == ()
    assert found.expression_errors == pytest.approx((0.0,), abs=1e-6)


def test_without_the_face_nothing_is_measured(reader, picture, points):
    pictures = torch.cat((picture, picture, torch.zeros_like(picture)))
    far = points + 5 * (points[1] - points[0])
    found = measured(pictures, [None, far, points], Expression.neutral(3), reader)
    assert found.expression_errors == found.pose_errors == (None, None, None)


def test_the_json_has_means_beside_the_figures_of_each_picture():
    figures = Figures("mine", (0.5, None, 0.7), "reads", (0.1, None, 0.3))
    judged = Figures(None, (), "judge", (0.2, None, 0.4), (2.0, None, 6.0))
    found = json.loads(Report(figures, judged, ("joy",) * 3, True, ("a note",)).to_json())
    assert found["identity_cosine"] == pytest.approx(0.6)
    assert (found["identity_cosines"], found["expression_errors"]) == ([0.5, None, 0.7], [0.1, None, 0.3])
    assert (found["pose_error"], found["pose_errors"]) == (None, [])
    assert (found["judges"]["encoder"], found["judges"]["identity_cosine"]) == (None, None)
    assert (found["judges"]["expression_error"], found["judges"]["pose_error"]) == pytest.approx((0.3, 4.0))
    assert (found["words"], found["trained"], found["notes"]) == (["joy"] * 3, True, ["a note"])
    assert figures.caption(0) == "identity 0.50, expression 0.10"
    assert judged.caption(2) == "expression 0.40, pose 6.0"
    assert figures.caption(1) == ""


@pytest.fixture(scope="module")
def encoder():
    return load_bundled_encoder("CPU")


@pytest.fixture(scope="module")
def portraits():
    """By name, [1, H, W, 3]."""
    return {name: load_sample(name) for name in (SHE, HE)}


@pytest.fixture(scope="module")
def people(encoder, portraits):
    return {name: join([enrol(picture, encoder).identity]) for name, picture in portraits.items()}


@pytest.fixture(scope="module")
def places(encoder, portraits):
    return {name: find_faces(picture[0], encoder)[0].points for name, picture in portraits.items()}


def test_the_judges_measure_with_their_own_networks(encoder, portraits, people, places):
    wanted = Expression(torch.full((1, 52), 0.25), torch.full((1, 3), 0.5))
    found, notes = judge(portraits[SHE], [places[SHE]], wanted, people[SHE], encoder, portraits[SHE])
    assert notes == []
    assert (found.encoder, found.expression_encoder) == ("judge_recogniser.onnx", "judge_expression.onnx")
    assert found.identity_cosines == pytest.approx((1.0,), abs=1e-3)
    read = load_judge_reader().read_at(portraits[SHE][0], places[SHE])
    assert found.expression_errors == pytest.approx(((read.coefficients - 0.25).abs().mean().item(),), abs=1e-5)
    assert found.pose_errors == pytest.approx((math.degrees((read.pose - 0.5).abs().mean().item()),), abs=1e-3)
    other, _ = judge(portraits[HE], [places[HE]], wanted, people[SHE], encoder, portraits[SHE])
    judging = load_judge_recogniser()
    embeddings = [judging.embed(portraits[name][0], places[name]) for name in (SHE, HE)]
    assert other.identity_cosines == pytest.approx(
        (torch.nn.functional.cosine_similarity(*embeddings, dim=0).item(),), abs=1e-3
    )
    assert other.identity_cosines[0] < 0.9


def test_the_judge_looks_at_the_persons_face_alone(encoder, portraits, people, places):
    """Of a photo that shows two, and of photos of which one shows nobody."""
    both = torch.cat((portraits[HE], portraits[SHE]), dim=2)
    blank = torch.zeros_like(both)
    found, notes = judge(portraits[SHE], [places[SHE]], Expression.neutral(), people[SHE], encoder, torch.cat((blank, both)))
    assert notes == []
    assert found.identity_cosines[0] > 0.95


def test_of_several_people_there_is_one_photo_each(encoder, portraits, people, places):
    pictures, names = torch.cat((portraits[SHE], portraits[HE])), (SHE, HE)
    everyone, where = join([people[name].people[0] for name in names]), [places[name] for name in names]
    found, notes = judge(pictures, where, Expression.neutral(2), everyone, encoder, pictures)
    assert notes == []
    assert found.identity_cosines == pytest.approx((1.0, 1.0), abs=1e-3)
    with pytest.raises(ValueError, match="reference: found 1 pictures for an identity batch of 2; connect one photo of each"):
        judge(pictures, where, Expression.neutral(2), everyone, encoder, portraits[SHE])


@pytest.mark.parametrize(
    ("reference", "reason"), [(None, "connect the person's photo to"), ("blank", "no usable face was found in")]
)
def test_without_a_face_to_compare_with_expression_and_pose_are_judged(encoder, portraits, people, places, reference, reason):
    photo = None if reference is None else torch.zeros_like(portraits[SHE])
    found, notes = judge(portraits[SHE], [places[SHE]], Expression.neutral(), people[SHE], encoder, photo)
    assert notes == [f"the identity was not judged: {reason} reference"]
    assert (found.encoder, found.identity_cosines) == (None, ())
    assert found.expression_errors[0] > 0
    assert found.pose_errors[0] > 0


def test_missing_and_damaged_judges_are_noted(tmp_path, encoder, portraits, people, places):
    weights = Weights(tmp_path)
    arguments = (portraits[SHE], [places[SHE]], Expression.neutral(), people[SHE], encoder, portraits[SHE], weights)
    found, notes = judge(*arguments)
    assert found == Figures()
    assert [note.partition(": ")[0] for note in notes] == ["expression and pose were not judged", "the identity was not judged"]
    for note, file in zip(notes, ("judge_expression.onnx", "judge_recogniser.onnx"), strict=True):
        assert f"sfsr_model/weights lacks judges/{file}; it comes with the pack: run 'git checkout" in note
    weights.judge_recogniser.parent.mkdir()
    weights.judge_recogniser.write_bytes(b"damaged")
    shutil.copy(BUNDLED.judge_expression, weights.judge_expression)
    found, (note,) = judge(*arguments)
    assert found.encoder is None
    assert found.expression_errors[0] > 0
    assert "judge_recogniser.onnx cannot be read" in note


def test_the_judges_are_loaded_once():
    assert load_judge_reader().reader is load_judge_reader().reader
    assert load_judge_recogniser().recogniser is load_judge_recogniser().recogniser


@pytest.mark.parametrize("shape", [(64, 96), (128, 128), (900, 300)])
def test_the_figures_stand_on_any_picture_whole(shape):
    text = "identity 0.84, expression 0.12, pose 13.4\n" + "mmm " * 20
    drawn = annotate(torch.zeros(*shape, 3), torch.tensor([[10.0, shape[0] - 6.0]] * 5), text)
    zoom = drawn.shape[0] // shape[0]
    assert (drawn.shape[0], drawn.shape[1]) == (shape[0] * zoom, shape[1] * zoom)
    assert min(drawn.shape[:2]) >= 256 > min(shape) * (zoom - 1)
    letters = drawn.amin(-1) > 0.5
    assert letters.any()
    assert not letters[:, -4:].any()
    spot = (drawn[..., 0] > 0.9) & (drawn[..., 2] < 0.1)
    assert spot.nonzero().float().mean(0).tolist() == pytest.approx([(shape[0] - 5.5) * zoom - 0.5, 10.5 * zoom - 0.5], abs=0.6)
