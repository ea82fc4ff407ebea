"""Prompts in the paper's notation: what is read, what the scene is, what is refused."""

import contextlib
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfsr_model.expressions import Look, PortraitPrompt, all_words, parse_prompt

WORDS = st.sampled_from([word.word for word in all_words()])
# What may stand in brackets: no bracket, something to see, and white space only where it does not get lost.
TEXTS = st.text(st.characters(exclude_characters="[]"), min_size=1, max_size=20).map(lambda text: " ".join(text.split()))
PHRASES = TEXTS.filter(bool)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("[ID] looks [liking] in [Ollantaytambo]", PortraitPrompt("ID", Look("liking"), "in Ollantaytambo")),
        (" [id]\nLooks [ JOY 0.7 ] on top of [a hill] ", PortraitPrompt("ID", Look("joy", 0.7), "on top of a hill")),
        ("[ID]looks[8]at[the beach]", PortraitPrompt("ID", Look("amazement"), "at the beach")),
        (
            "[a man in a red coat] looks [neutral] in [Paris], at night, rain.",
            PortraitPrompt("a man in a red coat", Look("neutral"), "in Paris", "at night, rain."),
        ),
    ],
)
def test_a_prompt(text, read):
    assert parse_prompt(text) == read


def test_the_scene_is_told_all_but_the_expression():
    read = parse_prompt("[ID] looks [liking] in [Ollantaytambo], at noon")
    assert read.scene() == "a person in Ollantaytambo, at noon"
    assert read.scene(" portrait photo,\n 85 mm ") == "a person in Ollantaytambo, at noon, portrait photo, 85 mm"
    assert parse_prompt("[an old man] looks [rage] at [sea]").scene() == "an old man at sea"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"found no brackets; expected three pairs.*\[ID\] looks \[liking\] in \[Ollantaytambo\]"),
        ("a person smiles", "found no brackets"),
        ("[ID] looks [liking]", r"found \[ID\], \[liking\]; expected three pairs of brackets"),
        ("[ID] looks [joy] in [Rome] at [night]", r"found \[ID\], \[joy\], \[Rome\], \[night\]; expected three"),
        ("[ID] looks [joy in [Rome]", r"'\[joy in ' is not closed before the next"),
        ("[ID] looks [joy] in [Rome", r"'\[Rome' is not closed"),
        ("[ID] looks joy] in [Rome]", r"the '\]' behind '\[ID\] looks joy' closes nothing"),
        ("[] looks [joy] in [Rome]", "the brackets for who are empty"),
        ("[ID] looks [ ] in [Rome]", "the brackets for the expression are empty"),
        ("[ID] looks [joy] in []", "the brackets for where are empty"),
        ("photo of [ID] looks [joy] in [Rome]", r"found 'photo of' before \[ID\]; put such details behind"),
        ("[ID] is [joy] in [Rome]", r"found 'is' between \[ID\] and \[joy\]; expected 'looks'"),
        ("[ID] [joy] in [Rome]", r"found '' between \[ID\] and \[joy\]"),
        ("[ID] looks [joy] [Rome]", r"nothing stands between \[joy\] and \[Rome\]; expected a word such as in"),
        ("[ID] looks [amazment] in [Rome]", r"\[amazment\]: unknown expression 'amazment'.*did you mean amazement"),
        ("[ID] looks [joy 9] in [Rome]", r"\[joy 9\]: its intensity is '9'"),
    ],
)
def test_a_prompt_refuses(text, message):
    with pytest.raises(ValueError, match=message):
        parse_prompt(text)


@given(PHRASES, WORDS, st.integers(0, 20), PHRASES, PHRASES, TEXTS)
def test_a_prompt_as_typed(who, word, tenths, preposition, place, details):
    read = parse_prompt(f"[{who}] looks [{word} {tenths / 10}] {preposition} [{place}], {details}")
    assert read.who == ("ID" if who.casefold() == "id" else who)
    assert (read.look.name, round(read.look.intensity * 10)) == (word, tenths)
    assert read.where == f"{preposition} {place}"
    assert read.scene("style").startswith(f"{'a person' if read.who == 'ID' else who} {preposition} {place}")
    assert read.details in details


@given(st.one_of(st.text(max_size=60), st.text("[] IDlooksjoyinRome,", max_size=40)))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(ValueError):
        assert parse_prompt(text).scene()


def test_prompts_are_read_without_torch():
    code = "import sys; from sfsr_model.expressions import parse_prompt; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
