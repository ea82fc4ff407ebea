"""ComfyUI's own landmarks and boxes as finds: its structures as its 0.30 makes them, and what else may come."""

import importlib
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def given():
    """The module without the package around it, whose own start needs a host."""
    for name, folder in (("given_pack", "."), ("given_pack.nodes", "nodes"), ("given_pack.nodes.host", "nodes/host")):
        module = types.ModuleType(name)
        module.__path__ = [str(REPOSITORY / folder)]
        sys.modules[name] = module
    yield importlib.import_module("given_pack.nodes.host.faces")
    for name in [name for name in sys.modules if name.partition(".")[0] == "given_pack"]:
        del sys.modules[name]


def mesh(x, y, eye=60.0):
    """478 landmarks whose eyes, nose tip and mouth corners are those of a frontal face."""
    xy = np.full((478, 2), (x, y + eye), dtype=np.float32)
    xy[[33, 160, 158, 133, 153, 144]] = (x - eye / 2, y)
    xy[[362, 385, 387, 263, 373, 380]] = (x + eye / 2, y)
    xy[4], xy[61], xy[291] = (x, y + 0.6 * eye), (x - 0.4 * eye, y + 1.1 * eye), (x + 0.4 * eye, y + 1.1 * eye)
    return {"landmarks_xy": xy, "bbox_xyxy": np.array([x - eye, y - eye, x + eye, y + 2 * eye], np.float32), "score": 0.9}


def landmarks(*frames, size=(300, 400)):
    return {"frames": list(frames), "image_size": size, "connection_sets": {}}


def test_landmarks_of_each_picture(given):
    found = given.landmark_faces(landmarks([mesh(100, 80), mesh(300, 90)], []), 2, (300, 400))
    assert [len(faces) for faces in found] == [2, 0]
    assert found[0][1].points[0].tolist() == [270, 90]
    assert found[0][1].box.tolist() == [240, 30, 360, 210]
    assert found[0][0].refused is None
    assert [len(faces) for faces in given.landmark_faces(landmarks([mesh(100, 80)]), 3, (300, 400))] == [1, 1, 1]


def test_landmarks_that_are_no_face_are_refused(given):
    flat, outside, certain = mesh(100, 80), mesh(-500, 80), mesh(100, 80) | {"score": 0.0}
    flat["landmarks_xy"] = flat["landmarks_xy"] * (1, 0.01)
    (found,) = given.landmark_faces(landmarks([flat, outside, certain]), 1, (300, 400))
    assert "too small" in found[0].refused
    assert "cut off" in found[1].refused
    assert found[2].refused is None
    assert found[2].score > 0


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ("text", TypeError, "found a str without frames; connect Detect Face Landmarks"),
        ({"frames": 3}, TypeError, "without frames"),
        (landmarks([], [], []), ValueError, "found in 3 pictures, but 2 are connected"),
        (landmarks([], size=(10, 20)), ValueError, "found in pictures of 20 x 10 pixels, but images are 400 x 300"),
        ({"frames": [[], None]}, TypeError, "picture 1: found a NoneType, no list of faces; connect Detect"),
        ({"frames": [[], 3]}, TypeError, "picture 1: found a int, no list of faces"),
        (landmarks([], [], size=None), TypeError, "its image_size is None; connect Detect"),
        (landmarks([], [], size=(300,)), TypeError, r"its image_size is \(300,\)"),
        (landmarks([], [{"score": 1}]), TypeError, "picture 1: a face lacks what it should hold"),
        (landmarks([{**mesh(9, 9), "landmarks_xy": np.zeros((5, 2)) * np.nan}]), ValueError, "picture 0: .*NaN"),
        (landmarks([{**mesh(9, 9), "landmarks_xy": np.zeros((70, 2))}]), ValueError, "picture 0: .*expected 5, 68, 468 or 478"),
    ],
)
def test_other_landmarks_are_explained(given, value, error, message):
    with pytest.raises(error, match=message):
        given.landmark_faces(value, 2, (300, 400))


BOX = {"x": 10, "y": 20, "width": 30, "height": 40}


def test_boxes_in_all_forms(given):
    for value in (BOX, [BOX], [[BOX]], [[BOX], [BOX]]):
        found = given.given_boxes(value, 2)
        assert [len(boxes) for boxes in found] == [1, 1]
        edges, score = found[1][0]
        assert (edges.tolist(), score) == ([9.5, 19.5, 39.5, 59.5], 1.0)
    assert [len(boxes) for boxes in given.given_boxes([[BOX, BOX | {"score": 0.5}], []], 2)] == [2, 0]
    assert given.given_boxes([], 2) == [[], []]


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (3, TypeError, "bboxes: picture 0: a box lacks x, y, width or height"),
        ([{"x": 1}], TypeError, "lacks x, y"),
        ([[BOX]] * 3, ValueError, "boxes for 3 pictures, but 2 are connected"),
        ([[BOX], [BOX | {"width": 0}]], ValueError, r"picture 1: found a box of 0 x 40 at \(10, 20\)"),
        (BOX | {"x": float("nan")}, ValueError, "picture 0: found a box"),
    ],
)
def test_other_boxes_are_explained(given, value, error, message):
    with pytest.raises(error, match=message):
        given.given_boxes(value, 2)


def test_a_box_covers_its_pixels(given):
    edges, _ = given.given_boxes({"x": 0, "y": 0, "width": 1, "height": 1}, 1)[0][0]
    assert torch.equal(edges, torch.tensor([-0.5, -0.5, 0.5, 0.5], dtype=torch.float64))
