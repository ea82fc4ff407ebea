"""What the page knows of the pack's nodes."""

import pytest


@pytest.fixture(scope="module")
def pack_types(client, pack_name):
    """Ids of the pack's nodes, as the host lists them."""
    types = [
        node_type for node_type, entry in client.object_info().items() if entry["python_module"] == f"custom_nodes.{pack_name}"
    ]
    assert types
    return types


def test_every_node_is_registered_under_a_category_and_described(canvas_page, pack_types):
    known = canvas_page.evaluate(
        "return Object.fromEntries(argument.map((type) => {"
        "  const entry = LiteGraph.registered_node_types[type];"
        "  return [type, entry && { category: entry.category, description: entry.nodeData.description }];"
        "}))",
        pack_types,
    )
    lacking = [node_type for node_type, entry in known.items() if not (entry and entry["category"] and entry["description"])]
    assert lacking == []


def test_every_input_and_output_has_a_tooltip(canvas_page, pack_types):
    lacking = canvas_page.evaluate(
        "return argument.flatMap((type) => {"
        "  const { inputs, outputs } = LiteGraph.registered_node_types[type].nodeData;"
        "  return [...Object.values(inputs), ...outputs].filter((slot) => !slot.tooltip)"
        "    .map((slot) => `${type}.${slot.name}`);"
        "})",
        pack_types,
    )
    assert lacking == []
