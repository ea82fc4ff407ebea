"""tests/mutate.py's parts: which faults there are, which are drawn, which tests meet them, and whether they notice."""

import os
import textwrap

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs fork")

MODULE = '''\
"""A module."""

from __future__ import annotations

LIMIT = 4


def bounded(value: int, *, low: int = 0) -> int:
    """The value, or the bound that it passes."""
    if value < low:
        raise ValueError("found " + str(value))
    return value if value <= LIMIT else LIMIT


def untested(value: int) -> int:
    return value + 1
'''
TESTS = """\
import pytest
from core import bounded


@pytest.mark.parametrize(("value", "wanted"), [(0, 0), (3, 3), (4, 4), (7, 4)])
def test_values(value, wanted):
    assert bounded(value) == wanted


def test_what_is_too_low_is_refused():
    with pytest.raises(ValueError, match="found -1"):
        bounded(-1)


def test_that_fails():
    assert bounded(1) == 2
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "core.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "test_core.py").write_text(TESTS, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = .\n", encoding="utf-8")
    return tmp_path


def test_faults_lie_where_behaviour_is(project):
    from testkit.mutants import find_mutants

    mutants = find_mutants(project / "core.py")
    changed = {(one.line, one.after) for one in mutants}
    assert (12, "return value if value < LIMIT else LIMIT") in changed
    assert (5, "LIMIT = 5") in changed
    assert (8, "def bounded(value: int, *, low: int = 1) -> int:") in changed
    assert {one.line for one in mutants} == {5, 8, 9 + 1, 12, 16}
    for one in mutants:
        assert one.source != MODULE
        assert one.source.count("found ") == 1


def test_a_draw_is_a_part_of_a_larger_one_and_takes_of_each_kind(project):
    from testkit.mutants import drawn, find_mutants

    mutants = find_mutants(project / "core.py")
    some = drawn(mutants, 4, seed=3)
    assert drawn(mutants, 8, seed=3)[:4] == some
    assert drawn(mutants[::-1], 4, seed=3) == some
    assert drawn(mutants, 4, seed=4) != some
    assert len({one.kind for one in some}) == 4


def test_tests_that_run_the_line_decide(project):
    from testkit.mutant_tests import Reach, measure, notices
    from testkit.mutants import find_mutants

    core = project / "core.py"
    reach = measure(project, [project / "test_core.py"], [core])
    reach = Reach.loads(reach.dumps())
    assert reach.failed == ["test_core.py::test_that_fails"]
    by_line = {one.after: one for one in find_mutants(core)}

    def noticed(after):
        mutant = by_line[textwrap.dedent(after)]
        tests = reach.tests(project, mutant, budget=60.0)
        return tests, bool(tests) and notices(project, mutant, "core", tests, 1.0)

    tests, found = noticed("return value if value < LIMIT else LIMIT")
    assert len(tests) == 4
    assert not found  # the limit itself comes out either way
    assert noticed("if value <= low:")[1]
    assert noticed("LIMIT = 5")[1]
    defaulted = "def bounded(value: int, *, low: int = 1) -> int:"
    tests, found = noticed(defaulted)
    assert len(tests) == 5  # a default is read once, and belongs to all
    assert found
    assert noticed("return value - 1") == ([], False)
    shortest = reach.tests(project, by_line["if value <= low:"], budget=0.0)
    assert len(shortest) == 1
    assert (core.read_text(encoding="utf-8")) == MODULE
