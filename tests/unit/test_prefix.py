"""Words between percent signs in the start of a file's name: dates, widgets' values, and what stays as it is."""

import importlib.util
import math
from datetime import datetime
from pathlib import Path

import pytest

path = Path(__file__).resolve().parents[2] / "nodes" / "host" / "prefix.py"
spec = importlib.util.spec_from_file_location("prefix", path)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
resolve_prefix, prefix_fingerprint = module.resolve_prefix, module.prefix_fingerprint

NOW = datetime(2024, 3, 5, 7, 8, 9)
EVENING = datetime(2031, 11, 25, 17, 48, 59)
PROMPT = {
    "1": {"class_type": "RandomNoise", "inputs": {"noise_seed": 7}, "_meta": {"title": "Seed"}},
    "2": {"class_type": "RandomNoise", "inputs": {"noise_seed": 8}, "_meta": {"title": "Other seed"}},
    "3": {"class_type": "Seed", "inputs": {"noise_seed": 9}, "_meta": {"title": "RandomNoise"}},
    "4:1": {"class_type": "Words", "inputs": {"text": 'a/b\\c?<>:*|"d\ne\x7ff\x9bg'}, "_meta": {"title": "Inside"}},
    "5": {"class_type": "Kinds", "inputs": {"yes": True, "whole": 4.0, "part": 0.25, "none": None, "link": ["1", 0]}},
    "6": {"class_type": "Mix", "inputs": {"text": "%Kinds.part%"}, "_meta": None},
    "7": {"class_type": "Bare"},
    "9": {"class_type": "Dots", "inputs": {"text": ".."}},
    "8": "no node",
}


@pytest.mark.parametrize(
    ("form", "morning", "evening"),
    [
        ("yyyy-MM-dd", "2024-03-05", "2031-11-25"),
        ("hhmmss", "070809", "174859"),
        ("d.M.yy h m s", "5.3.24 7 8 9", "25.11.31 17 48 59"),
        ("yyyy/MM", "2024/03", "2031/11"),
        ("MM.dd", "03.05", "11.25"),
        ("y yyy ddd Q", "y yyy 055 Q", "y yyy 2525 Q"),
        ("", "", ""),
    ],
)
def test_dates(form, morning, evening):
    assert resolve_prefix(f"a%date:{form}%b", None, NOW) == f"a{morning}b"
    assert resolve_prefix(f"a%date:{form}%b", PROMPT, EVENING) == f"a{evening}b"


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("%Other seed.noise_seed%", "8"),
        ("%RandomNoise.noise_seed%", "7"),  # by class the first of two, before the title of another
        ("%Seed.noise_seed%", "9"),
        ("x/%Inside.text%_%Mix.text%", "x/a_b_c_______d_e_f_g_%Kinds.part%"),
        ("%Kinds.yes%_%Kinds.whole%_%Kinds.part%", "true_4_0.25"),
        ("%Dots.text%/x", "../x"),
        ("%date:yyyy%_%Kinds.part%_%year%", "2024_0.25_%year%"),
    ],
)
def test_values_of_widgets(prefix, expected):
    assert resolve_prefix(prefix, PROMPT, NOW) == expected


@pytest.mark.parametrize(
    "prefix",
    [
        "SFSR",
        "%year%%month%%day%-%hour%%minute%%second%_%width%x%height%_%batch_num%",
        "%Kinds.link%",
        "%Kinds.none%",
        "%Kinds.absent%",
        "%Nobody.text%",
        "%Bare.text%",
        "%Kinds.part.more%",
        "%kinds.part%",
        "%Date:yyyy%",
        "100% of Kinds.part",
        "%%",
        "",
    ],
)
def test_other_words_stay(prefix):
    assert resolve_prefix(prefix, PROMPT, NOW) == prefix
    assert resolve_prefix(prefix, None, NOW) == prefix


def test_a_run_is_new_when_the_name_may_be():
    assert prefix_fingerprint("a_%date:yyyy%", NOW) == prefix_fingerprint("a_%date:yyyy%", NOW.replace(month=9))
    assert prefix_fingerprint("a_%date:yyyy%", NOW) != prefix_fingerprint("a_%date:yyyy%", EVENING)
    assert prefix_fingerprint("%date:dd.MM%_%year%", NOW) == "05.03_%year%"
    assert math.isnan(prefix_fingerprint("%Kinds.part%", NOW))
    assert prefix_fingerprint(None, NOW) == ""
