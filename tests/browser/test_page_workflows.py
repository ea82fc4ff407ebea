"""Every bundled workflow in the real page, with nodes drawn on the canvas and with Nodes 2.0."""

import urllib.request
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from harness.workflow import load_workflow, needs_checkpoint
from PIL import Image
from testkit.browser import BrowserError, Page
from testkit.browser_workflow import differences, flat, page_form

WORKFLOWS = Path(__file__).resolve().parents[2] / "workflows"
NAMES = sorted(path.stem for path in WORKFLOWS.glob("*.json"))
RUN_AS_THEY_STAND = [name for name in NAMES if not needs_checkpoint(load_workflow(WORKFLOWS / "api" / f"{name}.json"))]
FILM_NODES = {"SFSRFilmSwap": "Film Swap", "SaveVideo": "Save Video"}
"""What shows a film when it has run, and under which title."""
FILMS = {
    name: FILM_NODES[entry["class_type"]]
    for name in RUN_AS_THEY_STAND
    for entry in load_workflow(WORKFLOWS / "api" / f"{name}.json").values()
    if entry["class_type"] in FILM_NODES
}
every_ready_workflow = pytest.mark.parametrize("name", [name for name in RUN_AS_THEY_STAND if name not in FILMS])
every_waiting_workflow = pytest.mark.parametrize("name", sorted({*NAMES} - {*RUN_AS_THEY_STAND}))


def twin(name, client):
    """The API workflow, as the page writes it."""
    return page_form(load_workflow(WORKFLOWS / "api" / f"{name}.json"), client.object_info())


def test_the_demos_address_opens_the_portrait(server, client):
    with Page() as page:
        page.open(server.template_url("portrait"))
        page.wait_for("return app.graph.nodes.some((node) => node.type === 'SFSRSaveImage')", what="the template")
        assert differences(flat(page.graph_to_prompt()), twin("portrait", client)) == []


def drop(page, name, expected):
    """Drop the workflow on the page, which must know all of its nodes and read the graph of its API twin."""
    page.drop_file(WORKFLOWS / f"{name}.json")
    assert {entry["class_type"] for entry in expected.values()} <= set(page.graph_types())
    assert [node for node in page.missing_nodes() if not node.registered] == []
    assert differences(flat(page.graph_to_prompt()), expected) == []


@every_ready_workflow
def test_a_dropped_workflow_runs_by_the_button(either_page, client, tmp_path, name):
    page = either_page
    expected = twin(name, client)
    drop(page, name, expected)
    assert page.missing_nodes() == []
    page.queue()
    shown = page.wait_for_image("Save Image")
    assert page.missing_nodes() == []

    (name_of_file,) = parse_qs(urlsplit(shown["src"]).query)["filename"]
    saved = tmp_path / name_of_file
    with urllib.request.urlopen(shown["src"]) as answer:
        saved.write_bytes(answer.read())
    with Image.open(saved) as picture:
        assert picture.size == (shown["width"], shown["height"])
    # The saved picture carries its workflow: dropped on the page it brings the same graph back.
    page.drop_file(saved)
    assert differences(flat(page.graph_to_prompt()), expected) == []
    assert page.console_errors() == []


@pytest.mark.parametrize(("name", "title"), FILMS.items())
def test_a_film_plays_on_its_node(canvas_page, client, name, title):
    """Once each: they take long."""
    page = canvas_page
    drop(page, name, twin(name, client))
    page.queue()
    page.wait_for(SHOWN, title, timeout=1200, what="the film on its node")
    before = page.evaluate(START, title)
    page.wait_for(f"const film = ({FILM})(argument); return film.currentTime > {before + 0.2}", title, what="the film to play")
    assert page.console_errors() == []


# The one film that a node of this title shows, as an element.
FILM = """(title) => [...document.querySelectorAll("video")].find((film) => {
    const node = app.graph.nodes.find((one) => one.title === title)
    return node && (node.widgets ?? []).some((widget) => widget.element?.contains(film))
})"""
SHOWN = f"const film = ({FILM})(argument); return Boolean(film && film.videoWidth > 0 && film.readyState > 2)"
START = f"const film = ({FILM})(argument); film.muted = true; film.loop = true; film.play(); return film.currentTime"


@every_waiting_workflow
def test_a_workflow_that_needs_a_checkpoint_says_so_by_the_button(either_page, client, name):
    """The host lists no checkpoint; the graph is whole, and Run points at the node that lacks its file."""
    drop(either_page, name, twin(name, client))
    either_page.queue()
    with pytest.raises(BrowserError, match=r"refused.*(ckpt_name|unet_name)"):
        either_page.wait_for_image("Save Image")
