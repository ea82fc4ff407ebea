"""Which lines of a host's log are errors of this pack."""

import pytest
from harness.hostlog import find_errors, import_seconds, plain

LOG = """\
[INFO] Setting base directory to: /tmp/base
[INFO] ### Loading: Other-Pack
Traceback (most recent call last):
  File "/tmp/base/custom_nodes/Other-Pack/__init__.py", line 1, in <module>
    import nowhere
ModuleNotFoundError: No module named 'nowhere'

[INFO] Our-Pack is here and has no errrors
[WARNING] Error while calling comfy_entrypoint in /tmp/base/custom_nodes/Our-Pack: boom
Traceback (most recent call last):
  File "/tmp/base/execution.py", line 500, in execute
    output = run()
  File "/tmp/base/custom_nodes/Our-Pack/nodes/face.py", line 3, in execute
    raise ValueError("no face")
ValueError: no face

[INFO] 
Import times for custom nodes:
[INFO]    0.1 seconds: /tmp/base/custom_nodes/Our-Pack
[INFO]    2.5 seconds (IMPORT FAILED): /tmp/base/custom_nodes/Other-Pack
"""  # noqa: W291 - the host prints it so


def test_only_errors_that_name_the_pack_are_ours():
    errors = find_errors(LOG, ["Our-Pack"])
    assert [error.text.splitlines()[0].split()[0] for error in errors] == ["[WARNING]", "Traceback"]
    assert errors[1].text.splitlines()[-1] == "ValueError: no face"
    assert all(LOG[error.offset :].startswith(error.text) for error in errors)


def test_a_failed_import_is_an_error():
    assert [error.text.split()[-1] for error in find_errors(LOG, ["/Other-Pack"])][-1] == "/tmp/base/custom_nodes/Other-Pack"


def test_a_traceback_at_the_very_end_is_found():
    log = 'Traceback (most recent call last):\n  File "/Our-Pack/x.py"\nKeyError: 1'
    assert [error.text for error in find_errors(log, ["Our-Pack"])] == [log]


def test_two_tracebacks_in_a_row_are_two_errors():
    one = 'Traceback (most recent call last):\n  File "/Our-Pack/x.py"\nKeyError: 1\n'
    assert len(find_errors(one + one, ["Our-Pack"])) == 2


@pytest.mark.parametrize("prefix", ["", "[INFO] "])
def test_import_time_is_read_with_and_without_the_level(prefix):
    assert import_seconds(f"{prefix}   0.1 seconds: /tmp/custom_nodes/Our-Pack\n", "Our-Pack") == 0.1
    assert import_seconds(f"{prefix}   0.0 seconds: C:\\custom_nodes\\Our-Pack\n", "Our-Pack") == 0.0


def test_a_failed_or_missing_import_has_no_time():
    with pytest.raises(LookupError, match="could not import Other-Pack"):
        import_seconds(LOG, "Other-Pack")
    with pytest.raises(LookupError, match="no import time for Pack"):
        import_seconds(LOG, "Pack")


def test_colours_are_taken_out():
    assert plain("\x1b[1m\x1b[31m[ERROR]\x1b[0m boom") == "[ERROR] boom"


def test_a_refused_prompt_is_the_senders_mistake():
    log = "[ERROR] Failed to validate prompt for output 17:\n[ERROR] * SFSRLoadModel 6:\n[ERROR]   - Value not in list\n"
    assert find_errors(log, ["SFSR"]) == []
