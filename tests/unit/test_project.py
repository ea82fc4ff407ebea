"""The project's own files agree with each other."""

import ast
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import sfsr_model

REPOSITORY = Path(__file__).resolve().parents[2]
tomllib = pytest.importorskip("tomllib") if sys.version_info >= (3, 11) else pytest.importorskip("tomli")
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))


def normalised(requirement):
    return requirement.replace('"', "'").strip()


def test_registry_dependencies_are_the_requirements():
    lines = (REPOSITORY / "requirements.txt").read_text(encoding="utf-8").splitlines()
    required = [normalised(line) for line in lines if line.strip() and not line.startswith("#")]
    assert [normalised(one) for one in PROJECT["project"]["dependencies"]] == required


def imported(path):
    """The top-level packages that a file imports, anywhere in it, but for its own project's."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.partition(".")[0]


def test_all_that_a_node_imports_gets_installed():
    """By ComfyUI, by the requirements or by insightface's own; training and the evaluation's commands ask for more by name."""
    commands = ("training", "synthetic", "evaluation")
    files = [*REPOSITORY.glob("nodes/**/*.py"), *REPOSITORY.glob("sfsr_model/**/*.py")]
    used = {name for path in files if not set(commands) & set(path.parts) for name in imported(path)}
    host = {"aiohttp", "av", "comfy", "comfy_api", "folder_paths", "nodes", "numpy", "PIL"}
    by_insightface = {"cv2", "onnx", "onnxruntime", "skimage"}
    required = {requirement.partition(";")[0].strip() for requirement in PROJECT["project"]["dependencies"]}
    assert used - set(sys.stdlib_module_names) <= host | by_insightface | required


def siblings(path):
    """The files of the same package tree that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            home = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            for found in (home / alias.name for alias in node.names):
                # `from .module import name`, or `from . import module`.
                place = next((one for one in (found, home) if one.with_suffix(".py").is_file()), home / "__init__")
                yield place.with_suffix(".py")


@pytest.mark.parametrize("package", ["nodes", "sfsr_model"])
def test_no_modules_import_each_other(package):
    uses = {path: {*siblings(path)} - {path} for path in REPOSITORY.glob(f"{package}/**/*.py")}
    assert sum(map(len, uses.values())) > len(uses)
    try:
        TopologicalSorter(uses).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(str(path.relative_to(REPOSITORY)) for path in reversed(error.args[1])))


def test_nothing_is_pinned():
    for requirement in PROJECT["project"]["dependencies"]:
        assert not re.search(r"[=<>~!]", requirement.partition(";")[0]), requirement


def test_gpu_runtime_comes_after_insightface():
    """ComfyUI Manager installs line by line, and the last of the two runtimes to be installed is the one that runs."""
    names = [requirement.partition(";")[0].strip() for requirement in PROJECT["project"]["dependencies"]]
    assert names.index("insightface") < names.index("onnxruntime-gpu")


def test_one_version():
    assert PROJECT["project"]["version"] == sfsr_model.__version__


def test_registry_rules():
    """Of the Registry's specification: names, versions, sections and classifiers that ComfyUI itself reads."""
    project, comfy = PROJECT["project"], PROJECT["tool"]["comfy"]
    assert re.fullmatch(r"[A-Za-z](?:[A-Za-z0-9]|[-_.](?=[A-Za-z0-9]))*", project["name"])
    assert len(project["name"]) < 100
    assert "comfyui" not in project["name"].lower()
    assert re.fullmatch(r"\d+\.\d+\.\d+", project["version"])
    assert (REPOSITORY / project["license"]["file"]).read_text(encoding="utf-8").lstrip().startswith("Apache License")
    assert project["urls"]["Repository"].startswith("https://")
    assert comfy["requires-comfyui"] == ">=0.18.0"
    assert {"PublisherId", "DisplayName"} <= comfy.keys()
    systems = [one for one in project["classifiers"] if one.startswith("Operating System :: ")]
    assert {one.split(" :: ")[1] for one in systems} == {"POSIX", "Microsoft", "MacOS"}


def test_ruff_is_content():
    answer = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "."], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stdout[-4000:]


def test_readme_links_exist():
    for page in [REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"
