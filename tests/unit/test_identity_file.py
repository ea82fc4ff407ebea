"""Identities as files: what is saved comes back, and what is no identity is named with its file."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from sfsr_model.encoders.identity import Identity
from sfsr_model.encoders.identity_file import IdentityFileError, load_identity, save_identity

METADATA = {"format": "sfsr-identity", "format_version": "1", "identity": json.dumps({"space": "s", "sources": ["a", "b"]})}


@pytest.fixture
def person():
    embeddings = torch.randn(2, 16, generator=torch.Generator().manual_seed(4))
    return Identity(
        embeddings, "onnx-0123", (0.75, 0.5), ("r50, picture 0", "r50, picture 1 \u00e9"), 5, ("its face is small",)
    )


def test_a_file_that_does_not_say_how_many_photos_were_looked_at(tensors, tmp_path):
    save_file(tensors, tmp_path / "old.safetensors", metadata=METADATA)
    found = load_identity(tmp_path / "old.safetensors")
    assert (found.photos, found.warnings) == (2, ())


@pytest.fixture
def tensors():
    return {"embeddings": torch.eye(2, 16), "quality": torch.ones(2)}


def test_there_and_back(person, tmp_path):
    save_identity(person, tmp_path / "person.safetensors")
    found = load_identity(tmp_path / "person.safetensors")
    torch.testing.assert_close(found.embeddings, person.embeddings, rtol=1e-6, atol=1e-7)
    assert (found.space, found.quality, found.sources) == (person.space, person.quality, person.sources)
    assert (found.photos, found.warnings) == (5, ("its face is small",))
    assert [path.name for path in tmp_path.iterdir()] == ["person.safetensors"]


def test_saving_in_inference_mode(tmp_path):
    with torch.inference_mode():
        save_identity(Identity(torch.ones(1, 4), "s", (1.0,), ("a",)), tmp_path / "a.safetensors")
        assert load_identity(tmp_path / "a.safetensors").space == "s"


def test_a_failed_write_leaves_the_old_file(person, tmp_path, monkeypatch):
    from sfsr_model.encoders import identity_file

    path = tmp_path / "person.safetensors"
    save_identity(person, path)
    before = path.read_bytes()

    def half_a_file(tensors, partial, metadata):
        partial.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(identity_file, "save_file", half_a_file)
    with pytest.raises(OSError, match="disk full"):
        save_identity(person, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_old_file_is_there_until_the_new_one_is_whole(person, tmp_path, monkeypatch):
    path = tmp_path / "person.safetensors"
    save_identity(person, path)
    before = path.read_bytes()
    other = Identity(torch.eye(1, 16), "another", (1.0,), ("x",))

    def stop(partial, target):
        assert load_identity(partial).space == "another"
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        save_identity(other, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("keep", [0, 4, 40, 200, -1])
def test_truncated_files(person, tmp_path, keep):
    path = tmp_path / "short.safetensors"
    save_identity(person, path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(IdentityFileError, match=r"short\.safetensors: not a readable safetensors file"):
        load_identity(path)


def refused(path, tensors, metadata, message):
    save_file(tensors, path, metadata=metadata)
    with pytest.raises(IdentityFileError, match=rf"{path.name}: .*{message}"):
        load_identity(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "sfsr"}, "not an identity .*'sfsr', expected 'sfsr-identity'"),
        ({"format_version": "2"}, "written in format version 2, this pack reads version 1"),
        ({"identity": "{"}, "its metadata is damaged"),
        ({"identity": "[]"}, "its metadata is damaged"),
        ({"identity": "{}"}, "what it holds is no identity"),
        ({"identity": json.dumps({"space": "s", "sources": ["a"]})}, "2 embeddings with 2 qualities and 1 sources"),
    ],
)
def test_foreign_metadata(tensors, tmp_path, changes, message):
    refused(tmp_path / "odd.safetensors", tensors, METADATA | changes, message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embeddings": torch.full((2, 16), float("nan"))}, "not finite"),
        ({"embeddings": torch.zeros(2, 16)}, "has no length"),
        ({"embeddings": torch.eye(16)[0]}, "expected embeddings"),
        ({"quality": torch.tensor([1.0, float("nan")])}, "qualities are numbers"),
        ({"quality": torch.ones(3)}, "3 qualities"),
    ],
)
def test_foreign_tensors(tensors, tmp_path, changes, message):
    refused(tmp_path / "odd.safetensors", tensors | changes, METADATA, message)


def test_a_file_without_embeddings(tmp_path):
    refused(tmp_path / "odd.safetensors", {"other": torch.ones(1)}, METADATA, "holds no embeddings and no quality")


def test_no_metadata_and_no_file(tensors, tmp_path):
    refused(tmp_path / "plain.safetensors", tensors, None, "names the format 'none'")
    with pytest.raises(IdentityFileError, match="gone"):
        load_identity(tmp_path / "gone.safetensors")
