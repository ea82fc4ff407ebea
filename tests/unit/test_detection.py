"""The carried detector on real photographs that installed packages bring, and the choice among faces."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sfsr_model.encoders import cascade
from sfsr_model.encoders.detection import (
    LARGER,
    MIN_POINTS_INSIDE,
    Detection,
    NoFaceError,
    choose_face,
    detect_faces,
    judged,
    no_face,
    order_faces,
    overruled,
    require_faces,
)
from sfsr_model.face.crop import template
from sfsr_model.face.landmarks import plausible

# Marked by eye on enlarged pictures; the four faces of t1.jpg that look towards the camera, from left to right.
ASTRONAUT = [[204.6, 100.6], [246.4, 102.2], [223.4, 125.2], [203.3, 139.3], [243.5, 141.8]]
GROUP = [
    [[87, 328], [129, 306], [124, 340], [111, 371], [148, 352]],
    [[494, 323], [542, 334], [511, 361], [485, 372], [527, 383]],
    [[763, 397], [804, 400], [773, 426], [764, 440], [801, 442]],
    [[1151, 323], [1194, 320], [1171, 345], [1157, 365], [1196, 362]],
]


@pytest.fixture(scope="module")
def astronaut() -> torch.Tensor:
    from skimage import data

    return torch.from_numpy(data.astronaut())


@pytest.fixture(scope="module")
def group() -> torch.Tensor:
    import insightface

    path = Path(insightface.__file__).parent / "data" / "images" / "t1.jpg"
    return torch.from_numpy(np.array(Image.open(path).convert("RGB")))


def error(points: torch.Tensor, marked: list) -> float:
    """Mean distance of the five points in eye distances."""
    marked = torch.tensor(marked, dtype=torch.float64)
    return ((points - marked).norm(dim=1).mean() / (marked[1] - marked[0]).norm()).item()


def test_the_astronaut_is_found_where_she_is(astronaut):
    faces = detect_faces(astronaut)
    assert len(faces) == 1
    assert error(faces[0].points, ASTRONAUT) < 0.13
    left, top, right, bottom = faces[0].box.tolist()
    assert 150 < left < 200
    assert 45 < top < 90
    assert 245 < right < 290
    assert 150 < bottom < 200
    assert faces[0].score >= cascade.MIN_SCORE
    assert plausible(faces[0].points) is None


def test_the_group_is_found_and_nothing_else(group):
    faces = order_faces(detect_faces(group), "left to right")
    found = [face for face in faces if any(error(face.points, marked) < 0.15 for marked in GROUP)]
    assert len(found) == len(GROUP)
    for face, marked in zip(found, GROUP, strict=True):
        assert error(face.points, marked) < 0.13
    # Two more faces are turned away by 35 degrees and more: they may be missed, but nothing that is no face may appear.
    turned = [torch.tensor([308.0, 215.0]), torch.tensor([930.0, 140.0])]
    for face in faces:
        centre = face.points.mean(0)
        assert face in found or any((centre - place).norm() < 30 for place in turned)


def test_float_and_grey_pictures_give_the_same_face(astronaut):
    grey = astronaut.float().mean(-1, keepdim=True).expand(-1, -1, 3) / 255
    (face,) = detect_faces(grey)
    assert error(face.points, ASTRONAUT) < 0.13
    (as_float,) = detect_faces(astronaut.float() / 255)
    (as_bytes,) = detect_faces(astronaut)
    assert torch.equal(as_float.points, as_bytes.points)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_size_does_not_matter(astronaut, factor):
    pixels = astronaut.permute(2, 0, 1)[None].float()
    scaled = torch.nn.functional.interpolate(pixels, scale_factor=factor, mode="bilinear", antialias=True)
    (face,) = detect_faces(scaled[0].permute(1, 2, 0) / 255)
    marked = ((np.array(ASTRONAUT) + 0.5) * factor - 0.5).tolist()
    assert error(face.points, marked) < 0.14


@pytest.mark.parametrize("roll", [-20, 20])
def test_rolled_faces_are_found_with_their_roll(astronaut, roll):
    turned = Image.fromarray(astronaut.numpy()).rotate(-roll, Image.Resampling.BICUBIC, center=(224, 120))
    (face,) = detect_faces(torch.from_numpy(np.array(turned)))
    across = face.points[1] - face.points[0]
    assert torch.rad2deg(torch.atan2(across[1], across[0])).item() == pytest.approx(roll + 2, abs=8)


def test_a_pale_face_is_found_and_a_shade_of_one_is_refused(astronaut):
    picture = astronaut.float() / 255
    (face,) = detect_faces(0.4 + 0.4 * picture)
    assert error(face.points, ASTRONAUT) < 0.14
    with pytest.raises(NoFaceError, match="hardly any contrast"):
        require_faces(0.4 + 0.1 * picture)


@pytest.mark.parametrize(("axis", "far"), [(0, False), (0, True), (1, False), (1, True)])
def test_a_point_is_in_the_picture_up_to_the_border_of_its_last_pixel(axis, far):
    """Of a face that leaves a picture of 150 x 100 pixels by one side the last point that is needed decides."""
    face = template() * 60 + torch.tensor([45.0, 20.0], dtype=torch.float64)
    border = (149.5, 99.5)[axis] if far else -0.5
    outwards = 1.0 if far else -1.0
    needed = (outwards * face[:, axis]).sort().values[MIN_POINTS_INSIDE - 1] * outwards
    for beyond, refused in ((-0.05, False), (0.05, True)):
        points = face.clone()
        points[:, axis] += border + outwards * beyond - needed
        found = judged(Detection(torch.tensor([0.0, 0, 60, 60]), points, 1.0, 1.0), (100, 150))
        assert (found.refused is not None) == refused


def test_a_find_of_which_nothing_is_said_is_sure(astronaut):
    plain = Detection(torch.tensor([0.0, 0, 60, 60]), template() * 60, 0.4, 0.4)
    assert plain.sure
    large = replace(plain, box=torch.tensor([0.0, 0, 90, 90]))
    assert choose_face([plain, large]) is large
    for message in (str(no_face([replace(plain, refused="a reason")], 0, (9, 9))), str(NoFaceError(0, (9, 9), plain))):
        assert message.endswith("use another picture; an insightface pack's detector sees more.")
    (face,) = detect_faces(astronaut)
    assert face.confidence == pytest.approx(1 - cascade.MIN_SCORE / (2 * face.score))


def test_the_advice_follows_from_the_reason():
    def told(*candidates, carried=False):
        return str(no_face(candidates, 0, (200, 300), carried)).partition("no face found; ")[2]

    points = template() * 60 + torch.tensor([100.0, 60.0], dtype=torch.float64)
    face = Detection(torch.tensor([100.0, 60, 160, 120]), points, 0.4, 0.4)
    faint = replace(face, refused="its score is below 0.5", advice=LARGER)
    cut = judged(replace(face, points=points - torch.tensor([140.0, 0.0], dtype=torch.float64)), (200, 300))
    seen = replace(face, score=0.9, confidence=0.9, refused="a closer look at it finds no face there")
    overrule = "If it is a face, set refused_faces to 'take them'; if not, use"
    larger = f"{overrule} a picture in which the face is larger and sharper."
    assert told(faint) == f"best candidate scored 0.4 (its score is below 0.5). {larger}"
    assert "cut off: only" in told(cut)
    assert told(cut).endswith(f"{overrule} a picture that shows more of the face.")
    assert (
        told(faint, seen) == f"best candidate scored 0.9 (a closer look at it finds no face there). {overrule} another picture."
    )
    assert "say where it is: its box to bboxes" in told()
    assert told(carried=True).endswith("; an insightface pack's detector sees more.")
    assert told(replace(faint, score=0.0)) == told()
    # Windows that agree and scores are of two scales.
    windows = replace(face, score=20.0, confidence=0.25, refused="20 windows agree, 40 are needed", advice=LARGER)
    assert told(windows, faint).startswith("best candidate scored 0.4")


def test_refused_finds_are_taken_on_request():
    points = template() * 60
    box = torch.tensor([0.0, 0, 60, 60])
    sure, faint, fainter = (Detection(box, points, score, score) for score in (0.9, 0.4, 0.3))
    nowhere = Detection(box, points * float("nan"), 0.8, 0.8, "the given box lies outside the picture")
    faint, fainter = replace(faint, refused="faint"), replace(fainter, refused="fainter")
    assert overruled([sure, faint], every=False) == [sure, faint]
    assert [one.overruled for one in overruled([fainter, nowhere, faint], every=False)] == [None, None, "faint"]
    assert [one.refused for one in overruled([fainter, nowhere, faint], every=False)] == ["fainter", nowhere.refused, None]
    assert [one.overruled for one in overruled([sure, fainter, nowhere, faint], every=True)] == [None, "fainter", None, "faint"]


def test_a_close_crop_is_found_through_padding(astronaut):
    close = astronaut[72:166, 180:268]
    (face,) = require_faces(close)
    marked = (np.array(ASTRONAUT) - [180, 72]).tolist()
    assert error(face.points, marked) < 0.2


def no_faces() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    noise = torch.randint(0, 256, (240, 320, 3), generator=generator, dtype=torch.uint8)
    coarse = torch.rand(1, 3, 12, 16, generator=generator)
    blobs = torch.nn.functional.interpolate(coarse, size=(240, 320), mode="bicubic").clamp(0, 1)[0].permute(1, 2, 0)
    ramp = torch.linspace(0, 1, 320)[None, :, None].expand(240, -1, 3)
    return {
        "noise": noise,
        "blobs": blobs,
        "ramp": ramp,
        "black": torch.zeros(240, 320, 3),
        "one pixel": torch.zeros(1, 1, 3, dtype=torch.uint8),
        "a line": torch.rand(1, 500, 3, generator=generator),
    }


@pytest.mark.parametrize("name", no_faces())
def test_no_face_in_pictures_without_one(name):
    assert detect_faces(no_faces()[name]) == []


def test_a_long_strip_stays_small(monkeypatch):
    """A border as wide as half its length would make a picture of gigabytes of it."""
    searched, find = [], cascade.find_candidates

    def spy(grey, *others, **named):
        searched.append(grey.numel())
        return find(grey, *others, **named)

    monkeypatch.setattr(cascade, "find_candidates", spy)
    assert detect_faces(torch.full((2, 3000, 3), 0.4)) == []
    assert searched[0] == 2 * 3000
    assert searched[1] < 20 * 3000


@pytest.mark.parametrize("name", ["coffee", "chelsea", "rocket", "moon", "brick"])
def test_no_face_in_photographs_without_one(name):
    from skimage import data

    pixels = getattr(data, name)()
    pixels = np.stack([pixels] * 3, -1) if pixels.ndim == 2 else pixels
    assert detect_faces(torch.from_numpy(pixels)) == []


def test_the_missing_face_is_explained():
    picture = no_faces()["noise"]
    with pytest.raises(NoFaceError, match=r"picture 7 \(320 x 240 pixels\): no face found.*insightface") as caught:
        require_faces(picture, image_index=7)
    assert (caught.value.image_index, caught.value.size) == (7, (240, 320))
    assert 0 <= caught.value.best_score < cascade.MIN_SCORE


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.zeros(10, 10), "H, W, 3"),
        (torch.zeros(1, 10, 10, 3), "H, W, 3"),
        (torch.zeros(10, 10, 4), "H, W, 3"),
        (torch.zeros(0, 10, 3), "H, W, 3"),
        (torch.zeros(10, 10, 3, dtype=torch.int64), "uint8 or float"),
        (torch.full((10, 10, 3), float("nan")), "NaN"),
    ],
)
def test_what_is_no_picture_is_refused(image, message):
    with pytest.raises(ValueError, match=message):
        detect_faces(image)


def test_an_unknown_detector_is_refused():
    with pytest.raises(ValueError, match="'magic' is unknown; expected one of carried"):
        detect_faces(torch.zeros(10, 10, 3), "magic")


def test_windows_agree_with_scikit_images_own_evaluation(astronaut):
    from skimage.data import lbp_frontal_face_cascade_filename
    from skimage.feature import Cascade

    grey = astronaut[::4, ::4].double().mean(-1).round().numpy()
    theirs = Cascade(lbp_frontal_face_cascade_filename()).detect_multi_scale(
        img=np.ascontiguousarray(grey / 255),
        scale_factor=1.2,
        step_ratio=1,
        min_size=(24, 24),
        max_size=(25, 25),
        min_neighbor_number=1,
        intersection_score_threshold=1.0,
    )
    expected = sorted((window["c"], window["r"]) for window in theirs)
    places, margins = cascade.accepted_windows([grey])
    assert sorted(map(tuple, places[:, 1:].tolist())) == expected
    assert len(expected) > 0
    assert (margins > 1).all()


def detection(left: float, top: float, side: float) -> Detection:
    box = torch.tensor([left, top, left + side, top + side], dtype=torch.float64)
    return Detection(box, torch.zeros(5, 2, dtype=torch.float64), 50.0)


def test_orders_are_the_documented_ones():
    big, left, high = detection(50, 60, 30), detection(0, 90, 10), detection(80, 0, 10)
    faces = [high, big, left]
    assert order_faces(faces, "largest first") == [big, left, high]
    assert order_faces(faces, "left to right") == [left, big, high]
    assert order_faces(faces, "top to bottom") == [high, big, left]
    assert order_faces(faces[::-1]) == order_faces(faces)
    with pytest.raises(ValueError, match="largest first, left to right, top to bottom"):
        order_faces(faces, "random")


def test_choosing_names_what_was_found():
    faces = [detection(0, 0, 10), detection(50, 0, 20)]
    assert choose_face(faces, "left to right", 1) is faces[1]
    assert choose_face(faces) is faces[1]
    with pytest.raises(ValueError, match=r"2 asked for, but 2 faces were found .*left to right.*choose 0 to 1"):
        choose_face(faces, "left to right", 2)
    with pytest.raises(ValueError, match="-1 asked for, but 1 face was found"):
        choose_face(faces[:1], index=-1)
    with pytest.raises(ValueError, match="no face was found"):
        choose_face([])


def test_importing_the_detector_loads_no_picture_library():
    import subprocess
    import sys

    code = (
        "import sys, sfsr_model.encoders.detection, sfsr_model.face, sfsr_model.encoders.cascade; "
        "print([m for m in ('skimage', 'cv2', 'insightface', 'scipy', 'onnxruntime') if m in sys.modules])"
    )
    root = Path(__file__).parents[2]
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
