"""A user's own recogniser through insightface, on generated ONNX files; the untrained stand-in; identities."""

import shutil

import pytest
import torch
from testkit.onnx_models import save_recogniser

from sfsr_model.encoders.faces import find_faces
from sfsr_model.encoders.identity import Identity
from sfsr_model.encoders.pack import load_recogniser
from sfsr_model.encoders.recogniser import RecogniserError
from sfsr_model.encoders.untrained import UntrainedEncoder
from sfsr_model.samples import load_sample, sample_names


@pytest.fixture(scope="module")
def recogniser_file(tmp_path_factory):
    return save_recogniser(tmp_path_factory.mktemp("models") / "r50.onnx")


@pytest.fixture(scope="module")
def portrait():
    return load_sample(sample_names()[2])[0]


@pytest.fixture(scope="module")
def points(portrait):
    return find_faces(portrait, None)[0].points


def test_a_single_file(recogniser_file, portrait, points):
    encoder = load_recogniser(recogniser_file, "CPU")
    assert (encoder.name, encoder.dim, encoder.provider) == ("r50", 512, "CPUExecutionProvider")
    assert encoder.detect(portrait) is None
    assert encoder.embed(portrait, points).shape == (512,)


def test_equal_to_insightface_itself(recogniser_file, portrait, points):
    from insightface.app.common import Face
    from insightface.model_zoo import get_model

    model = get_model(str(recogniser_file), providers=["CPUExecutionProvider"])
    picture = (portrait.numpy() * 255).round().astype("uint8")[..., ::-1]
    expected = model.get(picture, Face(kps=points.float().numpy()))
    ours = load_recogniser(recogniser_file).embed(portrait, points)
    torch.testing.assert_close(ours, torch.from_numpy(expected).float(), rtol=1e-5, atol=1e-5)


def test_loaded_once(recogniser_file):
    assert load_recogniser(recogniser_file).recogniser is load_recogniser(recogniser_file).recogniser


def test_the_space_is_the_files_content(recogniser_file, tmp_path):
    renamed = shutil.copy(recogniser_file, tmp_path / "renamed.onnx")
    other = save_recogniser(tmp_path / "other.onnx", seed=1)
    space = load_recogniser(recogniser_file).space
    assert load_recogniser(tmp_path / "renamed.onnx").space == space, renamed
    assert load_recogniser(other).space != space


def test_a_pack_folder(recogniser_file, tmp_path):
    pack = tmp_path / "mypack"
    pack.mkdir()
    shutil.copy(recogniser_file, pack / "rec.onnx")
    assert load_recogniser(pack).name == "mypack"


def test_nested_pack(recogniser_file, tmp_path):
    inner = tmp_path / "antelopev2" / "antelopev2"
    inner.mkdir(parents=True)
    shutil.copy(recogniser_file, inner / "rec.onnx")
    with pytest.raises(RecogniserError, match=r"antelopev2 holds no \.onnx file itself; but antelopev2/ inside it does"):
        load_recogniser(tmp_path / "antelopev2")


def test_empty_pack(tmp_path):
    with pytest.raises(RecogniserError, match=r"holds no \.onnx file itself; expected an unpacked insightface pack"):
        load_recogniser(tmp_path)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x08\x08" * 100])
def test_not_onnx(tmp_path, content):
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(RecogniserError, match=r"encoder: broken\.onnx"):
        load_recogniser(path)


def test_truncated_onnx(recogniser_file, tmp_path):
    path = tmp_path / "short.onnx"
    path.write_bytes(recogniser_file.read_bytes()[:2000])
    with pytest.raises(RecogniserError, match=r"short\.onnx cannot be read as an ONNX network"):
        load_recogniser(path)


@pytest.mark.parametrize(("size", "message"), [(96, "its shapes say 'attributes'"), (64, "its shapes say 'unknown'")])
def test_no_recogniser(tmp_path, size, message):
    with pytest.raises(RecogniserError, match=message):
        load_recogniser(save_recogniser(tmp_path / "other.onnx", size=size))


def test_the_untrained_stand_in(portrait, points):
    encoder, again = UntrainedEncoder(), UntrainedEncoder()
    embedding = encoder.embed(portrait, points)
    assert embedding.shape == (512,)
    assert torch.equal(embedding, again.embed(portrait, points))
    assert encoder.trained is False
    assert not torch.equal(embedding, encoder.embed(load_sample(sample_names()[-1])[0], points))


def identity(embeddings, **changes):
    count = len(embeddings)
    return Identity(embeddings, **{"space": "s", "quality": (1.0,) * count, "sources": ("x",) * count} | changes)


def test_embeddings_are_made_unit_length():
    person = identity(torch.tensor([[3.0, 4.0], [0.0, 2.0]]))
    torch.testing.assert_close(person.embeddings, torch.tensor([[0.6, 0.8], [0.0, 1.0]]))
    assert person.mean().norm().item() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("embeddings", "changes", "message"),
    [
        (torch.zeros(2), {"quality": (), "sources": ()}, r"expected embeddings \[N, D\]"),
        (torch.zeros(0, 4), {}, r"expected embeddings \[N, D\]"),
        (torch.full((1, 4), float("nan")), {}, "not finite"),
        (torch.zeros(1, 4), {}, "has no length"),
        (torch.ones(2, 4), {"quality": (1.0,)}, "expected one of each"),
    ],
)
def test_bad_identities(embeddings, changes, message):
    with pytest.raises(ValueError, match=message):
        identity(embeddings, **changes)
