"""Which crop goes where: every way in which pictures, crops and frames may come, and none by accident."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfsr_model.face.crop import template
from sfsr_model.face.frame import face_frame
from sfsr_model.face.placement import Placement, placements


def frame(picture=0, pictures=1, eye=20.0):
    points = (template() - template()[:2].mean(0)) * eye / 0.3 + 40
    return replace(face_frame(points, (80, 80), 32, picture=picture), pictures=pictures)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=7))
def test_a_crop_each_goes_to_its_frames_picture(named):
    frames = [frame(picture, 4, eye=10 + number) for number, picture in enumerate(sorted(named))]
    plan = placements(4, len(frames), frames)
    assert [one.picture for one in plan] == [0, 1, 2, 3]
    pairs = [(place.picture, pair) for place in plan for pair in place.pairs]
    assert sorted(pair for _, pair in pairs) == [(number, number) for number in range(len(frames))]
    assert all(frames[number].picture == picture for picture, (_, number) in pairs)


def test_the_largest_face_comes_last():
    (place,) = placements(1, 3, [frame(eye=20), frame(eye=30), frame(eye=10)])
    assert place.pairs == ((2, 2), (0, 0), (1, 1))


def test_one_frame_serves_crops_and_pictures():
    assert placements(1, 3, [frame()]) == tuple(Placement(0, ((number, 0),)) for number in range(3))
    assert placements(3, 3, [frame()]) == tuple(Placement(number, ((number, 0),)) for number in range(3))
    assert placements(3, 1, [frame()]) == tuple(Placement(number, ((0, 0),)) for number in range(3))


def test_the_only_face_of_a_batch_stays_in_its_picture():
    assert placements(2, 1, [frame(1, 2)]) == (Placement(0, ()), Placement(1, ((0, 0),)))


def test_all_faces_of_a_still_in_every_frame():
    plan = placements(2, 2, [frame(eye=10), frame(eye=20)])
    assert plan == (Placement(0, ((0, 0), (1, 1))), Placement(1, ((0, 0), (1, 1))))


def test_one_crop_for_all_only_where_it_is_clear():
    assert placements(2, 1, [frame(0, 2), frame(1, 2)]) == (Placement(0, ((0, 0),)), Placement(1, ((0, 1),)))
    with pytest.raises(ValueError, match=r"found 1 new faces for 2 that were cropped; expected one each$"):
        placements(1, 1, [frame(eye=10), frame(eye=20)])


@pytest.mark.parametrize(
    ("pictures", "crops", "frames", "message"),
    [
        (2, 3, [frame()], "images: found 2 for 3 faces"),
        (3, 2, [frame()], "faces: found 2 for 3 pictures"),
        (1, 2, [frame(0, 2), frame(1, 2)], "images: found 1, but the faces come from 2 pictures"),
        (2, 3, [frame(0, 2), frame(1, 2)], "found 3 new faces for 2 that were cropped; expected one each, or one for all"),
        (1, 1, [], "holds no face"),
    ],
)
def test_what_does_not_fit_is_refused(pictures, crops, frames, message):
    with pytest.raises(ValueError, match=message):
        placements(pictures, crops, frames)
