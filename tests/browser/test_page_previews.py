"""Expressions are drawn on their nodes, on the real page."""

import pytest

# A node of the pack whose output somebody asks for; others of its inputs come from Expression Embed.
GRAPH = """
    app.graph.clear();
    app.nodeOutputs = {};  // the pictures of earlier graphs, whose nodes had the same numbers
    const { type, sockets } = argument;
    const node = LiteGraph.createNode(type);
    app.graph.add(node);
    node.title = "Looked at";
    for (const name of sockets) {
        const source = LiteGraph.createNode("ExpressionEmbed");
        app.graph.add(source);
        source.pos = [-600, 0];
        source.connect(0, node, node.inputs.findIndex((one) => one.name === name));
        await new Promise((resolve) => setTimeout(resolve, 200));
    }
    const wanted = LiteGraph.createNode("PreviewAny");
    app.graph.add(wanted);
    wanted.pos = [900, 0];
    node.connect(0, wanted, 0);
"""
SET = """
    const node = app.graph.nodes.find((one) => one.title === "Looked at");
    const widget = node.widgets.find((one) => one.name === argument[0]);
    widget.value = argument[1];
    widget.callback?.(widget.value);
"""
# How much of the picture is lit, in sixteenths of it, read from the picture that the page shows.
LOOK = """
    const image = new Image();
    image.src = argument;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
    const draw = canvas.getContext("2d");
    draw.drawImage(image, 0, 0);
    const data = draw.getImageData(0, 0, canvas.width, canvas.height).data;
    const lit = Array(16).fill(0);
    for (let y = 0; y < canvas.height; y++)
        for (let x = 0; x < canvas.width; x++)
            if (data[4 * (y * canvas.width + x) + 1] > 60)
                lit[4 * Math.floor(4 * y / canvas.height) + Math.floor(4 * x / canvas.width)]++;
    return lit;
"""


# The page goes on showing the picture before until it has loaded the next.
SHOWN = """
    const node = app.graph.nodes.find((one) => one.title === "Looked at");
    const images = [...document.querySelectorAll(`[data-node-id="${node.id}"] img`), ...(node.imgs ?? [])];
    const next = images.find((one) => one.naturalWidth > 0 && !(argument ?? []).includes(one.src));
    return next ? { src: next.src, width: next.naturalWidth, height: next.naturalHeight } : null;
"""
BEFORE = """
    const node = app.graph.nodes.find((one) => one.title === "Looked at");
    const images = [...document.querySelectorAll(`[data-node-id="${node.id}"] img`), ...(node.imgs ?? [])];
    return images.map((one) => one.src);
"""


def run(page):
    """What the node shows after Run: its picture's size and where it is lit."""
    before = page.evaluate(BEFORE)
    page.queue()
    page.wait_for_image("Looked at", timeout=300)
    shown = page.wait_for(SHOWN, before, timeout=60, what="another picture")
    return (shown["width"], shown["height"]), page.evaluate(LOOK, shown["src"])


def test_a_word_and_a_moved_slider_are_seen_after_run(either_page):
    either_page.evaluate(GRAPH, {"type": "ExpressionEmbed", "sockets": []})
    either_page.evaluate(SET, ["word", "joy"])
    size, joy = run(either_page)
    assert size == (256, 256)
    assert sum(joy) > 500
    either_page.evaluate(SET, ["word", "surprise"])
    _, surprise = run(either_page)
    assert surprise != joy
    # Back to a word whose result the host may have kept.
    either_page.evaluate(SET, ["word", "joy"])
    _, again = run(either_page)
    assert again == joy
    # The slider drops the jaw: of the four rows of the picture the upper ones keep their brows and eyes.
    either_page.evaluate(SET, ["jaw_open", 1.0])
    _, dropped = run(either_page)
    assert dropped[12:] != joy[12:]
    assert dropped[0:4] == joy[0:4]
    assert either_page.console_errors() == []


@pytest.mark.parametrize(
    ("kind", "sockets", "wide"),
    [
        ("SFSRExpressionBlend", ["expressions.expression_a", "expressions.expression_b"], False),
        ("SFSRExpressionTravel", ["start", "end"], True),
        ("SFSRExpressionKeyframes", [], True),
        ("SFSRExpressionSweep", [], True),
    ],
)
def test_mixtures_and_batches_are_seen(canvas_page, kind, sockets, wide):
    canvas_page.evaluate(GRAPH, {"type": kind, "sockets": sockets})
    size, lit = run(canvas_page)
    assert (size[0] > 256) is wide
    assert sum(lit) > 500
    assert canvas_page.console_errors() == []
