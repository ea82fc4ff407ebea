"""The page in Chinese: nodes, sockets and widgets in the pack's own words, and the help of a node in both languages."""

import re

import pytest
from testkit.browser import Page
from testkit.node_texts import LOCALES, help_page, read_json

TEXTS = read_json(LOCALES / "zh" / "nodeDefs.json")
ADD = "const node = LiteGraph.createNode(argument); app.graph.add(node); app.graph.setDirtyCanvas(true, true);"
# A slot's label stands before its translated name, as the page draws it.
INFO = '[data-testid="info-button"]'
SHOWN = "(slot) => [slot.name, slot.label || slot.localized_name || slot.name]"


@pytest.fixture(scope="module")
def chinese_page(server):
    with Page({"Comfy.Locale": "zh"}) as page:
        page.open(server.url)
        yield page


def shown_slots(page, node_type):
    """What the page shows a new node by: its title, and the names of inputs, outputs and widgets by their ids."""
    return page.evaluate(
        f"{ADD} const shown = {SHOWN};"
        "return { title: node.title, inputs: Object.fromEntries(node.inputs.map(shown)),"
        "  outputs: node.outputs.map(shown).map((pair) => pair[1]),"
        "  widgets: Object.fromEntries((node.widgets ?? []).map((one) => [one.name, one.label ?? one.name])),"
        "  category: LiteGraph.registered_node_types[argument].category };",
        node_type,
    )


@pytest.mark.parametrize("node_type", ["SFSRConditioning", "ExpressionEmbed", "SFSRFaceCrop", "LoadIDEncoder"])
def test_a_node_speaks_chinese(chinese_page, node_type):
    shown, texts = shown_slots(chinese_page, node_type), TEXTS[node_type]
    names = {key: one["name"] for key, one in texts["inputs"].items()}
    assert shown["title"] == texts["display_name"]
    assert shown["category"] == read_json(LOCALES / "zh" / "main.json")["nodeCategories"]["SFSR"]
    assert shown["outputs"] == [one["name"] for one in texts["outputs"].values()]
    found = shown["widgets"] | {key: name for key, name in shown["inputs"].items() if key not in shown["widgets"]}
    assert {key: name for key, name in found.items() if key in names} == names


def test_every_socket_that_grew_has_its_text(chinese_page):
    """The page knows no tooltip of such a socket, and looks for one under its name with _ for the dot."""
    sockets = chinese_page.evaluate(f"{ADD} return node.inputs.map((one) => one.name);", "SFSRExpressionBlend")
    grown = [name for name in sockets if name.startswith("expressions.")]
    assert grown
    assert all(TEXTS["SFSRExpressionBlend"]["inputs"][name.replace(".", "_")]["tooltip"] for name in grown)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_help_is_in_the_pages_language(chinese_page, canvas_page, language):
    page = chinese_page if language == "zh" else canvas_page
    text = help_page("LoadIDEncoder", language).read_text(encoding="utf-8")
    page.evaluate(f"app.graph.clear(); {ADD} app.canvas.selectNode(node);", "LoadIDEncoder")
    page.wait_for(f"return !!document.querySelector({INFO!r});", what="the button for a node's help")
    page.evaluate(f"document.querySelector({INFO!r}).click();")
    page.wait_for("return document.body.innerText.includes(argument);", text.splitlines()[2], what="the help of the node")
    headings = page.evaluate("return [...document.querySelectorAll('h2')].map((one) => one.innerText);")
    assert set(re.findall(r"(?m)^## (.+)$", text)) <= set(headings)
