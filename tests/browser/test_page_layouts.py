"""How every bundled workflow lies on the page, and that what is committed is what the build script makes."""

import itertools
import json
from pathlib import Path

import pytest
from harness.workflow import load_workflow
from PIL import Image
from testkit.browser_layout import read_layout
from testkit.browser_workflow import build_ui_workflow, fold, load_prompt, node_boxes

WORKFLOWS = Path(__file__).resolve().parents[2] / "workflows"
NAMES = sorted(path.stem for path in WORKFLOWS.glob("*.json"))
every_workflow = pytest.mark.parametrize("name", NAMES)


def test_every_api_workflow_has_its_page_workflow_and_thumbnail():
    expected = sorted(path.stem for path in (WORKFLOWS / "api").glob("*.json"))
    assert expected == NAMES
    assert sorted(path.stem for path in WORKFLOWS.glob("*.jpg")) == NAMES
    assert NAMES


@every_workflow
def test_thumbnails_are_small_pictures(name):
    path = WORKFLOWS / f"{name}.jpg"
    assert path.stat().st_size <= 60_000
    with Image.open(path) as picture:
        picture.load()
        assert picture.format == "JPEG"


@every_workflow
def test_no_node_covers_another_and_each_lies_inside_its_group(either_page, name):
    """Those inside of a part likewise."""
    either_page.drop_file(WORKFLOWS / f"{name}.json")
    content = json.loads((WORKFLOWS / f"{name}.json").read_text(encoding="utf-8"))
    check_places(node_boxes(either_page), content)
    for part in content.get("definitions", {}).get("subgraphs", ()):
        either_page.evaluate(LOOK_INSIDE, part["name"])
        either_page.settle()
        check_places(node_boxes(either_page), part)
    either_page.evaluate("app.canvas.setGraph(app.rootGraph)")


LOOK_INSIDE = "app.canvas.setGraph(app.rootGraph.nodes.find((node) => node.title === argument).subgraph)"


def check_places(boxes, graph):
    groups = {group["title"]: group["bounding"] for group in graph["groups"]}
    assert len(boxes) == len(graph["nodes"])
    overlapping = [pair for pair in itertools.combinations(boxes, 2) if overlap(*(boxes[title] for title in pair))]
    assert overlapping == []
    crossing = [
        (title, group)
        for title, box in boxes.items()
        for group, frame in groups.items()
        if overlap(box, frame) and not inside(box, frame)
    ]
    assert crossing == []


@every_workflow
def test_the_committed_workflow_is_what_the_build_script_makes(canvas_page, nodes_2_page, name):
    prompt = load_workflow(WORKFLOWS / "api" / f"{name}.json")
    layout = read_layout(WORKFLOWS / "layout" / f"{name}.yaml")
    load_prompt(nodes_2_page, name, prompt)
    built = build_ui_workflow(canvas_page, name, prompt, layout, fold(nodes_2_page, layout))
    committed = json.loads((WORKFLOWS / f"{name}.json").read_text(encoding="utf-8"))
    assert dict(without_places(built)) == dict(without_places(committed)), f"run scripts/build_workflows.py {name}"


def without_places(workflow, path=""):
    """Each value of a workflow under its path, without positions and sizes: these follow the fonts of the machine, and the
    test above watches over them."""
    if not isinstance(workflow, list | dict) or not workflow:
        yield path, workflow
        return
    for key, one in enumerate(workflow) if isinstance(workflow, list) else workflow.items():
        if key not in ("pos", "size", "bounding", "ds"):
            yield from without_places(one, f"{path}/{key}")


def overlap(one, other):
    """Whether two boxes x, y, width, height share some area."""
    return all(one[axis] < other[axis] + other[axis + 2] and other[axis] < one[axis] + one[axis + 2] for axis in (0, 1))


def inside(box, frame):
    """Whether the first box lies within the second."""
    return all(frame[axis] <= box[axis] and box[axis] + box[axis + 2] <= frame[axis] + frame[axis + 2] for axis in (0, 1))
