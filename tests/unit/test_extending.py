"""The examples in docs/extending.md run as they stand; that of a node runs with the host tests."""

import re
import subprocess
import sys

import pytest
from harness.server import REPOSITORY

PAGE = (REPOSITORY / "docs" / "extending.md").read_text(encoding="utf-8")
EXAMPLES = [code for code in re.findall(r"(?s)```python\n(.*?)```", PAGE) if "comfy_api" not in code]
HEADINGS = re.findall(r"(?m)^## (.+)$", PAGE)


def test_every_kind_has_an_example():
    assert len(EXAMPLES) == len(HEADINGS)


@pytest.mark.parametrize("code", EXAMPLES, ids=HEADINGS)
def test_an_example_runs(code):
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=600
    )
    assert answer.returncode == 0, answer.stderr[-4000:]


@pytest.mark.parametrize("code", EXAMPLES, ids=HEADINGS)
def test_an_example_looks_at_what_it_made(code):
    assert re.search(r"(?m)^assert ", code)


def test_named_files_and_names_are_there():
    """Files that the page names exist, but for those of the example's own node; so do the functions and classes beside them."""
    named = set(re.findall(r"`((?:nodes|sfsr_model|scripts|web|locales|tests)/[\w/.]+\.(?:py|md|json))", PAGE))
    assert named
    assert [path for path in sorted(named) if "ink" not in path and not (REPOSITORY / path).exists()] == []
