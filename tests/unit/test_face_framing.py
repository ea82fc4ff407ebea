"""Faces of a batch found, given, judged and framed; what is not there is said."""

import re
from dataclasses import dataclass, replace

import pytest
import torch

from sfsr_model.encoders.choosing import NothingChosenError, choose, look_in
from sfsr_model.encoders.detection import Detection, judged
from sfsr_model.encoders.framing import FramingSettings, frame_faces
from sfsr_model.encoders.norm_floor import NormFloor
from sfsr_model.face.crop import template
from sfsr_model.samples import load_sample

GREY = torch.full((200, 300, 3), 0.5)


def face(x, y, eye=20.0, score=0.9):
    points = (template() - template()[:2].mean(0)) * eye / 0.3 + torch.tensor([x, y], dtype=torch.float64)
    reach = torch.tensor([eye, eye], dtype=torch.float64)
    return judged(Detection(torch.cat((points[2] - reach, points[2] + reach)), points, score), (200, 300))


def settings(index=0, no_face="error", order="left to right", size=64):
    return FramingSettings(size, order, index, no_face)


def test_all_faces_of_each_picture():
    given = [[face(200, 60), face(60, 60), face(120, 60)], [face(100, 80)]]
    framing = frame_faces([GREY, GREY], None, settings(None), given)
    assert [(one.picture, one.index, one.pictures) for one in framing.frames] == [(0, 0, 2), (0, 1, 2), (0, 2, 2), (1, 0, 2)]
    eyes = [one.landmarks[:2].mean(0)[0].item() for one in framing.frames]
    assert eyes == pytest.approx([60, 120, 200, 100])
    assert framing.report().startswith("4 crops of 2 pictures\npicture 0: face 0 (score 0.9), face 1 (score 0.9), face 2")


def test_the_numbered_face_and_twelve_of_them():
    twelve = [face(30 + 20 * number, 60 + number % 3, eye=8) for number in range(12)]
    framing = frame_faces([GREY], None, settings(7), [twelve[::-1]])
    assert framing.frames[0].landmarks[:2].mean(0)[0].item() == pytest.approx(170)
    assert len(frame_faces([GREY], None, settings(None), [twelve]).frames) == 12
    with pytest.raises(NothingChosenError, match="picture 0: face_index: 12 asked for, but 12 faces were found"):
        frame_faces([GREY], None, settings(12), [twelve])


def test_the_choice_among_several_is_told_with_the_frame():
    given = [[face(60, 60), face(160, 60)], [face(100, 80)]]
    told = [one.warnings for one in frame_faces([GREY, GREY], None, settings(1, "keep the picture"), given).frames]
    assert told == [("face 1 of 2 is meant; face_index takes another, 'all' in faces every one",), ()]
    assert not any(one.warnings for one in frame_faces([GREY, GREY], None, settings(None), given).frames)
    assert frame_faces([GREY], None, settings(), given[:1]).frames[0].resized(128).warnings
    unlikely = replace(face(60, 60), refused="it is a wall")
    taken = FramingSettings(64, "left to right", 0, "error", overrule=True)
    (frame,) = frame_faces([GREY], None, taken, [[unlikely]]).frames
    assert frame.warnings == ("face 0 was taken although it had been refused: it is a wall",)


def test_a_picture_without_a_face():
    given = [[face(100, 80)], [], [face(100, 80)]]
    with pytest.raises(NothingChosenError, match=r"picture 1 \(300 x 200 pixels\): no face found"):
        frame_faces([GREY] * 3, None, settings(), given)
    kept = frame_faces([GREY] * 3, None, settings(no_face="keep the picture"), given)
    assert [one.score > 0 for one in kept.frames] == [True, False, True]
    assert kept.frames[1].mask.sum() == 0
    assert re.search(r"\npicture 1 \(300 x 200 pixels\): no face.*\. The picture is kept as it is\.$", kept.report(), re.M)
    skipped = frame_faces([GREY] * 3, None, settings(None, "keep the picture"), given)
    assert [one.picture for one in skipped.frames] == [0, 2]
    held = frame_faces([GREY] * 3, None, settings(None, "hold the last face"), [[face(60, 80), face(160, 80)], [], given[2]])
    assert [(one.picture, one.index, one.score) for one in held.frames[2:4]] == [(1, 0, 0.0), (1, 1, 0.0)]
    with pytest.raises(NothingChosenError, match=r"picture 0.*\w\. There is no face before it whose place could be held"):
        frame_faces([GREY] * 2, None, settings(no_face="hold the last face"), [[], given[0]])


def test_a_held_face_fades_out_and_goes():
    """By default it is there for ten pictures, fades over five, and then the pictures are kept; a face begins it anew."""
    given = [[face(100, 80)], *[[]] * 17, [face(60, 80)], []]
    framing = frame_faces([GREY] * 20, None, settings(no_face="hold the last face"), given)
    held = framing.frames[1:16]
    assert [one.opacity for one in held] == pytest.approx([1.0] * 10 + [5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])
    assert all(one.mask.sum() > 0 and one.score == 0 for one in held)
    assert [one.mask.sum().item() for one in framing.frames[16:18]] == [0.0, 0.0]
    assert framing.frames[19].landmarks[:2].mean(0)[0].item() == pytest.approx(60)
    assert framing.frames[19].opacity == 1.0
    report = framing.report()
    assert "no face found; not even a doubtful one. Use" in report
    assert re.search(r"\npicture 15 .*The face is taken to be where it was before and fades, 17% of it\.$", report, re.M)
    assert re.search(r"\npicture 16 .*The picture is kept as it is: there has been no face for more than 15\.$", report, re.M)
    all_faces = frame_faces([GREY] * 20, None, settings(None, "hold the last face"), given)
    assert [one.picture for one in all_faces.frames] == [*range(16), 18, 19]
    forever = frame_faces([GREY] * 20, None, replace(settings(no_face="hold the last face"), hold=0), given)
    assert {one.opacity for one in forever.frames} == {1.0}
    (once, gone) = frame_faces([GREY] * 3, None, replace(settings(no_face="hold the last face"), hold=1), given[:3]).frames[1:]
    assert (once.opacity, gone.mask.sum().item()) == (0.5, 0.0)


def test_nobody_anywhere_still_gives_one_frame_that_masks_nothing():
    framing = frame_faces([GREY] * 2, None, settings(None, "keep the picture"), [[], []])
    assert [(one.picture, one.pictures, one.mask.sum().item()) for one in framing.frames] == [(0, 2, 0.0)]


def test_what_is_no_face_is_told_with_the_reason():
    squashed = face(150, 80)
    wrong = judged(replace(squashed, points=squashed.points * torch.tensor([1.0, 0.2]), refused=None), (200, 300))
    framing = frame_faces([GREY], None, settings(), [[face(60, 80), wrong]])
    assert len(framing.choices[0].faces) == 1
    assert "refused at (" in framing.report()
    assert wrong.refused in framing.report()
    shown = framing.preview(GREY, 0)
    assert (shown * 255).round().to(torch.uint8).reshape(-1, 3).tolist().count([225, 70, 60]) > 50


@dataclass
class Judge:
    """A recogniser that gives faces left of the middle short embeddings."""

    space: str = "judge"
    provider: str = "CPU"
    trained: bool = True

    def prepare(self, image):
        return image

    def align(self, image, points):
        return points

    def embed_aligned(self, faces):
        return torch.stack([torch.ones(4) * (1.0 if points[0, 0] < 150 else 10.0) for points in faces])


def test_a_face_that_the_recogniser_takes_for_none_is_refused(monkeypatch):
    monkeypatch.setattr("sfsr_model.encoders.choosing.norm_floor", lambda encoder: NormFloor(5.0, 15.0))
    given = [face(60, 80), face(200, 80), face(250, 80)]
    first = choose(GREY, Judge(), "left to right", 0, 0, given)
    assert first.faces[first.chosen[0]].points[:2].mean(0)[0].item() == pytest.approx(200)
    assert "the recogniser saw no face" in first.refused[0].refused
    assert len(choose(GREY, Judge(), "left to right", None, 0, given).chosen) == 2
    with pytest.raises(NothingChosenError, match="the recogniser saw no face"):
        choose(GREY, Judge(), "left to right", 0, 0, given[:1])


def test_refused_faces_are_taken_on_request(monkeypatch):
    monkeypatch.setattr("sfsr_model.encoders.choosing.norm_floor", lambda encoder: NormFloor(5.0, 15.0))
    short, faint = face(60, 80), replace(face(100, 80), confidence=0.4, refused="faint")
    # Given ones are believed, each of them, and the recogniser is not asked.
    given = choose(GREY, Judge(), "left to right", None, 0, [short, faint, face(200, 80)], overrule=True)
    assert [one.overruled for one in given.faces] == [None, "faint", None]
    # Of the detector's own finds the surest stands in where there is no other face.
    monkeypatch.setattr("sfsr_model.encoders.choosing.look", lambda image, encoder: ([short, faint], False))
    with pytest.raises(NothingChosenError, match="the recogniser saw no face"):
        choose(GREY, Judge(), "left to right", 0, 0)
    own = choose(GREY, Judge(), "left to right", 0, 0, overrule=True)
    assert "the recogniser saw no face" in own.faces[0].overruled
    assert [one.refused for one in own.refused] == ["faint"]
    framing = frame_faces([GREY], Judge(), replace(settings(), overrule=True))
    assert "\n  face 0 was taken although it had been refused: the recogniser saw no face" in framing.report()
    assert framing.frames[0].score > 0
    monkeypatch.setattr("sfsr_model.encoders.choosing.look", lambda image, encoder: ([short, face(200, 80)], False))
    assert choose(GREY, Judge(), "left to right", 0, 0, overrule=True).faces[0].overruled is None


@dataclass
class Again:
    """Finds nothing by itself, and on a second look a face only where its eyes lie as said."""

    eyes: tuple[float, float, float, float]

    def detect(self, image):
        return []

    def look_again(self, image, finds):
        true = torch.tensor(self.eyes, dtype=torch.float64).reshape(2, 2)
        return [replace(one, refused=None if (one.points[:2] - true).abs().max() < 8 else "nothing there") for one in finds]


@pytest.mark.parametrize(
    ("eyes", "down"),
    [((62, 69, 98, 69), (0, 1)), ((98, 103, 62, 103), (0, -1)), ((97, 68, 97, 104), (-1, 0)), ((63, 104, 63, 68), (1, 0))],
)
def test_in_a_box_the_encoder_looks_again_each_way_up(eyes, down):
    """The box is believed to hold a face, and the encoder says which way up it stands; the box lies off the corner."""
    shift = torch.tensor([20.0, 20, 20, 20])
    box = (torch.tensor([34.0, 23, 126, 149]) + shift, 0.8)
    reach = 0.5 * 126
    part = torch.tensor([max(0, round(54 - reach)), max(0, round(43 - reach))], dtype=torch.float64).repeat(2)
    looked = Again(tuple((torch.tensor(eyes, dtype=torch.float64) + 20 - part).tolist()))
    (found,) = look_in(torch.full((300, 300, 3), 0.5), looked, [box])
    assert found.refused is None
    drop = found.points[3:].mean(0) - found.points[:2].mean(0)
    assert torch.nn.functional.normalize(drop, dim=0).tolist() == pytest.approx(down, abs=1e-6)
    (nothing,) = look_in(torch.full((300, 300, 3), 0.5), Again((0, 0, 0, 0)), [box])
    assert nothing.refused == "no face was found in the given box"
    assert nothing.points.isfinite().all()


def test_a_box_is_looked_at_alone():
    """A face too small for the whole picture is found in its box; an empty and an outer box come back refused."""
    portrait = torch.nn.functional.interpolate(load_sample("portrait_20")[0].movedim(-1, 0)[None], size=96, mode="area")[0]
    picture = torch.full((900, 1600, 3), 0.5)
    picture[500:596, 1200:1296] = portrait.movedim(0, -1)
    boxes = [(torch.tensor([1210.0, 510, 1285, 590]), 0.8), (torch.tensor([100.0, 100, 200, 200]), 0.7)]
    inner, empty = look_in(picture.double().float(), None, boxes)
    assert inner.refused is None
    assert 1200 < inner.points[2, 0] < 1296
    assert 500 < inner.points[2, 1] < 596
    assert empty.refused == "no face was found in the given box"
    (outer,) = look_in(picture, None, [(torch.tensor([2000.0, 10, 2100, 90]), 1.0)])
    assert outer.refused == "the given box lies outside the picture"
