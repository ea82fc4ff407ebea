"""Turn an API workflow into one in the page's own format, in the page itself, and compare the two."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from harness.graph import Prompt

from testkit.browser import BrowserError, Page
from testkit.browser_layout import FIRST_NOTE_ID, Box, Layout, Size, arrange, require_complete

# What the page shows beside the canvas: the tool bar on the left, the tabs and the Run button at the top.
_WINDOW = (1600, 900)
_BARS = (70, 100)
_MARGIN = 20
# Below this scale the page leaves texts out, the first note's with them.
_READABLE = 0.6
_NAMESPACE = uuid.UUID("3f0f5b0e-5d3a-5d0c-9f43-0d5f5f5e0001")


def load_prompt(page: Page, name: str, prompt: Prompt) -> None:
    """Load the prompt as a workflow in an open page; raises BrowserError if the page lacks a node of it."""
    page.evaluate("await app.loadApiJson(argument, 'workflow')", prompt)
    page.settle()
    # The page also marks a node whose file nobody has yet; that one is there.
    if missing := [node for node in page.missing_nodes() if not node.registered]:
        raise BrowserError(f"{name}: the page has no node type {', '.join(sorted({node.type for node in missing}))}.")


def node_sizes(page: Page) -> dict[str, Size]:
    """The least size in which the open page draws each node of its graph, by title."""
    return {title: (size[0], size[1]) for title, size in page.evaluate(_LEAST_SIZES).items()}


def node_boxes(page: Page) -> dict[str, Box]:
    """Left, top, width and height of each node as the open page draws it, with its title, by title."""
    return {title: tuple(box) for title, box in page.evaluate(_BOXES).items()}


def build_ui_workflow(page: Page, name: str, prompt: Prompt, layout: Layout, room: Mapping[str, Size]) -> dict[str, Any]:
    """Load the prompt in an open page, lay it out there and serialise it; the same input gives the same output.

    `room` is `node_sizes` of a page that draws nodes the other way (NODES_2). Raises UsageError if the layout does not
    fit the graph, BrowserError if the page lacks a node of it.
    """
    require_complete(layout, [entry["_meta"]["title"] for entry in prompt.values()], name)
    load_prompt(page, name, prompt)
    nodes, groups = arrange(layout, node_sizes(page), room)
    page.evaluate(
        _LAY_OUT,
        {
            "nodes": [{"title": node.title, "box": node.box, "text": node.text} for node in nodes],
            "groups": [{"title": group.title, "colour": group.colour, "box": group.box} for group in groups],
            "firstNote": FIRST_NOTE_ID,
        },
    )
    page.settle()
    return _stable(page.serialize(), name)


def page_form(prompt: Prompt, object_info: Mapping[str, Any]) -> Prompt:
    """The prompt as the page writes it: an optional input that a prompt leaves out stands there with its default.

    The page sends every widget, also untouched ones; a prompt written by hand names only what matters. Nothing else
    is changed. Whole numbers and floats of the same value compare equal in Python, and the page knows no difference.
    """
    return {
        node_id: {**entry, "inputs": {**_defaults(object_info.get(entry["class_type"], {})), **entry["inputs"]}}
        for node_id, entry in prompt.items()
    }


def differences(found: Prompt, expected: Prompt) -> list[str]:
    """One line for each node or input in which two prompts differ."""
    lines = []
    for node_id in sorted({*found, *expected}):
        here, there = found.get(node_id), expected.get(node_id)
        if here is None or there is None:
            lines.append(f"node {node_id}: only in the {'expected' if here is None else 'found'} graph")
            continue
        lines += [
            f"node {node_id} {key}: {here.get(key)!r}, expected {there.get(key)!r}"
            for key in sorted({*here, *there} - {"inputs"})
            if not _equal(here.get(key), there.get(key))
        ]
        ours, theirs = here.get("inputs", {}), there.get("inputs", {})
        lines += [
            f"node {node_id} input {key!r}: {ours.get(key, 'absent')!r}, expected {theirs.get(key, 'absent')!r}"
            for key in sorted({*ours, *theirs})
            if not _equal(ours.get(key, _ABSENT), theirs.get(key, _ABSENT))
        ]
    return lines


_ABSENT = object()


def _equal(one: Any, other: Any) -> bool:
    """Equality in which, unlike Python's own, true is not 1."""
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def _defaults(description: Mapping[str, Any]) -> dict[str, Any]:
    """Defaults of a node's optional widgets, from its entry in /object_info."""
    found = {}
    for name, (kind, *rest) in description.get("input", {}).get("optional", {}).items():
        options = rest[0] if rest else {}
        if "default" in options and not options.get("forceInput"):
            found[name] = options["default"]
        elif isinstance(kind, list) and kind:
            found[name] = kind[0]
    return found


def _stable(workflow: dict[str, Any], name: str) -> dict[str, Any]:
    """Replace what differs from run to run or from host to host: ids of the workflow and its links, versions, view."""
    numbers = {link[0]: place for place, link in enumerate(sorted(workflow["links"], key=lambda link: link[3:5]), 1)}
    links = sorted(([numbers[link[0]], *link[1:]] for link in workflow["links"]), key=lambda link: link[0])
    for node in workflow["nodes"]:
        for entry in node.get("inputs", ()):
            if entry.get("link") is not None:
                entry["link"] = numbers[entry["link"]]
        for entry in node.get("outputs", ()):
            if entry.get("links"):
                entry["links"] = sorted(numbers[link] for link in entry["links"])
        for key in ("ver", "cnr_id", "aux_id"):
            node.get("properties", {}).pop(key, None)
    nodes = sorted(workflow["nodes"], key=lambda node: node["id"])
    return {
        "id": str(uuid.uuid5(_NAMESPACE, name)),
        "revision": 0,
        "last_node_id": max(node["id"] for node in nodes),
        "last_link_id": len(links),
        "nodes": nodes,
        "links": links,
        "groups": workflow["groups"],
        "config": {},
        "extra": {"ds": view(workflow, least=_READABLE)},
        "version": workflow["version"],
    }


def view(workflow: dict[str, Any], least: float = 0.0) -> dict[str, Any]:
    """Scale and offset with which the whole graph is in sight in a window of usual size, or its upper left part where the
    scale would be less than `least`."""
    boxes = [(*group["bounding"],) for group in workflow["groups"]]
    boxes += [(*node["pos"], *node["size"]) for node in workflow["nodes"]]
    left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
    width = max(box[0] + box[2] for box in boxes) - left
    height = max(box[1] + box[3] for box in boxes) - top
    room = [side - bar - 2 * _MARGIN for side, bar in zip(_WINDOW, _BARS, strict=True)]
    scale = max(round(min(room[0] / width, room[1] / height, 1.0), 3), least)
    offset = [round((bar + _MARGIN) / scale - start) for bar, start in zip(_BARS, (left, top), strict=True)]
    return {"scale": scale, "offset": offset}


# Nodes 2.0 draws each node as an element, as high as it must be; node.size follows it, but not always.
_LEAST_SIZES = """
return Object.fromEntries(app.graph.nodes.map((node) => {
  const element = document.querySelector(`[data-node-id="${node.id}"]`);
  return [node.title, element ? [0, element.offsetHeight - LiteGraph.NODE_TITLE_HEIGHT] : [...node.computeSize()]];
}));
"""

_BOXES = """
return Object.fromEntries(app.graph.nodes.map((node) => {
  const element = document.querySelector(`[data-node-id="${node.id}"]`);
  const title = LiteGraph.NODE_TITLE_HEIGHT;
  const size = element ? [element.offsetWidth, element.offsetHeight] : [node.size[0], node.size[1] + title];
  return [node.title, [node.pos[0], node.pos[1] - title, ...size]];
}));
"""

_LAY_OUT = """
let nextNote = argument.firstNote;
for (const { title, box, text } of argument.nodes) {
  let node = app.graph.nodes.find((one) => one.title === title);
  if (text !== null) {
    node = LiteGraph.createNode('MarkdownNote', title);
    node.id = nextNote++;
    app.graph.add(node);
    node.widgets[0].value = text;
  }
  node.pos = box.slice(0, 2);
  node.setSize(box.slice(2));
  // A seed that changes after each run would make the second picture differ from the first.
  for (const widget of node.widgets ?? []) if (widget.name === 'control_after_generate') widget.value = 'fixed';
  // The page lets a widget that a link stands for keep what the node of this number held in the workflow before.
  for (const input of node.inputs ?? []) if (input.widget && input.link !== null) {
    const named = (one) => one.widgets.find((widget) => widget.name === input.widget.name);
    named(node).value = named(LiteGraph.createNode(node.type)).value;
  }
}
argument.groups.forEach(({ title, colour, box }, place) => {
  const group = new LiteGraph.LGraphGroup(title, place + 1);
  group.color = colour;
  app.graph.add(group);
  group.pos = box.slice(0, 2);
  group.size = box.slice(2);
});
app.graph.setDirtyCanvas(true, true);
"""
