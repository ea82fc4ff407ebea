"""Encoders on labelled photos: the truth of turned and resized pictures, every figure on made-up finds, and the command on tiny
networks with a tiny folder."""

import json
import math

import numpy as np
import pytest
import torch
from testkit.onnx_graph import GraphWriter
from testkit.onnx_models import save_recogniser
from testkit.onnx_nets import save_detector
from testkit.tiny_landmarker import write_tiny_task
from testkit.tiny_makehuman import tiny_folder
from testkit.tiny_training import save_labelled

from sfsr_model.encoders.detection import Detection
from sfsr_model.encoders.detector import FaceDetector
from sfsr_model.encoders.norm_floor import NormFloor
from sfsr_model.encoders.pack import load_recogniser
from sfsr_model.evaluation.__main__ import main
from sfsr_model.evaluation.encoders import finders, photo_detection, photo_recognition
from sfsr_model.evaluation.encoders.faceless import SIDES, backdrop, patches
from sfsr_model.evaluation.encoders.finders import LandmarkerFinder, YunetFinder, load_finder
from sfsr_model.evaluation.encoders.finds import by_yaw
from sfsr_model.evaluation.encoders.labelled_faces import (
    FRAMES,
    LONDON,
    NOBODY,
    LabelledFaces,
    group_of,
    limited,
    see,
    smiling_pairs,
    spread,
)
from sfsr_model.evaluation.encoders.moved import CANVAS, sized, turned
from sfsr_model.evaluation.encoders.photo_detection import TURNS, Witnesses, measure_faceless, measure_groups, measure_moved
from sfsr_model.evaluation.encoders.photo_expressions import TOGETHER, measure_photo_expressions
from sfsr_model.evaluation.encoders.photo_recognition import Mistaken, measure_recognition
from sfsr_model.evaluation.encoders.recognisers import unit_vectors, vectors
from sfsr_model.evaluation.encoders.tables import Results, as_markdown
from sfsr_model.evaluation.metrics import Figure
from sfsr_model.expressions import ARKIT_INDEX
from sfsr_model.face.crop import template
from sfsr_model.landmarker import load_expression_encoder
from sfsr_model.synthetic.model import FaceModel
from sfsr_model.synthetic.sample import sample_picture
from sfsr_model.training.labelled import load_labelled
from sfsr_model.training.teachers import DlibRecogniser

SIDE = 120
FIVE = np.array([[50.0, 50], [70, 50], [60, 62], [52, 74], [68, 74]])
COLOURS = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0, 1, 1]], np.float32)
GREY = 0.2


def marked(side=SIDE, points=FIVE, radius=3):
    """A grey picture with a dot of its own colour at each of the five points."""
    pixels = np.full((side, side, 3), GREY, np.float32)
    for (x, y), colour in zip(points.astype(int), COLOURS, strict=True):
        pixels[y - radius : y + radius + 1, x - radius : x + radius + 1] = colour
    return (pixels * 255).round().astype(np.uint8)


def faces_of(folder):
    """All rows, the five points in place of landmarks, heads that look straight on."""
    photos = load_labelled(folder)
    numbers = {person: number for number, person in enumerate(dict.fromkeys(photos.people))}
    owners = torch.tensor([numbers[person] for person in photos.people])
    groups = tuple(group_of(source) for source in photos.sources)
    return LabelledFaces(photos, photos.points.clone(), torch.zeros(len(photos), 3), owners, groups)


@pytest.fixture
def dots(tmp_path, monkeypatch):
    """A frame and two crops, with dots at the five points, and sizes to bring them to that do not make large pictures."""
    monkeypatch.setattr(photo_detection, "SIZES", (48, 60))
    rows = [("lfw", "a", "val"), ("omi", "b", "val"), ("london", "c", "val")]
    return faces_of(save_labelled(tmp_path / "dots", rows, [marked()] * 3, [FIVE] * 3))


def seen_dots(picture):
    """Where each colour is: [5, 2], NaN for one that is not there."""
    colours = torch.from_numpy(COLOURS)
    near = ((picture[:, :, None] - colours).abs().amax(-1) < 0.35).double()
    across, down = torch.arange(picture.shape[1]).double(), torch.arange(picture.shape[0]).double()
    amount = near.sum((0, 1))
    sums = [(near * steps).sum((0, 1)) for steps in (across[None, :, None], down[:, None, None])]
    return torch.stack(sums, -1) / amount[:, None]


@pytest.mark.parametrize("degrees", [0, *TURNS])
def test_a_turned_picture_shows_its_face_where_the_truth_says(dots, degrees):
    moved = turned(dots, 0, degrees)
    scene = moved.scene
    assert (seen_dots(scene.picture) - scene.points).abs().max() < 0.6
    assert scene.box.tolist() == pytest.approx([*scene.points.amin(0).tolist(), *scene.points.amax(0).tolist()])
    angle, eyes = math.radians(degrees), scene.points[1] - scene.points[0]
    assert eyes.tolist() == pytest.approx([20 * math.cos(angle), 20 * math.sin(angle)], abs=1e-6)
    # All of the picture is there, and its border fills the corners.
    assert scene.picture.shape[0] == pytest.approx(SIDE * (abs(math.cos(angle)) + abs(math.sin(angle))), abs=2)
    assert scene.picture[0, 0].tolist() == pytest.approx([GREY] * 3, abs=0.01)
    back = scene.points @ moved.back[:, :2].T + moved.back[:, 2]
    assert torch.allclose(back, torch.from_numpy(FIVE))


def test_a_quarter_turn_is_exact(dots):
    picture = dots.photos.picture(0)
    assert torch.allclose(turned(dots, 0, 90).scene.picture, picture.rot90(-1, (0, 1)), atol=1e-4)
    assert torch.allclose(turned(dots, 0, 180).scene.picture, picture.rot90(2, (0, 1)), atol=1e-4)


@pytest.mark.parametrize(("side", "canvas"), [(24, True), (48, True), (90, False)])
def test_a_resized_picture_shows_its_face_where_the_truth_says(dots, side, canvas):
    generator = torch.Generator().manual_seed(3)
    moved = sized(dots, 0, side, generator)
    scene = moved.scene
    assert float((scene.box[2:] - scene.box[:2]).max()) == pytest.approx(side, rel=0.02)
    assert (seen_dots(scene.picture) - scene.points).abs().max() < 0.6
    assert (scene.picture.shape[0] == CANVAS) == canvas
    back = scene.points @ moved.back[:, :2].T + moved.back[:, 2]
    assert torch.allclose(back, torch.from_numpy(FIVE))
    if canvas:
        other = sized(dots, 0, side, generator)
        assert not torch.equal(other.scene.points, scene.points)
        assert (scene.picture == 0.5).all(-1).sum() > CANVAS**2 / 3


def find(points, shift=0.0, confidence=1.0, refused=None):
    points = points + torch.tensor([shift, 0.0], dtype=torch.float64)
    return Detection(torch.cat((points.amin(0), points.amax(0))), points, 1.0, confidence, refused)


class Sees:
    """A detector that makes its finds of the picture's dots."""

    def __init__(self, make):
        self._make = make

    def detect(self, picture):
        return self._make(seen_dots(picture))


def elsewhere(points):
    """A find that overlaps no face: as large as this one, above it."""
    return find(points - torch.tensor([0.0, 40.0], dtype=torch.float64))


NONE = Witnesses({})


def test_shifted_points_give_the_known_error(dots):
    """Two of the twenty pixels between the eyes."""
    groups = measure_groups({"shifted": Sees(lambda points: [find(points, 2.0)])}, dots, NONE)
    assert set(groups) == {FRAMES, NOBODY, LONDON}
    figures = groups[FRAMES]["shifted"]
    assert figures["points"].value == pytest.approx(0.1, abs=0.01)
    assert (figures["recall"].value, figures["false"].value) == (1, 0)
    assert figures["points_yaw_0"].count == 1
    assert figures["points_yaw_15"].value is None
    far = measure_groups({"far": Sees(lambda points: [find(points, 3.0)])}, dots, NONE)[NOBODY]["far"]
    assert (far["points_far"].value, figures["points_far"].count) == (1, 1)


def test_what_nobody_else_takes_for_a_face_is_a_false_find(dots):
    """A find above the face; a witness that sees a face there clears it, and is not asked for its own."""
    both = Sees(lambda points: [find(points), elsewhere(points)])
    doubtful = Sees(lambda points: [find(elsewhere(points).points, refused="faint")])
    assert measure_groups({"both": both}, dots, NONE)[FRAMES]["both"]["false"].value == 1
    cleared = measure_groups({"both": both, "witness": doubtful}, dots, Witnesses({"witness": doubtful}))[FRAMES]
    assert cleared["both"]["false"].value == 0
    assert cleared["witness"]["false"].value is None
    assert cleared["witness"]["recall"].value == 0


def test_turned_faces_are_found_refused_or_imagined(dots):
    middle = torch.from_numpy(FIVE).mean(0)

    def upright(points):
        """The right box, with the points of a face that is not turned."""
        imagined = torch.from_numpy(FIVE) - middle + points.mean(0)
        return [Detection(torch.cat((points.amin(0), points.amax(0))), imagined, 1.0)]

    finders = {
        "right": Sees(lambda points: [find(points)]),
        "upright": Sees(upright),
        "blind": Sees(lambda points: []),
        "elsewhere": Sees(lambda points: [find(points), elsewhere(points)]),
    }
    figures = measure_moved(finders, dots, [0, 1, 2], NONE, seed=0)
    for degrees in (45, 90, 180):
        both = [(one[f"turned_{degrees}"].value, one[f"turned_{degrees}_clean"].value) for one in figures.values()]
        assert both == [(1, 1), (0, 0), (0, 1), (1, 0)], degrees
    assert figures["upright"]["turned_15"].value == 1
    assert figures["right"]["sized_48"].value == 1
    # The frame is not enlarged to the largest size.
    assert (figures["right"]["sized_48"].count, figures["right"]["sized_60"].count) == (3, 2)


def test_other_faces_of_a_turned_picture_are_no_mistake(dots):
    """A find where the upright picture has a witness' face is cleared when the picture is turned, too."""

    def above(points):
        """As far above the eyes as the mouth is below, in the face's own axes."""
        down = points[3:].mean(0) - points[:2].mean(0)
        return find(points - 1.6 * down)

    finder = {"both": Sees(lambda points: [find(points), above(points)])}
    alone = measure_moved(finder, dots, [0], NONE, seed=0)["both"]
    cleared = measure_moved(finder, dots, [0], Witnesses({"witness": Sees(lambda points: [above(points)])}), seed=0)["both"]
    for name in ("turned_30", "turned_90", "sized_48"):
        assert (alone[f"{name}_clean"].value, cleared[f"{name}_clean"].value) == (0, 1), name
    assert cleared["turned_90"].value == 1


def test_finds_in_pictures_without_a_face(dots):
    eager = Sees(lambda points: [find(torch.from_numpy(FIVE)), find(torch.from_numpy(FIVE), refused="faint")])
    kinds = {"false_patches": ([torch.zeros(8, 8, 3)] * 2, 2), "false_backdrops": (iter([torch.zeros(8, 8, 3)]), 1)}
    figures = measure_faceless({"eager": eager, "witness": eager}, kinds, Witnesses({"witness": eager}), "false_patches")
    assert {name: one.value for name, one in figures["eager"].items()} == {"false_patches": 1, "false_backdrops": 1}
    assert {name: one.value for name, one in figures["witness"].items()} == {"false_patches": None, "false_backdrops": 1}


def test_errors_by_yaw():
    figures = by_yaw(torch.tensor([0.1, 0.3, 0.5, math.nan, 9.0]), torch.deg2rad(torch.tensor([-14.0, 16, -40, 3, 70])))
    assert [figures[f"points_yaw_{low}"].value for low in (0, 15, 30)] == pytest.approx([0.1, 0.3, 0.5])
    assert figures["points_yaw_0"].count == 1


@pytest.fixture
def frame(tmp_path):
    """A frame of 208 pixels whose red and green say where a pixel is; its face spans 70 to 130 each way."""
    steps = np.arange(208, dtype=np.uint8)
    pixels = np.stack((np.tile(steps, (208, 1)), np.tile(steps[:, None], (1, 208)), np.zeros((208, 208), np.uint8)), -1)
    five = np.array([[70.0, 70], [130, 70], [100, 100], [80, 130], [120, 130]])
    return faces_of(save_labelled(tmp_path / "frame", [("lfw", "a", "val")], [pixels], [five]))


def place_of(piece):
    """Left, top, right, bottom (inclusive) of a piece of `frame`."""
    return (piece[0, 0, :2] * 255).round().tolist() + (piece[-1, -1, :2] * 255).round().tolist()


def test_pieces_of_photos_show_no_face(frame):
    found = patches(frame, [0], lambda picture: [], 5, seed=1)
    assert len(found) == 5
    assert len({tuple(place_of(piece)) for piece in found}) > 1
    for piece in found:
        left, top, right, bottom = place_of(piece)
        assert SIDES[0] <= piece.shape[0] == piece.shape[1] <= SIDES[1]
        assert right < 70 or bottom < 70 or left > 130 or top > 130
    again = patches(frame, [0], lambda picture: [], 5, seed=1)
    assert all(torch.equal(one, other) for one, other in zip(found, again, strict=True))


def test_pieces_that_a_witness_takes_for_faces_are_left_out(frame):
    whole = torch.tensor([0.0, 0, 66, 207], dtype=torch.float64)
    right = patches(frame, [0], lambda picture: [whole] if picture.shape[0] == 208 else [], 3, seed=1)
    assert right
    assert all(place_of(piece)[0] > 66 for piece in right)
    assert patches(frame, [0], lambda picture: [] if picture.shape[0] == 208 else [whole], 3, seed=1) == []


def test_backdrops_come_from_the_seed():
    one, same, other = backdrop(5, 0, 64), backdrop(5, 0, 64), backdrop(5, 1, 64)
    assert one.shape == (64, 64, 3)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_rows_are_drawn_by_whole_people(tmp_path):
    rows = [("lfw", f"p{number // 4}", "val") for number in range(40)] + [("omi", f"o{number}", "val") for number in range(9)]
    photos = load_labelled(save_labelled(tmp_path / "many", rows, [marked()] * 49, [FIVE] * 49))
    some = limited(photos, 7, 8)
    assert (some.sources.count("lfw"), some.sources.count("omi")) == (8, 8)
    assert len(set(some.people[:8])) == 2
    assert some.files == limited(photos, 7, 8).files != limited(photos, 8, 8).files
    assert list(some.files) == sorted(some.files)
    assert len(limited(photos, 7, pictures=3)) == 30 + 9
    groups = [group_of(source) for source in photos.sources]
    even = spread(groups, 12, 0)
    assert [groups[row] for row in even].count(NOBODY) == 6
    assert len(spread(groups, 30, 0)) == 30
    assert len(spread(groups, 99, 0)) == 49


@pytest.fixture
def people(tmp_path):
    """Four people of two frames each and three of two london crops each; the first pixel says who it is, the next one how."""
    rows, pictures = [], []
    for person in range(7):
        for smile in range(2):
            pixels = marked()
            pixels[0, 0], pixels[0, 1] = person, smile
            rows.append(("lfw" if person < 4 else "london", f"p{person}", "val"))
            pictures.append(pixels)
    coefficients = np.zeros((14, 52))
    coefficients[:, ARKIT_INDEX["jawOpen"]] = np.linspace(0, 1, 14)
    for side in ("Left", "Right"):
        coefficients[1::2, ARKIT_INDEX[f"mouthSmile{side}"]] = 0.6 + 0.02 * np.arange(7)
    return faces_of(save_labelled(tmp_path / "people", rows, pictures, [FIVE] * 14, coefficients))


class Knows:
    """A recogniser that reads the first pixels: people are axes, and the second picture leans by a right-angled amount."""

    name, length = "knows", 4.0

    def embed(self, picture, points):
        person, smile = (picture[0, :2, 0] * 255).round().long().tolist()
        vector = torch.zeros(8)
        vector[person] = 1.0
        vector[7] = 0.75 * smile
        return vector * self.length


def test_people_are_told_apart(people):
    found, smiling, lengths = measure_recognition(Knows(), people, Mistaken([], []), 0)
    assert found["auc"].value == 1
    assert found["auc"].count == 4
    assert found["cosine_same"].value == pytest.approx(0.8)
    # Of the six pictures of others: two leaning ones at 0.6 * 0.6 for the three of a leaning one, nothing for the rest.
    assert found["cosine_others"].value == pytest.approx(0.5 * 0.36 * 0.5)
    assert (smiling["retrieved"].value, smiling["retrieved"].count) == (1, 3)
    assert lengths["norm_percent"].value == pytest.approx(4)
    assert "norm_floor" not in lengths


def test_the_smiling_picture_has_the_higher_number(people):
    pairs = smiling_pairs(people.photos, people.rows(LONDON))
    assert pairs == [(8, 9), (10, 11), (12, 13)]
    swapped = Knows()
    swapped.embed = lambda picture, points: Knows.embed(swapped, picture, points).roll(int((picture[0, 1, 0] * 255).round()), 0)
    # Each smiling one now lies on the next person's axis.
    assert measure_recognition(swapped, people, Mistaken([], []), 0)[1]["retrieved"].value == 0


def test_lengths_that_the_pack_refuses(people, tmp_path, monkeypatch):
    encoder = load_recogniser(save_recogniser(tmp_path / "rec.onnx"), "CPU")
    raw = vectors(encoder, map(people.photos.picture, range(14)), people.photos.points)
    lengths = raw.norm(dim=1)
    monkeypatch.setattr(photo_recognition, "norm_floor", lambda encoder: NormFloor(float(lengths.median()), 99.0))
    pieces = [torch.rand(side, side, 3, generator=torch.Generator().manual_seed(side)) for side in (64, 80)]
    rows = list(range(14))
    figures = measure_recognition(encoder, people, Mistaken(pieces, rows), 0)[2]

    def refused(pictures, points):
        return float((vectors(encoder, pictures, points).norm(dim=1) <= lengths.median()).double().mean())

    assert figures["norm_floor"].value == pytest.approx(float(lengths.median()))
    assert figures["refused_faces"].value == pytest.approx(float((lengths <= lengths.median()).double().mean()))
    # Half of the 24 pixels that the face is high.
    low = people.photos.points + torch.tensor([0.0, 12.0])
    assert figures["refused_low"].value == pytest.approx(refused(map(people.photos.picture, rows), low))
    middle = torch.stack([template() * 64 - 0.5, template() * 80 - 0.5])
    assert figures["refused_patches"].value == pytest.approx(refused(pieces, middle))


def test_the_mean_is_taken_off_dlibs_vectors_alone():
    raw = torch.tensor([[5.0, 1.0], [5.0, -1.0]])
    centred = unit_vectors(DlibRecogniser("dlib.dat", None), raw)
    assert torch.allclose(centred, torch.tensor([[0.0, 1.0], [0.0, -1.0]]))
    assert torch.allclose(unit_vectors(Knows(), raw), torch.nn.functional.normalize(raw, dim=1))


def test_readings_are_compared_with_the_labels(people):
    exact = measure_photo_expressions(people.photos.coefficients, people.pose + 0.1, people)
    assert set(exact) == {FRAMES, LONDON, TOGETHER}
    assert exact[TOGETHER]["correlation"].value == pytest.approx(1)
    assert exact[TOGETHER]["pose"].value == pytest.approx(math.degrees(0.1), rel=1e-4)
    assert exact[TOGETHER]["correlation"].count == 14
    assert (exact[LONDON]["smiles_more"].value, exact[LONDON]["smiles_more"].count) == (1, 3)
    read = people.photos.coefficients.clone()
    smile = [ARKIT_INDEX["mouthSmileLeft"], ARKIT_INDEX["mouthSmileRight"]]
    read[:, smile] = 1 - read[:, smile]
    frowning = measure_photo_expressions(read, people.pose, people)
    assert frowning[TOGETHER]["correlation_smile"].value == pytest.approx(-1)
    # The jaw's and the two smiles' correlations.
    assert frowning[TOGETHER]["correlation"].value == pytest.approx((1 - 1 - 1) / 3)
    assert frowning[LONDON]["smiles_more"].value == 0


def test_counts_are_written_as_counts():
    results = Results(labelled={"Smiles": {"one": {"smiles_more": Figure(53 / 54, 0.9, 1.0, 54)}}})
    table = as_markdown({}, results)
    assert "## Smiles" in table
    assert "| 53 of 54 |" in table


class FakeYunet:
    def setInputSize(self, size):
        self.size = size

    def detect(self, picture):
        rows = [[10, 20, 30, 40, *range(1, 11), 0.95], [1, 2, 3, 4, *range(1, 11), 0.7]]
        return 1, np.array(rows, np.float32)


def test_yunets_finds():
    model = FakeYunet()
    sure, doubtful = YunetFinder(model).detect(torch.zeros(50, 60, 3))
    assert model.size == (60, 50)
    assert sure.box.tolist() == [10, 20, 40, 60]
    assert sure.points.tolist() == [[1, 2], [3, 4], [5, 6], [7, 8], [9, 10]]
    assert (sure.refused, doubtful.refused) == (None, "its score is below 0.9")


def test_every_kind_of_detector_is_loaded(tmp_path, monkeypatch):
    assert isinstance(load_finder(save_detector(tmp_path / "det.onnx")), FaceDetector)
    assert isinstance(load_finder(write_tiny_task(tmp_path / "tiny.task")), LandmarkerFinder)
    graph = GraphWriter(32)
    parts = [graph.node("Add", graph.input, graph.constant(np.float32(number))) for number in range(12)]
    graph.save(tmp_path / "twelve.onnx", *parts, shapes=tuple((f"part{number}", 3) for number in range(12)))
    monkeypatch.setattr(finders, "_load_yunet", lambda path: path.name)
    assert load_finder(tmp_path / "twelve.onnx") == "twelve.onnx"
    weights = tmp_path / "weights"
    (weights / "demo_faces").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"detector: .* lacks"):
        load_finder(weights)
    with pytest.raises(ValueError, match=r"witness: .*gone\.onnx does not exist"):
        load_finder(tmp_path / "gone.onnx", "witness")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Tiny networks, and a labelled folder of rendered faces."""
    folder = tmp_path_factory.mktemp("labelled")
    save_recogniser(folder / "rec.onnx")
    save_recogniser(folder / "exp.onnx", dim=55, size=128)
    save_detector(folder / "det.onnx")
    write_tiny_task(folder / "tiny.task")
    model = FaceModel.load(tiny_folder() / "faces.npz")
    rows = [(source, f"{source}{number // 2}", "val") for source in ("lfw", "omi", "london") for number in range(4)]
    shown = [sample_picture(model, 3, number, 208 if number < 4 else 96, aligned=number >= 4) for number in range(12)]
    rows.append(("lfw", "other", "train"))
    shown.append(shown[0])
    save_labelled(
        folder / "photos", rows, [one.image for one in shown], [one.five for one in shown], [one.coefficients for one in shown]
    )
    return folder


def test_the_landmarker_looks_at_the_labelled_points(files):
    photos = load_labelled(files / "photos").chosen("val")
    faces = see(photos, load_expression_encoder(files / "tiny.task").landmarker)
    assert len(faces) == 12
    assert faces.landmarks.shape == (12, 478, 2)
    for row in range(12):
        box, points = faces.box(row), photos.points[row]
        assert (points.mean(0) > box[:2]).all()
        assert (points.mean(0) < box[2:]).all()
    assert faces.owners.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


def command(files, out, *more):
    options = {
        "out": out, "recogniser": files / "rec.onnx", "expression": files / "exp.onnx", "detector": files / "det.onnx",
        "labelled": files / "photos", "landmarker": files / "tiny.task",
    }  # fmt: skip
    return ["encoders", *(str(part) for name, value in options.items() for part in (f"--{name}", value)), *map(str, more)]


def test_the_command_on_labelled_photos(files, tmp_path, monkeypatch):
    monkeypatch.setattr(photo_detection, "SIZES", (24, 60))
    once, again = tmp_path / "once", tmp_path / "again"
    more = ("--detector", files / "tiny.task", "--expression", files / "tiny.task", "--limit", 3, "--scene", 64)
    assert main([*command(files, once, *more), "--speed"]) == 0
    assert main(command(files, again, *more)) == 0
    document, without = (json.loads((folder / "encoders.json").read_text()) for folder in (once, again))
    sections = document["labelled"]
    timed = [title for title in sections if title.startswith("Time")]
    assert len(timed) == 3
    assert without["labelled"] == {title: one for title, one in sections.items() if title not in timed}
    assert document["run"]["labelled"] == "split val, 3 of lfw, 3 of london, 3 of omi"
    frames = sections[f"Detectors on photos: {FRAMES}"]
    assert set(frames) == {"det.onnx", "tiny.task"}
    # The landmarker is a witness, so its own false finds are not counted.
    assert (frames["tiny.task"]["false"]["value"], frames["det.onnx"]["false"]["value"]) == (None, 0)
    assert sections[f"Recognisers on photos: {FRAMES}"]["rec.onnx"]["auc"]["count"] == 1
    own = sections[f"Expression encoders on photos: {TOGETHER}"]["tiny.task"]
    assert own["pose"]["value"] == pytest.approx(0, abs=0.01)
    for title in timed:
        assert next(iter(sections[title].values()))["times_mediapipe"]["value"] == 1
    table = (once / "encoders.md").read_text()
    assert "| picture turned by 90 degrees: found or refused, nothing wrong accepted |" in table
    assert "| face of 24 pixels: found |" in table
    assert "| correlation: smile |" in table


def test_what_is_wrong_with_labelled_photos_is_named(files, tmp_path, capsys):
    bare = ["encoders", "--out", str(tmp_path / "out"), "--detector", str(files / "det.onnx"), "--labelled"]
    photos, task = str(files / "photos"), ["--landmarker", str(files / "tiny.task")]
    for arguments, message in (
        ([photos], "landmarker: --labelled needs one"),
        ([str(tmp_path / "none"), *task], "labelled: "),
        ([photos, *task, "--split", "odd"], "labelled: "),
        ([photos, *task, "--limit", "0"], "limit: expected at least 1, found 0"),
        ([photos, *task, "--witness", "gone.onnx"], "witness: gone.onnx does not exist"),
        ([photos, *task, "--recogniser", "gone.dat"], "recogniser: gone.dat does not exist"),
        ([photos, "--landmarker", str(files / "det.onnx")], "landmarker: det.onnx"),
    ):
        assert main([*bare, *arguments]) == 2
        assert message in capsys.readouterr().err, message
    assert not (tmp_path / "out").exists()
