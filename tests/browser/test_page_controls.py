"""Positive controls: what the tests of the page must catch is caught."""

import json
import os
from pathlib import Path

import pytest
from harness.errors import UsageError
from harness.graph import GraphBuilder
from testkit.browser import NODES_2, BrowserError, MissingNode, Page
from testkit.browser_layout import read_layout, require_complete
from testkit.browser_workflow import differences

UI_WORKFLOW = Path(__file__).resolve().parents[2] / "workflows" / "keep_a_person.json"


def changed_workflow(folder, change):
    """A copy of the bundled workflow after `change` of its nodes by title."""
    content = json.loads(UI_WORKFLOW.read_text(encoding="utf-8"))
    # The page leaves out the title of a node that is called as its type is.
    change({node.get("title", node["type"]): node for node in content["nodes"]})
    path = folder / "changed.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def picture_graph():
    """A graph of core nodes alone that shows a picture quickly."""
    graph = GraphBuilder()
    blank = graph.node("EmptyImage", title="Blank", width=64, height=48, batch_size=1, color=255)
    graph.node("PreviewImage", title="Preview", images=blank)
    return graph.prompt()


def test_a_bogus_node_type_is_flagged(either_page, tmp_path):
    either_page.drop_file(changed_workflow(tmp_path, lambda nodes: nodes["Identity"].update(type="SFSRNoSuchNode")))
    assert either_page.missing_nodes() == [MissingNode("4", "SFSRNoSuchNode", registered=False)]
    assert "SFSRNoSuchNode" in either_page.graph_types()


def test_errors_of_the_page_are_caught(canvas_page):
    canvas_page.evaluate("console.error('on purpose'); setTimeout(() => { throw new Error('thrown on purpose'); });")
    canvas_page.settle()
    console, thrown = canvas_page.console_errors()
    assert (console.kind, console.text) == ("console", "on purpose")
    assert thrown.kind == "exception"
    assert "thrown on purpose" in thrown.text
    canvas_page.forget_messages()
    assert canvas_page.messages() == []


def test_a_missing_script_of_the_host_is_an_error(canvas_page, server):
    canvas_page.evaluate("await fetch('/extensions/no-such-pack/missing.js')")
    canvas_page.settle()
    (error,) = canvas_page.console_errors()
    assert error.url == f"{server.url}/extensions/no-such-pack/missing.js"


def test_a_request_that_leaves_the_host_is_refused_and_not_held_against_us(canvas_page):
    outcome = canvas_page.evaluate(
        "const image = new Image();"
        "const outcome = new Promise((done) => {"
        "  image.onload = () => done('loaded'); image.onerror = () => done('refused'); });"
        "image.src = 'https://example.org/picture.png';"
        "return await outcome;"
    )
    canvas_page.settle()
    assert outcome == "refused"
    assert canvas_page.messages()
    assert canvas_page.console_errors() == []


def test_a_changed_widget_and_a_cut_link_are_differences(canvas_page, tmp_path):
    canvas_page.drop_file(UI_WORKFLOW)
    original = canvas_page.graph_to_prompt()
    canvas_page.drop_file(changed_workflow(tmp_path, lambda nodes: nodes["Face Paste"].update(widgets_values=[0.5, 1.0])))
    assert differences(canvas_page.graph_to_prompt(), original) == ["node 15 input 'feather': 0.5, expected 0.06"]
    canvas_page.drop_file(UI_WORKFLOW)
    canvas_page.evaluate("app.graph.getNodeById(15).disconnectInput(0); app.graph.remove(app.graph.getNodeById(19));")
    assert differences(canvas_page.graph_to_prompt(), original) == [
        "node 15 input 'images': 'absent', expected ['2', 0]",
        "node 19: only in the expected graph",
    ]


def test_differences_name_titles_and_types():
    one = {"1": {"class_type": "A", "inputs": {}, "_meta": {"title": "x"}}}
    other = {"1": {"class_type": "B", "inputs": {"n": None}, "_meta": {"title": "y"}}, "2": {"inputs": {}}}
    assert differences(one, one) == []
    numbers, truths = ({"1": {"inputs": {"n": values}}} for values in (1, True))
    assert differences(numbers, {"1": {"inputs": {"n": 1.0}}}) == []
    assert differences(numbers, truths) == ["node 1 input 'n': 1, expected True"]
    assert differences(one, other) == [
        "node 1 _meta: {'title': 'x'}, expected {'title': 'y'}",
        "node 1 class_type: 'A', expected 'B'",
        "node 1 input 'n': 'absent', expected None",
        "node 2: only in the expected graph",
    ]


def test_a_picture_appears_after_the_button_and_by_title_or_id(canvas_page):
    # The page keeps pictures by the numbers of nodes, from whatever graph it showed before.
    canvas_page.evaluate("app.nodeOutputs = {}; await app.loadApiJson(argument, 'picture')", picture_graph())
    canvas_page.queue()
    shown = canvas_page.wait_for_image("Preview")
    assert (shown["width"], shown["height"]) == (64, 48)
    assert canvas_page.wait_for_image(2)["src"] == shown["src"]


def test_a_picture_is_found_on_a_node_out_of_sight(either_page):
    either_page.evaluate("await app.loadApiJson(argument, 'picture')", picture_graph())
    either_page.evaluate("app.graph.getNodeById(2).pos = [20000, 9000]; app.graph.setDirtyCanvas(true, true);")
    either_page.queue()
    assert either_page.wait_for_image("Preview", timeout=120)["width"] == 64


def test_a_refused_run_and_a_node_that_does_not_exist_are_reported(canvas_page):
    canvas_page.evaluate("await app.loadApiJson(argument, 'picture')", picture_graph())
    canvas_page.queue()
    with pytest.raises(BrowserError, match="the graph has no node Nobody"):
        canvas_page.wait_for_image("Nobody")
    canvas_page.evaluate("app.graph.getNodeById(1).widgets.find((one) => one.name === 'width').value = -1")
    canvas_page.queue()
    with pytest.raises(BrowserError, match=r"refused.*width"):
        canvas_page.wait_for_image("Preview")


def test_a_file_that_is_no_workflow_is_an_error(canvas_page, tmp_path):
    path = tmp_path / "other.json"
    path.write_text("no JSON", encoding="utf-8")
    with pytest.raises(BrowserError, match=r"did not show the dropped .*other\.json"):
        canvas_page.drop_file(path, timeout=5)


def test_settings_of_one_page_reach_neither_the_other_nor_the_host(canvas_page, nodes_2_page, client):
    read = "return app.extensionManager.setting.get(argument)"
    assert canvas_page.evaluate(read, NODES_2) is False
    assert nodes_2_page.evaluate(read, NODES_2) is True
    assert NODES_2 not in client.get("/settings")


def test_errors_in_evaluated_code_reach_the_test(canvas_page):
    with pytest.raises(BrowserError, match="wrong on purpose"):
        canvas_page.evaluate("throw new Error('wrong on purpose')")
    assert canvas_page.evaluate("return argument.one + 1", {"one": 1}) == 2


def test_what_is_missing_is_named(monkeypatch, tmp_path):
    with monkeypatch.context() as patch:
        patch.setenv("SFSR_CHROMIUM", str(tmp_path / "no-browser"))
        with pytest.raises(BrowserError, match=r"Chromium \(.*no-browser\) could not be started"), Page():
            pass
    with monkeypatch.context() as patch:
        patch.setenv("NODE_PATH", str(tmp_path))
        with pytest.raises(BrowserError, match="node does not find playwright-core"), Page():
            pass
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        with pytest.raises(BrowserError, match="node, which is not on PATH"), Page():
            pass


def test_a_page_ends_its_driver():
    with Page() as page:
        driver = page.pid
        os.kill(driver, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(driver, 0)
    with pytest.raises(BrowserError, match="closed"):
        page.graph_types()


def test_a_layout_must_fit_its_graph(tmp_path):
    path = tmp_path / "layout.yaml"
    path.write_text("columns: [[{nodes: [[A, B]]}]]\nthumbnail: []\n", encoding="utf-8")
    require_complete(read_layout(path), ["A", "B"], "x")
    with pytest.raises(UsageError, match="'B' is not in the graph, 'C' is not placed"):
        require_complete(read_layout(path), ["A", "C"], "x")
    path.write_text("columns: 3\n", encoding="utf-8")
    with pytest.raises(UsageError, match="is no layout"):
        read_layout(path)
    with pytest.raises(UsageError, match="cannot be read"):
        read_layout(tmp_path / "absent.yaml")
