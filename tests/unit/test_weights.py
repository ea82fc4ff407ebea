"""What is shipped: the bundled files are small, whole, of one family, and each has its model card."""

import itertools
import json
import re
import subprocess
from pathlib import Path

import pytest
import torch

from sfsr_model.bundled import BUNDLED
from sfsr_model.encoders.agreement import DEFAULT_THRESHOLD
from sfsr_model.encoders.bundled import THRESHOLD, bundled_space, load_bundled_encoder, load_bundled_photo_reader
from sfsr_model.encoders.enrolment import OutlierError, enrol
from sfsr_model.encoders.faces import find_faces
from sfsr_model.encoders.identity_file import load_identity
from sfsr_model.encoders.norm_floor import norm_floor
from sfsr_model.encoders.onnx_about import read_about
from sfsr_model.encoders.onnx_files import DETECTION, RECOGNITION, inspect_onnx
from sfsr_model.encoders.onnx_torch import OnnxModule
from sfsr_model.encoders.pack import load_recogniser
from sfsr_model.landmarker.photos import read_photos
from sfsr_model.network import load_checkpoint
from sfsr_model.samples import load_sample, sample_gallery, sample_identities, sample_names

REPOSITORY = Path(__file__).resolve().parents[2]
CARDS = (REPOSITORY / "docs" / "models.md").read_text(encoding="utf-8")
PARTS = (BUNDLED.checkpoint, *BUNDLED.id_encoder, BUNDLED.expression, BUNDLED.face_points)
JUDGES = (BUNDLED.judge_recogniser, BUNDLED.judge_expression)
LICENCE = BUNDLED.folder / "LICENSE.md"
FILES = sorted(path for path in BUNDLED.folder.rglob("*") if path.is_file() and path != LICENCE)
# What learned from nothing; the others learned from photos.
APACHE = (BUNDLED.face_points,)
TERMS = {True: "Apache-2.0", False: "non-commercial research use"}
MEGABYTE = 1_000_000


def short(path):
    return path.relative_to(BUNDLED.folder).as_posix()


def git(*arguments):
    answer = subprocess.run(["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return answer.stdout.splitlines()


def test_they_are_these():
    assert sorted(PARTS + JUDGES) == FILES


def test_they_are_small():
    assert sum(path.stat().st_size for path in FILES) <= 60 * MEGABYTE
    assert sum(path.stat().st_size for path in FILES if path.suffix == ".onnx") <= 18 * MEGABYTE


def test_nothing_in_them_can_be_executed():
    """Two formats that hold numbers and graphs alone; a pickle under their names starts otherwise."""
    for path in FILES:
        start = path.read_bytes()[:9]
        if path.suffix == ".safetensors":
            assert int.from_bytes(start[:8], "little") < path.stat().st_size, path.name
            assert start[8:] == b"{", path.name
        else:
            assert path.suffix == ".onnx", path.name
            assert start[:1] == b"\x08", path.name


def test_git_takes_them_as_they_are():
    """Neither left out nor turned into pointers or other line ends."""
    if not (REPOSITORY / ".git").exists():
        pytest.skip("not a git checkout")
    names = [path.relative_to(REPOSITORY).as_posix() for path in PARTS]
    # Rules of the repository alone: a checkout may have others of its own.
    ignored = git("check-ignore", "--no-index", "--verbose", "--", *names)
    assert not [line for line in ignored if line.startswith(".gitignore:")]
    told = git("check-attr", "text", "filter", "--", *names)
    for name in names:
        assert f"{name}: text: unset" in told
        assert f"{name}: filter: unspecified" in told


@pytest.mark.parametrize("path", PARTS + JUDGES, ids=short)
def test_each_has_a_model_card(path):
    _, heading, rest = CARDS.partition(f"\n## {short(path)}\n")
    assert heading, f"docs/models.md lacks the section '## {short(path)}'"
    card = rest.partition("\n## ")[0]
    for row in ("architecture", "training command", "data", "seed of the training", "time and machine", "licence"):
        assert f"\n| {row} | " in card, row
    assert f"\n| licence | {TERMS[path in APACHE]}" in card
    assert "**Limits.**" in card


def test_no_file_lacks_a_card():
    for path in FILES:
        assert f"\n## {short(path)}\n" in CARDS


def test_the_licence_says_of_each_file_what_it_is_under():
    rows = re.findall(
        r"^\| `([\w./]+)` \| (.+) \| (.+) \|$", LICENCE.read_text(encoding="utf-8").partition("\n## ")[0], re.MULTILINE
    )
    assert {name: terms for name, _, terms in rows} == {short(path): TERMS[path in APACHE] for path in PARTS + JUDGES}
    for name, learned, terms in rows:
        assert ("photos" in learned) == (terms != TERMS[True]), name


@pytest.mark.parametrize("path", [path for path in PARTS + JUDGES if path.suffix == ".onnx"], ids=short)
def test_what_learned_from_photos_says_so_itself(path):
    about = read_about(path)
    assert about is not None
    assert TERMS[False].removesuffix(" use") in about.licence
    assert "photos" in about.about


def test_no_text_calls_all_weights_apache():
    for page in (*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md")):
        text = " ".join(page.read_text(encoding="utf-8").split())
        assert not re.search(r"bundled weights (are|under) Apache|small ones of this project's own, Apache", text), page.name
    for page in ("README.md", "docs/models.md", "docs/troubleshooting.md"):
        assert "non-commercial research" in (REPOSITORY / page).read_text(encoding="utf-8"), page
        assert "sfsr_model/weights/LICENSE.md" in (REPOSITORY / page).read_text(encoding="utf-8"), page


def test_no_figure_is_missing():
    assert "TODO" not in CARDS


def test_the_judges_are_others_than_what_conditions():
    recogniser, expression = JUDGES
    assert load_recogniser(recogniser, "CPU").space != bundled_space()
    own = OnnxModule(BUNDLED.expression)
    judge = OnnxModule(expression)
    faces = torch.rand(2, 3, 128, 128) * 2 - 1
    assert own(faces).shape == judge(faces).shape == (2, 55)
    assert len(list(own.buffers())) != len(list(judge.buffers()))


def test_they_belong_together():
    about = load_checkpoint(BUNDLED.checkpoint).metadata
    assert about.trained
    assert TERMS[False].removesuffix(" use") in about.licence
    assert "photos" in about.training_data
    assert about.identity_space == bundled_space()
    workflow = json.loads((REPOSITORY / "workflows" / "api" / "portrait.json").read_text(encoding="utf-8"))
    (crop,) = [entry["inputs"] for entry in workflow.values() if entry["class_type"] == "SFSRFaceCrop"]
    assert crop["size"] == about.resolution


def test_the_pack_is_a_pack_to_insightface_itself(tmp_path):
    from insightface.app import FaceAnalysis

    assert inspect_onnx(BUNDLED.detector).task == DETECTION
    assert inspect_onnx(BUNDLED.detector).gives_points
    assert inspect_onnx(BUNDLED.recogniser).task == RECOGNITION
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / BUNDLED.faces.name).symlink_to(BUNDLED.faces, target_is_directory=True)
    app = FaceAnalysis(name=BUNDLED.faces.name, root=str(tmp_path), providers=["CPUExecutionProvider"])
    assert app.models.keys() == {"detection", "recognition"}
    app.prepare(ctx_id=-1, det_size=(320, 320))
    picture = (load_sample("portrait_05")[0].numpy() * 255).round().astype("uint8")[..., ::-1]
    (face,) = app.get(picture)
    assert face.kps.shape == (5, 2)
    assert face.embedding.shape == (512,)


def test_the_encoders_read_the_sample_portraits():
    """Each sample: one face, by the pack's own detector; unlike people on the whole; coefficients that are not all alike."""
    encoder, reader = load_bundled_encoder("CPU"), load_bundled_photo_reader()
    people = []
    for picture in (load_sample(name)[0] for name in sample_names()):
        (found,) = [one for one in encoder.detect(picture) if one.refused is None]
        assert 0.5 <= found.score <= 1.0  # the carried detector counts windows, from 40 up
        people.append(torch.nn.functional.normalize(encoder.embed(picture, found.points), dim=0))
        assert float(reader.read(picture[None]).coefficients.std()) > 0.01
    cosines = torch.stack(people) @ torch.stack(people).T
    assert float(cosines.triu(1).sum()) < 0.5 * len(people) * (len(people) - 1) / 2


def test_the_threshold_is_the_measured_one():
    """And the texts written by hand that name it, name this one."""
    (measured,) = re.findall(r"\| cosine that 1 % of strangers reach; mean of one person's \| ([\d.]+);", CARDS)
    assert round(float(measured), 1) == THRESHOLD == load_bundled_encoder("CPU").threshold
    assert load_recogniser(BUNDLED.judge_recogniser, "CPU").threshold == DEFAULT_THRESHOLD
    for place, words in (
        ("docs/models.md", "below a cosine of {}"),
        ("locales/zh/nodeDefs.json", "\u5185\u7f6e\u7f51\u7edc\u4e3a {}"),
        ("web/docs/SFSRIdentity.md", "lies above its {}"),
        ("web/docs/SFSRIdentity/zh.md", "\u9ad8\u4e8e\u5b83\u7684 {}"),
        ("web/docs/SFSRReport.md", "mostly below {}"),
        ("web/docs/SFSRReport/zh.md", "\u591a\u5728 {} \u4ee5\u4e0b"),
    ):
        assert words.format(f"{THRESHOLD:g}") in (REPOSITORY / place).read_text(encoding="utf-8"), place


def test_a_photo_that_ends_at_the_forehead_shows_the_same_person():
    """Aligned faces reach above it and are black there."""
    encoder = load_bundled_encoder("CPU")
    cosines = []
    for name in sample_names():
        picture = load_sample(name)[0]
        points = find_faces(picture, encoder)[0].points
        eyes, mouth = points[:2].mean(0), points[3:].mean(0)
        top = max(int(eyes[1] - 0.45 * (mouth - eyes)[1]), 0)
        whole, cut = (
            encoder.embed(shown, place)
            for shown, place in ((picture, points), (picture[top:], points - points.new_tensor([0, top])))
        )
        cosines.append(float(torch.nn.functional.cosine_similarity(whole, cut, dim=0)))
    assert min(cosines) > 0.7, cosines
    assert sum(cosines) / len(cosines) > 0.85, cosines


def test_no_clear_face_is_shorter_than_its_floor():
    """The floor is the encoder's own, of photos."""
    encoder = load_bundled_encoder("CPU")
    floor = norm_floor(encoder)
    assert floor is encoder.floor
    assert floor.pattern < floor.face
    for sample in sample_names():
        (picture,) = load_sample(sample)
        face = max(find_faces(picture, encoder), key=lambda one: one.score)
        assert encoder.embed(picture, face.points).norm() > floor.face, sample


def test_two_people_are_told_apart_and_one_is_not():
    encoder = load_bundled_encoder("CPU")
    one, other = load_sample("portrait_05")[0], load_sample("portrait_10")[0]
    dim = one.flip(1) * 0.6
    assert enrol([one, dim], encoder, outliers="error").warnings == ()
    with pytest.raises(OutlierError, match=r"picture 0 and picture 1 \(cosine 0\.\d+\); below 0\.3 two faces"):
        enrol([one, other], encoder, outliers="error")
    assert enrol([one, dim, other], encoder).identity.sources == tuple(f"{encoder.name}, picture {n}" for n in (0, 1))
    assert enrol([one, other], encoder, outliers="error", threshold=0.1).warnings == ()


def test_the_card_says_how_many_sample_people_look_alike():
    encoder = load_bundled_encoder("CPU")
    people = torch.cat([enrol([load_sample(name)[0]], encoder).identity.embeddings for name in sample_names()])
    cosines = torch.stack([one @ other for one, other in itertools.combinations(people, 2)])
    alike = cosines[cosines >= THRESHOLD]
    (told,) = re.findall(r"(\d+) pairs of the sample portraits (\d+) lie above 0\.3, up to ([\d.]+)", CARDS)
    assert told == (str(len(cosines)), str(len(alike)), f"{float(alike.amax()):.2f}")


@pytest.mark.parametrize("share", [0.7, 0.6])
def test_a_face_that_fills_the_picture_is_found_as_a_whole(share):
    """In pixels of an enlarged middle part, against the points in the whole picture: by a quarter of the eyes' distance."""
    encoder = load_bundled_encoder("CPU")
    for name in sample_names():
        picture = load_sample(name)[0]
        (whole,) = [one for one in encoder.detect(picture) if one.refused is None]
        side = round(len(picture) * share)
        left, top = (
            min(max(round(middle - side / 2), 0), len(picture) - side) for middle in whole.box.reshape(2, 2).mean(0).tolist()
        )
        part = picture[top : top + side, left : left + side].movedim(-1, 0)[None]
        enlarged = torch.nn.functional.interpolate(part, size=len(picture), mode="bicubic")[0].movedim(0, -1).clamp(0, 1)
        expected = (whole.points - torch.tensor([left, top]) + 0.5) / share - 0.5
        (found,) = [one for one in encoder.detect(enlarged) if one.refused is None]
        eyes = float((expected[0] - expected[1]).norm())
        assert float((found.points - expected).norm(dim=-1).mean()) < 0.25 * eyes, name


def test_the_sample_person_is_as_the_recogniser_sees_them():
    """Otherwise run scripts/build_identity.py."""
    encoder = load_bundled_encoder("CPU")
    for path in sample_identities():
        kept = load_identity(path)
        assert kept.space == bundled_space()
        assert float(kept.embeddings @ enrol(load_sample(path.stem), encoder).identity.embeddings.T) > 0.99
    assert sample_identities()


def test_the_sample_gallery_makes_a_library():
    library = read_photos(sample_gallery(), load_bundled_photo_reader())
    assert library.words == tuple(sample_gallery())
    assert float(library.coefficients.std(0).max()) > 0.01
