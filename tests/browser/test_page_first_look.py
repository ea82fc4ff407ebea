"""What a newcomer sees of the workflows that they meet first, and how far it is from there to a picture of their own."""

from pathlib import Path

import pytest
from testkit.browser import QUEUE_BUTTON
from testkit.browser_layout import read_layout
from testkit.browser_workflow import flat, node_boxes

from sfsr_model.samples import FOLDER

WORKFLOWS = Path(__file__).resolve().parents[2] / "workflows"
FIRST = ("portrait", "face_swap", "photo_expression", "two_people", "text_to_portrait")
WINDOWS = ((1366, 768), (1600, 900))
USUAL = WINDOWS[-1]
LEAST_SCALE = 0.6
HANDFUL = 9  # with notes
# The page draws no letters where `drawn` is false; `seen` is the part of the canvas in the window.
LOOK = """
const { scale } = app.canvas.ds;
app.canvas.ds.computeVisibleArea(app.canvas.viewport);
return { scale, drawn: !app.canvas.low_quality, seen: [...app.canvas.visible_area] };
"""
# Places in the window: of a widget that is drawn on the canvas, or of an element.
ON_CANVAS = """
const [title, name] = argument;
const node = app.graph.nodes.find((one) => one.title === title);
const widget = node.widgets.find((one) => one.name === name);
const { scale, offset } = app.canvas.ds;
const { left, top } = app.canvas.canvas.getBoundingClientRect();
const place = [node.pos[0] + node.size[0] / 2, node.pos[1] + widget.y + LiteGraph.NODE_WIDGET_HEIGHT / 2];
return [left + (place[0] + offset[0]) * scale, top + (place[1] + offset[1]) * scale];
"""
OF_AN_ELEMENT = """
const [title, selector] = argument;
const node = app.graph.nodes.find((one) => one.title === title);
const { x, y, width, height } = document.querySelector(`[data-node-id="${node.id}"] ${selector}`).getBoundingClientRect();
return [x + width / 2, y + height / 2];
"""
# The page names the file at once, and has its picture when it is there.
UPLOADED = """
const node = app.graph.nodes.find((one) => one.title === argument);
const image = document.querySelector(`[data-node-id="${node.id}"] img`) ?? node.imgs?.[0];
return node.widgets[0].value.startsWith('somebody') && image?.src.includes('somebody') && image.naturalWidth > 0;
"""


@pytest.fixture
def page(either_page):
    """Each of the two pages, its window of the usual size again at the end."""
    yield either_page
    either_page.resize(*USUAL)


@pytest.mark.parametrize("name", FIRST)
def test_it_opens_readable_and_whole(page, pack_name, name):
    for window in WINDOWS:
        page.resize(*window)
        page.open_template(name, pack_name)
        look, boxes = page.evaluate(LOOK), node_boxes(page)
        assert look["drawn"]
        assert look["scale"] >= LEAST_SCALE
        assert len(boxes) <= HANDFUL
        left, top, width, height = look["seen"]
        outside = [
            title
            for title, (x, y, wide, high) in boxes.items()
            if x < left or y < top or x + wide > left + width or y + high > top + height
        ]
        assert outside == []


def test_a_workflow_with_all_its_nodes_in_view_has_no_letters(page, pack_name):
    """What the test above would see if the nodes were not gathered."""
    page.resize(*WINDOWS[0])
    page.open_template("samplers", pack_name)
    look = page.evaluate(LOOK)
    assert not look["drawn"]
    assert look["scale"] < LEAST_SCALE


def test_own_photo_another_word_and_run_are_four_clicks(page, nodes_2_page, pack_name, server, tmp_path):
    """A click on the upload button, one on the word, one on another in the list, one on Run; in the smallest window."""
    photo = tmp_path / "somebody.jpg"
    photo.write_bytes((FOLDER / "portrait_19.jpg").read_bytes())
    page.resize(*WINDOWS[0])
    page.open_template("portrait", pack_name)
    if page is nodes_2_page:
        upload = page.evaluate(OF_AN_ELEMENT, ["Portrait: person", "input[type=file]"])
        word = page.evaluate(OF_AN_ELEMENT, ["Expression Embed", "[role=combobox][aria-label=word]"])
        other = "[role=option]:has-text('sadness')"
    else:
        upload = page.evaluate(ON_CANVAS, ["Portrait: person", "upload"])
        word = page.evaluate(ON_CANVAS, ["Expression Embed", "word"])
        other = ".litemenu-entry[data-value='sadness']"
    page.choose_file(upload, photo)
    page.wait_for(UPLOADED, "Portrait: person", what="the photo")
    page.click_at(word)
    page.click(other)
    page.follow_run()
    page.click(QUEUE_BUTTON)
    assert page.wait_for_image("Save Image")["width"] == 320
    sent = {entry["_meta"]["title"]: entry["inputs"] for entry in flat(page.graph_to_prompt()).values()}
    assert sent["Expression Embed"]["word"] == "sadness"
    assert (server.base_dir / "input" / sent["Portrait: person"]["sample"]).read_bytes() == photo.read_bytes()
    assert page.console_errors() == []


@pytest.mark.parametrize("name", FIRST)
def test_the_app_mode_offers_the_few_controls(nodes_2_page, pack_name, name):
    page, app = nodes_2_page, read_layout(WORKFLOWS / "layout" / f"{name}.yaml").app
    page.open_template(name, pack_name)
    page.evaluate("await app.extensionManager.command.execute('Comfy.ToggleLinear')")
    page.wait_for("return document.querySelector('[data-testid=linear-widgets]')", what="the app mode")
    page.settle()
    try:
        shown = page.evaluate(
            "return [...document.querySelectorAll('[data-testid=builder-widget-label]')].map((one) => one.innerText.trim())"
        )
    finally:
        page.evaluate("await app.extensionManager.command.execute('Comfy.ToggleLinear')")
        page.settle()
    assert shown == list(app.widgets.values())


ADVANCED = """
app.graph.clear();
const node = LiteGraph.createNode('ExpressionEmbed');
app.graph.add(node);
app.graph.setDirtyCanvas(true, true);
return String(node.id);
"""
DRAWN = """
const node = app.graph.nodes[0];
const element = document.querySelector(`[data-node-id="${node.id}"]`);
const rows = element && [...element.querySelectorAll('[data-testid=node-widget]')].length;
// The page has a widget of its own for a picture that a node of this number made before.
const own = node.widgets.filter((one) => !one.name.startsWith('$$') && node.isWidgetVisible(one)).map((one) => one.name);
return { own, rows: rows ?? own.length, height: node.size[1] };
"""


def test_an_expression_shows_three_widgets_first(page, nodes_2_page):
    """And the others by the page's own switch, which on the canvas stands in the node's menu."""
    page.evaluate(ADVANCED)
    page.settle()
    first = page.evaluate(DRAWN)
    assert first["rows"] == 3
    if page is nodes_2_page:
        page.evaluate("document.querySelector('[data-testid=advanced-inputs-button]').click()")
    else:
        menu = page.evaluate("return app.canvas.getNodeMenuOptions(app.graph.nodes[0]).map((one) => one?.content)")
        assert "Show Advanced" in menu
        page.evaluate("app.graph.nodes[0].toggleAdvanced()")
    page.settle()
    every = page.evaluate(DRAWN)
    assert every["rows"] > 20
    assert every["height"] > first["height"] + 15 * 20


SHOW_ALL = "await app.extensionManager.setting.set('Comfy.Node.AlwaysShowAdvancedWidgets', argument)"


def test_every_widget_shows_where_the_pages_settings_say_so(either_page):
    either_page.evaluate(SHOW_ALL, True)
    try:
        either_page.evaluate(ADVANCED)
        either_page.settle()
        assert either_page.evaluate(DRAWN)["rows"] > 20
    finally:
        either_page.evaluate(SHOW_ALL, False)


def test_an_advanced_widget_with_a_link_stays_in_sight(canvas_page):
    canvas_page.evaluate(ADVANCED)
    canvas_page.evaluate(
        "const [node] = app.graph.nodes; const number = LiteGraph.createNode('PrimitiveFloat'); app.graph.add(number);"
        "number.connect(0, node, node.inputs.findIndex((one) => one.name === 'smile'));"
    )
    canvas_page.settle()
    assert canvas_page.evaluate(DRAWN)["own"] == ["source", "word", "intensity", "smile"]
