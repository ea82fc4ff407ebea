"""The second look at a found face: its file, better points, refusals, and pictures that are turned."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from testkit.onnx_nets import save_se_recogniser
from testkit.tiny_training import write_settings, write_triplets

from sfsr_model.encoders.bundled import load_bundled_encoder
from sfsr_model.encoders.detection import Detection
from sfsr_model.encoders.detector import FaceDetector
from sfsr_model.encoders.points import SIDE, PointsFileError, PointsReader, load_points_reader, looked_at
from sfsr_model.face.crop import template
from sfsr_model.samples import FOLDER
from sfsr_model.training.__main__ import main

FIVE = template() * 100 + 50


def find(points=FIVE, score=0.9, refused=None):
    return Detection(torch.tensor([50.0, 50, 150, 150], dtype=torch.float64), points, score, score, refused)


class Knows(torch.nn.Module):
    """Sees the true points of a face wherever its crop was cut out: by what the crop's red and green say of each place.

    turned: quarters by which the face is turned. In a crop in which it does not stand upright the rough points are said to be
    the true ones, with the score `askew`.
    """

    def __init__(self, score=9.0, turned=0, askew=9.0):
        super().__init__()
        self.score, self.askew = score, askew
        self.truth = turned_about_the_middle(FIVE, turned)

    def forward(self, crops):
        pixels = (crops + 1) / 2 * 255
        meant = (looked_at() * SIDE - 0.5).round().long()
        rows = []
        for crop in pixels:
            # Red is x and green y in the picture: places as complex numbers, picture = scale * crop + start.
            here = torch.view_as_complex(torch.stack([crop[:2, y, x] for x, y in meant.tolist()]).double())
            crop_places = torch.view_as_complex(meant.double())
            away = crop_places - crop_places.mean()
            scale = (away.conj() * (here - here.mean())).sum() / (away.abs() ** 2).sum()
            true = (torch.view_as_complex(self.truth) - here.mean()) / scale + crop_places.mean()
            upright = (true[1] - true[0]).angle().abs() < math.pi / 4
            moved = torch.view_as_real(true - crop_places) / SIDE if upright else torch.zeros(5, 2)
            rows.append(torch.cat((moved.flatten().float(), torch.tensor([self.score if upright else self.askew]))))
        return torch.stack(rows)


def turned_about_the_middle(points, quarters):
    """Points turned clockwise about the middle of `find`'s box."""
    points = points - 100
    for _ in range(quarters):
        points = torch.stack((-points[:, 1], points[:, 0]), -1)
    return points + 100


def places():
    """A picture, BGR bytes, whose red is x and whose green is y."""
    y, x = np.mgrid[:220, :220].astype(np.uint8)
    return np.stack((np.zeros_like(x), y, x), -1)


def test_points_come_nearer_with_every_look():
    rough = FIVE + torch.tensor([[4.0, -3], [-3, 2], [2, 5], [-4, 3], [5, -2]], dtype=torch.float64)
    (seen,) = PointsReader(Knows()).look(places(), [find(rough)])
    assert seen.refused is None
    assert (rough - FIVE).norm(dim=-1).mean() > 4
    assert (seen.points - FIVE).norm(dim=-1).max() < 1.0


def test_what_is_no_face_is_refused_and_what_was_refused_stays():
    refused = find(refused="its score is below 0.5")
    seen, again, kept = PointsReader(Knows(-1.0, askew=-1.0)).look(places(), [find(), find(), refused])
    assert seen.refused == again.refused == "a closer look at it finds no face there"
    assert kept is refused

    # Points that run away with every look belong to nothing that is there.
    class Runs(Knows):
        def forward(self, crops):
            return torch.cat((torch.full((len(crops), 10), 0.1), torch.full((len(crops), 1), 5.0)), 1)

    assert PointsReader(Runs()).look(places(), [find()])[0].refused is not None
    assert PointsReader(Knows()).look(places(), []) == []


@pytest.mark.parametrize("quarters", [1, 2, 3])
@pytest.mark.parametrize("rough_score", [-1.0, 5.0])
def test_a_face_taken_for_an_upright_one_gets_its_own_points(quarters, rough_score):
    """Whether its imagined points are believed a little or not at all."""
    (seen,) = PointsReader(Knows(turned=quarters, askew=rough_score)).look(places(), [find()])
    assert seen.refused is None
    assert (seen.points - turned_about_the_middle(FIVE, quarters)).norm(dim=-1).max() < 1.0


def test_what_is_no_surer_turned_is_none_turned():
    (kept,) = PointsReader(Knows(5.5, turned=2, askew=6.5)).look(places(), [find()])
    assert kept.refused is None
    assert torch.allclose(kept.points, FIVE, atol=0.6)
    # Surer as it stands turned than as it was found, and sure of neither.
    (refused,) = PointsReader(Knows(7.0, turned=2, askew=5.0)).look(places(), [find()])
    assert refused.refused == "a closer look at it finds no face there"


class Marked:
    """Stands for insightface's detector: a face wherever a red dot lies to the left of a green one, as upright eyes do."""

    class session:
        @staticmethod
        def get_inputs():
            class Input:
                shape = (1, 3, None, None)

            return [Input]

    def detect(self, picture, input_size):
        colours = picture.astype(int)
        if not colours.any():
            return np.zeros((0, 5)), np.zeros((0, 5, 2))
        red = np.argwhere((colours[..., 2] > 200) & (colours[..., 1] < 50)).mean(0)[::-1]
        green = np.argwhere((colours[..., 1] > 200) & (colours[..., 2] < 50)).mean(0)[::-1]
        across = green - red
        if across[0] < abs(across[1]):
            return np.zeros((0, 5)), np.zeros((0, 5, 2))
        down = np.array([-across[1], across[0]])
        points = np.stack([red, green, red + across / 2 + 0.6 * down, red + 1.1 * down, green + 1.1 * down])
        box = np.concatenate((points.min(0) - 5, points.max(0) + 5, [0.8]))
        return box[None].astype(np.float32), points[None].astype(np.float32)


def marked(degrees, middle=(100, 80)):
    """A picture of 200 x 160, BGR, with the marks of a face's eyes, and where these are."""
    middle, turn = np.array(middle, dtype=float), math.radians(degrees)
    eye = np.array([math.cos(turn), math.sin(turn)]) * 20
    picture = np.zeros((160, 200, 3), np.uint8)
    for place, colour in ((middle - eye, (0, 0, 255)), (middle + eye, (0, 255, 0))):
        x, y = place.round().astype(int)
        picture[y - 1 : y + 2, x - 1 : x + 2] = colour
    return picture, middle, eye


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_turned_face_is_found_at_its_own_angle(degrees):
    picture, middle, eye = marked(degrees)
    (found,) = FaceDetector("marked", Marked()).detect(picture)
    assert found.refused is None
    assert np.allclose(found.points[:2].numpy(), [middle - eye, middle + eye], atol=0.6)
    down = np.array([-eye[1], eye[0]]) * 2
    assert np.allclose(found.points[2].numpy(), middle + 0.6 * down, atol=1.5)
    assert (found.box[:2] < found.points.amin(0)).all()
    assert (found.box[2:] > found.points.amax(0)).all()


class Imagines(Marked):
    """Where no face stands upright it takes the middle of the picture for a small one."""

    def detect(self, picture, input_size):
        boxes, points = super().detect(picture, input_size)
        if len(boxes):
            return boxes, points
        height, width = picture.shape[:2]
        five = FIVE.numpy() / 5 + (width / 2 - 20, height / 2 - 20)
        return np.array([[*five.min(0), *five.max(0), 0.6]], np.float32), five[None].astype(np.float32)


class Doubts:
    """Stands for the second look: sure of what the detector gave a high score."""

    def look(self, picture, finds):
        return [replace(one, sure=one.score > 0.7) for one in finds]


def test_an_unsure_find_within_a_turned_face_is_none():
    picture, middle, eye = marked(180)
    finds = FaceDetector("imagines", Imagines(), closely=Doubts()).detect(picture)
    (kept,) = [one for one in finds if one.refused is None]
    assert np.allclose(kept.points[:2].numpy(), [middle - eye, middle + eye], atol=0.6)
    assert [one.refused for one in finds if one is not kept] == ["a face that is not upright lies there"]


@pytest.mark.parametrize("away", ["nothing turned", "a turned face beside it"])
def test_an_unsure_find_elsewhere_is_kept(away):
    picture = marked(180, (40, 80))[0] if away == "a turned face beside it" else np.zeros((160, 200, 3), np.uint8)
    finds = FaceDetector("imagines", Imagines(), closely=Doubts()).detect(picture)
    faces = [one.sure for one in finds if one.refused is None]
    assert faces == ([False, True] if away == "a turned face beside it" else [False])


@pytest.fixture(scope="module")
def bundled():
    """Finds the faces of a picture, uint8 RGB, by what comes with the pack."""
    encoder = load_bundled_encoder("CPU")

    def faces(pixels):
        return [one for one in encoder.detect(np.ascontiguousarray(pixels[..., ::-1])) if one.refused is None]

    return faces


# The first detector took these four for upright faces; the second look alone believed the last within a wider picture.
@pytest.mark.parametrize(
    ("name", "margin"), [("portrait_01", 0), ("portrait_28", 0), ("portrait_31", 0), ("portrait_17", 0), ("portrait_17", 100)]
)
def test_a_portrait_on_its_side_or_upside_down_has_its_own_points(bundled, name, margin):
    with Image.open(FOLDER / f"{name}.jpg") as opened:
        picture = np.pad(np.asarray(opened.convert("RGB")), ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    (upright,) = bundled(picture)
    expected, width = upright.points, picture.shape[1]
    eyes = (expected[1] - expected[0]).norm()
    for quarters in (1, 2, 3):
        expected = torch.stack((expected[:, 1], width - 1 - expected[:, 0]), -1)
        turned = np.rot90(picture, quarters)
        (found,) = bundled(turned)
        assert (found.points - expected).norm(dim=-1).mean() < 0.1 * eyes
        width = turned.shape[1]


def test_an_exported_network_is_read_and_others_are_named(tmp_path):
    data = write_triplets(tmp_path / "triplets")
    path = write_settings(tmp_path, data, tmp_path / "none", task="points", steps=1, encoder={"architecture": "plain"})
    out = tmp_path / "points.onnx"
    assert main(["run", str(path)]) == 0
    assert main(["export", str(path), "--out", str(out)]) == 0
    (seen,) = load_points_reader(out).look(places(), [find()])
    assert seen.points.shape == (5, 2)
    with pytest.raises(PointsFileError, match="there is no such file; expected a network"):
        load_points_reader(tmp_path / "none.onnx")
    save_se_recogniser(tmp_path / "other.onnx")
    with pytest.raises(PointsFileError, match=r"other\.onnx.* expected a network"):
        load_points_reader(tmp_path / "other.onnx")
