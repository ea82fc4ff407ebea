"""One face of a film: followed by place and person, steady, and framed alike in every frame."""

from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sfsr_model.encoders.choosing import NothingChosenError
from sfsr_model.encoders.detection import Detection, judged
from sfsr_model.encoders.framing import FramingSettings
from sfsr_model.face import paste_into, warp_mask
from sfsr_model.face.crop import crop_transform, template
from sfsr_model.film import target
from sfsr_model.film.cuts import CutFinder
from sfsr_model.film.paste import PasteSettings, SeamColours, calm_faces, swapped
from sfsr_model.film.steady import CALM_REACH, COLOUR_REACH, filled, smooth, smooth_shots, steady_transforms
from sfsr_model.film.target import FilmSettings, FilmWatcher, followed_frames

HEIGHT, WIDTH = 200, 400
FACE = template() - template()[:2].mean(0)


def points_at(x, y, eye=30.0):
    return FACE * eye / 0.3 + torch.tensor([x, y], dtype=torch.float64)


def face(x, y, eye=30.0, score=0.9):
    points = points_at(x, y, eye)
    reach = torch.tensor([eye, eye], dtype=torch.float64)
    return judged(Detection(torch.cat((points[2] - reach, points[2] + reach)), points, score), (HEIGHT, WIDTH))


@dataclass
class Colours:
    """Knows people by the colour at their nose: red is one, green another."""

    trained: bool = True
    threshold: float = 0.7
    floor: None = None
    space: str = "colours"
    provider: str = "none"
    asked: list = field(default_factory=list)

    def prepare(self, image):
        return image

    def align(self, image, points):
        x, y = points[2].round().long().tolist()
        return image[y, x].numpy()

    def embed_aligned(self, faces):
        self.asked += faces
        return 20 * torch.tensor(np.stack(faces), dtype=torch.float32)


RED, GREEN = (0.8, 0.1, 0.1), (0.1, 0.8, 0.1)


def watched(scenes, encoder=None, no_face="hold the last face", person=None, grey=0.5, hold=15, reach=0, index=0):
    """scenes: for each frame the faces (x, colour), where later ones hide earlier ones within 20 pixels."""
    settings = FilmSettings(FramingSettings(64, "left to right", index, no_face, hold), reach)
    watcher = FilmWatcher(settings, encoder, person)
    for number, scene in enumerate(scenes):
        shade = grey(number) if callable(grey) else grey
        picture = torch.full((HEIGHT, WIDTH, 3), shade)
        given = []
        for place, (x, colour) in enumerate(scene):
            found = face(x, 90)
            nose = found.points[2].round().long()
            picture[nose[1] - 2 : nose[1] + 3, nose[0] - 2 : nose[0] + 3] = torch.tensor(colour)
            if not any(abs(x - other) < 20 for other, _ in scene[place + 1 :]):
                given.append(found)
        watcher.watch(picture, given)
    return watcher.followed()


def places(followed):
    return [round(points[:2].mean(0)[0].item()) for points in followed.points]


CROSSING = [[(100 + 5 * t, RED), (300 - 5 * t, GREEN)] for t in range(41)]


@pytest.mark.parametrize("encoder", [None, Colours()], ids=["by place", "by person"])
def test_a_face_that_crosses_in_front_takes_nothing(encoder):
    followed = watched(CROSSING, encoder)
    seen = [t for t, score in enumerate(followed.scores) if score > 0]
    assert [places(followed)[t] for t in seen] == [100 + 5 * t for t in seen]
    hidden = [t for t in range(41) if t not in seen]
    assert hidden == [19, 20, 21]
    # Where another face stands before it nothing is pasted, whatever the policy.
    assert [followed.opacity[t] for t in hidden] == [0.0] * 3
    assert not followed.frame(20).mask.any()
    assert followed.frame(18).mask.any()


def test_a_person_is_found_again_across_a_cut_and_nobody_else_is_taken():
    before, after = [[(120, RED), (300, GREEN)]] * 8, [[(100, GREEN), (280, RED)]] * 8
    alone = [[(200, GREEN)]] * 4
    followed = watched(before + after + alone, Colours(), grey=lambda t: 0.2 + 0.3 * (t >= 8) + 0.3 * (t >= 16))
    assert followed.shots == (0,) * 8 + (1,) * 8 + (2,) * 4
    assert places(followed)[:16] == [120] * 8 + [280] * 8
    assert followed.opacity == (1.0,) * 16 + (0.0,) * 4
    assert not any(followed.scores[16:])
    assert "frames 16 to 19, shot 2: without it, kept as they are" in followed.report()
    wanted = torch.nn.functional.normalize(torch.tensor(GREEN), dim=0)
    followed = watched(before + after, Colours(), person=wanted, grey=lambda t: 0.2 + 0.3 * (t >= 8))
    assert places(followed) == [300] * 8 + [100] * 8


def test_without_an_encoder_a_cut_is_told():
    followed = watched([[(100, RED)]] * 5 + [[(250, RED)]] * 5, grey=lambda t: 0.2 + 0.5 * (t >= 5))
    assert places(followed) == [100] * 5 + [250] * 5
    assert "no id_encoder is connected" in followed.report()


def test_somebody_who_steps_into_the_place_is_not_taken_for_the_person():
    scenes = [[(100, RED)]] * 8 + [[]] * 3 + [[(112, GREEN)]] * 8
    followed = watched(scenes, Colours())
    assert not any(followed.scores[11:])
    assert all(watched(scenes).scores[11:])  # which nobody can know by the place alone


def test_a_film_without_it_says_what_it_shows_instead():
    """Only what the film nodes have is advised: they know no refused_faces, and Film Swap no bboxes."""
    scenes = [[(100, RED)], [(100, RED), (300, GREEN)], [(100, RED)]]
    with pytest.raises(NothingChosenError, match=r"^no face in any of its 3 frames; not even a doubtful one; use a film[^;]*$"):
        watched([[]] * 3, Colours())
    with pytest.raises(NothingChosenError, match="connected to id_encoder, sees more"):
        watched([[]] * 3)
    with pytest.raises(
        ValueError, match=r"^face_index: found 5, but none of the 3 frames shows more than 2 faces; choose 0 to 1$"
    ):
        watched(scenes, Colours(), index=5)
    blue = torch.nn.functional.normalize(torch.tensor([0.0, 0.1, 0.9]), dim=0)
    with pytest.raises(
        NothingChosenError, match=r"^none of the faces in its 3 frames is the person's \(up to 2 at once\); connect"
    ):
        watched(scenes, Colours(), person=blue)


def test_what_is_no_face_to_the_recogniser_has_no_number(monkeypatch):
    floor = SimpleNamespace(refusal=lambda length: "too short" if length < 5 else None)
    monkeypatch.setattr(target, "norm_floor", lambda encoder: floor)
    pattern = (0.1, 0.1, 0.1)
    assert places(watched([[(100, pattern), (300, GREEN)]] * 4, Colours())) == [300] * 4
    with pytest.raises(NothingChosenError, match="what was found in its 4 frames is no face to the recogniser; use a film"):
        watched([[(100, pattern)]] * 4, Colours())


def test_frames_without_it():
    scenes = [[(100, RED)]] * 3 + [[]] * 2 + [[(106, RED)]] * 3 + [[]] * 9
    followed = watched(scenes, hold=6)
    assert places(followed)[2:6] == [100, 102, 104, 106]
    assert followed.opacity[3:5] == (1.0, 1.0)
    assert followed.opacity[8:] == pytest.approx([1.0] * 4 + [2 / 3, 1 / 3, 0, 0, 0])
    kept = watched(scenes, no_face="keep the picture")
    assert list(kept.opacity) == [1, 1, 1, 0, 0, 1, 1, 1] + [0] * 9
    with pytest.raises(
        NothingChosenError, match=r"^frame 3: no face found; not even a doubtful one; set no_face to 'hold the last"
    ):
        watched(scenes, no_face="error")
    assert "frames 3 to 4: without a find, taken to be between the finds about them" in followed.report()


def test_frames_hold_what_paste_needs():
    frames = followed_frames(watched([[(100 + t, RED)] for t in range(5)]))
    assert [(one.picture, one.pictures, one.shot) for one in frames] == [(t, 5, 0) for t in range(5)]
    assert torch.equal(frames[2].transform, crop_transform(points_at(102, 90), 64))


def test_smoothing_keeps_motion_and_takes_noise():
    time = torch.arange(60, dtype=torch.float64)
    quadratic = torch.stack((3 + 0.5 * time - 0.01 * time**2, 2 * time), 1)
    torch.testing.assert_close(smooth(quadratic, 7)[7:-7], quadratic[7:-7], atol=2e-2, rtol=0)
    wave = torch.sin(2 * torch.pi * time / 60)
    still = smooth(wave, 7)
    assert (still - wave).abs().max() < 0.02
    noise = torch.randn(4000, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert smooth(noise, 7).std() < 0.55 * noise.std()
    # A symmetric window lags nowhere: the fit of a film run backwards is the fit run backwards.
    torch.testing.assert_close(smooth(noise.flip(0), 7), smooth(noise, 7).flip(0))
    assert torch.equal(smooth(noise, 0), noise)


def test_a_film_smoothed_in_parts_is_the_same():
    noise = torch.randn(100, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    whole = smooth(noise, 5, degree=1)
    torch.testing.assert_close(smooth(noise[35:65], 5, degree=1)[5:-5], whole[40:60], rtol=0, atol=1e-12)


def test_nothing_crosses_a_cut():
    values = torch.cat((torch.zeros(20), torch.ones(20))).double()
    shots = (values > 0.5).long()
    assert torch.allclose(smooth_shots(values, shots, 7), values)
    assert not torch.allclose(smooth(values, 7), values, atol=0.05)


def test_the_scale_changes_slowly_while_place_and_angle_are_the_points_own():
    generator = torch.Generator().manual_seed(2)
    points = torch.stack([points_at(100 + t, 90, 30 + (t % 2)) for t in range(40)])
    points += 0.2 * torch.randn(points.shape, generator=generator, dtype=torch.float64)
    shots = torch.zeros(40, dtype=torch.long)
    own, steady = crop_transform(points, 64), steady_transforms(points, shots, 64, 7)
    scale = lambda some: torch.linalg.det(some[:, :2, :2]).sqrt()  # noqa: E731
    assert scale(steady).diff().abs().max() < 0.1 * scale(own).diff().abs().max()
    middle = points.mean(1)[..., None]
    torch.testing.assert_close(steady[..., :2] @ middle + steady[..., 2:], own[..., :2] @ middle + own[..., 2:])
    angle = lambda some: torch.atan2(some[:, 1, 0], some[:, 0, 0])  # noqa: E731
    torch.testing.assert_close(angle(steady), angle(own))
    assert torch.equal(steady_transforms(points, shots, 64, 0), own)


def test_filled():
    points = torch.arange(6.0).double()[:, None, None].expand(6, 5, 2) ** 2
    seen = torch.tensor([False, True, False, True, False, False])
    result = filled(points, seen, torch.tensor([0, 0, 0, 0, 0, 1]))[:, 0, 0]
    assert result.tolist() == [1, 1, 5, 9, 9, 9]
    with pytest.raises(ValueError, match="no frame shows"):
        filled(points, torch.zeros(6, dtype=torch.bool), torch.zeros(6))


def test_cuts_are_told_from_motion():
    generator = torch.Generator().manual_seed(3)
    scenes = torch.nn.functional.interpolate(torch.rand(2, 3, 8, 12, generator=generator), (96, 160), mode="bicubic").movedim(
        1, -1
    )
    finder = CutFinder()
    panned = [finder.begins(scenes[0].roll(2 * t, 1)) for t in range(20)]
    assert not any(panned)
    assert finder.begins(scenes[1])
    assert not finder.begins(scenes[1].roll(2, 1))


def painted(followed, generator_seed=4):
    """A new face for each frame: a smooth pattern that flickers."""
    generator = torch.Generator().manual_seed(generator_seed)
    base = torch.nn.functional.interpolate(torch.rand(1, 3, 4, 4, generator=generator), 64, mode="bicubic")[0].movedim(0, -1)
    return (base + 0.02 * torch.randn(len(followed), 64, 64, 3, generator=generator)).clamp(0, 1)


SCENES = [[(100 + t, RED)] for t in range(12)] + [[]] * 2 + [[(114 + t, RED)] for t in range(30)] + [[]] * 12


def test_a_film_in_parts_is_the_film_as_a_whole():
    followed = watched(SCENES, hold=6)
    pictures = (torch.rand(len(followed), HEIGHT, WIDTH, 3, generator=torch.Generator().manual_seed(5)) * 255).to(torch.uint8)
    faces = painted(followed)
    asked = []

    def paint(crops, frames):
        assert crops.shape == (len(frames), 64, 64, 3)
        asked.append(len(frames))
        return faces[[frame.picture for frame in frames]]

    settings = PasteSettings()
    whole = list(swapped(pictures, followed, paint, 100, settings))
    assert sum(asked) == sum(value > 0 for value in followed.opacity) < len(followed)
    for chunk in (1, 7):
        parts = list(swapped(iter(pictures), followed, paint, chunk, settings))
        assert all(map(torch.equal, whole, parts))
    # As Face Paste puts it together from the single steps.
    frames = followed_frames(followed)
    calmed = calm_faces(faces, frames, settings.calm)
    colours = SeamColours(torch.tensor(followed.shots))
    floats = pictures.float() / 255
    for picture, crop, frame in zip(floats, calmed, frames, strict=True):
        colours.measure(picture, crop, frame)
    for number, (picture, crop, frame) in enumerate(zip(floats, calmed, frames, strict=True)):
        outside = warp_mask(frame) == 0
        pasted = paste_into(picture.clone(), crop, frame, colours=colours.of(number))
        assert torch.equal(pasted, whole[number])
        assert torch.equal(whole[number][outside], picture[outside])
        assert bool((whole[number] != picture).any()) == (frame.opacity > 0)


@pytest.mark.parametrize(("change", "told"), [(-1, "it has 55 frames now"), (1, "more frames now than the 56")])
def test_a_film_that_has_changed_meanwhile(change, told):
    followed = watched(SCENES)
    pictures = [torch.zeros(HEIGHT, WIDTH, 3)] * (len(followed) + change)
    with pytest.raises(ValueError, match=told):
        list(swapped(pictures, followed, lambda crops, frames: crops, 8, PasteSettings()))


def test_few_frames_are_held_at_a_time():
    followed = watched([[(100, RED)]] * 80)
    read = []

    def frames():
        for number in range(80):
            read.append(number)
            yield torch.zeros(HEIGHT, WIDTH, 3)

    film = swapped(frames(), followed, lambda crops, frames: crops, 4, PasteSettings())
    for number, _ in enumerate(film):
        assert len(read) - number <= 4 + CALM_REACH + COLOUR_REACH + 1


def test_calm_takes_flicker_and_keeps_movement():
    generator = torch.Generator().manual_seed(6)
    faces = 0.5 + 0.02 * torch.randn(21, 64, 64, 3, generator=generator)
    faces[10, 20:40, 20:40] += 0.4  # a blink of a single frame
    frames = followed_frames(watched([[(100, RED)]] * 21))
    calmed = calm_faces(faces, frames, 5)
    assert calmed[5:16, 45:].diff(dim=0).abs().mean() < 0.4 * faces[5:16, 45:].diff(dim=0).abs().mean()
    assert (calmed[10] - calmed[9])[24:36, 24:36].mean() == pytest.approx(0.4, abs=0.02)
    cut = tuple(replace(frame, shot=int(number > 10)) for number, frame in enumerate(frames))
    assert torch.equal(calm_faces(faces, cut, 5)[11:], calm_faces(faces[11:], cut[11:], 5))


def test_contrast_changes_slowly_and_brightness_at_once():
    followed = watched([[(100, RED)]] * 40)
    faces = painted(followed)
    faces[::2] = 0.5 + 1.1 * (faces[::2] - 0.5)
    pictures = torch.rand(40, HEIGHT, WIDTH, 3, generator=torch.Generator().manual_seed(7)) * 0.1 + 0.3
    pictures[20:] += 0.2
    colours = SeamColours(torch.tensor(followed.shots))
    for number, frame in enumerate(followed_frames(followed)):
        colours.measure(pictures[number], faces[number], frame)
    matched = torch.stack([colours.of(number)[0] for number in range(40)])
    assert (matched[20, 2, 0] - matched[19, 2, 0]).item() == pytest.approx(0.2, abs=0.03)
    assert matched[5:15, 1].diff(dim=0).abs().max() < 0.005
