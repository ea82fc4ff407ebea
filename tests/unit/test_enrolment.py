"""Several photos to one person: which faces, which photos agree, what the report says, and what goes wrong."""

import re
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from testkit.onnx_models import save_recogniser
from testkit.onnx_nets import save_detector, save_mobilefacenet

from sfsr_model.encoders.agreement import compare
from sfsr_model.encoders.detection import Detection, NoFaceError, judged
from sfsr_model.encoders.enrolment import FaceChoice, OutlierError, enrol
from sfsr_model.encoders.faces import TooFewFacesError
from sfsr_model.encoders.identity import Identity, weighted_mean
from sfsr_model.encoders.norm_floor import NormFloor, faceless_patterns, norm_floor
from sfsr_model.encoders.pack import load_recogniser
from sfsr_model.encoders.preview import CHOSEN, OTHER, number_faces
from sfsr_model.encoders.untrained import UntrainedEncoder
from sfsr_model.samples import load_sample, sample_names

ENCODER = UntrainedEncoder()


def portrait(number):
    return load_sample(sample_names()[number])[0]


def unit(*rows):
    return torch.nn.functional.normalize(torch.tensor(rows, dtype=torch.float32), dim=-1)


def person(embeddings, space="s", quality=None):
    count = len(embeddings)
    return Identity(embeddings, space, quality or (1.0,) * count, tuple(f"photo {n}" for n in range(count)))


@dataclass
class Painted:
    """An encoder for pictures that say themselves who is in them: a pixel's red is the face's angle, its green its confidence.

    It stands in for a trained recogniser, which no test may ship; everything else of the chain is the real one.
    """

    name: str = "painted"
    space: str = "painted"
    dim: int = 2
    provider: str = "none"
    trained: bool = False
    note: str = ""
    threshold: float = 0.25
    passes: list[int] = field(default_factory=list)

    def prepare(self, image):
        return image

    def detect(self, image) -> list[Detection]:
        found = []
        for number, (angle, confidence) in enumerate(image[0, :, :2].tolist()):
            if confidence > 0:
                points = torch.tensor([[-20.0, 0], [20, 0], [0, 20], [-15, 45], [15, 45]], dtype=torch.float64)
                box = torch.tensor([0.0, 0, 100 + 10 * number, 100], dtype=torch.float64)
                found.append(Detection(box, points + angle, confidence, confidence))
        return found

    def align(self, image, points) -> Any:
        return float(points[0, 0] + 20)

    def embed_aligned(self, faces):
        self.passes.append(len(faces))
        angles = torch.tensor(faces, dtype=torch.float64) * torch.pi / 180
        return 7 * torch.stack((angles.cos(), angles.sin()), -1).float()


def people(*angles, confidence=0.9):
    """One picture a person, the person an angle on the circle of identities."""
    return [torch.tensor([[[float(angle), confidence, 0.0]]]) for angle in angles]


def degrees(identity):
    x, y = identity.mean().tolist()
    return torch.rad2deg(torch.atan2(torch.tensor(y), torch.tensor(x))).item()


# Averaging and outliers


def test_the_mean_is_weighted_and_has_the_highest_weighted_cosine():
    embeddings, quality = unit([1, 0, 0], [0, 1, 0], [0.5, 0.5, 1]), (0.9, 0.3, 0.6)
    mean = weighted_mean(embeddings, quality)
    expected = torch.nn.functional.normalize((embeddings * torch.tensor(quality)[:, None]).sum(0), dim=0)
    torch.testing.assert_close(mean, expected)
    best = (embeddings @ mean) @ torch.tensor(quality)
    generator = torch.Generator().manual_seed(0)
    near = torch.nn.functional.normalize(mean + 0.2 * torch.randn(200, 3, generator=generator), dim=-1)
    assert ((near @ embeddings.mT) @ torch.tensor(quality) <= best + 1e-6).all()
    assert person(embeddings, quality=quality).mean().tolist() == mean.tolist()


def test_qualities_of_zero_and_opposite_faces_still_give_a_direction():
    torch.testing.assert_close(weighted_mean(unit([1, 0], [0, 1]), (0.0, 0.0)), unit([1, 1])[0])
    torch.testing.assert_close(weighted_mean(unit([1, 0], [-1, 0]), (0.5, 0.5)), unit([1, 0])[0])


@pytest.mark.parametrize("quality", [float("nan"), -0.1, float("inf")])
def test_a_quality_that_is_none(quality):
    with pytest.raises(ValueError, match="qualities are numbers from 0 on"):
        person(unit([1, 0]), quality=(quality,))


def test_an_identity_made_in_inference_mode_serves_under_autograd():
    with torch.inference_mode():
        made = person(torch.tensor([[3.0, 4.0], [0.0, 1.0]]))
    moving = torch.tensor([1.0, 0.0], requires_grad=True)
    (made.mean() @ moving).backward()
    torch.testing.assert_close(moving.grad, made.mean())
    (made.embeddings @ moving).sum().backward()
    torch.testing.assert_close(moving.grad, made.mean() + made.embeddings.sum(0))


@pytest.mark.parametrize(
    ("angles", "left_out"),
    [
        ((0, 10, 80), ()),
        ((0, 10, 95), (2,)),
        ((100, 0, 10, 20), (0,)),
        ((0, 90), ()),
        ((0, 5, 10, 120, 125), (3, 4)),
        ((0, 5, 120, 200), (2, 3)),
        ((0, 120, 240), (0,)),
        ((0, 72, 144, 216, 300), (2, 3)),
    ],
)
def test_outliers(angles, left_out):
    radians = torch.deg2rad(torch.tensor(angles, dtype=torch.float32))
    embeddings = torch.stack((radians.cos(), radians.sin()), -1)
    found = compare(embeddings, (1.0,) * len(angles))
    assert found.left_out == left_out
    assert len(found.kept) * 2 >= len(angles)


def test_doubts_begin_with_the_least_alike_pair():
    radians = torch.deg2rad(torch.tensor([0.0, 4.0, 80.0, 85.0]))
    found = compare(torch.stack((radians.cos(), radians.sin()), -1), (1.0,) * 4)
    assert found.kept == (0, 1, 2, 3)
    assert [(a, b) for a, b, _ in found.doubts] == [(0, 3), (1, 3), (0, 2), (1, 2)]
    assert [cosine for *_, cosine in found.doubts] == pytest.approx([0.0872, 0.1564, 0.1736, 0.2419], abs=1e-4)


def test_what_lies_at_the_threshold_is_not_below_it():
    embeddings = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    found = compare(embeddings, (1.0,) * 3, threshold=0.0)
    assert (found.kept, found.left_out, found.cosines[2], found.doubts) == ((0, 1, 2), (), 0.0, ())
    assert compare(embeddings, (1.0,) * 3).left_out == (2,)
    assert compare(embeddings[:1], (1.0,)).cosines == (None,)


def test_two_that_disagree_are_both_kept_with_a_warning():
    made = enrol(people(0, 88), Painted())
    assert len(made.identity.sources) == 2
    assert made.warnings == ("picture 0 and picture 1 are hardly alike (cosine 0.03, below 0.25); are they the same person?",)
    assert made.warnings[0] in made.report


def test_the_report_says_which_was_left_out_and_why():
    made = enrol(people(0, 100, 10), Painted())
    assert degrees(made.identity) == pytest.approx(5, abs=0.1)
    assert made.report.splitlines()[0] == "2 of 3 used; space painted"
    assert "picture 1: left out, cosine -0.09 to the rest is below 0.25, quality 0.90" in made.report
    assert made.identity.sources == ("painted, picture 0", "painted, picture 2")
    kept = enrol(people(0, 100, 10), Painted(), outliers="keep")
    assert len(kept.identity.sources) == 3
    assert "picture 1 is hardly like the others" in kept.warnings[0]
    with pytest.raises(OutlierError, match=r"picture 1 \(cosine -0\.09 to the rest\)"):
        enrol(people(0, 100, 10), Painted(), outliers="error")
    with pytest.raises(OutlierError, match=r"picture 0 and picture 1 \(cosine 0\.00\)"):
        enrol(people(0, 90), Painted(), outliers="error")
    assert enrol(people(0, 100, 10), Painted(), threshold=-0.5).report.startswith("3 of 3 used")


def test_the_recognisers_own_threshold_holds_where_none_is_given():
    """50 degrees are a cosine of 0.71 to the mean of 0 and 10."""
    strict = Painted(threshold=0.8)
    assert enrol(people(0, 50, 10), Painted()).report.startswith("3 of 3 used")
    made = enrol(people(0, 50, 10), strict)
    assert "picture 1: left out, cosine 0.71 to the rest is below 0.8" in made.report
    with pytest.raises(OutlierError, match=r"picture 0 and picture 1 \(cosine 0\.64\); below 0\.8 two faces"):
        enrol(people(0, 50), strict, outliers="error")
    for given in (0.25, 0.0, -1.0):
        assert enrol(people(0, 50, 10), strict, threshold=given).report.startswith("3 of 3 used")
    assert enrol(people(0, 50, 10), Painted(), threshold=0.8).report.startswith("2 of 3 used")


def test_a_chain_numbers_its_photos_through_and_counts_them_all():
    """Node after node adds photos: one of the first three is left out, the fifth shows nobody."""
    first = enrol(people(0, 100, 10), Painted())
    second = enrol([*people(5), torch.zeros(1, 1, 3)], Painted(), no_face="skip the picture", earlier=first.identity)
    third = enrol(people(8), Painted(), earlier=second.identity)
    assert [one.report.splitlines()[0] for one in (first, second, third)] == [
        f"{used} of {seen} used; space painted" for used, seen in ((2, 3), (3, 5), (4, 6))
    ]
    assert third.identity.sources == tuple(f"painted, picture {number}" for number in (0, 2, 3, 5))
    assert "\npicture 4: not used: picture 4 (1 x 1 pixels): no face found" in second.report
    assert "\nearlier painted, picture 3: used, cosine" in third.report
    assert "\npicture 5: used, cosine" in third.report
    with pytest.raises(NoFaceError, match=r"^picture 0 \(1 x 1 pixels\)"):
        enrol([torch.zeros(1, 1, 3)], Painted(), earlier=second.identity)


def test_surer_faces_weigh_more():
    pictures = people(0, confidence=0.9) + people(30, confidence=0.5)
    assert degrees(enrol(pictures, Painted()).identity) < 13
    assert degrees(enrol(people(0, 30), Painted()).identity) == pytest.approx(15, abs=0.1)


def test_all_pictures_are_embedded_in_one_call():
    encoder = Painted()
    enrol(people(0, 1, 2, 3, 4), encoder)
    assert encoder.passes == [5]


# Which face


def group(*angles):
    return torch.tensor([[[float(angle), 0.9, 0.0] for angle in angles]])


def test_the_face_most_similar_to_somebody():
    somebody = person(unit([0, 1]), space="painted")
    choice = FaceChoice("most similar", 0, somebody)
    made = enrol([group(0, 70, 40), group(85)], Painted(), choice)
    assert degrees(made.identity) == pytest.approx(77.5, abs=0.1)
    assert [face.points[0, 0].item() + 20 for face in made.sightings[0].faces] == [70, 40, 0]
    assert degrees(enrol([group(0, 70, 40)], Painted(), FaceChoice("most similar", 2, somebody)).identity) < 1


def test_similar_to_nobody_and_without_need():
    with pytest.raises(ValueError, match=r"similar_to: the face order is 'most similar' but no identity"):
        enrol(people(0), Painted(), FaceChoice("most similar"))
    made = enrol(people(0), Painted(), FaceChoice(similar_to=person(unit([0, 1]), space="painted")))
    assert "similar_to is connected but not used" in made.warnings[0]


def test_orders_and_numbers():
    largest = enrol([group(0, 30, 60)], Painted(), FaceChoice("largest first", 0))
    assert degrees(largest.identity) == pytest.approx(60, abs=0.1)
    assert degrees(enrol([group(0, 30, 60)], Painted(), FaceChoice("left to right", 1)).identity) == pytest.approx(30, abs=0.1)
    with pytest.raises(TooFewFacesError, match=r"picture 1: face_index: 2 asked for, but 1 face was found"):
        enrol([group(0, 30, 60), group(0)], Painted(), FaceChoice("largest first", 2))
    skipped = enrol([group(0, 30, 60), group(5)], Painted(), FaceChoice("largest first", 2), no_face="skip the picture")
    assert "picture 1: not used: face_index: 2 asked for" in skipped.report
    with pytest.raises(ValueError, match="face order: 'by name' is unknown"):
        enrol(people(0), Painted(), FaceChoice("by name"))


# Adding to somebody, and spaces


def test_photos_are_added_to_an_earlier_identity():
    earlier = enrol(people(0, 10), Painted()).identity
    made = enrol(people(20), Painted(), earlier=earlier)
    assert degrees(made.identity) == pytest.approx(10, abs=0.1)
    assert made.identity.sources == ("painted, picture 0", "painted, picture 1", "painted, picture 2")
    assert "earlier painted, picture 1: used" in made.report
    stranger = enrol(people(120), Painted(), earlier=earlier)
    assert len(stranger.identity.sources) == 2
    nobody = enrol([group()[:, :0].reshape(1, 0, 3)], Painted(), no_face="skip the picture", earlier=earlier)
    torch.testing.assert_close(nobody.identity.embeddings, earlier.embeddings)


@pytest.mark.parametrize("name", ["similar_to", "identity"])
def test_spaces_are_never_mixed(name):
    other = person(unit([0, 1]), space="elsewhere")
    choice = FaceChoice("most similar", 0, other) if name == "similar_to" else FaceChoice()
    with pytest.raises(ValueError, match=rf"{name}: its embeddings are of the space 'elsewhere', .*painted makes 'painted'"):
        enrol(people(0), Painted(), choice, earlier=other if name == "identity" else None)


# Bad pictures, through the real detector


def test_no_face_stops_the_run_or_is_skipped():
    pictures = [portrait(0), torch.full((64, 80, 3), 0.5), portrait(0)]
    with pytest.raises(NoFaceError, match=r"picture 1 \(80 x 64 pixels\): no face found"):
        enrol(pictures, ENCODER)
    made = enrol(pictures, ENCODER, no_face="skip the picture")
    assert made.report.startswith("2 of 3 used")
    assert "picture 1: not used: picture 1 (80 x 64 pixels): no face found" in made.report
    assert [one.chosen for one in made.sightings] == [0, None, 0]
    with pytest.raises(ValueError, match="no picture is left to make an identity of; picture 0"):
        enrol(pictures[1:2], ENCODER, no_face="skip the picture")


@pytest.mark.parametrize(
    "picture",
    [torch.rand(1, 1, 3), torch.zeros(1, 400, 3), torch.rand(2, 2, 3), torch.ones(100, 100, 3)],
    ids=["one pixel", "a line", "four pixels", "white"],
)
def test_pictures_without_anything(picture):
    with pytest.raises(NoFaceError, match="picture 0"):
        enrol([picture], ENCODER)


def test_an_empty_batch():
    with pytest.raises(ValueError, match="the batch holds no picture"):
        enrol([], ENCODER)


def test_nan_names_the_picture(tmp_path):
    picture = portrait(0).clone()
    picture[5, 5, 1] = float("nan")
    pack = load_recogniser(save_recogniser(tmp_path / "rec.onnx"))
    for encoder in (ENCODER, pack):
        with pytest.raises(ValueError, match=r"picture 1: .*NaN"):
            enrol([portrait(0), picture], encoder)


def test_a_grey_picture_of_a_face():
    grey = portrait(0).mean(-1, keepdim=True).expand(-1, -1, 3)
    assert enrol([grey], ENCODER).identity.dim == 512


def test_a_tiny_face_and_a_cut_one():
    small = torch.nn.functional.interpolate(
        portrait(0).movedim(-1, 0)[None], scale_factor=0.03, antialias=True, mode="bilinear"
    )
    with pytest.raises(NoFaceError):
        enrol([small[0].movedim(0, -1)], ENCODER)
    (face,) = enrol([portrait(0)], ENCODER).sightings[0].faces
    eyes = int(face.points[:2, 1].mean())
    with pytest.raises(NoFaceError):
        enrol([portrait(0)[: eyes + 4]], ENCODER)


@pytest.mark.parametrize(("shift", "refused"), [(0.0, False), (-25.0, False), (-40.0, True), (90.0, True)])
def test_a_find_at_the_edge_is_refused_when_most_of_it_is_outside(shift, refused):
    points = torch.tensor([[30.0, 40], [70, 40], [50, 60], [35, 85], [65, 85]], dtype=torch.float64)
    found = judged(Detection(torch.zeros(4), points + torch.tensor([2 * shift, 0.0]), 0.9), (120, 120))
    assert (found.refused is not None) == refused
    if refused:
        assert "points lie in the picture" in found.refused


def test_a_face_in_a_picture_of_8k():
    picture = torch.full((4320, 7680, 3), 0.5)
    large = torch.nn.functional.interpolate(portrait(0).movedim(-1, 0)[None], size=(2400, 2400), mode="bilinear")
    picture[800:3200, 4000:6400] = large[0].movedim(0, -1)
    (face,) = enrol([picture], ENCODER).sightings[0].faces
    assert 4000 < face.points[2, 0] < 6400
    assert 800 < face.points[2, 1] < 3200


def test_a_small_face_and_the_choice_of_several_are_told():
    small = torch.nn.functional.interpolate(portrait(0).movedim(-1, 0)[None], size=(80, 80), mode="area")[0].movedim(0, -1)
    (warning,) = enrol([small], ENCODER).warnings
    assert re.fullmatch(
        r"picture 0: its face is [3-5]\d pixels wide, of which a recogniser sees little; use a photo .*", warning
    )
    first = enrol([small], ENCODER).identity
    assert first.warnings == (warning,)
    assert enrol([portrait(0)], ENCODER, earlier=first).identity.warnings[0] == warning  # a chain forgets nothing
    made = enrol([torch.cat((portrait(0), portrait(1)), 1), portrait(0)], ENCODER)
    assert not any("wide" in warning for warning in made.warnings)
    assert re.search("picture 0, face 0 of 2: used.*\npicture 1: used", made.report)


def test_many_faces_through_a_pack(tmp_path):
    save_detector(tmp_path / "det.onnx")
    save_mobilefacenet(tmp_path / "rec.onnx")
    encoder = load_recogniser(tmp_path)
    picture = torch.rand(640, 640, 3, generator=torch.Generator().manual_seed(2)) * 0.5
    places = [(x, y) for y in (144, 336, 528) for x in (112, 304, 496)]
    for x, y in places:
        picture[y - 28 : y + 28, x - 28 : x + 28] = torch.tensor([0.0, 1.0, 0.0])
    made = enrol([picture], encoder, FaceChoice("left to right", 3))
    assert len(made.sightings[0].faces) >= 9
    centres = [face.box.reshape(2, 2).mean(0)[0].item() for face in made.sightings[0].faces]
    assert centres == sorted(centres)


# The recogniser's own word


@dataclass
class Judging(Painted):
    """A recogniser whose embeddings of faces are longer than those of patterns, by a factor."""

    factor: float = 4.0
    trained: bool = True

    def align(self, image, points):
        return image

    def embed_aligned(self, faces):
        known = [any(torch.equal(face, portrait(n)) for n in range(4)) for face in faces]
        return torch.tensor([[self.factor if face else 1.0, 0.1 * n] for n, face in enumerate(known)])

    def detect(self, image):
        return [Detection(torch.tensor([0.0, 0, 9, 9]), Painted().detect(group(0))[0].points, 0.9)]


def test_what_the_recogniser_takes_for_no_face_is_refused():
    with pytest.raises(
        TooFewFacesError,
        match=r"picture 1: the recogniser saw no face: its embedding has the length 1;.*refused_faces to 'take",
    ):
        enrol([portrait(3), torch.rand(20, 20, 3)], Judging(space="judging"))
    made = enrol([portrait(3), torch.rand(20, 20, 3)], Judging(space="judging"), no_face="skip the picture")
    assert len(made.identity.sources) == 1
    assert "picture 1: not used: the recogniser saw no face" in made.report


def test_refused_faces_are_taken_on_request_and_named():
    made = enrol([portrait(3), torch.rand(20, 20, 3)], Judging(space="judging"), overrule=True)
    assert len(made.identity.sources) == 2
    (warning,) = [one for one in made.warnings if "refused" in one]
    assert warning.startswith("picture 1: its face was taken although it had been refused: the recogniser saw no face")
    faint = [replace(one, refused="faint") for one in Painted().detect(people(20)[0])]
    with pytest.raises(NoFaceError, match=r"\(faint\)\. If it is a face, set refused_faces to 'take them'"):
        enrol(people(0), Painted(), given=[faint])
    taken = enrol(people(0), Painted(), given=[faint], overrule=True)
    assert degrees(taken.identity) == pytest.approx(20, abs=0.1)
    assert "picture 0: its face was taken although it had been refused: faint" in taken.report


def test_faces_that_are_given_are_the_ones_that_are_seen():
    """Two pictures of one person, and the faces in them as somebody else found them: of two others."""
    given = [Painted().detect(picture) for picture in people(30, 40)]
    made = enrol(people(0, 0), Painted(), given=given)
    assert degrees(made.identity) == pytest.approx(35, abs=0.1)
    with pytest.raises(NoFaceError, match=r"picture 1 \(1 x 1 pixels\)"):
        enrol(people(0, 0), Painted(), given=[given[0], []])


def test_where_the_length_says_nothing_nothing_is_refused(tmp_path):
    assert norm_floor(Judging(space="judging less", factor=1.2)) is None
    assert norm_floor(ENCODER) is None
    assert norm_floor(load_recogniser(save_recogniser(tmp_path / "random.onnx"))) is None
    floor = norm_floor(Judging(space="judging again"))
    assert isinstance(floor, NormFloor)
    assert floor.refusal(floor.face) is None
    assert len(enrol([torch.rand(20, 20, 3)], Judging(space="judging less", factor=1.2)).identity.sources) == 1


def test_the_patterns_hold_no_face():
    from sfsr_model.encoders.detection import detect_faces

    assert all(detect_faces(pattern) == [] for pattern in faceless_patterns())


# The preview


def test_the_preview_boxes_and_numbers_the_faces():
    picture = torch.zeros(200, 300, 3)
    faces = [
        Detection(torch.tensor([50.0, 60, 120, 150]), torch.zeros(5, 2), 1.0),
        Detection(torch.tensor([150.0, 40, 900, 190]), torch.zeros(5, 2), 1.0),
        Detection(torch.tensor([-50.0, -60, -20, -10]), torch.zeros(5, 2), 1.0),
    ]
    drawn = number_faces(picture, faces, 1)
    assert drawn.shape == picture.shape
    green, yellow = (torch.tensor(colour) / 255 for colour in (CHOSEN, OTHER))
    torch.testing.assert_close(drawn[150, 85], yellow)
    torch.testing.assert_close(drawn[190, 220], green)
    assert drawn[100, 85].sum() == 0
    assert not torch.equal(drawn, number_faces(picture, faces[::-1], 1))
    assert number_faces(torch.rand(1, 1, 3), [], None, "not used").shape == (1, 1, 3)
