"""A driver's expressions over time: gaps, calm without lag, sharp blinks, the resting face taken off, following one face."""

import math
from dataclasses import replace

import pytest
import torch

from sfsr_model.encoders.choosing import NothingChosenError
from sfsr_model.encoders.detection import Detection
from sfsr_model.expressions import ARKIT_INDEX, Expression
from sfsr_model.film import driver
from sfsr_model.film.curves import main_movements, plot
from sfsr_model.film.driver import MISSING, DriverSettings, Readings, quietest, resting_frames
from sfsr_model.film.performance import perform
from sfsr_model.film.reading import DriverWatcher
from sfsr_model.film.smoothing import LIDS, METHODS, blinking, calm

RATE = 30.0
JAW, BROW, LID = ARKIT_INDEX["jawOpen"], ARKIT_INDEX["browDownLeft"], LIDS[0]
AS_READ = DriverSettings(smoothing=0, rest="as read", pose="absolute")


def readings(coefficients, pose=None, seen=None, shots=None):
    count = len(coefficients)
    return Readings(
        torch.as_tensor(coefficients, dtype=torch.float32),
        torch.zeros(count, 3) if pose is None else torch.as_tensor(pose, dtype=torch.float32),
        torch.ones(count, dtype=torch.bool) if seen is None else torch.as_tensor(seen),
        torch.zeros(count, dtype=torch.long) if shots is None else torch.as_tensor(shots),
    )


def drive(read, rate, settings):
    return driver.drive(read, rate, settings, resting_frames(read, settings) if read.seen.any() else [])


@pytest.fixture(scope="module")
def performed():
    """A performance as an unsteady encoder reads it: (truth, readings)."""
    done = perform(9, 300)
    noise = torch.randn(300, 52, generator=torch.Generator().manual_seed(1)) * 0.04
    return torch.from_numpy(done.coefficients), readings((torch.from_numpy(done.coefficients) + noise).clamp(0, 1), done.pose)


def lag(values, truth, column):
    """How many frames the values lie behind the truth, to a tenth."""
    fine = torch.nn.functional.interpolate(
        torch.stack((values[:, column], truth[:, column]))[None], scale_factor=10, mode="linear", align_corners=True
    )[0]
    fine = fine - fine.mean(1, keepdim=True)
    shifts = range(-40, 41)
    alike = [float((fine[0].roll(-shift) * fine[1])[50:-50].sum()) for shift in shifts]
    return shifts[alike.index(max(alike))] / 10


def test_with_everything_off_the_readings_come_through(performed):
    _, read = performed
    done = drive(read, RATE, AS_READ).expression
    assert torch.equal(done.coefficients, read.coefficients)
    assert not drive(read, RATE, AS_READ).rest.any()
    assert torch.equal(done.pose, read.pose)


@pytest.mark.parametrize("method", METHODS)
def test_smoothing_calms_without_a_visible_lag(performed, method):
    truth, read = performed
    smooth = drive(read, RATE, DriverSettings(smoothing=0.4, method=method, rest="as read")).expression.coefficients
    rough = read.coefficients.diff(n=2, dim=0).abs().mean()
    assert smooth.diff(n=2, dim=0).abs().mean() < 0.6 * rough
    assert abs(lag(smooth, truth, JAW)) <= (0.1 if method == "symmetric" else 1.0)
    assert (smooth - truth).abs().mean() < (read.coefficients - truth).abs().mean()


def test_stronger_is_calmer_and_zero_changes_nothing(performed):
    _, read = performed
    rough = [
        float(calm(read.coefficients, read.shots, RATE, strength, "symmetric").diff(n=2, dim=0).abs().mean())
        for strength in (0.0, 0.2, 0.5, 1.0)
    ]
    assert rough == sorted(rough, reverse=True)
    assert rough[0] == pytest.approx(float(read.coefficients.diff(n=2, dim=0).abs().mean()))


def test_frames_far_apart_in_time_are_left_alone():
    values = torch.rand(8, 52, generator=torch.Generator().manual_seed(3))
    shots = torch.zeros(8, dtype=torch.long)
    assert torch.equal(calm(values, shots, 1.0, 0.5, "symmetric"), values)
    assert not torch.allclose(calm(values, shots, 30.0, 0.5, "symmetric"), values, atol=0.05)


def test_blinks_stay_sharp(performed):
    truth, read = performed
    sharp = drive(read, RATE, DriverSettings(smoothing=1.0, rest="as read")).expression.coefficients
    dull = drive(read, RATE, DriverSettings(smoothing=1.0, rest="as read", keep_blinks=False)).expression.coefficients
    shut = truth[:, LID] > 0.95
    assert sharp[shut, LID].min() > 0.85
    assert dull[shut, LID].min() < 0.75
    assert torch.corrcoef(torch.stack((sharp[:, LID], truth[:, LID])))[0, 1] > 0.97


def test_a_blink_does_not_droop_the_lids_before_and_after_it():
    values = torch.zeros(60, 52)
    values[28:32, list(LIDS)] = 0.9
    done = drive(readings(values), RATE, DriverSettings(smoothing=1.0, rest="as read")).expression.coefficients
    assert done[:27, LID].max() < 0.01
    assert done[33:, LID].max() < 0.01


def test_what_is_read_of_the_gaze_behind_shut_lids_counts_for_little():
    down = ARKIT_INDEX["eyeLookDownLeft"]
    values = torch.zeros(60, 52)
    values[28:32, list(LIDS)] = 1.0
    values[28:32, down] = 0.9
    done = drive(readings(values), RATE, DriverSettings(smoothing=0.6, rest="as read")).expression.coefficients
    assert done[:, down].max() < 0.1
    assert done[28:32, LID].min() == 1.0


def test_blinks_are_counted_and_eyes_kept_shut_are_none():
    lids = torch.zeros(120)
    lids[20:25], lids[50:56], lids[80:] = 0.9, 0.8, 1.0
    found = blinking(lids, torch.zeros(120, dtype=torch.long), RATE)
    assert found[20:25].all()
    assert found[50:56].all()
    assert not found[90:].any()
    assert not found[30:45].any()


def test_the_resting_face_is_taken_off_whatever_the_film_shows_elsewhere(performed):
    truth, read = performed
    rest = torch.zeros(52)
    rest[BROW], rest[ARKIT_INDEX["mouthFrownLeft"]] = 0.3, 0.2
    low = readings((read.coefficients + rest * (1 - read.coefficients)).clamp(0, 1), read.pose + torch.tensor([0.1, 0.2, 0]))
    done = drive(low, RATE, DriverSettings(smoothing=0.4))
    assert done.rest[BROW] == pytest.approx(0.32, abs=0.05)
    assert (done.expression.coefficients[:, BROW] - truth[:, BROW]).abs().mean() < 0.03
    assert set(range(18)) <= set(done.rest_frames)  # the performance rests at its start
    assert truth[list(done.rest_frames)].mean() < 0.02
    assert done.expression.pose[:20].abs().max() < 0.02


def test_a_smile_worn_throughout_is_not_taken_for_the_face():
    always = torch.zeros(60, 52)
    always[:, ARKIT_INDEX["mouthSmileLeft"]] = 0.9
    done = drive(readings(always), RATE, DriverSettings())
    assert done.expression.coefficients[:, ARKIT_INDEX["mouthSmileLeft"]].min() > 0.7


def test_shut_eyes_and_a_turned_head_are_no_rest():
    values, pose = torch.full((40, 52), 0.02), torch.zeros(40, 3)
    values[:20, list(LIDS)] = 1.0
    pose[20:30, 1] = 0.8
    values[:, JAW] += torch.linspace(0.0, 0.01, 40)
    assert set(quietest(readings(values, pose))) <= set(range(30, 40))


def test_a_chosen_frame_is_the_resting_face():
    values = torch.rand(10, 52, generator=torch.Generator().manual_seed(0)) * 0.4
    done = drive(readings(values), RATE, DriverSettings(smoothing=0, rest="chosen frame", rest_frame=4))
    assert done.rest_frames == (4,)
    assert done.expression.coefficients[4].abs().max() < 1e-6
    with pytest.raises(ValueError, match="there is no frame 10"):
        drive(readings(values), RATE, DriverSettings(rest="chosen frame", rest_frame=10))
    with pytest.raises(ValueError, match="frame 3 shows no face"):
        drive(
            readings(values, seen=[number != 3 for number in range(10)]),
            RATE,
            DriverSettings(rest="chosen frame", rest_frame=3),
        )


def test_gaze_is_one_movement_with_two_directions():
    down, up = ARKIT_INDEX["eyeLookDownLeft"], ARKIT_INDEX["eyeLookUpLeft"]
    values = torch.zeros(30, 52)
    values[:, down] = 0.3  # the camera stands below the screen they look at
    values[20, down] = 0.0
    done = drive(readings(values), RATE, DriverSettings(smoothing=0, rest="chosen frame")).expression.coefficients
    assert done[0, [down, up]].tolist() == [0, 0]
    assert done[20, [down, up]].tolist() == pytest.approx([0, 0.3])


@pytest.mark.parametrize("policy", MISSING)
def test_frames_without_a_face_follow_the_policy(policy):
    values = torch.zeros(9, 52)
    values[:, JAW] = torch.linspace(0, 0.8, 9)
    seen = [number not in (0, 4, 5, 8) for number in range(9)]
    settings = DriverSettings(missing=policy, smoothing=0, rest="as read", pose="none")
    if policy == "error":
        with pytest.raises(ValueError, match=r"4 of 9 frames show no face \(counted from 0: 0, 4, 5, 8\)"):
            drive(readings(values, seen=seen), RATE, settings)
        return
    done = drive(readings(values, seen=seen), RATE, settings).expression
    expected = {
        "interpolate": [0.1, 0.4, 0.5, 0.7],
        "hold the last face": [0.1, 0.3, 0.3, 0.7],
        "neutral": [0, 0, 0, 0],
    }[policy]
    assert done.coefficients[[0, 4, 5, 8], JAW].tolist() == pytest.approx(expected)
    assert done.pose is None


def test_nothing_crosses_a_cut():
    values = torch.zeros(40, 52)
    values[20:, JAW] = 0.8
    for method in METHODS:
        settings = DriverSettings(smoothing=1.0, method=method, rest="as read")
        cut = drive(readings(values, shots=[0] * 20 + [1] * 20), RATE, settings).expression.coefficients[:, JAW]
        whole = drive(readings(values), RATE, settings).expression.coefficients[:, JAW]
        assert torch.allclose(cut, values[:, JAW], atol=1e-5)
        assert not torch.allclose(whole, values[:, JAW], atol=0.05)


def test_values_stay_within_bounds_whatever_is_read():
    values = torch.randint(0, 2, (50, 52), generator=torch.Generator().manual_seed(0)).float()
    pose = (torch.rand(50, 3, generator=torch.Generator().manual_seed(0)) - 0.5) * 2 * math.pi
    for method in METHODS:
        drive(readings(values, pose), RATE, DriverSettings(smoothing=0.5, method=method))  # Expression checks


def test_a_film_without_a_face_and_unknown_settings_are_named():
    with pytest.raises(ValueError, match="no face was read in any of the 3 frames"):
        drive(readings(torch.zeros(3, 52), seen=[False] * 3), RATE, DriverSettings())
    with pytest.raises(ValueError, match="method: 'magic' is unknown"):
        DriverSettings(method="magic")
    with pytest.raises(ValueError, match="smoothing: expected 0 to 1"):
        DriverSettings(smoothing=2)


class Reader:
    """Reads of each square of colour in a picture that it is a face there, whose jaw is as open as it is red."""

    def read_every(self, picture):
        found = []
        for left in range(0, picture.shape[1] - 39):
            column = picture[5:45, left : left + 40]
            if bool((column == column[0, 0]).all()) and float(column[0, 0].sum()) > 0:
                points = torch.tensor([[12.0, 15], [28, 15], [20, 24], [13, 32], [27, 32]]) + torch.tensor([left, 5.0])
                values = torch.zeros(1, 52)
                values[0, JAW] = column[0, 0, 0]
                box = torch.tensor([left, 5.0, left + 40, 45.0])
                found.append((Detection(box.double(), points.double(), 1.0), Expression(values, torch.zeros(1, 3))))
        return found


class SmirkReader(Reader):
    """The same with the numbers of a SMIRK file, the first of which is as red as the face."""

    def read_every(self, picture):
        return [
            (face, replace(one, flame=one.coefficients[:, [JAW]].repeat(1, 55) * 0.1, smirk="abc"))
            for face, one in super().read_every(picture)
        ]


def frame(*faces):
    picture = torch.zeros(50, 400, 3)
    for left, red in faces:
        picture[5:45, left : left + 40] = torch.tensor([red, 0.5, 0.5])
    return picture


def watched(frames, **settings):
    watcher = DriverWatcher(Reader(), **settings)
    for one in frames:
        watcher.watch(one)
    return watcher.followed()


def test_one_face_is_followed_while_others_come_go_and_change_places():
    # The driver (0.2) moves right and out of the order that the faces are numbered in; another (0.9) enters and leaves.
    frames = [frame((20 + 4 * n, 0.2), *(((300 - 6 * n, 0.9),) if 5 <= n < 30 else ())) for n in range(24)]
    done = watched(frames, order="left to right")
    assert done.readings.coefficients[:, JAW].tolist() == pytest.approx([0.2] * 24)
    assert done.faces == 2
    other = watched(frames, order="left to right", index=1).readings
    assert other.seen.tolist() == [n >= 5 for n in range(24)]
    assert other.coefficients[5:, JAW].tolist() == pytest.approx([0.9] * 19)


def test_frames_without_the_driver_are_not_another_face():
    frames = [frame(*(((20, 0.2),) if n not in (4, 5) else ()), (200, 0.9)) for n in range(10)]
    done = watched(frames, order="left to right").readings
    assert done.seen.tolist() == [n not in (4, 5) for n in range(10)]


def test_the_numbers_of_a_smirk_file_come_along_without_their_rest():
    watcher = DriverWatcher(SmirkReader())
    for red in (0.1, 0.1, 0.1, 0.1, 0.5, 0.9):
        watcher.watch(frame((20, red)))
    read = watcher.followed().readings
    as_read = drive(read, RATE, AS_READ).expression
    assert as_read.smirk == "abc"
    assert as_read.flame[:, 0].tolist() == pytest.approx([0.01, 0.01, 0.01, 0.01, 0.05, 0.09])
    done = drive(read, RATE, DriverSettings(smoothing=0)).expression
    assert done.flame[:, 0].tolist() == pytest.approx([0, 0, 0, 0, 0.04, 0.08])


def test_a_number_that_no_frame_has_is_named():
    with pytest.raises(ValueError, match=r"^face_index: found 3, but none of the 2 frames shows more than 1 face; choose 0$"):
        watched([frame((20, 0.2))] * 2, index=3)
    with pytest.raises(NothingChosenError, match="no face in any of its 2 frames; use a film"):
        watched([frame()] * 2)


def test_the_plot_shows_what_moves_most(performed):
    _, read = performed
    done = drive(read, RATE, DriverSettings())
    names = [name for name, _ in main_movements(done.expression.coefficients)]
    assert "jawOpen" in names or "eyeBlink" in names
    picture = plot(done.expression, done.raw, RATE)
    assert picture.shape[0] == 1
    assert picture.shape[-1] == 3
    assert 0 <= float(picture.min()) < 0.6 < float(picture.max()) <= 1
    still = drive(readings(torch.zeros(1, 52)), RATE, DriverSettings(pose="none"))
    assert plot(still.expression, still.raw, RATE).shape[1] < picture.shape[1]
