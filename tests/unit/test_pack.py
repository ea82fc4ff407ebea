"""insightface packs: equal to an unmodified FaceAnalysis, only what is needed is loaded, hard pictures get a second look."""

import hashlib
import json

import numpy as np
import pytest
import torch
from testkit.onnx_models import save_recogniser
from testkit.onnx_nets import save_detector, save_mobilefacenet, save_se_recogniser

from sfsr_model.encoders import pack as packs
from sfsr_model.encoders.detection import NoFaceError
from sfsr_model.encoders.enrolment import enrol
from sfsr_model.encoders.faces import find_faces
from sfsr_model.encoders.pack import load_detector, load_recogniser, pack_files
from sfsr_model.encoders.recogniser import RecogniserError
from sfsr_model.samples import load_sample, sample_names

GREEN = torch.tensor([0.0, 1.0, 0.0])


def picture_with(*places, size=640, side=56):
    """A grey ramp with green squares, which the generated detector takes for faces."""
    picture = torch.full((size, size, 3), 0.5)
    picture[..., 0] = torch.linspace(0, 1, size)
    for x, y in places:
        picture[max(y - side // 2, 0) : y + side // 2, max(x - side // 2, 0) : x + side // 2] = GREEN
    return picture


def as_bgr(picture):
    return (picture.numpy() * 255).round().astype(np.uint8)[..., ::-1].copy()


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("insightface") / "models" / "testpack"
    folder.mkdir(parents=True)
    save_detector(folder / "b_det.onnx")
    save_mobilefacenet(folder / "c_rec.onnx")
    save_recogniser(folder / "d_other.onnx")
    return folder


@pytest.fixture(scope="module")
def encoder(pack):
    return load_recogniser(pack, "CPU")


@pytest.mark.parametrize("named", [True, False])
def test_equal_to_an_unmodified_face_analysis(pack, encoder, named):
    from insightface.app import FaceAnalysis

    where = {"name": pack.name, "root": str(pack.parent.parent)} if named else {"name": str(pack)}
    theirs = FaceAnalysis(providers=["CPUExecutionProvider"], **where)
    theirs.prepare(ctx_id=-1, det_size=(640, 640))
    picture = picture_with((330, 300))
    (expected,) = theirs.get(as_bgr(picture))
    (found,) = find_faces(picture, encoder)
    np.testing.assert_allclose(found.box.numpy(), expected.bbox, atol=1e-4)
    np.testing.assert_allclose(found.points.numpy(), expected.kps, atol=1e-4)
    assert found.score == pytest.approx(float(expected.det_score))
    ours = encoder.embed(picture, found.points)
    np.testing.assert_allclose(ours.numpy(), expected.embedding, rtol=1e-5, atol=1e-5)


def test_one_pass_for_several_faces_gives_the_same_embeddings(encoder):
    picture = load_sample(sample_names()[0])[0]
    face = find_faces(picture, None)[0]
    shifts = [torch.tensor([float(x), 3.0], dtype=torch.float64) for x in range(11)]
    aligned = [encoder.align(picture, face.points + shift) for shift in shifts]
    together = encoder.embed_aligned(aligned)
    apart = torch.stack([encoder.embed(picture, face.points + shift) for shift in shifts])
    assert together.shape == (11, 512)
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(together[0], together[10], rtol=1e-2, atol=1e-2)


def test_a_network_that_takes_one_face_at_a_time(tmp_path):
    import onnx

    path = save_recogniser(tmp_path / "free.onnx")
    model = onnx.load(str(path))
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(model, str(tmp_path / "one.onnx"))
    one, free = load_recogniser(tmp_path / "one.onnx"), load_recogniser(path)
    faces = [np.full((112, 112, 3), value, np.uint8) for value in (10, 200)]
    torch.testing.assert_close(one.embed_aligned(faces), free.embed_aligned(faces))
    crops = torch.rand(3, 3, 112, 112, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(one.differentiable()(crops), free.differentiable()(crops))


def loaded(monkeypatch):
    """Records the files of which sessions are made."""
    import insightface.model_zoo

    names, original = [], insightface.model_zoo.get_model
    monkeypatch.setattr(insightface.model_zoo, "get_model", lambda path, **more: names.append(path) or original(path, **more))
    packs._load_model_once.cache_clear()
    return names


def test_only_the_first_detector_and_recogniser_are_loaded(pack, monkeypatch):
    names = loaded(monkeypatch)
    load_recogniser(pack)
    assert [name.rsplit("/", 1)[-1] for name in names] == ["b_det.onnx", "c_rec.onnx"]
    load_recogniser(pack)
    load_recogniser(pack / "c_rec.onnx")
    assert len(names) == 2


def test_nothing_is_ever_downloaded(tmp_path, monkeypatch):
    import socket

    def refuse(*_, **__):
        raise AssertionError("a connection was attempted")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    for name in ("buffalo_l", "antelopev2"):
        (tmp_path / name).mkdir()
        with pytest.raises(RecogniserError, match=r"holds no \.onnx file itself"):
            load_recogniser(tmp_path / name)


def test_a_damaged_file_that_is_not_needed_does_not_matter(tmp_path):
    save_detector(tmp_path / "det.onnx")
    (tmp_path / "genderage.onnx").write_bytes(b"not a network")
    save_recogniser(tmp_path / "w600k.onnx")
    assert load_recogniser(tmp_path).note == "left out, cannot be read: genderage.onnx"


def test_a_pack_whose_recogniser_is_damaged(tmp_path):
    save_detector(tmp_path / "det.onnx")
    (tmp_path / "w600k.onnx").write_bytes(b"not a network")
    with pytest.raises(RecogniserError, match=r"has no recogniser; found detection in .*; w600k\.onnx cannot be read"):
        load_recogniser(tmp_path)


def test_a_pack_without_a_detector_leaves_finding_to_the_carried_one(tmp_path):
    save_recogniser(tmp_path / "rec.onnx")
    assert load_recogniser(tmp_path).detect(picture_with()) is None


def test_a_pack_with_a_manifest(pack, tmp_path):
    """insightface 1.0's packs say themselves which file does what, and how pixels are scaled."""
    from insightface.app import FaceAnalysis

    save_detector(tmp_path / "z.onnx")
    save_se_recogniser(tmp_path / "a.onnx", seed=3)
    (tmp_path / "MODEL.LICENSE").write_text("none", encoding="utf-8")
    tasks = {
        "detection": {"file": "z.onnx", "preprocessing": {"mean": 127.5, "std": 128.0}},
        "recognition": {"file": "a.onnx", "preprocessing": {"mean": 100.0, "std": 60.0}},
    }
    for task in tasks.values():
        task["sha256"] = hashlib.sha256((tmp_path / task["file"]).read_bytes()).hexdigest()
    manifest = {"manifest_version": 2, "model_id": "test", "tasks": tasks, "license": "MODEL.LICENSE"}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    theirs = FaceAnalysis(name=str(tmp_path), providers=["CPUExecutionProvider"])
    theirs.prepare(ctx_id=-1, det_size=(640, 640))
    picture = picture_with((330, 300))
    (expected,) = theirs.get(as_bgr(picture))
    # A change of any of these makes it load anew.
    assert [file.name for file in pack_files(tmp_path)] == ["a.onnx", "manifest.json", "z.onnx"]
    encoder = load_recogniser(tmp_path)
    (face,) = find_faces(picture, encoder)
    np.testing.assert_allclose(encoder.embed(picture, face.points).numpy(), expected.embedding, rtol=1e-4, atol=1e-5)
    differentiable = encoder.differentiable().embed(picture[None], face.points[None])[0]
    assert torch.nn.functional.cosine_similarity(differentiable, torch.from_numpy(expected.embedding), dim=0) > 0.99


def test_a_manifest_that_is_wrong(tmp_path):
    save_recogniser(tmp_path / "a.onnx")
    (tmp_path / "manifest.json").write_text('{"manifest_version": 2}', encoding="utf-8")
    with pytest.raises(RecogniserError, match=r"manifest\.json is not usable"):
        load_recogniser(tmp_path)


@pytest.mark.parametrize("side", [56, 120, 240, 480])
def test_large_faces_are_found_at_smaller_sizes_and_through_a_border(encoder, side):
    (face, *more) = find_faces(picture_with((320, 320), side=side), encoder)
    centre = (face.box[:2] + face.box[2:]) / 2
    assert (centre - 320).abs().max() <= side, (side, centre, more)


def test_a_detector_of_one_size_gets_no_other(tmp_path):
    save_detector(tmp_path / "det.onnx", size=640)
    save_recogniser(tmp_path / "rec.onnx")
    encoder = load_recogniser(tmp_path)
    # insightface 0.7.3 hands any size on to ONNX Runtime, which refuses it; later ones correct it silently.
    assert encoder.detector._sizes(np.zeros((640, 640, 3), np.uint8)) == [640]
    assert len(find_faces(picture_with((330, 300)), encoder)) == 1
    assert len(find_faces(picture_with((330, 300), side=112, size=1280), encoder)) >= 1
    assert find_faces(picture_with(), encoder) == []


def test_a_doubtful_find_is_named_with_its_score(encoder):
    faint = picture_with((336, 304), side=22)
    with pytest.raises(NoFaceError, match=r"best candidate scored 0\.\d+ \(its score is below 0\.5\)") as caught:
        enrol([faint], encoder)
    assert caught.value.image_index == 0
    assert 0.3 <= caught.value.best_score < 0.5
    assert "set refused_faces to 'take them'; if not, use a picture in which the face is larger and sharper." in str(
        caught.value
    )
    assert "insightface" not in str(caught.value)


def test_points_that_cannot_be_a_face_are_refused(tmp_path, monkeypatch):
    from testkit import onnx_nets

    monkeypatch.setattr(onnx_nets, "DETECTOR_POINTS", (0.0, 0.0, 0.1, 1.5, 2.0, 0.0, -1.0, 0.3, 0.0, 0.1))
    save_detector(tmp_path / "det.onnx")
    save_recogniser(tmp_path / "rec.onnx")
    encoder = load_recogniser(tmp_path)
    with pytest.raises(NoFaceError, match=r"scored 0\.7.* \((mirrored|eye|nose|mouth)"):
        enrol([picture_with((330, 300))], encoder)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (3000, 2), (7, 9)])
def test_pictures_without_room_for_a_face(encoder, shape):
    assert find_faces(torch.rand(*shape, 3), encoder) == []


def test_an_emotion_classifier_is_no_recogniser(tmp_path):
    with pytest.raises(RecogniserError, match=r"gives 8 numbers a face, which is a classifier"):
        load_recogniser(save_recogniser(tmp_path / "emotion.onnx", dim=8, size=224))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"outputs": 2}, "has 1 inputs and 2 outputs"),
        ({"outputs": 9}, "its shapes say 'detection'"),
        ({"size": 160}, "takes 3 x 160 x 160; aligned faces have"),
    ],
)
def test_other_networks_are_no_recognisers(tmp_path, changes, message):
    with pytest.raises(RecogniserError, match=message):
        load_recogniser(save_recogniser(tmp_path / "other.onnx", **changes))


def test_pictures_become_the_bytes_that_other_tools_make_of_them(encoder):
    picture = torch.rand(50, 70, 4, generator=torch.Generator().manual_seed(8)) * 1.4 - 0.2
    expected = (picture[..., :3] * 255).round().clamp(0, 255).to(torch.uint8).flip(-1).numpy()
    np.testing.assert_array_equal(encoder.prepare(picture), expected)
    np.testing.assert_array_equal(encoder.prepare(picture.transpose(0, 1)), expected.transpose(1, 0, 2))


def test_nan_is_refused(encoder):
    with pytest.raises(ValueError, match="NaN"):
        encoder.detect(torch.full((64, 64, 3), float("nan")))


@pytest.mark.parametrize("save", [save_mobilefacenet, save_se_recogniser, lambda path: save_se_recogniser(path, mxnet=True)])
@pytest.mark.parametrize("number", [0, 1])
def test_the_differentiable_recogniser_agrees(save, number, tmp_path):
    """Alignment and network together, on pictures, against insightface's own crop and ONNX Runtime."""
    encoder = load_recogniser(save(tmp_path / "rec.onnx"))
    picture = load_sample(sample_names()[number])[0]
    face = find_faces(picture, None)[0]
    found = encoder.differentiable().embed(picture[None], face.points[None])[0]
    expected = encoder.embed(picture, face.points)
    assert torch.nn.functional.cosine_similarity(found, expected, dim=0).item() > 0.999


def test_the_aligned_face_is_insightfaces(encoder):
    picture = load_sample(sample_names()[0])[0]
    points = find_faces(picture, None)[0].points
    theirs = torch.from_numpy(encoder.align(picture, points)[..., ::-1].copy()).float() / 255
    ours = encoder.differentiable().align(picture[None], points[None])[0].movedim(0, -1)
    assert (ours - theirs).abs().mean() < 2 / 255
    # Half a pixel of shift would already cost more than that.
    shifted = encoder.differentiable().align(picture[None], points[None] + 0.5 * picture.shape[0] / 112)[0].movedim(0, -1)
    assert (shifted - theirs).abs().mean() > 2 / 255


def test_beyond_the_picture_is_black_as_in_insightface(encoder):
    picture = torch.ones(100, 100, 3)
    points = torch.tensor([[-20.0, 30], [20, 30], [0, 50], [-15, 70], [15, 70]], dtype=torch.float64)
    theirs = torch.from_numpy(encoder.align(picture, points).copy()).float() / 255
    ours = encoder.differentiable().align(picture[None], points[None])[0].movedim(0, -1)
    assert (theirs == 0).float().mean() > 0.3
    assert (ours - theirs).abs().mean() < 0.01


def test_gradients_reach_the_picture_from_a_load_in_inference_mode(encoder):
    picture = load_sample(sample_names()[0])[0]
    points = find_faces(picture, None)[0].points
    with torch.inference_mode():
        network = encoder.differentiable()
        wanted = torch.nn.functional.normalize(network.embed(picture.flip(1)[None], points[None]), dim=-1)
    moving = picture.clone()[None].requires_grad_(True)
    cosine = torch.nn.functional.cosine_similarity(network.embed(moving, points[None]), wanted.clone())
    cosine.sum().backward()
    x, y = points.mean(0).long().tolist()
    assert moving.grad[0, y - 20 : y + 20, x - 20 : x + 20].abs().sum() > 0
    assert moving.grad[0, :5, :5].abs().sum() == 0
    with torch.no_grad():
        step = moving + 2.0 * moving.grad / moving.grad.abs().max() / 255
        better = torch.nn.functional.cosine_similarity(network.embed(step, points[None]), wanted)
    assert better > cosine


def test_a_network_without_gradients_says_so(tmp_path):
    from testkit.onnx_graph import GraphWriter

    graph = GraphWriter(112)
    x = graph.node(
        "Flatten", graph.node("Round", graph.node("AveragePool", graph.input, kernel_shape=[16] * 2, strides=[16] * 2))
    )
    path = graph.save(tmp_path / "round.onnx", graph.gemm(x, 3 * 49, 64))
    encoder = load_recogniser(path)
    with pytest.raises(RecogniserError, match=r"encoder: round\.onnx: node 1 \(Round\): the operator Round"):
        encoder.differentiable()


def test_a_network_that_comes_out_differently_is_refused(tmp_path, monkeypatch):
    from sfsr_model.encoders import onnx_ops

    encoder = load_recogniser(save_mobilefacenet(tmp_path / "rec.onnx", seed=9))
    monkeypatch.setitem(onnx_ops.OPERATORS, "PRelu", lambda inputs, _: inputs[0].abs())
    with pytest.raises(RecogniserError, match=r"rec\.onnx gives other embeddings in PyTorch than in ONNX Runtime"):
        encoder.differentiable()


def test_a_detector_alone_finds_what_its_pack_finds(pack, encoder):
    picture = picture_with((330, 300))
    expected = encoder.detect(picture)
    for detector in (load_detector(pack / "b_det.onnx"), load_detector(pack)):
        (found,) = detector.detect(picture)
        assert torch.equal(found.box, expected[0].box)
        assert torch.equal(found.points, expected[0].points)
        assert detector.name == "b_det.onnx"


def test_what_holds_no_detector_is_named(pack, tmp_path):
    with pytest.raises(RecogniserError, match=r"detector: d_other\.onnx has 1 outputs; expected a detector of SCRFD's kind"):
        load_detector(pack / "d_other.onnx")
    save_recogniser(tmp_path / "rec.onnx")
    with pytest.raises(RecogniserError, match=r"detector: the pack .* has none with five points"):
        load_detector(tmp_path)
