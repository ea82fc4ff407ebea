"""Expression Blend's growing sockets on the real page."""

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
