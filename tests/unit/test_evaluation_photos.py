"""The figures of the command photos on made-up colours, pictures and vectors; who plays which part; who paints what."""

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch
from testkit.onnx_models import save_recogniser
from testkit.tiny_training import save_labelled

from sfsr_model.encoders.detection import Detection
from sfsr_model.encoders.onnx_about import About
from sfsr_model.evaluation.cases import PRIMARIES
from sfsr_model.evaluation.generate import Sampling
from sfsr_model.evaluation.metrics import Figure
from sfsr_model.evaluation.photos import cast as casting
from sfsr_model.evaluation.photos import painters, told
from sfsr_model.evaluation.photos.album import Album
from sfsr_model.evaluation.photos.appearance import side_light, skin_lightness
from sfsr_model.evaluation.photos.cast import OWN, SWAPS, WORDS, Case, Cast, Numbers, draw_cast
from sfsr_model.evaluation.photos.expression_figures import WORN, expression_figures, eyes_kept, words_told_apart
from sfsr_model.evaluation.photos.gathered import Gathered
from sfsr_model.evaluation.photos.goals import GOALS, range_text, written
from sfsr_model.evaluation.photos.identity_figures import SeenBy
from sfsr_model.evaluation.photos.lab import ciede2000, lab, lab_of_light, linear, luminance
from sfsr_model.evaluation.photos.looks import SECTORS, edge_steps, sharpness, sharpness_ratio, step_beyond
from sfsr_model.evaluation.photos.painters import (
    CHECKPOINT,
    TARGET,
    NetworkPainter,
    RoundTripPainter,
    Studio,
    WarpPainter,
)
from sfsr_model.evaluation.photos.places import Places, find_places, placed
from sfsr_model.evaluation.photos.readers import Appearance, Looks, Shown
from sfsr_model.evaluation.photos.summary import Judging, thirds
from sfsr_model.evaluation.photos.tables import as_markdown
from sfsr_model.evaluation.store import RunError
from sfsr_model.expressions import ARKIT_INDEX, word_expression
from sfsr_model.face import crop_face, face_frame, warp_mask
from sfsr_model.face.crop import template
from sfsr_model.training.labelled import LabelledPhotos, load_labelled
from sfsr_model.training.teachers import DlibRecogniser

# Sharma, Wu and Dalal (2005), table 1: two colours and their difference.
SHARMA = (
    ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
    ((50, 3.1571, -77.2803), (50, 0, -82.7485), 2.8615),
    ((50, 2.8361, -74.0200), (50, 0, -82.7485), 3.4412),
    ((50, -1.3802, -84.2814), (50, 0, -82.7485), 1.0000),
    ((50, -1.1848, -84.8006), (50, 0, -82.7485), 1.0000),
    ((50, -0.9009, -85.5211), (50, 0, -82.7485), 1.0000),
    ((50, 0, 0), (50, -1, 2), 2.3669),
    ((50, -1, 2), (50, 0, 0), 2.3669),
    ((50, 2.49, -0.001), (50, -2.49, 0.0009), 7.1792),
    ((50, 2.49, -0.001), (50, -2.49, 0.0010), 7.1792),
    ((50, 2.49, -0.001), (50, -2.49, 0.0011), 7.2195),
    ((50, 2.49, -0.001), (50, -2.49, 0.0012), 7.2195),
    ((50, -0.001, 2.49), (50, 0.0009, -2.49), 4.8045),
    ((50, -0.001, 2.49), (50, 0.0010, -2.49), 4.8045),
    ((50, -0.001, 2.49), (50, 0.0011, -2.49), 4.7461),
    ((50, 2.5, 0), (50, 0, -2.5), 4.3065),
    ((50, 2.5, 0), (73, 25, -18), 27.1492),
    ((50, 2.5, 0), (61, -5, 29), 22.8977),
    ((50, 2.5, 0), (56, -27, -3), 31.9030),
    ((50, 2.5, 0), (58, 24, 15), 19.4535),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((90.8027, -2.0831, 1.4410), (91.1528, -1.6435, 0.0447), 1.4441),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
)
SIZE = 96
FIVE, LARGE = template() * SIZE - 0.5, template() * 256 - 0.5


def test_differences_of_colours_are_the_published_ones():
    one, other, wanted = (torch.tensor([row[place] for row in SHARMA], dtype=torch.float64) for place in range(3))
    assert torch.allclose(ciede2000(one, other), wanted, atol=6e-5)
    assert torch.allclose(ciede2000(other, one), wanted, atol=6e-5)


def test_lab_of_known_colours():
    colours = torch.tensor([[1, 1, 1], [0, 0, 0], [1, 0, 0], [0, 0, 1]], dtype=torch.float64)
    wanted = torch.tensor([[100, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20], [32.30, 79.19, -107.86]], dtype=torch.float64)
    assert torch.allclose(lab(colours), wanted, atol=0.02)
    assert torch.allclose(lab_of_light(linear(colours)), lab(colours))
    assert float(luminance(torch.full((3,), 0.5))) == pytest.approx(0.2140, abs=1e-3)


def test_sharpness_is_the_mean_gradient():
    """A slope of one grey level in fifty across and none down, at both scales; what lies outside the weights does not count."""
    ramp = (torch.arange(40) / 50).expand(40, 40)[..., None].expand(-1, -1, 3).clone()
    everywhere = torch.ones(40, 40)
    assert sharpness(ramp, everywhere) == pytest.approx(0.02)
    left = everywhere.clone()
    left[:, 20:] = 0
    noisy = ramp.clone()
    noisy[:, 25:] = torch.rand(40, 15, 3, generator=torch.Generator().manual_seed(0))
    assert sharpness(noisy, left) == pytest.approx(0.02)
    assert sharpness(noisy, everywhere) > 0.05
    # Stripes of one pixel are seen by neighbours alone.
    stripes = (torch.arange(40) % 2).float().expand(40, 40)[..., None].expand(-1, -1, 3)
    assert sharpness(stripes, everywhere) == pytest.approx(0.5)


def photo(seed=0):
    return torch.rand(SIZE, SIZE, 3, generator=torch.Generator().manual_seed(seed))


def test_a_blurred_face_is_less_sharp_than_the_targets_own():
    target = photo()
    blurred = torch.nn.functional.avg_pool2d(target.movedim(-1, 0)[None], 3, 1, 1)[0].movedim(0, -1)
    assert sharpness_ratio(target, target, FIVE) == pytest.approx(1)
    assert 0.1 < sharpness_ratio(blurred, target, FIVE) < 0.5
    mask = warp_mask(face_frame(FIVE, (SIZE, SIZE), SIZE))[..., None]
    beside = torch.where(mask > 0, target, blurred)
    assert sharpness_ratio(beside, target, FIVE) == pytest.approx(1, abs=0.01)
    assert math.isnan(sharpness_ratio(target, torch.full_like(target, 0.5), FIVE))


def painted(colour, ground=(0.5, 0.5, 0.5), half=None):
    """A picture of one colour with another in the face's mask, or in its left or right half."""
    mask = face_frame(LARGE, (256, 256), 256).mask[..., None] > 0
    if half is not None:
        mask = mask & ((torch.arange(256) < 128) == (half == "left"))[None, :, None]
    return torch.where(mask, torch.tensor(colour), torch.tensor(ground))


def test_a_step_of_colour_is_measured_across_the_edge():
    step = float(ciede2000(*(lab(torch.tensor(colour)) for colour in ((0.7, 0.5, 0.4), (0.5, 0.5, 0.5)))))
    found = edge_steps(painted((0.7, 0.5, 0.4)), LARGE)
    assert found.shape == (SECTORS,)
    assert found.tolist() == pytest.approx([step] * SECTORS, rel=1e-3)
    assert edge_steps(painted((0.5, 0.5, 0.5)), LARGE).abs().max() < 1e-6


def test_the_targets_own_steps_are_taken_off():
    plain, faced = painted((0.5, 0.5, 0.5)), painted((0.7, 0.5, 0.4))
    assert step_beyond(faced, faced, LARGE) == (0, 0)
    mean, worst = step_beyond(faced, plain, LARGE)
    assert mean == pytest.approx(float(edge_steps(faced, LARGE).mean()))
    assert worst == pytest.approx(float(edge_steps(faced, LARGE).max()))
    # A step that went does not make up for one that came.
    moved = step_beyond(painted((0.7, 0.5, 0.4), half="left"), painted((0.7, 0.5, 0.4), half="right"), LARGE)
    assert moved[0] == pytest.approx(mean / 2, rel=0.2)
    assert moved[1] == pytest.approx(worst, rel=0.1)


def test_looks_are_read_together():
    target, result = painted((0.5, 0.5, 0.5)), painted((0.7, 0.5, 0.4))
    pixels = [(one * 255).round().to(torch.uint8) for one in (result, target)]
    read = Looks().read(Shown(pixels, LARGE.expand(2, -1, -1), [pixels[1], pixels[1]]))
    assert read["step"][0] > 5
    assert (read["step"][1], read["worst_step"][1], read["difference"][1]) == (0, 0, 0)
    # 51, 0 and 26 levels in the mask; half of a pixel at its edge.
    assert read["difference"][0] == pytest.approx((51 + 0 + 26) / 3, rel=0.1)
    assert np.isnan(read["sharpness"]).all()
    rough, smooth = ((photo() * share + 0.5 * (1 - share)) * 255 for share in (0.8, 0.4))
    sharp = Looks().read(Shown([smooth.round().to(torch.uint8)], FIVE[None], [rough.round().to(torch.uint8)]))["sharpness"]
    assert float(sharp[0]) == pytest.approx(0.5, abs=0.02)


def with_cheeks(left, right):
    """A grey picture whose cheeks have these grey levels."""
    picture = torch.full((SIZE, SIZE, 3), 0.1)
    down = slice(int(0.36 * SIZE), int(0.55 * SIZE))
    picture[down, int(0.2 * SIZE) : SIZE // 2] = left
    picture[down, SIZE // 2 : int(0.8 * SIZE)] = right
    return picture


def test_skin_and_light_are_read_from_the_cheeks():
    assert skin_lightness(with_cheeks(0.6, 0.6), FIVE) == pytest.approx(float(lab(torch.full((3,), 0.6))[0]), abs=0.1)
    bright = 0.8
    dark = ((float(luminance(torch.full((3,), bright))) / 2) ** (1 / 2.4)) * 1.055 - 0.055
    assert side_light(with_cheeks(bright, dark), FIVE) == pytest.approx(1, abs=0.01)
    assert side_light(with_cheeks(dark, bright), FIVE) == pytest.approx(-1, abs=0.01)
    assert side_light(with_cheeks(dark, dark), FIVE) == pytest.approx(0, abs=1e-6)


def labels(rows, folder=Path("nowhere")):
    """Photos of (source, person), without pictures."""
    sources, people = zip(*rows, strict=True)
    count = len(rows)
    files = tuple(f"{number}.png" for number in range(count))
    points, coefficients = FIVE.expand(count, -1, -1).clone(), torch.zeros(count, 52)
    return LabelledPhotos(folder, files, sources, people, ("val",) * count, (SIZE,) * count, points, coefficients)


@pytest.fixture
def many():
    """Ten people of lfw with 2 to 14 photos, one with a single one, three of london and one of omi_people; others."""
    amounts = [2, 2, 3, 3, 3, 4, 5, 6, 14, 14, 1]
    rows = [("lfw", f"p{person}") for person, amount in enumerate(amounts) for _ in range(amount)]
    rows += [("london", f"l{number // 2}") for number in range(6)] + [("omi_people", "o")] * 20
    return labels([*rows, ("fake", "f0"), ("fake", "f1")])


def test_three_people_play_in_every_swap(many):
    cast = draw_cast(many, 3, Numbers(9, 200, 4, 30))
    gallery = {cast.person(row) for row in cast.gallery}
    assert len(gallery) == 9
    apart = {case.apart for cases in cast.cases.values() for case in cases}
    for case in cast.cases[SWAPS]:
        person, target, source = (cast.person(row) for row in (case.apart, case.target, case.expression))
        assert len({person, target, source}) == 3
        assert cast.person(case.reference) == person
        assert {target, source} <= gallery
        # What is looked for is shown to nobody.
        assert not {case.reference, case.target, case.expression} & (set(cast.gallery) | apart)
    people = [cast.person(case.apart) for case in cast.cases[SWAPS]]
    assert [person[0] == "lfw" for person in people] == [number % 5 != 4 for number in range(200)]
    assert {person for person in people if person[0] == "lfw"} == gallery
    assert {person[0] for person in people} == {"lfw", "london", "omi_people"}
    assert max(people.count(person) for person in gallery) - min(people.count(person) for person in gallery) <= 1


def test_words_and_own_photos(many):
    cast = draw_cast(many, 3, Numbers(9, 10, 4, 30))
    words = cast.cases[WORDS]
    assert [case.expression for case in words[:6]] == list(PRIMARIES)
    assert len(words) == 24
    assert len({cast.person(case.apart) for case in words}) == 4
    assert all(cast.person(case.target) != cast.person(case.apart) for case in words)
    own = cast.cases[OWN]
    assert len(own) == 30
    for case in own:
        assert case.expression == case.target
        assert len({case.reference, case.target, case.apart}) == 3
        assert len({cast.person(row) for row in (case.reference, case.target, case.apart)}) == 1
        assert case.apart in cast.gallery


def test_the_cast_comes_from_the_seed(many):
    numbers = Numbers(9, 40, 2, 5)
    one, same, other = (draw_cast(many, seed, numbers) for seed in (3, 3, 4))
    assert (one.gallery, one.cases) == (same.gallery, same.cases)
    assert one.cases != other.cases
    few = draw_cast(many, 3, numbers, limit=3)
    assert {kind: len(cases) for kind, cases in few.cases.items()} == {SWAPS: 3, WORDS: 3, OWN: 3}
    assert few.cases[SWAPS] == one.cases[SWAPS][:3]


def test_nobody_plays_more_parts_than_their_share(many, monkeypatch):
    monkeypatch.setattr(casting, "PHOTOS", 4)
    rows = draw_cast(many, 3, Numbers(9, 400, 0, 0)).rows()
    shown = [(many.sources[row], many.people[row]) for row in rows]
    assert max(map(shown.count, shown)) == 5


def test_too_few_people_are_named(many):
    with pytest.raises(ValueError, match=r"gallery: expected at most 10, .*found 11"):
        draw_cast(many, 3, Numbers(11, 1, 0, 0))
    with pytest.raises(ValueError, match="gallery: expected at least 3, found 2"):
        Numbers(2, 1, 0, 0)
    with pytest.raises(ValueError, match="swaps: expected at least 1, found 0"):
        Numbers(3, 0, 0, 0)
    alone = draw_cast(labels([("lfw", f"p{number // 2}") for number in range(6)]), 0, Numbers(3, 10, 1, 5))
    assert {alone.person(case.apart)[0] for case in alone.cases[SWAPS]} == {"lfw"}
    assert alone.cases[OWN] == ()


def test_rows_are_numbered_by_their_person(many):
    cast = draw_cast(many, 3, Numbers(9, 20, 0, 0))
    rows = [case.apart for case in cast.cases[SWAPS]]
    numbers = cast.numbers(rows).tolist()
    for row, number in zip(rows, numbers, strict=True):
        assert (cast.gallery[number] == row) if cast.person(row)[0] == "lfw" else number == -1
    owners = cast.owners(cast.cases[SWAPS]).tolist()
    assert len(set(owners)) == len({cast.person(row) for row in rows})


class Finds:
    def __init__(self, *shifts, refused=None):
        self._shifts, self._refused = shifts, refused

    def detect(self, picture):
        box = torch.zeros(4)
        return [Detection(box, FIVE + shift, 1.0, 1.0, self._refused) for shift in self._shifts]


@pytest.fixture
def stage(tmp_path):
    """Six noisy photos of three people."""
    rows = [("lfw", f"p{number // 2}", "val") for number in range(6)]
    pictures = [(photo(number) * 255).round().to(torch.uint8).numpy() for number in range(6)]
    shifts = [torch.tensor([number, -number]) for number in range(6)]
    points = torch.stack([FIVE * 0.7 + 12 + shift for shift in shifts])
    return load_labelled(save_labelled(tmp_path / "photos", rows, pictures, points))


def test_the_find_nearest_to_the_label_counts(stage):
    near = replace(stage, points=FIVE.expand(6, -1, -1).clone())
    found = find_places(near, [1, 4], Finds(30.0, 2.0, -9.0))
    places = placed(near, [1, 4], found)
    assert places.missed == 0
    assert torch.allclose(places.points[[1, 4]], FIVE + 2)
    assert torch.equal(places.points[0], near.points[0])
    for finder in (Finds(30.0), Finds(), Finds(1.0, refused="faint")):
        lost = placed(near, [0, 2], find_places(near, [0, 2], finder))
        assert lost.missed == 2
        assert torch.allclose(lost.points[2], FIVE)


class Encoder:
    """Embeds a photo as its first pixel, twice as long."""

    space = "pixels"

    def embed(self, picture, points):
        assert points.shape == (5, 2)
        return 2 * torch.nn.functional.normalize(picture[0, 0], dim=0)


class Reads:
    """Reads the second pixel as coefficients, the third as the pose."""

    def read(self, pictures, points):
        coefficients = torch.zeros(len(pictures), 52)
        coefficients[:, :3] = pictures[:, 0, 1]
        return coefficients, pictures[:, 0, 2]


class FakeNetwork:
    def latent_shape(self, size):
        return 2, size // 8, size // 8


CASES = (Case(0, 1, 2, 4), Case(2, 3, 5, "joy"))


def network_painter(stage, monkeypatch, made):
    """A painter whose network gives what `made` makes of the crops, and what it was asked."""
    asked = []

    def generate(network, wanted, noise, sampling):
        asked.append((wanted, noise))
        return made(wanted.target)

    monkeypatch.setattr(painters, "generate", generate)
    studio = Studio(stage, Places(stage.points), 48)
    return NetworkPainter(FakeNetwork(), Encoder(), Reads(), studio, Sampling(steps=1), 7, {"checkpoint": "0"}), asked


def test_the_network_is_told_what_each_photo_is_for(stage, monkeypatch):
    painter, asked = network_painter(stage, monkeypatch, lambda crops: crops)
    pictures = painter.paint(SWAPS, 5, CASES)
    (wanted, noise) = asked[0]
    first = [stage.picture(row)[0] for row in range(6)]
    assert torch.allclose(wanted.identity, torch.nn.functional.normalize(torch.stack([first[0][0], first[2][0]]), dim=1))
    assert torch.allclose(wanted.expression[0, :3], first[4][1])
    assert torch.equal(wanted.expression[1], word_expression("joy").coefficients[0])
    assert torch.allclose(wanted.pose, torch.stack([first[2][2], first[5][2]]))
    for place, row in enumerate((2, 5)):
        frame = face_frame(stage.points[row], (SIZE, SIZE), 48)
        assert torch.equal(wanted.mask[place], frame.mask)
        assert torch.allclose(wanted.target[place], crop_face(stage.picture(row), frame))
        assert pictures[place].dtype == torch.uint8
    assert noise.shape == (2, 2, 6, 6)
    assert not torch.equal(noise[0], noise[1])
    painter.paint(SWAPS, 6, CASES[1:])
    assert torch.equal(asked[1][1][0], noise[1])
    painter.paint(WORDS, 6, CASES[1:])
    assert not torch.equal(asked[2][1][0], noise[1])
    assert painter.settings["identities"] == "pixels"
    assert painter.settings["sampling"]["steps"] == 1


def test_only_the_mask_is_painted_and_in_the_targets_colours(stage, monkeypatch):
    painter, _ = network_painter(stage, monkeypatch, lambda crops: (crops * 0.5 + 0.1).flip(2))
    picture = painter.paint(SWAPS, 0, CASES[:1])[0]
    target = (stage.picture(2) * 255).round().to(torch.uint8)
    mask = warp_mask(face_frame(stage.points[2], (SIZE, SIZE), 48), 0.06)
    changed = (picture != target).any(-1)
    assert not changed[mask == 0].any()
    assert changed[mask > 0.99].float().mean() > 0.9
    inside = mask > 0.9
    assert float(picture[inside].float().mean()) == pytest.approx(float(target[inside].float().mean()), rel=0.05)


def test_the_rival_brings_the_references_face_to_the_targets_points(tmp_path):
    """Black dots at the reference's points come to lie on the points of a target without any, which is half as large again."""
    small, large = template() * 70 + 10, template() * 105 + torch.tensor([12.0, 18.0])
    dotted, plain = np.full((90, 90, 3), 160, np.uint8), np.full((130, 130, 3), 160, np.uint8)
    for x, y in small.round().long().tolist():
        dotted[y - 2 : y + 3, x - 2 : x + 3] = 0
    rows = [("lfw", "a", "val"), ("lfw", "b", "val")]
    stage = load_labelled(save_labelled(tmp_path / "two", rows, [dotted, plain], [small, large]))
    painter = WarpPainter(Studio(stage, Places(stage.points), 128))
    assert painter.kinds == (SWAPS, OWN)
    picture = painter.paint(SWAPS, 0, [Case(0, 0, 1, 1)])[0].float().mean(-1)
    dark = (picture < 80).nonzero().double().flip(1)
    apart = torch.cdist(dark, large)
    assert float(apart.amin(1).max()) < 6
    middles = torch.stack([dark[apart.argmin(1) == number].mean(0) for number in range(5)])
    assert torch.allclose(middles, large, atol=1.0)


def test_the_round_trip_goes_through_the_autoencoder_alone(stage, monkeypatch):
    seen = []

    def round_trip(network, crops):
        seen.append(crops)
        return crops

    monkeypatch.setattr(painters, "round_trip", round_trip)
    studio = Studio(stage, Places(stage.points), 48)
    painter = RoundTripPainter(FakeNetwork(), studio, {})
    assert painter.kinds == (OWN,)
    assert painter.paint(OWN, 0, [Case(0, 1, 2, 2)])[0].shape == (SIZE, SIZE, 3)
    assert torch.allclose(seen[0][0], studio.crop(2))


# Two photos of each of three people of the gallery, a third of the first, and two of somebody of london.
PEOPLE = labels([("lfw", "a"), ("lfw", "a"), ("lfw", "b"), ("lfw", "b"), ("lfw", "c"), ("lfw", "c"), ("lfw", "a"),
                 ("london", "l"), ("london", "l")])  # fmt: skip
SWAPPED = (Case(1, 0, 3, 5), Case(3, 2, 5, 1), Case(5, 4, 1, 3), Case(8, 7, 3, 5))
CAST = Cast(PEOPLE, (0, 2, 4), {SWAPS: SWAPPED, WORDS: (), OWN: (Case(1, 0, 6, 6),)})
JUDGE = SimpleNamespace(label="knows", encoder=object(), headline=True)


def axes(*amounts):
    """A vector of eight numbers: what all faces share, the four people, and what is nobody's."""
    vector = torch.zeros(8)
    for place, amount in enumerate(amounts):
        vector[place] = amount
    return vector


WHO = {"a": 1, "b": 2, "c": 3, "l": 4}


def face(person, length=1.0):
    """Cosine 0.5 to every other person's face."""
    vector = torch.zeros(8)
    vector[0] = vector[WHO[person]] = length
    return vector


def halfway(person):
    """Cosine 0.75 to a person's face."""
    vector = 0.75 * torch.nn.functional.normalize(face(person), dim=0)
    vector[7] = (1 - 0.75**2) ** 0.5
    return 3 * vector


def gathered(swaps, own=None, label="knows", photos=None):
    vectors = torch.stack([face(person) for person in PEOPLE.people]) if photos is None else photos
    kinds = {SWAPS: {label: {"vector": torch.stack(swaps)}}}
    if own is not None:
        kinds[OWN] = {label: {"vector": torch.stack(own)}}
    return Gathered(CAST, {label: {"vector": vectors}}, {CHECKPOINT: kinds})


def test_identity_carried_over_is_the_way_from_strangers_to_the_person():
    seen = SeenBy(gathered([face("a"), face("a"), halfway("c"), halfway("l")]), JUDGE)
    assert (seen.levels["lfw"].same, seen.levels["lfw"].strangers) == (pytest.approx(1), pytest.approx(0.5))
    assert (seen.levels["london"].same, seen.levels["london"].strangers) == (pytest.approx(1), pytest.approx(0.5))
    assert seen.carried(CHECKPOINT, SWAPS).tolist() == pytest.approx([1, 0, 0.5, 0.5], abs=1e-6)
    figures = seen.figures(CHECKPOINT, SWAPS)
    assert figures["carried"].value == pytest.approx(0.5)
    assert figures["carried_lfw"].value == pytest.approx(0.5)
    assert (figures["carried_london"].value, figures["carried_london"].count) == (pytest.approx(0.5), 1)
    assert figures["cosine"].value == pytest.approx((1 + 0.5 + 0.75 + 0.75) / 4)
    assert seen.figures(TARGET, SWAPS)["carried"].value == pytest.approx(0, abs=1e-6)


def test_levels_are_means_over_people_of_other_photos():
    """The photos of a are less alike than those of b and c; the levels are of photos that nobody painted."""
    vectors = torch.stack([face(person) for person in PEOPLE.people])
    vectors[1] = halfway("a")
    seen = SeenBy(gathered([face("a")] * 4, photos=vectors), JUDGE)
    assert seen.levels["lfw"].same == pytest.approx((0.75 + 1 + 1) / 3)
    # Targets are rows 1, 3 and 5: b and c see a's changed one, whose cosine to others is half of 0.75.
    assert seen.levels["lfw"].strangers == pytest.approx((0.5 + (0.375 + 0.5) / 2 * 2) / 3)
    assert seen.levels["london"].strangers == pytest.approx((0.375 + 0.5 + 0.5) / 3)


def test_a_judge_who_cannot_tell_people_apart_says_nothing():
    vectors = torch.stack([face("a")] * len(PEOPLE))
    figures = SeenBy(gathered([face("a")] * 4, photos=vectors), JUDGE).figures(CHECKPOINT, SWAPS)
    assert figures["carried"].value is None
    assert figures["cosine"].value == pytest.approx(1)


def test_people_are_looked_for_in_the_gallery():
    """The person, the target's person, the source's person; who is not in the gallery is not looked for."""
    figures = SeenBy(gathered([face("a"), face("c"), face("b"), face("l")]), JUDGE).figures(CHECKPOINT, SWAPS)
    assert (figures["retrieved"].value, figures["retrieved"].count) == (pytest.approx(1 / 3), 3)
    # Three people are to be told apart, so chance is a third: once of three is chance.
    assert figures["target_instead"].value == pytest.approx(3 * 1 / 3)
    assert figures["source_instead"].value == pytest.approx(3 * 1 / 3)
    kept = SeenBy(gathered([face("b"), face("c"), face("a"), face("b")]), JUDGE).figures(CHECKPOINT, SWAPS)
    assert (kept["retrieved"].value, kept["target_instead"].value, kept["source_instead"].value) == (0, 3, 0)
    some = SeenBy(gathered([face("a"), face("c"), face("b"), face("l")]), JUDGE).figures(
        CHECKPOINT, SWAPS, torch.tensor([True, False, False, False])
    )
    assert (some["retrieved"].value, some["retrieved"].count) == (1, 1)


def test_a_persons_own_photo_leaks_nobody():
    seen = SeenBy(gathered([face("a")] * 4, own=[face("a")]), JUDGE)
    figures = seen.figures(CHECKPOINT, OWN)
    assert (figures["retrieved"].value, figures["carried"].value) == (1, pytest.approx(1))
    assert "target_instead" not in figures
    assert seen.figures(TARGET, OWN)["carried"].value == pytest.approx(1)


def test_dlibs_mean_is_that_of_the_gallery():
    """A vector common to all changes nothing for dlib, and everything for others."""
    dlib = SimpleNamespace(label="knows", encoder=DlibRecogniser("dlib.dat", None), headline=True)
    photos = torch.stack([face(person) for person in PEOPLE.people])
    results = [face("b"), halfway("b"), face("c"), halfway("l")]
    shift = axes(3, 0, 0, 0, 0, 5)
    plain, moved = (
        SeenBy(gathered([one + by for one in results], photos=photos + by), dlib).figures(CHECKPOINT, SWAPS)
        for by in (torch.zeros(8), shift)
    )
    assert {name: one.value for name, one in plain.items()} == pytest.approx({name: one.value for name, one in moved.items()})
    other = SeenBy(gathered([one + shift for one in results], photos=photos + shift), JUDGE).figures(CHECKPOINT, SWAPS)
    assert other["cosine"].value > plain["cosine"].value


MOUTH = SimpleNamespace(label="mouth", readable=torch.ones(52, dtype=torch.bool), sees=True, headline=True)
JAW, SMILE = ARKIT_INDEX["jawOpen"], ARKIT_INDEX["mouthSmileLeft"]


def eyes_at(shift=0.0, count=1):
    return (torch.tensor([[30.0, 40.0], [50.0, 40.0]]) + torch.tensor([shift, 0.0])).expand(count, 2, 2).clone()


def expressed(read, photos=None, seen=(1, 1, 1, 1), known=None, pose=0.0, eyes=None, readable=None):
    """Four swaps read by MOUTH; photo number n has its jaw open by n / 10 and smiles by 1 - n / 10."""
    count = len(PEOPLE)
    shown = torch.zeros(count, 52)
    shown[:, JAW], shown[:, SMILE] = torch.arange(count) / 10, 1 - torch.arange(count) / 10
    of_photos = {
        "coefficients": shown,
        "pose": torch.zeros(count, 3),
        "eyes": eyes_at(0.0, count),
        "seen": torch.ones(count) if known is None else torch.tensor(known),
    }
    of_swaps = {
        "coefficients": read(shown[[case.expression for case in SWAPPED]]),
        "pose": torch.full((4, 3), pose),
        "eyes": eyes_at(0.0, 4) if eyes is None else eyes,
        "seen": torch.tensor(seen),
    }
    return Gathered(CAST, {"mouth": of_photos}, {CHECKPOINT: {SWAPS: {"mouth": of_swaps}}})


def test_expressions_are_compared_with_the_source_photos_reading():
    exact = expression_figures(expressed(lambda wanted: wanted), MOUTH, CHECKPOINT, SWAPS)
    assert exact["correlation"].value == pytest.approx(1)
    assert (exact["error_active"].value, exact["error_all"].value, exact["pose"].value) == (0, 0, 0)
    off = expression_figures(expressed(lambda wanted: wanted + 0.1, pose=math.radians(6)), MOUTH, CHECKPOINT, SWAPS)
    assert off["correlation"].value == pytest.approx(1)
    assert off["error_all"].value == pytest.approx(0.1)
    assert off["pose"].value == pytest.approx(6)
    against = expression_figures(expressed(lambda wanted: 1 - wanted), MOUTH, CHECKPOINT, SWAPS)
    assert against["correlation"].value == pytest.approx(-1)
    # The sources are rows 5, 1, 3 and 5, the targets 3, 5, 1 and 3.
    source, target = torch.tensor([5, 1, 3, 5]) / 10, torch.tensor([3, 5, 1, 3]) / 10
    itself = expression_figures(expressed(lambda wanted: wanted), MOUTH, TARGET, SWAPS)["correlation"].value
    assert itself == pytest.approx(float(torch.corrcoef(torch.stack((source, target)))[0, 1]))


def test_what_a_judge_cannot_read_does_not_count():
    blind = SimpleNamespace(label="mouth", readable=torch.zeros(52, dtype=torch.bool), sees=False)
    blind.readable[JAW] = True

    def wrong_smile(wanted):
        read = wanted.clone()
        read[:, SMILE] = 0.9
        return read

    figures = expression_figures(expressed(wrong_smile), blind, CHECKPOINT, SWAPS)
    assert (figures["correlation"].value, figures["error_all"].value) == (pytest.approx(1), 0)
    assert "seen" not in figures
    members = torch.tensor([True, True, True, False])
    some = expression_figures(expressed(wrong_smile), blind, CHECKPOINT, SWAPS, members)
    assert some["error_all"].count == 3


def test_faces_and_eyes_are_where_the_targets_are():
    shifts = torch.cat([eyes_at(shift) for shift in (0.0, 1.5, 1.7, 0.0)])
    figures = expression_figures(expressed(lambda wanted: wanted, seen=(1, 1, 1, 0), eyes=shifts), MOUTH, CHECKPOINT, SWAPS)
    assert figures["seen"].value == pytest.approx(3 / 4)
    # Twenty pixels between the eyes: 1.6 are 8 %. An eye in a face that nobody sees is nowhere.
    assert figures["eyes"].value == pytest.approx(2 / 4)
    unseen = [1.0] * len(PEOPLE)
    unseen[3] = 0.0
    lost = expression_figures(expressed(lambda wanted: wanted, known=unseen), MOUTH, CHECKPOINT, SWAPS)
    assert lost["eyes"].count == 2
    one_eye = eyes_at()
    one_eye[0, 1, 1] += 2
    assert eyes_kept(one_eye, eyes_at()).tolist() == [False]


def worded(amount, answers):
    """Renders of `amount` people, who wear word number n as a coefficient n alone; answers: the words that pictures show."""
    renders = torch.eye(52)[: len(PRIMARIES)].repeat(amount, 1)
    words = tuple(Case(1, 0, 3, word) for word in PRIMARIES)
    cast = replace(CAST, cases={SWAPS: SWAPPED, WORDS: words, OWN: ()})
    read = torch.eye(52)[answers]
    photos = {"mouth": {"coefficients": torch.zeros(len(PEOPLE), 52)}}
    return Gathered(cast, photos, {CHECKPOINT: {WORDS: {"mouth": {"coefficients": read}}}}, {"mouth": renders})


def test_words_are_told_by_the_nearest_mean_of_the_renders():
    right = words_told_apart(worded(2, [0, 1, 2, 3, 4, 5]), MOUTH, CHECKPOINT)
    assert (right.value, right.count) == (1, 6)
    assert words_told_apart(worded(2, [0, 1, 1, 3, 3, 5]), MOUTH, CHECKPOINT).value == pytest.approx(4 / 6)
    assert words_told_apart(worded(2, [0] * 6), MOUTH, WORN).value == 1
    # Of one person's renders none is left to compare their own with.
    assert words_told_apart(worded(1, [0] * 6), MOUTH, WORN).value is None
    assert words_told_apart(worded(1, [0, 1, 2, 3, 4, 5]), MOUTH, CHECKPOINT).value == 1
    unread = SimpleNamespace(label="other", readable=torch.ones(52, dtype=torch.bool))
    assert words_told_apart(worded(2, [0] * 6), unread, CHECKPOINT).value is None


def test_goals_are_met_from_their_borders_on():
    assert [GOALS["carried"].reached(value) for value in (0.39, 0.40, 0.79, 0.80, None)] == [
        "neither", "floor", "floor", "target", "-",
    ]  # fmt: skip
    assert [GOALS["target_instead"].reached(value) for value in (15.1, 15, 3.1, 3, 0)] == [
        "neither", "floor", "floor", "target", "target",
    ]  # fmt: skip
    assert [GOALS["sharpness"].reached(value) for value in (0.5, 0.6, 0.85, 1.1, 1.2, 1.3)] == [
        "neither", "floor", "target", "target", "floor", "neither",
    ]  # fmt: skip
    assert range_text("retrieved", GOALS["retrieved"].floor) == "at least 35 %"
    assert range_text("step", GOALS["step"].target) == "at most 1"
    assert range_text("sharpness", GOALS["sharpness"].floor) == "0.6 to 1.2"
    assert written("seen", Figure(0.995, None, None, 3)) == "99.5%"


def test_thirds_are_about_equally_full():
    parts = thirds(torch.tensor([10.2, 20.4, 30.1, 40.6, 50.0, 60.3], dtype=torch.float64))
    assert [label for label, _ in parts] == ["0 to 27", "27 to 44", "44 and more"]
    assert [int(members.sum()) for _, members in parts] == [2, 2, 2]
    assert [label for label, _ in thirds(torch.full((4,), 50.0))] == ["0 to 50", "50 and more"]


def everything():
    """All that is read of four swaps and of one own photo, by a judge of each kind; the checkpoint paints the person itself."""
    vectors = gathered([face("a"), face("b"), face("c"), face("l")], own=[face("a")])
    words = expressed(lambda wanted: wanted)
    photos = {**vectors.photos, **words.photos}
    count = len(PEOPLE)
    photos[Appearance.label] = {
        "lightness": torch.tensor([30.0, 32, 50, 52, 70, 72, 31, 90, 92], dtype=torch.float64),
        "light": torch.arange(count).double() / 4,
        "yaw": torch.deg2rad(torch.linspace(0, 40, count)).double(),
    }
    looks = {name: torch.tensor([0.5, 1.0, 1.5, 2.0], dtype=torch.float64) for name in Looks.names}
    own = {name: values[:1] for name, values in words.painted[CHECKPOINT][SWAPS]["mouth"].items()}
    kinds = {
        SWAPS: {**vectors.painted[CHECKPOINT][SWAPS], **words.painted[CHECKPOINT][SWAPS], Looks.label: looks},
        OWN: {**vectors.painted[CHECKPOINT][OWN], "mouth": own, Looks.label: {name: looks[name][:1] for name in Looks.names}},
    }
    return Gathered(CAST, photos, {CHECKPOINT: kinds})


def test_all_figures_come_together():
    results = Judging(everything(), [JUDGE], [MOUTH]).results()
    first, itself = results.headline[CHECKPOINT], results.headline[TARGET]
    assert (first["carried"].value, first["retrieved"].value) == (pytest.approx(1), 1)
    assert first["correlation"].value == pytest.approx(1)
    assert (first["sharpness"].value, itself["sharpness"].value, itself["step"].value) == (1.25, 1, 0)
    # Nobody gave the renderer's cache.
    assert first["words"].value is None
    assert set(results.own) == {CHECKPOINT, TARGET}
    assert results.own[TARGET]["difference"].value == 0
    assert results.identity["knows"][CHECKPOINT]["carried_london"].count == 1
    # Targets are rows 3, 5, 1 and 3 of photos that are turned by five degrees more each.
    assert [(part.label, part.count) for part in results.bins["yaw"]] == [("0 to 15", 1), ("15 to 30", 3)]
    assert results.bins["yaw"][0].figures[CHECKPOINT]["sharpness"].value == 1.5
    # References are rows 1, 3, 5 and 8: the lights differ by 0.5, 0.5, 1 and 1.25 stops.
    assert [(part.label, part.count) for part in results.bins["light"]] == [("0.4 to 0.8", 2), ("0.8 and more", 2)]
    # The people's own tones, over all photos of them that play a part: 31, 51, 71 and 91.
    assert [(part.label, part.count) for part in results.bins["tone"]] == [("0 to 51", 1), ("51 to 71", 1), ("71 and more", 2)]
    assert sum(part.count for part in results.bins["target_tone"]) == 4


def test_a_figure_without_its_judge_is_a_dash():
    others = SimpleNamespace(**{**vars(JUDGE), "headline": False}), SimpleNamespace(**{**vars(MOUTH), "headline": False})
    judging = Judging(everything(), [others[0]], [others[1]])
    results = judging.results()
    assert (judging.who, judging.what) == (None, None)
    lines = as_markdown({}, [], None, None, results).splitlines()
    row = next(line for line in lines if line.startswith("| identity carried over |"))
    assert row.split("|")[2:7] == [" at least 0.4 ", " at least 0.8 ", " - ", " - ", " - "]
    # What needs no judge is there, and so is what the other judges say.
    assert results.headline[CHECKPOINT]["sharpness"].value == 1.25
    assert any("Identity by dlib, which is not at hand" in line for line in lines)
    assert results.identity["knows"][CHECKPOINT]["carried"].value == pytest.approx(1)


class Painter:
    kinds = (SWAPS,)

    def __init__(self, shade=0):
        self.settings, self.shade, self.painted = {"shade": shade}, shade, []

    def paint(self, kind, first, cases):
        self.painted.append((kind, first, len(cases)))
        return [torch.full((4, 4 + number, 3), self.shade + first + number, dtype=torch.uint8) for number in range(len(cases))]


class Mean:
    settings = {}  # noqa: RUF012

    def __init__(self, label):
        self.label, self.read_count = label, 0

    def read(self, shown):
        self.read_count += len(shown.pictures)
        assert len(shown.points) == len(shown.targets) == len(shown.pictures)
        return {"mean": np.array([float(picture.float().mean()) for picture in shown.pictures])}


def test_everything_is_made_once(tmp_path, stage):
    cases = tuple(Case(0, 1, row % 6, 3) for row in range(5))
    cast = Cast(stage, (1, 3, 5), {SWAPS: cases, WORDS: (), OWN: ()})
    painter, reader = Painter(), Mean("mean")
    found = Album(tmp_path, cast, {"seed": 1}, 2).painted("one", painter, SWAPS, [reader])
    assert found["mean"]["mean"].tolist() == [0, 1, 2, 3, 4]
    assert painter.painted == [(SWAPS, 0, 2), (SWAPS, 2, 2), (SWAPS, 4, 1)]
    # Another reader finds the pictures, the first one has read them.
    other, again = Mean("other"), Painter()
    found = Album(tmp_path, cast, {"seed": 1}, 2).painted("one", again, SWAPS, [reader, other])
    assert (again.painted, reader.read_count, other.read_count) == ([], 5, 5)
    assert found["mean"]["mean"].tolist() == found["other"]["mean"].tolist()
    # A part that is damaged is made again.
    part = next(tmp_path.glob("one/mean-*/swaps/part-0001.npz"))
    part.write_bytes(part.read_bytes()[:30])
    Album(tmp_path, cast, {"seed": 1}, 2).painted("one", again, SWAPS, [reader])
    assert (again.painted, reader.read_count) == ([], 7)
    with pytest.raises(RunError, match=r"holds another run \(shade: 0 then, 9 now\)"):
        Album(tmp_path, cast, {"seed": 1}, 2).painted("one", Painter(9), SWAPS, [reader])
    photos = Album(tmp_path, cast, {"seed": 1}, 2).photos([Mean("mean")])["mean"]["mean"]
    assert photos.tolist() == pytest.approx([float((stage.picture(row) * 255).mean()) for row in cast.rows()], abs=0.01)


def test_judges_say_who_taught_whom(tmp_path):
    learned = About("recogniser", "photos; taught by mobilefacenet and by MediaPipe's landmarker", "research")
    model = onnx.load(save_recogniser(tmp_path / "taught.onnx"))
    onnx.helper.set_model_props(model, learned.to_strings())
    onnx.save(model, tmp_path / "taught.onnx")
    conditioning = [tmp_path / "taught.onnx", save_recogniser(tmp_path / "silent.onnx")]

    def said(name):
        return told.told_of_judge(tmp_path / name, conditioning)

    save_recogniser(tmp_path / "mobilefacenet.onnx")
    assert said("mobilefacenet.onnx").endswith("says nothing of what it learned from; it taught taught.onnx")
    assert said("face.task").endswith("; it taught taught.onnx")
    assert said("dlib.dat").endswith("(King 2017); by what their files say it taught neither taught.onnx nor silent.onnx")
    assert learned.about in said("taught.onnx")
