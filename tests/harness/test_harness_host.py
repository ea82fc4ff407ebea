"""Finding a ComfyUI, and refusing what is none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from harness.errors import UsageError
from harness.host import find_host, inspect_host
from harness.host_python import choose_python, python_fault
from harness.standing import REQUIREMENTS


def make_host(folder: Path, version: str = "0.30.0") -> Path:
    """The outline of a ComfyUI: what the search looks at."""
    (folder / "comfy").mkdir(parents=True)
    (folder / "custom_nodes").mkdir()
    (folder / "main.py").write_text("")
    (folder / "comfyui_version.py").write_text(f'# generated\n__version__ = "{version}"\n')
    return folder


def make_pack(folder: Path) -> Path:
    """The outline of this pack; returns its demo script."""
    (folder / "scripts").mkdir(parents=True)
    script = folder / "scripts" / "demo.py"
    script.write_text("")
    return script


@pytest.mark.parametrize("version", ["0.18.0", "0.18.2", "0.30.0", "1.0.0rc1"])
def test_supported_versions(version, tmp_path):
    assert inspect_host(make_host(tmp_path / "c", version)).version == version


@pytest.mark.parametrize("version", ["0.17.9", "0.3.64"])
def test_an_older_host_is_refused_with_the_floor(version, tmp_path):
    with pytest.raises(UsageError, match=rf"is version {version}; this pack needs 0\.18 or newer"):
        inspect_host(make_host(tmp_path / "c", version))


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"nowhere is not a folder"):
        inspect_host(tmp_path / "nowhere")


def test_a_folder_that_is_no_comfyui_says_what_it_lacks(tmp_path):
    with pytest.raises(UsageError, match=r"not a ComfyUI folder: it has no main\.py, no comfyui_version\.py, no comfy"):
        inspect_host(tmp_path)


def test_a_host_too_old_to_have_a_version_is_told_so(tmp_path):
    (make_host(tmp_path / "c") / "comfyui_version.py").unlink()
    with pytest.raises(UsageError, match=r"older than 0\.18"):
        inspect_host(tmp_path / "c")


def test_the_option_wins_over_the_variable_and_both_over_the_surroundings(tmp_path):
    option, variable, around = (make_host(tmp_path / name) for name in ("option", "variable", "around"))
    script = make_pack(around / "custom_nodes" / "pack")
    assert find_host(script, str(option), {"COMFYUI_PATH": str(variable)}).path == option
    assert find_host(script, None, {"COMFYUI_PATH": str(variable)}).path == variable
    assert find_host(script, None, {}).path == around


@pytest.mark.parametrize("source", ["--comfyui", "COMFYUI_PATH"])
def test_a_wrong_path_names_where_it_was_given(source, tmp_path):
    script = make_pack(tmp_path / "pack")
    option = str(tmp_path) if source == "--comfyui" else None
    with pytest.raises(UsageError, match=source):
        find_host(script, option, {} if option else {"COMFYUI_PATH": str(tmp_path)})


def test_no_host_is_found_outside_of_custom_nodes(tmp_path):
    assert find_host(make_pack(tmp_path / "custom_nodes" / "pack"), None, {}) is None
    assert find_host(make_pack(make_host(tmp_path / "host") / "elsewhere" / "pack"), None, {}) is None


@pytest.mark.skipif(os.name == "nt", reason="symlinks need a privilege")
@pytest.mark.parametrize("from_inside", [True, False], ids=["from inside the link", "by the link's path"])
def test_the_surrounding_host_is_found_through_a_symlink(from_inside, tmp_path):
    host = make_host(tmp_path / "host")
    script = make_pack(tmp_path / "clone")
    link = host / "custom_nodes" / "pack"
    link.symlink_to(script.parents[1])
    script.write_text(
        "import os, sys\nfrom pathlib import Path\nfrom harness.host import find_host\n"
        "print(find_host(Path(sys.argv[0]), None, dict(PWD=os.environ['PWD'])).path)\n"
    )
    path, folder = ("scripts/demo.py", link) if from_inside else (str(link / "scripts" / "demo.py"), tmp_path)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHON": sys.executable}
    # A shell sets PWD to the path as it was walked, with the link in it.
    answer = subprocess.run(
        ["sh", "-c", f'cd "{folder}" && exec "$PYTHON" "{path}"'], capture_output=True, text=True, env=environment, check=False
    )
    assert answer.stdout.strip() == str(host), answer.stderr


def test_this_interpreter_can_run_a_host_with_the_pack(tmp_path):
    assert python_fault(Path(sys.executable), REQUIREMENTS) is None
    assert choose_python(inspect_host(make_host(tmp_path / "c")), None, REQUIREMENTS) == Path(sys.executable)


def test_an_interpreter_that_lacks_a_package_says_which(tmp_path):
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("torch\n# a comment\nsfsr-nowhere>=1 ; python_version > '3'\nsfsr-other; python_version < '3'\n")
    fault = python_fault(Path(sys.executable), requirements)
    assert "it lacks sfsr-nowhere. Install:" in fault
    with pytest.raises(UsageError, match=r"--python .*lacks sfsr-nowhere"):
        choose_python(inspect_host(make_host(tmp_path / "c")), sys.executable, requirements)
    assert choose_python(inspect_host(make_host(tmp_path / "d")), None, requirements) is None


def test_a_python_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"--python .*nowhere: it cannot be run"):
        choose_python(inspect_host(make_host(tmp_path / "c")), str(tmp_path / "nowhere"), REQUIREMENTS)


@pytest.mark.skipif(os.name == "nt", reason="links an interpreter")
def test_the_hosts_own_environment_comes_first(tmp_path):
    host = make_host(tmp_path / "c")
    own = host / ".venv" / "bin" / "python"
    own.parent.mkdir(parents=True)
    own.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    own.chmod(0o755)
    assert choose_python(inspect_host(host), None, REQUIREMENTS) == own
