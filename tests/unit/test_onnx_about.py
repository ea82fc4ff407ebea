"""What an exported encoder says of itself: data, teachers and licence, written into the file and read back."""

import json

import onnx
import pytest
from testkit.onnx_models import save_recogniser
from testkit.tiny_training import write_settings, write_triplets

from sfsr_model.encoders.onnx_about import About, origins, read_about
from sfsr_model.training.__main__ import main
from sfsr_model.training.onnx_export import UNSTATED, about_run
from sfsr_model.training.settings import Photos, load_settings

ABOUT = About("recogniser", "learned from faces", "CC0-1.0")


def with_metadata(path, strings):
    """A generated recogniser that says this."""
    model = onnx.load(str(save_recogniser(path)))
    onnx.helper.set_model_props(model, strings)
    onnx.save(model, str(path))
    return path


@pytest.fixture(scope="module")
def triplets(tmp_path_factory):
    return write_triplets(tmp_path_factory.mktemp("data") / "triplets")


@pytest.fixture
def settings(triplets, tmp_path):
    """Settings file; changes replace settings."""

    def make(**changes):
        return write_settings(tmp_path, triplets, tmp_path / "none", **{"task": "recogniser", "batch": 4, **changes})

    return make


def test_it_comes_back_as_it_was_written(tmp_path):
    path = with_metadata(tmp_path / "a.onnx", ABOUT.to_strings())
    assert read_about(path) == ABOUT
    assert origins({path: "nobody knows"}) == "a.onnx: learned from faces; licence: CC0-1.0"


@pytest.mark.parametrize(
    "strings", [{}, {"licence": "MIT"}, ABOUT.to_strings() | {"project": "another"}, ABOUT.to_strings() | {"licence": ""}]
)
def test_other_files_say_nothing(tmp_path, strings):
    path = with_metadata(tmp_path / "b.onnx", strings)
    assert read_about(path) is None
    assert origins({path: "nobody knows"}) == "b.onnx: nobody knows"
    assert origins({path: ""}) == ""


def test_a_text_of_many_lines_is_shown_in_one(tmp_path):
    path = with_metadata(tmp_path / "c.onnx", ABOUT.to_strings() | {"about": "one\n  two"})
    assert read_about(path).about == "one two"


@pytest.mark.parametrize("task", ["recogniser", "expression", "detector"])
def test_exported_encoders_say_what_the_settings_say(settings, task, tmp_path):
    path = settings(task=task, steps=1, about="faces of nobody", licence="CC-BY-4.0")
    assert main(["run", str(path)]) == 0
    assert main(["export", str(path), "--out", str(tmp_path / "out.onnx")]) == 0
    expected = About(task, "faces of nobody; learned from rendered faces (triplets)", "CC-BY-4.0")
    assert read_about(tmp_path / "out.onnx") == expected


def with_photos(path, **changes):
    photos = Photos(path=path / "store", **changes)
    return lambda settings: settings.model_copy(update={"photos": photos})


def test_photos_and_teachers_are_named_and_no_licence_is_made_up(settings, tmp_path):
    run = load_settings(settings())
    assert about_run(run).licence == "Apache-2.0"
    learned = "learned from rendered faces (triplets) and photos (store: nobody, people), taught by teacher"
    taught = with_photos(tmp_path, sources=("nobody", "people"), teacher="teacher")(run)
    assert about_run(taught) == About("recogniser", learned, UNSTATED)
    assert about_run(with_photos(tmp_path)(run)).about.endswith("(triplets) and photos (store: all sources)")
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "labelled.json").write_text(json.dumps({"sources": ["people", "nobody", "people"]}), encoding="utf-8")
    assert about_run(with_photos(tmp_path)(run)).about.endswith("(triplets) and photos (store: nobody, people)")
    stated = with_photos(tmp_path)(load_settings(settings(licence="research only")))
    assert about_run(stated).licence == "research only"


def test_what_a_run_starts_from_is_named_with_what_it_says(settings, tmp_path):
    path = with_metadata(tmp_path / "first.onnx", About("recogniser", "learned from photos", "research only").to_strings())
    run = load_settings(settings(encoder={"initial": str(path)}))
    about = "learned from rendered faces (triplets), starting from first.onnx (learned from photos)"
    assert about_run(run) == About("recogniser", about, "research only")
    stated = load_settings(settings(encoder={"initial": str(path)}, licence="MIT"))
    assert about_run(stated).licence == "MIT"
    silent = load_settings(settings(encoder={"initial": str(save_recogniser(tmp_path / "silent.onnx"))}))
    assert about_run(silent) == About(
        "recogniser", "learned from rendered faces (triplets), starting from silent.onnx", "Apache-2.0"
    )
