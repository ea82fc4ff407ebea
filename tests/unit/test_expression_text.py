"""Expressions typed as text: lists of words, schedules of keyframes; series of words and intensities; lengths of batches."""

import contextlib
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sfsr_model.batch import common_length, require_repeatable
from sfsr_model.expressions import (
    MAX_FRAMES,
    Expression,
    Look,
    all_word_expressions,
    all_words,
    concatenate,
    even_steps,
    family_looks,
    parse_keyframes,
    parse_look,
    parse_looks,
    require_within,
    sweep,
    sweep_labels,
    word_expression,
)

WORDS = st.sampled_from([word.word for word in all_words()])


@pytest.mark.parametrize(
    ("text", "look"),
    [
        ("joy", Look("joy")),
        (" Joy  0.8 ", Look("joy", 0.8)),
        ("NEUTRAL 0", Look("neutral", 0.0)),
        ("8", Look("amazement")),
        ("B 0.5", Look("b", 0.5)),
    ],
)
def test_a_look(text, look):
    assert parse_look(text, ("a", "b")) == look


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "nothing is named"),
        ("amazment", "did you mean amazement"),
        ("b", "unknown expression 'b'"),
        ("136", "no expression number 136"),
        ("joy strongly", "its intensity is 'strongly'; expected a number from 0 to 2"),
        ("joy -1", "its intensity is '-1'"),
        ("joy nan", "its intensity is 'nan'"),
        ("joy inf", "its intensity is 'inf'"),
        ("joy 0.5 0.7", "found 2 things after 'joy'"),
    ],
)
def test_a_look_refuses(text, message):
    with pytest.raises(ValueError, match=message):
        parse_look(text)


def test_a_list_of_looks():
    assert parse_looks("joy, anger 0.5\r\n\n fear;12,") == (Look("joy"), Look("anger", 0.5), Look("fear"), parse_look("12"))


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "the list is empty"), (" ,\n", "the list is empty"), ("joy, amazment", "entry 2, 'amazment': unknown expression")],
)
def test_a_list_of_looks_refuses(text, message):
    with pytest.raises(ValueError, match=message):
        parse_looks(text)


def test_families():
    assert len(family_looks("all")) == len(all_words())
    assert {look.name for look in family_looks("surprise")} == {"amazement", "astonishment", "surprise"}
    with pytest.raises(ValueError, match="unknown family 'rage'; expected all, anger"):
        family_looks("rage")


def test_keyframes_in_the_order_of_their_frames():
    keys = parse_keyframes("12: joy 0.8\n0: neutral, 24:b", ("a", "b"))
    assert [(key.frame, key.look) for key in keys] == [(0, Look("neutral")), (12, Look("joy", 0.8)), (24, Look("b"))]


@given(st.dictionaries(st.integers(0, 9999), st.tuples(WORDS, st.integers(0, 20)), min_size=1, max_size=9))
def test_keyframes_as_typed(schedule):
    text = ", ".join(f"{frame}: {word} {tenths / 10}" for frame, (word, tenths) in schedule.items())
    keys = parse_keyframes(text)
    assert [key.frame for key in keys] == sorted(schedule)
    assert {key.frame: (key.look.name, round(key.look.intensity * 10)) for key in keys} == schedule


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the schedule is empty; expected frames and expressions, such as '0: neutral"),
        ("0: joy, anger", "entry 2, 'anger': it has no colon"),
        ("x: joy", "entry 1, 'x: joy': the frame is 'x'; expected a whole number"),
        ("-1: joy", "the frame is '-1'; expected a whole number, 0 or more"),
        ("1.5: joy", "the frame is '1.5'; expected a whole number"),
        ("\u00b2: joy", "the frame is '\u00b2'; expected a whole number"),
        (": joy", "the frame is ''; expected a whole number"),
        ("0:", "entry 1, '0:': nothing is named"),
        ("0: joy, 3: jooy", "entry 2, '3: jooy': unknown expression 'jooy'.*did you mean joy"),
        ("0: joy, 3: fear 9", "entry 2, '3: fear 9': its intensity is '9'"),
        ("0: joy, 0: fear", "entry 2, '0: fear': frame 0 is taken by entry 1, '0: joy'"),
    ],
)
def test_keyframes_refuse(text, message):
    with pytest.raises(ValueError, match=message):
        parse_keyframes(text)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text):
    for reader in (parse_keyframes, parse_looks):
        with contextlib.suppress(ValueError):
            assert reader(text)


def test_keyframes_beyond_the_last_frame():
    keys = parse_keyframes("0: joy, 23: fear")
    require_within(keys, 24)
    with pytest.raises(ValueError, match=r"entry 2, '23: fear': there is no frame 23, as the 23 frames are 0 to 22"):
        require_within(keys, 23)


@given(st.floats(0, 2), st.floats(0, 2), st.integers(2, 50))
def test_even_steps_end_exactly(start, end, steps):
    found = even_steps(start, end, steps)
    assert (found[0], found[-1], len(found)) == (start, end, steps)
    assert all(min(start, end) - 1e-9 <= one <= max(start, end) + 1e-9 for one in found)


def test_one_step_is_the_end():
    assert even_steps(0.0, 1.0, 1) == (1.0,)
    with pytest.raises(ValueError, match="steps is 0"):
        even_steps(0.0, 1.0, 0)


def test_a_sweep_is_rows_of_intensities():
    joy, pride = word_expression("joy"), word_expression("pride")
    rows = sweep(concatenate([joy, pride]), (0.5, 1.0))
    assert torch.allclose(rows.coefficients[0], joy.coefficients[0] * 0.5)
    assert torch.equal(rows.coefficients[3], pride.coefficients[0])
    assert torch.allclose(rows.pose[2], pride.pose[0] * 0.5)
    assert rows.words == ("joy", "joy", "pride", "pride")
    assert sweep_labels(("joy", "pride"), (0.5, 1.0)) == ("joy 0.50", "joy 1.00", "pride 0.50", "pride 1.00")
    assert sweep_labels(("joy", "pride"), (0.5,)) == ("joy", "pride")


def test_a_sweep_of_none_or_too_many_is_refused():
    with pytest.raises(ValueError, match="1 expressions at 0 intensities are 0"):
        sweep(Expression.neutral(), ())
    with pytest.raises(ValueError, match=f"135 expressions at 50 intensities are 6750; expected 1 to {MAX_FRAMES}"):
        sweep(all_word_expressions(), (1.0,) * 50)


def test_lengths_meet_or_are_named():
    assert common_length(image=1, expression=3, mask=3) == 3
    assert common_length(image=1) == 1
    with pytest.raises(ValueError, match="image: found a batch of 2, but expression is a batch of 3; expected equal"):
        common_length(image=2, expression=3, mask=1)


def test_a_batch_is_repeated_only_from_one():
    require_repeatable("expression", 1, "images", 4)
    require_repeatable("expression", 4, "images", 4)
    for length, wanted in ((2, 4), (4, 1)):
        message = f"expression: found a batch of {length}, but images is a batch of {wanted}"
        with pytest.raises(ValueError, match=message):
            require_repeatable("expression", length, "images", wanted)


def test_text_is_read_without_torch():
    code = "import sys; from sfsr_model.expressions import parse_keyframes, parse_looks; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
