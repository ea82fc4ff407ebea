"""Draw Expression, and the drawings on the nodes of expressions, in a real ComfyUI."""

import json
import time
import urllib.request
import zipfile
from pathlib import Path

import numpy as np
import pytest
from harness.graph import node
from harness.workflow import load_workflow, set_input, titled
from PIL import Image
from testkit import tiny_landmarker as tiny
from testkit.model_stand_ins import write_stand_ins

WORKFLOW = Path(__file__).resolve().parents[2] / "workflows" / "api" / "drawn_expression.json"
LINES = {(10, 200, 10), (10, 180, 10), (180, 200, 10), (10, 200, 180), (180, 220, 10), (10, 220, 180)}
IRISES = {(250, 200, 10), (10, 200, 250)}


def word(name, **inputs):
    return node("ExpressionEmbed", source="word", word=name, intensity=1.0, **inputs)


def draw(**inputs):
    return node("SFSRDrawExpression", **({"width": 512, "height": 512} | inputs))


@pytest.fixture
def drawn(client, server):
    """Runs a graph whose node "draw" draws, and returns its pictures and its report."""

    def run(**nodes):
        result = client.run({**nodes, "save": node("SaveImage", images=["draw", 0], filename_prefix="drawn")}, timeout=600)
        folder = server.base_dir / "output"
        pictures = [np.asarray(Image.open(folder / one["filename"])) for one in result.outputs["save"]["images"]]
        return pictures, result.outputs["draw"]["text"][0]

    return run


@pytest.fixture
def landmarker(server):
    """MediaPipe's file as a generated one, for the length of a test."""
    folder = server.base_dir / "models" / "mediapipe"
    folder.mkdir(parents=True, exist_ok=True)
    kept = {path: path.read_bytes() for path in folder.glob("*.task")}
    for path in kept:
        path.unlink()
    tiny.write_tiny_task(folder / "drawn.task")
    with zipfile.ZipFile(folder / "another.task", "w") as hands:  # listed first, and of another kind
        hands.writestr("hand_detector.tflite", b"")
    yield
    (folder / "drawn.task").unlink()
    (folder / "another.task").unlink()
    for path, content in kept.items():
        path.write_bytes(content)


@pytest.fixture
def no_landmarker(server):
    """No .task file anywhere, for the length of a test."""
    files = [path for path in (server.base_dir / "models").rglob("*") if path.suffix.lower() == ".task"]
    for path in files:
        path.rename(path.with_suffix(".away"))
    yield
    for path in files:
        path.with_suffix(".away").rename(path)


def colours(picture):
    return {tuple(map(int, one)) for one in np.unique(picture.reshape(-1, 3), axis=0)} - {(0, 0, 0)}


def test_an_expression_alone_is_drawn_in_the_colours_of_training(drawn):
    (joy,), report = drawn(expression=word("joy"), draw=draw(expression=["expression", 0]))
    assert joy.shape == (512, 512, 3)
    assert colours(joy) == LINES | IRISES
    assert report.startswith("1 of 512 x 512 pixels")
    (fear,), _ = drawn(expression=word("fear"), draw=draw(expression=["expression", 0], width=384))
    assert fear.shape == (512, 384, 3)
    wide = (joy == (10, 180, 10)).all(-1)  # a smile's lips are wider than they are high
    rows, columns = np.nonzero(wide)
    assert np.ptp(columns) > 1.5 * np.ptp(rows)


def test_a_batch_is_a_drawing_each(drawn):
    keys = node("SFSRExpressionKeyframes", schedule="0: neutral, 2: surprise", frames=3, easing="linear", loop=False)
    pictures, report = drawn(expression=keys, draw=draw(expression=["expression", 0]))
    assert len(pictures) == 3
    assert report.startswith("3 of 512")
    chins = [np.nonzero((one == (10, 200, 10)).all(-1))[0].max() for one in pictures]
    assert chins[0] < chins[1] < chins[2]


def test_faces_too_small_are_told_of_in_one_line(drawn):
    keys = node("SFSRExpressionKeyframes", schedule="0: neutral, 5: surprise", frames=6, easing="linear", loop=False)
    pictures, report = drawn(expression=keys, draw=draw(expression=["expression", 0], width=64, height=64))
    assert not any(one.any() for one in pictures)
    _, told = report.split("\n")
    assert told.startswith("drawings 0, 1, 2, 3, ...: the face is smaller than 64 pixels")
    assert told.endswith("enlarge width, height or face_size")


def test_without_mediapipes_file_the_mean_face_lies_on_the_photos_five_points(drawn, no_landmarker):
    photo = node("SFSRSamplePortrait", sample="portrait_20")
    (shown,), report = drawn(photo=photo, expression=word("joy"), draw=draw(expression=["expression", 0], image=["photo", 0]))
    assert "MediaPipe's face landmarker is not there: the mean face is laid on five points" in report
    assert "models/mediapipe" in report
    framed = node("SFSRFaceCrop", images=["photo", 0], size=256, face_order="largest first", face_index=0, no_face="error")
    (same,), _ = drawn(
        photo=photo, framed=framed, expression=word("joy"),
        draw=draw(expression=["expression", 0], image=["photo", 0], face=["framed", 2]),
    )  # fmt: skip
    assert np.array_equal(shown, same)
    assert colours(shown) >= LINES


def test_a_photos_own_points_are_drawn_and_moved(drawn, landmarker):
    bright = node("EmptyImage", width=320, height=300, batch_size=1, color=0xF0F0E0)
    (own,), report = drawn(photo=bright, draw=draw(image=["photo", 0]))
    assert own.shape == (300, 320, 3)
    assert "MediaPipe" not in report
    (moved,), _ = drawn(photo=bright, expression=word("surprise"), draw=draw(image=["photo", 0], expression=["expression", 0]))
    assert not np.array_equal(own, moved)


def test_what_is_missing_is_said(refused, no_landmarker):
    assert "expression: neither an expression nor an image is connected" in refused(
        {"draw": draw(), "save": node("PreviewImage", images=["draw", 0])}
    )
    dark = {"photo": node("EmptyImage", width=128, height=128, batch_size=1, color=0)}
    wired = dark | {"draw": draw(image=["photo", 0]), "save": node("PreviewImage", images=["draw", 0])}
    message = refused(wired)
    assert "image: picture 0 (128 x 128 pixels): no face found; not even a doubtful one." in message
    assert message.endswith("Use a picture in which the face is upright, not too small and seen from the front.")


def test_the_face_of_a_picture_of_another_size_is_named(refused, no_landmarker):
    framed = node("SFSRFaceCrop", images=["photo", 0], size=256, face_order="largest first", face_index=0, no_face="error")
    message = refused(
        {
            "photo": node("SFSRSamplePortrait", sample="portrait_20"),
            "framed": framed,
            "other": node("EmptyImage", width=96, height=64, batch_size=1, color=0),
            "draw": draw(image=["other", 0], face=["framed", 2]),
            "save": node("PreviewImage", images=["draw", 0]),
        }
    )
    assert "image are 96 x 64; connect the picture that Face Crop saw" in message


def test_a_script_that_no_page_follows_gets_no_drawing(client):
    graph = {"expression": word("bliss"), "read": node("PreviewAny", source=["expression", 0])}
    request = urllib.request.Request(
        f"{client.url}/prompt", json.dumps({"prompt": graph}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        number = json.load(answer)["prompt_id"]
    deadline = time.monotonic() + 300
    while number not in client.history() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert list(client.history(number)[number]["outputs"]) == ["read"]


def test_a_page_is_shown_the_expression(client):
    graph = {"expression": word("joy"), "read": node("PreviewAny", source=["expression", 0])}
    (picture,) = client.run(graph, timeout=600).outputs["expression"]["images"]
    assert picture["type"] == "temp"
    # The same graph again, and back from another word: the page is shown the right picture, whatever the host made anew.
    other = client.run(graph | {"expression": word("grief")}, timeout=600).outputs["expression"]["images"]
    assert other != [picture]
    assert len(client.run(graph, timeout=600).outputs["expression"]["images"]) == 1


@pytest.fixture
def models(server, client):
    """Random weights of slim shapes under the names that the workflow asks for, for the length of a test."""
    made, _ = write_stand_ins(load_workflow(WORKFLOW), server.base_dir / "models")
    yield
    client.free()
    for path in made:
        path.unlink()


def test_the_workflow_follows_the_drawing(client, server, models):
    """With random weights nothing is learned: what counts is that the drawing reaches the picture."""

    def picture(chosen):
        prompt = load_workflow(WORKFLOW)
        sizes = [(title, name, 128) for title in ("Draw Expression", "Size") for name in ("width", "height")]
        for title, name, value in [*sizes, ("Sampler", "steps", 2), ("Expression Embed", "word", chosen)]:
            set_input(prompt, title, (name,), value, title)
        saved = client.run(prompt, timeout=600).outputs[titled(prompt, "Save Image")]["images"][0]
        return np.asarray(Image.open(server.base_dir / "output" / saved["subfolder"] / saved["filename"]))

    joy = picture("joy")
    assert joy.shape == (128, 128, 3)
    assert np.array_equal(joy, picture("joy"))
    assert not np.array_equal(joy, picture("surprise"))
