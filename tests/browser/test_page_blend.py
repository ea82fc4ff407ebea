"""The growing sockets of Expression Blend and Identity Batch on the real page."""

import pytest

CONNECT = """
    app.graph.clear();
    const blend = LiteGraph.createNode("SFSRExpressionBlend");
    app.graph.add(blend);
    const before = blend.inputs.map((one) => one.name);
    for (const letter of argument) {
        const source = LiteGraph.createNode("ExpressionEmbed");
        app.graph.add(source);
        const slot = blend.inputs.findIndex((one) => one.name.endsWith(`expression_${letter}`));
        if (slot < 0) return { before, lacking: letter };
        source.connect(0, blend, slot);
        await new Promise((resolve) => setTimeout(resolve, 300));
    }
    return { before, after: blend.inputs.map((one) => one.name), id: String(blend.id) };
"""


def test_a_socket_grows_for_the_next_expression(either_page):
    """Three connected expressions reach the prompt under the names that the node reads, and a fourth socket waits."""
    found = either_page.evaluate(CONNECT, ["a", "b", "c"])
    assert "lacking" not in found, found
    assert not any(name.endswith("expression_d") for name in found["before"])
    assert any(name.endswith("expression_d") for name in found["after"])
    inputs = either_page.graph_to_prompt()[found["id"]]["inputs"]
    connected = {name for name, value in inputs.items() if isinstance(value, list)}
    assert connected == {f"expressions.expression_{letter}" for letter in "abc"}
    assert inputs["weight_h"] == 1.0
    assert either_page.console_errors() == []


PASTED = """
    app.graph.clear();
    const { joins, source, sockets, nodes } = argument;
    const join = LiteGraph.createNode(joins);
    app.graph.add(join);
    const sources = [];
    for (const name of sockets) {
        const one = LiteGraph.createNode(source);
        app.graph.add(one);
        one.connect(0, join, join.inputs.findIndex((input) => input.name === name));
        await new Promise((resolve) => setTimeout(resolve, 200));
        sources.push(one);
    }
    app.canvas.selectItems(nodes === "all" ? app.graph.nodes : [join]);
    app.canvas.copyToClipboard(app.canvas.selectedItems);
    app.canvas.pasteFromClipboard({ connectInputs: nodes !== "all" });
    await new Promise((resolve) => setTimeout(resolve, 500));
    return app.graph.nodes.filter((node) => node.type === joins).map((node) => String(node.id));
"""


@pytest.mark.parametrize("nodes", ["all", "the joining one, with its links"])
@pytest.mark.parametrize(
    ("joins", "source", "sockets"),
    [
        ("SFSRExpressionBlend", "ExpressionEmbed", [f"expressions.expression_{letter}" for letter in "abcde"]),
        ("SFSRIdentityBatch", "SFSRLoadIdentity", [f"identities.identity_{number}" for number in range(1, 6)]),
    ],
)
def test_a_pasted_node_keeps_its_links(either_page, joins, source, sockets, nodes):
    argument = {"joins": joins, "source": source, "sockets": sockets, "nodes": nodes}
    first, pasted = either_page.evaluate(PASTED, argument)
    prompt = either_page.graph_to_prompt()
    linked = [
        {name: link[0] for name, link in prompt[one]["inputs"].items() if isinstance(link, list)} for one in (first, pasted)
    ]
    assert [list(one) for one in linked] == [sockets, sockets]
    together = len({*linked[0].values(), *linked[1].values()})
    assert together == (10 if nodes == "all" else 5)
    assert either_page.console_errors() == []
