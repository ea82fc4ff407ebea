"""MediaPipe's points carried to the mesh: what is looked for is found again, whoever looks for it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from testkit.tiny_makehuman import tiny_folder

from sfsr_model.drawing import head
from sfsr_model.expressions import ARKIT_NAMES, LEFT_RIGHT_PAIRS
from sfsr_model.synthetic import face_points as module
from sfsr_model.synthetic.errors import AssetError
from sfsr_model.synthetic.face_points import Plan, face_points
from sfsr_model.synthetic.identity import IdentitySpace
from sfsr_model.synthetic.model import FaceModel
from sfsr_model.synthetic.rig import head_share, pose_matrix
from sfsr_model.synthetic.shape import make_shape, neutral_points

PLAN = Plan(6, 3, "a landmarker", "a cache")


@pytest.fixture(scope="module")
def model():
    return FaceModel.load(tiny_folder() / "faces.npz")


class Witness:
    """A landmarker that sees the points of the mesh with the numbers `seen` [468] and irises, wherever a render shows them.

    It reads half of the first coefficient's movement as the whole, and of the others nothing.
    """

    def __init__(self, model, seen, faces=1):
        self.model, self.seen, self.faces, self.shown = model, seen, faces, None
        self.vertices = torch.from_numpy(model.base[seen].astype(np.float64))
        self.looked = 0

    def find(self, picture):
        return [(torch.zeros(self.faces, 5), torch.ones(self.faces))]

    def measure(self, picture, regions):
        self.looked += 1
        face, scene, view = self.shown
        points = module.to_camera(
            self.model, face.shape.points, head_share(self.model.base), face.shape, pose_matrix(scene.pose), scene.trunk
        )
        flat = np.zeros((478, 3))
        flat[:468, :2] = view.project(points[self.seen].astype(np.float64))
        return SimpleNamespace(landmarks=torch.from_numpy(flat)[None])

    def coefficients(self, landmarks):
        return torch.zeros(len(landmarks), len(ARKIT_NAMES))


@pytest.fixture
def witness(model, monkeypatch):
    """Such a landmarker of points that lie before the face, each with its mirror image."""
    skin = np.unique(model.skin_triangles[model.skin_kind == 0])
    # Where eyes, lashes and the mouth hide no skin.
    places = model.base[skin]
    front = skin[(np.abs(places[:, 0]) < 0.5) & (places[:, 1] > 6.85) & (places[:, 1] < 7.1) & (places[:, 2] > 1.0)]
    apart = np.linalg.norm((model.base[front] * (-1, 1, 1))[:, None] - model.base[front][None], axis=2)
    paired = front[apart.min(1) < 1e-3]
    assert len(paired) >= 12
    result = Witness(model, np.resize(paired, 468))
    real = module.render_light

    def render(model, face, frame, look, scene, size):
        light, truth = real(model, face, frame, look, scene, size)
        result.shown = face, scene, truth.view
        return light, truth

    monkeypatch.setattr(module, "render_light", render)
    monkeypatch.setattr(module, "_SIZE", 256)  # quicker
    return result


def test_points_are_found_where_they_lie(model, witness, tmp_path):
    found = face_points(model, witness, PLAN, tmp_path / "kept.npz")
    neutral = neutral_points(model, IdentitySpace.of(model), np.zeros(len(IdentitySpace.of(model).names), np.float32))
    shape = make_shape(model, neutral, np.zeros(len(ARKIT_NAMES), np.float32))
    true = shape.points[witness.seen] * (1, -1, -1)
    # The result has another unit and place: distances are compared.
    pairs = np.random.default_rng(0).integers(468, size=(300, 2))
    wanted = np.linalg.norm(true[pairs[:, 0]] - true[pairs[:, 1]], axis=1)
    got = (found.mean[pairs[:, 0]] - found.mean[pairs[:, 1]]).norm(dim=1).numpy()
    unit = wanted.sum() / got.sum()
    assert np.median(np.abs(got * unit - wanted)) < 0.02 * wanted.max()


def test_a_stopped_run_goes_on(model, witness, tmp_path, monkeypatch):
    kept = tmp_path / "kept.npz"
    monkeypatch.setattr(module, "_SAVE_EVERY", 1)

    def stop(done):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        face_points(model, witness, PLAN, kept, stop)
    assert witness.looked == 3
    resumed = face_points(model, witness, PLAN, kept)
    assert witness.looked == 6
    kept.unlink()
    whole = face_points(model, witness, PLAN, kept)
    assert torch.equal(resumed.mean, whole.mean)
    assert torch.equal(resumed.moves, whole.moves)
    with pytest.raises(ValueError, match="of another seed, landmarker or cache"):
        face_points(model, witness, Plan(6, 4, "a landmarker", "a cache"), kept)


def test_movements_are_as_strong_as_they_are_read(model, witness, tmp_path, monkeypatch):
    plain = face_points(model, witness, PLAN, tmp_path / "kept.npz")
    lips_and_lids = {*head._UPPER.tolist(), *head._LOWER.tolist()}
    free = [point for point in range(468) if point not in lips_and_lids]
    left, right = max(LEFT_RIGHT_PAIRS, key=lambda pair: float(plain.moves[list(pair)].sum(0)[free].norm(dim=-1).max()))
    both = plain.moves[left] + plain.moves[right]
    place = max(free, key=lambda point: float(both[point].norm()))
    assert both[place].norm() > 0

    def read(landmarks):
        moved = (landmarks[:, place] / 100 - plain.mean[place]).norm(dim=-1) / both[place].norm()
        result = torch.zeros(len(landmarks), len(ARKIT_NAMES))
        result[:, [left, right]] = (2 * moved)[:, None]
        return result

    monkeypatch.setattr(witness, "coefficients", read)
    scaled = face_points(model, witness, PLAN, tmp_path / "kept.npz")
    assert torch.allclose(scaled.moves[left], plain.moves[left] * 0.5, atol=1e-6)
    others = [row for row in range(len(ARKIT_NAMES)) if row not in (left, right)]
    assert torch.equal(scaled.moves[others], plain.moves[others])


def test_a_landmarker_that_sees_nothing_is_named(model, witness, tmp_path):
    witness.faces = 0
    with pytest.raises(AssetError, match="finds too few of its points"):
        face_points(model, witness, PLAN, tmp_path / "kept.npz")
    with pytest.raises(ValueError, match="pictures: 0"):
        face_points(model, witness, Plan(0, 3, "", ""), tmp_path / "kept.npz")
