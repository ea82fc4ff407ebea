"""The report's figures: how near a picture is to the person, the expression and the head pose that were asked for."""

import json
import math
import shutil

import pytest
import torch
from testkit import tiny_landmarker as tiny
from testkit.onnx_models import save_recogniser

from sfsr_model.bundled import BUNDLED, BUNDLED_NAME, Weights
from sfsr_model.encoders.bundled import (
    JUDGE_REACH,
    REACH,
    Reach,
    load_bundled_encoder,
    load_judge_reader,
    load_judge_recogniser,
    reach_of,
)
from sfsr_model.encoders.enrolment import enrol
from sfsr_model.encoders.faces import find_faces
from sfsr_model.encoders.identity_batch import join
from sfsr_model.evaluation.judges import judge
from sfsr_model.evaluation.report import Figures, Report, Untouched, measure, measure_untouched
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
    bundled = Figures("bundled", (0.4, None, 0.2), reach=Reach(0.3, 0.7))
    found = json.loads(Report(figures, judged, bundled, ("joy",) * 3, True, ("a note",)).to_json())
    assert found["identity_cosine"] == pytest.approx(0.6)
    assert (found["identity_cosines"], found["expression_errors"]) == ([0.5, None, 0.7], [0.1, None, 0.3])
    assert (found["pose_error"], found["pose_errors"]) == (None, [])
    assert (found["judges"]["encoder"], found["judges"]["identity_cosine"]) == (None, None)
    assert (found["judges"]["expression_error"], found["judges"]["pose_error"]) == pytest.approx((0.3, 4.0))
    assert (found["words"], found["trained"], found["notes"]) == (["joy"] * 3, True, ["a note"])
    assert found["bundled"].pop("identity_cosine") == pytest.approx(0.3)
    reach = {"strangers": 0.3, "same_person": 0.7}
    assert found["bundled"] == {"encoder": "bundled", "identity_cosines": [0.4, None, 0.2], "identity_reach": reach}
    assert found["identity_reach"] is found["judges"]["identity_reach"] is None
    assert figures.caption(0) == "identity 0.50, expression 0.10"
    assert judged.caption(2) == "expression 0.40, pose 6.0"
    assert figures.caption(1) == ""


@pytest.fixture(scope="module")
def encoder():
    return load_bundled_encoder("CPU")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The bundled files, with a generated recogniser: to the bundled encoder itself it is another one."""
    folder = tmp_path_factory.mktemp("pack") / "weights"
    shutil.copytree(BUNDLED.folder, folder)
    found = Weights(folder)
    save_recogniser(found.recogniser)
    return found


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


def test_a_face_no_nearer_than_strangers_is_doubted():
    cosines = (0.29, 0.31, None)
    (said,) = Figures("one", cosines, reach=Reach(0.3, 0.7)).doubts()
    assert said.startswith(
        "picture 0: the face does not look like the person. To the recogniser 'one' its cosine is 0.29; of a"
    )
    assert "reaches 0.30, two photos of one person 0.70" in said
    assert Figures("blind", cosines, reach=Reach(0.7, 0.6)).doubts() == ()
    assert Figures("unknown", cosines).doubts() == ()


@pytest.mark.parametrize(("kept", "whom"), [(0.6, "but like the target's own"), (0.2, "nor like the target's own")])
def test_a_doubted_face_is_compared_with_the_targets(kept, whom):
    (said,) = Figures("one", (0.1, 0.9), reach=Reach(0.3, 0.7)).doubts(Untouched(Figures(), (kept, kept)))
    assert said.startswith(f"picture 0: the face does not look like the person, {whom}. To")


def test_likeness_in_a_word():
    figures = Figures("one", (0.29, 0.31, 0.51, None), reach=Reach(0.3, 0.7))
    assert figures.likeness == ("no", "partly", "yes", None)
    assert Figures("blind", (0.9,), reach=Reach(0.7, 0.75)).likeness == ()
    blind, nobody = Figures("blind", (0.9,) * 4, reach=Reach(0.7, 0.6)), Figures()
    told = json.loads(Report(blind, nobody, figures, ("joy",) * 4, True, ()).to_json())["likeness"]
    assert told == {"by": "one", "pictures": ["no", "partly", "yes", None]}
    assert json.loads(Report(blind, nobody, nobody, ("joy",) * 4, True, ()).to_json())["likeness"] is None


def test_the_targets_figures_stand_beside_the_new_ones():
    figures = Figures("one", (0.55, None), "reads", (0.1, None), (), Reach(0.3, 0.7))
    before = Untouched(Figures("one", (0.05, 0.2), "reads", (0.3, 0.4)), (0.15, None))
    report = Report(figures, Figures(), Figures(), ("joy",) * 2, True, (), before)
    assert report.caption(0) == "looks like the person: yes\nidentity 0.55 (target 0.05), expression 0.10 (target 0.30)"
    assert report.caption(1) == "no face found"
    found = json.loads(report.to_json())["target"]
    assert (found["identity_cosine"], found["expression_errors"]) == (pytest.approx(0.125), [0.3, 0.4])
    assert (found["kept_cosine"], found["kept_cosines"]) == (0.15, [0.15, None])
    assert json.loads(Report(figures, figures, figures, (), True, ()).to_json())["target"] is None
    assert (
        Report(figures, figures, figures, (), False, (), before)
        .caption(0)
        .endswith("expression 0.10 (target 0.30) (untrained)")
    )


def test_the_target_is_measured_as_the_result_is(encoder, portraits, people, places):
    wanted, targets = Expression.neutral(), portraits[HE]
    found = measure_untouched(
        targets, portraits[SHE], [(places[HE], places[SHE])], wanted, people[SHE].people, encoder, load_judge_reader()
    )
    expected = measure(targets, [places[HE]], wanted, people[SHE].people, encoder, load_judge_reader())
    assert found.figures == expected
    embeddings = [encoder.embed(portraits[name][0], places[name]) for name in (SHE, HE)]
    assert found.kept == pytest.approx((torch.nn.functional.cosine_similarity(*embeddings, dim=0).item(),), abs=1e-5)
    none = measure_untouched(targets, portraits[SHE], [(None, places[SHE])], wanted, people[SHE].people, encoder, None)
    assert none.kept == none.figures.identity_cosines == (None,)


def test_the_judges_measure_with_their_own_networks(weights, encoder, portraits, people, places):
    wanted = Expression(torch.full((1, 52), 0.25), torch.full((1, 3), 0.5))
    judged = judge(portraits[SHE], [places[SHE]], wanted, people[SHE], encoder, portraits[SHE], weights)
    assert judged.notes == ()
    found = judged.judges
    assert (found.encoder, found.expression_encoder) == ("judge_recogniser.onnx", "judge_expression.onnx")
    assert found.identity_cosines == pytest.approx((1.0,), abs=1e-3)
    read = load_judge_reader().read_at(portraits[SHE][0], places[SHE])
    assert found.expression_errors == pytest.approx(((read.coefficients - 0.25).abs().mean().item(),), abs=1e-5)
    assert found.pose_errors == pytest.approx((math.degrees((read.pose - 0.5).abs().mean().item()),), abs=1e-3)
    other = judge(portraits[HE], [places[HE]], wanted, people[SHE], encoder, portraits[SHE], weights).judges
    judging = load_judge_recogniser()
    embeddings = [judging.embed(portraits[name][0], places[name]) for name in (SHE, HE)]
    assert other.identity_cosines == pytest.approx(
        (torch.nn.functional.cosine_similarity(*embeddings, dim=0).item(),), abs=1e-3
    )
    assert other.identity_cosines[0] < 0.9


def test_the_bundled_recogniser_measures_where_another_is_connected(weights, encoder, portraits, people, places):
    found = judge(portraits[HE], [places[HE]], Expression.neutral(), people[SHE], encoder, portraits[SHE], weights).bundled
    assert (found.encoder, found.expression_encoder, found.expression_errors) == (BUNDLED_NAME, None, ())
    bundled = load_bundled_encoder("CPU", weights)
    embeddings = [bundled.embed(portraits[name][0], places[name]) for name in (SHE, HE)]
    expected = torch.nn.functional.cosine_similarity(*embeddings, dim=0).item()
    assert found.identity_cosines == pytest.approx((expected,), abs=1e-3)


def test_where_it_is_the_connected_one_it_measures_once(encoder, portraits, people, places):
    judged = judge(portraits[SHE], [places[SHE]], Expression.neutral(), people[SHE], encoder, portraits[SHE])
    assert judged.bundled == Figures()
    assert judged.judges.identity_cosines == pytest.approx((1.0,), abs=1e-3)
    assert judged.notes == ()


def test_each_bundled_recogniser_has_a_reach_of_its_own(encoder):
    assert reach_of(encoder.space) == REACH
    assert reach_of(load_judge_recogniser().space) == JUDGE_REACH
    assert reach_of("onnx-0123456789ab") is None


def test_the_judge_looks_at_the_persons_face_alone(weights, encoder, portraits, people, places):
    """Of a photo that shows two, and of photos of which one shows nobody."""
    both = torch.cat((portraits[HE], portraits[SHE]), dim=2)
    blank = torch.zeros_like(both)
    reference = torch.cat((blank, both))
    judged = judge(portraits[SHE], [places[SHE]], Expression.neutral(), people[SHE], encoder, reference, weights)
    assert judged.notes == ()
    assert judged.judges.identity_cosines[0] > 0.95
    assert judged.bundled.identity_cosines[0] > 0.95


def test_of_several_people_there_is_one_photo_each(weights, encoder, portraits, people, places):
    pictures, names = torch.cat((portraits[SHE], portraits[HE])), (SHE, HE)
    everyone, where = join([people[name].people[0] for name in names]), [places[name] for name in names]
    judged = judge(pictures, where, Expression.neutral(2), everyone, encoder, pictures, weights)
    assert judged.notes == ()
    for found in (judged.judges, judged.bundled):
        assert found.identity_cosines == pytest.approx((1.0, 1.0), abs=1e-3)
    with pytest.raises(ValueError, match="reference: found 1 pictures for an identity batch of 2; connect one photo of each"):
        judge(pictures, where, Expression.neutral(2), everyone, encoder, portraits[SHE])


@pytest.mark.parametrize(
    ("reference", "reason"), [(None, "connect the person's photo to"), ("blank", "no usable face was found in")]
)
def test_without_a_face_to_compare_with_expression_and_pose_are_judged(encoder, portraits, people, places, reference, reason):
    photo = None if reference is None else torch.zeros_like(portraits[SHE])
    judged = judge(portraits[SHE], [places[SHE]], Expression.neutral(), people[SHE], encoder, photo)
    assert judged.notes == (f"the identity was not judged: {reason} reference",)
    assert judged.bundled == Figures()
    found = judged.judges
    assert (found.encoder, found.identity_cosines) == (None, ())
    assert found.expression_errors[0] > 0
    assert found.pose_errors[0] > 0


def test_missing_and_damaged_judges_are_noted(tmp_path, encoder, portraits, people, places):
    weights = Weights(tmp_path)
    arguments = (portraits[SHE], [places[SHE]], Expression.neutral(), people[SHE], encoder, portraits[SHE], weights)
    judged = judge(*arguments)
    assert judged.judges == judged.bundled == Figures()
    faces = "demo_faces/det_demo.onnx and demo_points.onnx and demo_faces/rec_photo.onnx"
    told = {
        "expression and pose were not judged": "judges/judge_expression.onnx",
        "the identity was not judged": "judges/judge_recogniser.onnx",
        "the bundled recogniser measured nothing": faces,
    }
    assert [note.partition(": ")[0] for note in judged.notes] == list(told)
    for note, file in zip(judged.notes, told.values(), strict=True):
        assert f"{tmp_path}' lacks {file}; it comes with the pack: run 'git checkout" in note
    weights.judge_recogniser.parent.mkdir()
    weights.judge_recogniser.write_bytes(b"damaged")
    shutil.copy(BUNDLED.judge_expression, weights.judge_expression)
    judged = judge(*arguments)
    assert judged.judges.encoder is None
    assert judged.judges.expression_errors[0] > 0
    assert "judge_recogniser.onnx cannot be read" in judged.notes[0]


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
