"""Measuring encoders: the figures on made-up readings, and the command with tiny networks on tiny rendered people."""

import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from testkit.onnx_models import save_recogniser
from testkit.onnx_nets import save_detector
from testkit.tiny_landmarker import write_tiny_task
from testkit.tiny_makehuman import tiny_folder

from sfsr_model.encoders.detection import Detection
from sfsr_model.encoders.pack import load_recogniser
from sfsr_model.evaluation.__main__ import main
from sfsr_model.evaluation.encoders.measure import measure_detector, measure_expressions, measure_recogniser
from sfsr_model.evaluation.encoders.pairs import all_pairs, matched_pairs, verification
from sfsr_model.evaluation.encoders.people import ANSWER, REFERENCE, SOURCE, TARGET, Scene, join, render_people, smaller
from sfsr_model.evaluation.encoders.photos import find_in_photos, measure_faces, measure_photos
from sfsr_model.evaluation.metrics import correlation_figure
from sfsr_model.expressions import ARKIT_INDEX
from sfsr_model.samples import load_sample, sample_names
from sfsr_model.synthetic.model import FaceModel


def test_the_area_is_the_chance_that_a_pair_of_one_person_is_more_alike():
    """Against counting all pairs of pairs, ties as one half."""
    rng = np.random.default_rng(0)
    similar = rng.integers(0, 12, 60) / 12
    same = rng.random(60) < 0.4
    owners = np.stack((np.arange(60), np.where(same, np.arange(60), np.arange(60) + 100)), 1)
    own, other = similar[same], similar[~same]
    counted = np.mean((own[:, None] > other) + 0.5 * (own[:, None] == other))
    found = verification(*map(torch.from_numpy, (similar, same, owners)))
    assert found["auc"].value == pytest.approx(counted)
    assert found["auc"].low < counted < found["auc"].high
    assert found["auc"].count == same.sum()
    # One false one in 36 is too many, so only what is above all of them is accepted.
    assert found["tar_permille"].value == pytest.approx(np.mean(own > other.max()))


@pytest.mark.parametrize(("false_above", "expected"), [(2, 1.0), (3, 0.0)])
def test_one_false_accept_in_a_thousand_is_allowed(false_above, expected):
    """2000 pairs of two people: with two of them above all true ones, these still count; with three they do not."""
    similar = torch.cat((torch.full((10,), 0.5), torch.full((false_above,), 0.9), torch.full((2000 - false_above,), 0.1)))
    same = torch.arange(len(similar)) < 10
    owners = torch.arange(len(similar))[:, None] + torch.stack((torch.zeros_like(similar), (~same) * 5000.0), 1).long()
    assert verification(similar, same, owners)["tar_permille"].value == expected


def test_the_cosine_that_few_strangers_reach():
    """1000 pairs of two people at 0.000 to 0.999: one of them passes from 0.999 on, ten from 0.990 on."""
    similar = torch.cat((torch.arange(1000) / 1000, torch.tensor([0.5, 0.9895, 0.9985, 1.0])))
    same = torch.arange(len(similar)) >= 1000
    owners = torch.arange(len(similar))[:, None] + torch.stack((torch.zeros_like(similar), (~same) * 5000.0), 1).long()
    found = verification(similar, same, owners)
    assert (found["from_permille"].value, found["tar_permille"].value) == (pytest.approx(0.9985), 0.5)
    assert (found["from_percent"].value, found["tar_percent"].value) == (pytest.approx(0.9895), 0.75)
    assert found["from_percent"].low < found["from_percent"].value < found["from_percent"].high


def test_without_a_cosine_that_few_strangers_reach():
    """One of two pairs of strangers is the most alike of all: no cosine lets so few of them pass."""
    owners = torch.tensor([[0, 1], [0, 2], [1, 1]])
    found = verification(torch.tensor([0.9, 0.1, 0.5]), owners[:, 0] == owners[:, 1], owners)
    assert (found["tar_percent"].value, found["from_percent"].value, found["from_percent"].count) == (0.0, None, 0)


def test_intervals_are_of_people():
    """One of four people is never told apart: drawn anew, that person is there up to several times, or not at all."""
    embeddings = torch.eye(8)[torch.tensor([0, 0, 1, 1, 2, 2, 3, 4])]
    people = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
    found = verification(*all_pairs(embeddings, people))
    # A true pair with a cosine of 0 ties with all the others: half of them are below.
    assert found["auc"].value == pytest.approx((3 + 0.5) / 4)
    assert found["tar_permille"].value == pytest.approx(3 / 4)
    assert (found["tar_permille"].low, found["tar_permille"].high) == (0.25, 1.0)


def test_both_people_of_a_pair_count():
    rng = torch.Generator().manual_seed(0)
    similar, same, owners = all_pairs(torch.randn(12, 4, generator=rng), torch.arange(12) // 2)
    found = verification(similar, same, owners)
    assert found == verification(similar, same, owners.flip(1))
    assert 0 < found["auc"].low < found["auc"].value < found["auc"].high < 1


def test_without_two_people_there_is_nothing_to_verify():
    found = verification(*all_pairs(torch.eye(3), torch.zeros(3, dtype=torch.long)))
    assert {one.value for one in found.values()} == {None}
    assert found["auc"].count == 0


def test_matched_pairs_are_of_one_person_on_the_diagonal():
    similar, same, owners = matched_pairs(torch.eye(3), torch.eye(3).roll(1, 0))
    assert same.reshape(3, 3).equal(torch.eye(3, dtype=torch.bool))
    assert owners[same].tolist() == [[0, 0], [1, 1], [2, 2]]
    assert similar.reshape(3, 3).equal(torch.eye(3) @ torch.eye(3).roll(1, 0).T)


def test_correlations_can_be_of_owners():
    """Copies of the same samples add nothing to what is known: with owners the interval stays, without it narrows."""
    rng = torch.Generator().manual_seed(1)
    wanted = torch.rand(12, 1, generator=rng)
    read = wanted + 0.3 * torch.rand(12, 1, generator=rng)
    readable = torch.ones(1, dtype=torch.bool)
    copies = [one.repeat(9, 1) for one in (read, wanted)]
    alone = correlation_figure(read, wanted, readable)
    owned = correlation_figure(*copies, readable, owners=torch.arange(12).repeat(9))
    assert (owned.value, owned.low, owned.high) == pytest.approx((alone.value, alone.low, alone.high))
    free = correlation_figure(*copies, readable)
    assert free.high - free.low < 0.6 * (alone.high - alone.low)


class Oracle:
    """A judge that reads the truth, changed as asked for."""

    name = "oracle"
    readable = torch.ones(52, dtype=torch.bool)

    def __init__(self, people, change):
        self._rows = iter(change(people.coefficients.flatten(0, 1).clone(), people.pose.flatten(0, 1).clone()))

    def places(self, pictures, points):
        return points

    def read(self, pictures, places):
        coefficients, pose = next(self._rows), next(self._rows)
        return coefficients, pose, torch.ones(len(pictures))


@pytest.fixture(scope="module")
def people():
    return render_people(FaceModel.load(tiny_folder() / "faces.npz"), 5, 0, 4, 64, 1.0)


def test_the_pictures_are_those_of_triplets(people):
    assert people.pictures.shape == (4, 4, 64, 64, 3)
    assert torch.equal(people.coefficients[:, SOURCE], people.coefficients[:, ANSWER])
    assert not torch.equal(people.coefficients[:, REFERENCE], people.coefficients[:, ANSWER])
    assert torch.equal(people.pose[:, TARGET], people.pose[:, ANSWER])
    again = render_people(FaceModel.load(tiny_folder() / "faces.npz"), 5, 2, 4, 64, 1.0)
    assert torch.equal(again.pictures, people.pictures[2:])
    both = join([people, again])
    assert torch.equal(both.coefficients[4:], people.coefficients[2:])


def test_the_truth_has_no_error_and_others_have_theirs(people):
    exact, _ = measure_expressions(Oracle(people, lambda *truth: truth), people)
    assert (exact["error_active"].value, exact["error_all"].value, exact["pose"].value) == (0, 0, 0)
    assert exact["correlation"].value == pytest.approx(1)
    assert exact["read"].value == 1

    def off(coefficients, pose):
        """Too high by 0.1 where active; yaw by 0.02 radians; one face unread."""
        pose[:, 1] += 0.02
        coefficients[coefficients > 0.05] += 0.1
        coefficients[3], pose[3] = math.nan, math.nan
        return coefficients, pose

    figures, by_name = measure_expressions(Oracle(people, off), people)
    assert figures["error_active"].value == pytest.approx(0.1)
    assert 0 < figures["error_all"].value < 0.1
    assert figures["yaw"].value == pytest.approx(math.degrees(0.02), rel=1e-4)
    assert figures["pose"].value == pytest.approx(math.degrees(0.02) / 3, rel=1e-4)
    assert (figures["roll"].value, figures["read"].value) == (0, pytest.approx(15 / 16))
    active = (people.coefficients.flatten(0, 1)[:, ARKIT_INDEX["jawOpen"]] > 0.05).tolist()
    assert by_name["jawOpen"]["error_active"].count == sum(active) - active[3]
    assert by_name["jawOpen"]["error_all"].count == 15


def test_a_face_at_rest_is_what_to_compare_with(people):
    figures, by_name = measure_expressions(None, people)
    assert figures["error_all"].value == pytest.approx(float(people.coefficients.mean()))
    assert figures["correlation"].value == 0
    assert by_name["jawOpen"]["error_all"].value == pytest.approx(
        float(people.coefficients[..., ARKIT_INDEX["jawOpen"]].mean()), rel=1e-5
    )


def test_a_recogniser_of_heads_is_seen_through(people, tmp_path):
    """Answers with the target's pixels alone: the head is nearer than the person; with the reference's, all is found."""
    encoder = load_recogniser(save_recogniser(tmp_path / "rec.onnx"), "CPU")

    def shown(role):
        pictures, points = people.pictures.clone(), people.points.clone()
        pictures[:, ANSWER], points[:, ANSWER] = pictures[:, role], points[:, role]
        return measure_recogniser(encoder, replace(people, pictures=pictures, points=points))

    heads, faces = shown(TARGET), shown(REFERENCE)
    assert heads["face_before_head"].value == 0
    assert heads["cosine_same_head"].value == pytest.approx(1)
    for name in ("auc", "tar_permille", "tar_percent", "retrieved", "face_before_head", "cosine_same"):
        assert faces[name].value == pytest.approx(1), name
    assert faces["cosine_others"].value < 1


class Finds:
    """A detector that finds what it is told, moved by some pixels."""

    name = "finds"

    def __init__(self, finds):
        self._finds = iter(finds)

    def detect(self, picture):
        return next(self._finds)


def test_what_counts_as_found():
    box = torch.tensor([10.0, 10.0, 30.0, 30.0], dtype=torch.float64)
    points = torch.tensor([[15.0, 15], [25, 15], [20, 20], [16, 25], [24, 25]], dtype=torch.float64)
    scene = Scene(torch.zeros(40, 40, 3), box, points)

    def find(shift, refused=None):
        return Detection(box + shift, points + torch.tensor([shift, 0.0]), 1.0, 1.0, refused)

    far = find(9.0)
    figures = measure_detector(Finds([[find(1.0), far], [far], [find(0.0, "faint")], []]), [scene] * 4)
    assert figures["recall"].value == 0.25
    # One pixel of the ten between the eyes.
    assert figures["points"].value == pytest.approx(0.1)
    assert figures["points"].count == 1
    assert figures["false"].value == pytest.approx(0.5)


def test_a_smaller_picture_keeps_its_truth():
    """A white square marks the box; its place in the smaller picture is where the moved box says."""
    picture = torch.zeros(96, 96, 3)
    picture[30:60, 24:54] = 1
    scene = Scene(picture, torch.tensor([23.5, 29.5, 53.5, 59.5], dtype=torch.float64), torch.zeros(5, 2, dtype=torch.float64))
    for number in range(4):
        small = smaller(scene, number)
        white = (small.picture[..., 0] == 1).nonzero()
        top, left = white.amin(0).tolist()
        bottom, right = white.amax(0).tolist()
        assert small.box.tolist() == pytest.approx([left - 0.5, top - 0.5, right + 0.5, bottom + 0.5])
        assert (left >= 48, top >= 48) == (number % 2 == 1, number >= 2)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoders")
    save_recogniser(folder / "rec.onnx")
    save_recogniser(folder / "exp.onnx", dim=55, size=128)
    save_detector(folder / "det.onnx")
    write_tiny_task(folder / "judge.task")
    return folder


def command(files, out, **changes):
    options = {
        "out": out, "recogniser": files / "rec.onnx", "expression": files / "exp.onnx", "detector": files / "det.onnx",
        "cache": tiny_folder() / "faces.npz", "people": 3, "size": 64, "scene": 64,
    } | changes  # fmt: skip
    return ["encoders", *(str(part) for name, value in options.items() if value is not None for part in (f"--{name}", value))]


def test_the_command(files, tmp_path):
    """Twice the same figures, and a second expression encoder beside the first."""
    once, again = tmp_path / "once", tmp_path / "again"
    assert main([*command(files, once), "--expression", str(files / "judge.task")]) == 0
    assert main([*command(files, again), "--expression", str(files / "judge.task")]) == 0
    assert (once / "encoders.json").read_bytes() == (again / "encoders.json").read_bytes()
    document = json.loads((once / "encoders.json").read_text())
    assert set(document["recognisers"]) == {"rec.onnx"}
    assert set(document["expressions"]) == {"exp.onnx", "judge.task", "a face at rest, whatever is shown"}
    assert set(document["detectors"]) == {"det.onnx, portraits", "det.onnx, 3 times smaller"}
    assert document["expressions"]["exp.onnx"]["error_active"]["count"] == 12
    assert document["run"]["people"] == 3
    table = (once / "encoders.md").read_text()
    assert "| verification: area under the ROC curve |" in table
    assert "| verification: the cosine that at most 1 % of false ones reach |" in table
    assert "| cheekPuff (MediaPipe: hardly) |" in table
    assert table.count("\n## ") == 4


def test_what_cannot_be_measured_is_named(files, tmp_path, capsys):
    out = tmp_path / "out"
    nothing = {"recogniser": None, "expression": None, "detector": None}
    for changes, message in (
        (nothing, "nothing to measure; give --recogniser, --expression or --detector"),
        ({"cache": None}, "nothing to look at; give --cache"),
        ({"people": 1}, "people: expected at least 2, found 1"),
        ({"seed": -1}, "seed: expected 0 to"),
        ({"size": 8}, "size: expected at least 32 pixels, got 8"),
        ({"recogniser": files / "gone.onnx"}, "gone.onnx does not exist"),
        ({"expression": files / "gone.onnx"}, "gone.onnx does not exist"),
        ({"expression": files / "rec.onnx"}, "rec.onnx: gives an output of [2, 512] for two faces; expected"),
        ({"detector": files / "rec.onnx"}, "detector: rec.onnx has 1 outputs"),
        ({"photos": tmp_path / "none"}, "none is no folder"),
    ):
        assert main(command(files, out, **changes)) == 2
        assert message in capsys.readouterr().err
    assert not out.exists()


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two people of two photos each, one nobody, a picture without a face and a file that is none."""
    folder = tmp_path_factory.mktemp("photos")
    first, second = sample_names()[:2]
    for person, name in (("one", first), ("two", second)):
        (folder / person).mkdir()
        pixels = load_sample(name)[0].numpy() * 255
        for stem, brightness in (("a", 1.0), ("b", 0.8)):
            Image.fromarray((pixels * brightness).round().astype(np.uint8)).resize((256, 256)).save(
                folder / person / f"{stem}.png"
            )
    shutil.copy(folder / "one" / "a.png", folder / "nobody.png")
    Image.new("RGB", (64, 64)).save(folder / "two" / "c.png")
    (folder / "two" / "d.jpg").write_bytes(b"none")
    return folder


def test_photos_of_people_in_folders(files, photos):
    faces = find_in_photos(photos, None)
    assert [path.name for path in faces.unread] == ["d.jpg"]
    assert measure_faces(faces)["found"].value == pytest.approx(5 / 6)
    encoder = load_recogniser(files / "rec.onnx", "CPU")
    found = measure_photos(encoder, faces)
    # Two true pairs; the photo of nobody, which is the first person's, is in no pair at all.
    assert found["auc"].count == 2
    assert found["auc"].value == 1


def test_photos_alone(files, photos, tmp_path):
    out = tmp_path / "out"
    assert main(command(files, out, cache=None, photos=photos, expression=None)) == 0
    document = json.loads((out / "encoders.json").read_text())
    assert document["photos"]["det.onnx"]["found"]["count"] == 6
    assert document["photos"]["rec.onnx"]["auc"]["value"] is None
    assert document["recognisers"] == {}
