"""Turn an API workflow into one in the page's own format, in the page itself, and compare the two."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from harness.graph import Prompt

from testkit.browser import BrowserError, Page
from testkit.browser_layout import (
    FIRST_NOTE_ID,
    App,
    Box,
    Columns,
    Layout,
    Part,
    Size,
    arrange,
    cells,
    require_complete,
)

# A small window, and what the page shows in it beside the canvas: the tool bar on the left, the tabs and the Run button.
_WINDOW = (1366, 768)
_BARS = (70, 100)
_MARGIN = 20
# Below this scale the page leaves texts out, the first note's with them.
_READABLE = 0.6
_FILM_SHOWN = "video-preview"
_NAMESPACE = uuid.UUID("3f0f5b0e-5d3a-5d0c-9f43-0d5f5f5e0001")


# The page keeps the widgets of every graph that has no name yet, as one from a prompt, by their nodes' numbers, and would show
# what an earlier prompt wrote into them.
_FORGET = """
const stores = document.querySelector("#vue-app").__vue_app__.config.globalProperties.$pinia._s
for (const store of stores.values()) store.clearGraph?.("00000000-0000-0000-0000-000000000000")
"""


def load_prompt(page: Page, name: str, prompt: Prompt) -> None:
    """Load the prompt as a workflow in an open page; raises BrowserError if the page lacks a node of it."""
    page.evaluate(_FORGET)
    # Loaded once more, because of a prompt's nodes the page leaves out some badges, which make a node higher.
    page.evaluate("await app.loadApiJson(argument, 'workflow'); await app.loadGraphData(app.graph.serialize());", prompt)
    # The page loads pictures and draws badges of what is in sight alone, and a node is as high as these want.
    look(page, view(page.serialize()))
    page.settle()
    page.wait_for(_PICTURES_SHOWN, what="the pictures of its nodes")
    # The page also marks a node whose file nobody has yet; that one is there.
    if missing := [node for node in page.missing_nodes() if not node.registered]:
        raise BrowserError(f"{name}: the page has no node type {', '.join(sorted({node.type for node in missing}))}.")


def fold(page: Page, layout: Layout) -> dict[str, Size]:
    """Make one node of each part of the graph in the open page; returns the least size of every node by title."""
    sizes = _node_sizes(page)
    if layout.parts:
        page.evaluate(_FOLD, [_described(part) for part in layout.parts])
        page.settle()
    return sizes | _node_sizes(page)


def _node_sizes(page: Page) -> dict[str, Size]:
    """The least size in which the open page draws each node of its graph, by title."""
    return {title: (size[0], size[1]) for title, size in page.evaluate(_LEAST_SIZES).items()}


def _described(part: Part) -> dict[str, Any]:
    inside = [cell.title for cell in cells(part.columns) if cell.text is None]
    return {"title": part.title, "nodes": inside, "sockets": dict(part.sockets), "widgets": dict(part.widgets)}


def node_boxes(page: Page) -> dict[str, Box]:
    """Left, top, width and height of each node as the open page draws it, with its title, by title."""
    return {title: tuple(box) for title, box in page.evaluate(_BOXES).items()}


def build_ui_workflow(page: Page, name: str, prompt: Prompt, layout: Layout, room: Mapping[str, Size]) -> dict[str, Any]:
    """Load the prompt in an open page, lay it out there and serialise it; the same input gives the same output.

    `room` is what `fold` says in a page that draws nodes the other way (NODES_2). Raises UsageError if the layout does not
    fit the graph, BrowserError if the page lacks a node of it.
    """
    require_complete(layout, [entry["_meta"]["title"] for entry in prompt.values()], name)
    load_prompt(page, name, prompt)
    needed = fold(page, layout)
    graphs = [_placed(part.columns, needed, room) | {"part": part.title} for part in layout.parts]
    graphs.append(_placed(layout.columns, needed, room) | {"part": None})
    page.evaluate(_LAY_OUT, {"graphs": graphs, "firstNote": FIRST_NOTE_ID})
    offered = _offered(page, layout.app)
    page.settle()
    return _stable(page.serialize(), name, offered)


def _placed(columns: Columns, needed: Mapping[str, Size], room: Mapping[str, Size]) -> dict[str, Any]:
    """Places of nodes and frames, as `_LAY_OUT` takes them."""
    nodes, groups = arrange(columns, needed, room)
    return {
        "nodes": [{"title": node.title, "box": node.box, "text": node.text} for node in nodes],
        "groups": [{"title": group.title, "colour": group.colour, "box": group.box} for group in groups],
    }


def _offered(page: Page, app: App | None) -> dict[str, Any]:
    """What a workflow says for the page's app mode, its widgets named in the open page; nothing without one."""
    if app is None:
        return {}
    return {"linearData": page.evaluate(_OFFER, {"widgets": dict(app.widgets), "results": app.results})}


def page_form(prompt: Prompt, object_info: Mapping[str, Any]) -> Prompt:
    """The prompt as the page writes it: an optional input that a prompt leaves out stands there with its default.

    The page sends every widget, also untouched ones; a prompt written by hand names only what matters. Nothing else
    is changed. Whole numbers and floats of the same value compare equal in Python, and the page knows no difference.
    """
    return {
        node_id: {**entry, "inputs": {**_defaults(object_info.get(entry["class_type"], {})), **entry["inputs"]}}
        for node_id, entry in prompt.items()
    }


def flat(prompt: Prompt) -> Prompt:
    """The page's prompt with nodes inside subgraphs under their own ids, which the page writes behind that of the subgraph,
    and without what it sends of its own as soon as a node shows a film."""

    def own(node_id: Any) -> str:
        return str(node_id).rpartition(":")[2]

    def value(given: Any) -> Any:
        return [own(given[0]), given[1]] if isinstance(given, list) else given

    return {
        own(node_id): {
            **entry,
            "inputs": {name: value(given) for name, given in entry["inputs"].items() if name != _FILM_SHOWN},
        }
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


def _stable(workflow: dict[str, Any], name: str, extra: dict[str, Any]) -> dict[str, Any]:
    """Replace what differs from run to run or from host to host: ids of the workflow, its parts, their sockets and all links;
    versions; view."""
    parts = sorted(workflow.get("definitions", {}).get("subgraphs", ()), key=lambda part: part["name"])
    first = _number_links(workflow, 1)
    for part in parts:
        first = _number_links(part, first)
    own_ids = {part["id"]: str(uuid.uuid5(_NAMESPACE, f"{name}/{part['name']}")) for part in parts}
    for node in workflow["nodes"]:
        if node["type"] in own_ids:
            node["type"] = own_ids[node["type"]]
            # Pictures of nodes inside are for those who look inside.
            node["properties"]["previewExposures"] = []
    nodes = _stable_nodes(workflow)
    made = [_stable_part(part, own_ids[part["id"]]) for part in parts]
    every_node = [*nodes, *(node for part in made for node in part["nodes"])]
    for part in made:
        part["state"] = {"lastGroupId": 0, "lastNodeId": 0, "lastLinkId": first - 1, "lastRerouteId": 0}
    return {
        "id": str(uuid.uuid5(_NAMESPACE, name)),
        "revision": 0,
        "last_node_id": max(node["id"] for node in every_node),
        "last_link_id": first - 1,
        "nodes": nodes,
        "links": workflow["links"],
        "groups": workflow["groups"],
        **({"definitions": {"subgraphs": made}} if made else {}),
        "config": {},
        "extra": {"ds": view(workflow, least=_READABLE), **extra},
        "version": workflow["version"],
    }


def _stable_nodes(graph: dict[str, Any]) -> list[dict[str, Any]]:
    for node in graph["nodes"]:
        for key in ("ver", "cnr_id", "aux_id"):
            node.get("properties", {}).pop(key, None)
    return sorted(graph["nodes"], key=lambda node: node["id"])


def _stable_part(part: dict[str, Any], part_id: str) -> dict[str, Any]:
    left, top, right, _ = _bounds(part)
    for side, sockets, x in (("inputs", "inputNode", left - 200), ("outputs", "outputNode", right + 100)):
        for socket in part[side]:
            socket["id"] = str(uuid.uuid5(uuid.UUID(part_id), f"{side}/{socket['name']}"))
        part[sockets]["bounding"] = [x, top, *part[sockets]["bounding"][2:]]
    return {**part, "id": part_id, "revision": 0, "nodes": _stable_nodes(part), "extra": {}}


def _number_links(graph: dict[str, Any], first: int) -> int:
    """Number the links of the workflow, or of a part of it, from `first` on by where they end; returns the next free number.

    A link is a list in a workflow, and a dictionary in a part.
    """

    def end(link: Any) -> tuple[int, int]:
        return (link["target_id"], link["target_slot"]) if isinstance(link, dict) else (link[3], link[4])

    links = sorted(graph["links"], key=end)
    numbers = {link["id"] if isinstance(link, dict) else link[0]: number for number, link in enumerate(links, first)}
    graph["links"] = [
        {**link, "id": numbers[link["id"]]} if isinstance(link, dict) else [numbers[link[0]], *link[1:]] for link in links
    ]
    for node in graph["nodes"]:
        for entry in node.get("inputs", ()):
            if entry.get("link") is not None:
                entry["link"] = numbers[entry["link"]]
        for entry in node.get("outputs", ()):
            if entry.get("links"):
                entry["links"] = sorted(numbers[link] for link in entry["links"])
    for socket in (*graph.get("inputs", ()), *graph.get("outputs", ())):
        socket["linkIds"] = sorted(numbers[link] for link in socket["linkIds"])
    return first + len(links)


def view(workflow: dict[str, Any], least: float = 0.0) -> dict[str, Any]:
    """Scale and offset with which the whole graph is in sight in a small window, or its upper left part where the
    scale would be less than `least`."""
    left, top, right, bottom = _bounds(workflow)
    room = [side - bar - 2 * _MARGIN for side, bar in zip(_WINDOW, _BARS, strict=True)]
    scale = max(round(min(room[0] / (right - left), room[1] / (bottom - top), 1.0), 3), least)
    offset = [round((bar + _MARGIN) / scale - start) for bar, start in zip(_BARS, (left, top), strict=True)]
    return {"scale": scale, "offset": offset}


def look(page: Page, view: dict[str, Any]) -> None:
    """Have the open page show its graph with a scale and an offset, such as `view` gives."""
    page.evaluate(_LOOK, view)


def _bounds(graph: dict[str, Any]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the frames and nodes of a workflow or of a part of it."""
    boxes = [(*group["bounding"],) for group in graph["groups"]]
    boxes += [(*node["pos"], *node["size"]) for node in graph["nodes"]]
    ends = [(x + width, y + height) for x, y, width, height in boxes]
    return min(box[0] for box in boxes), min(box[1] for box in boxes), max(end[0] for end in ends), max(end[1] for end in ends)


# Nodes 2.0 draws each node as an element, as high as it must be; node.size follows it, but not always.
_LEAST_SIZES = """
return Object.fromEntries(app.graph.nodes.map((node) => {
  const element = document.querySelector(`[data-node-id="${node.id}"]`);
  return [node.title, element ? [0, element.offsetHeight - LiteGraph.NODE_TITLE_HEIGHT] : [...node.computeSize()]];
}));
"""

_LOOK = """
app.canvas.ds.scale = argument.scale;
app.canvas.ds.offset.splice?.(0, 2, ...argument.offset) ?? app.canvas.ds.offset.set(argument.offset);
app.canvas.setDirty(true, true);
"""

_PICTURES_SHOWN = """
const pictured = ({ constructor: { nodeData } }) =>
  Object.values({ ...nodeData?.input?.required, ...nodeData?.input?.optional }).some(([, options]) => options?.image_upload);
return app.canvas.graph.nodes.filter(pictured).every((node) => {
  const image = document.querySelector(`[data-node-id="${node.id}"] img`) ?? node.imgs?.[0];
  return image?.naturalWidth > 0;
});
"""

_BOXES = """
return Object.fromEntries(app.canvas.graph.nodes.map((node) => {
  const element = document.querySelector(`[data-node-id="${node.id}"]`);
  const title = LiteGraph.NODE_TITLE_HEIGHT;
  const size = element ? [element.offsetWidth, element.offsetHeight] : [node.size[0], node.size[1] + title];
  return [node.title, [node.pos[0], node.pos[1] - title, ...size]];
}));
"""

# A node for each part, and what its sockets and widgets are called. New nodes have numbers after all others.
_FOLD = """
app.graph.state.lastNodeId = Math.max(...app.graph.nodes.map((node) => Number(node.id)));
for (const { title, nodes, sockets, widgets } of argument) {
  const inside = app.graph.nodes.filter((node) => nodes.includes(node.title));
  const { subgraph, node: folded } = app.graph.convertToSubgraph(new Set(inside));
  subgraph.name = folded.title = title;
  // The page shows some widgets of its own choice.
  for (const input of [...subgraph.inputs]) {
    if (folded.inputs.find((one) => one.name === input.name).link === null) subgraph.removeInput(input);
  }
  // What one socket outside is connected to inside, in the layout's words; any of them may have been named.
  const called = (socket, end) => {
    const keys = socket.linkIds.map((id) => subgraph.getLink(id)).map((link) => {
      const node = subgraph.getNodeById(link[`${end}_id`]);
      return `${node.title}.${(end === 'target' ? node.inputs : node.outputs)[link[`${end}_slot`]].name}`;
    });
    const known = keys.find((key) => key in sockets);
    if (!known) throw new Error(`${title}: nothing says what ${keys.join(', ')} is called`);
    return sockets[known];
  };
  for (const input of subgraph.inputs) subgraph.renameInput(input, called(input, 'target'));
  for (const output of subgraph.outputs) subgraph.renameOutput(output, called(output, 'origin'));
  for (const [key, name] of Object.entries(widgets)) {
    const dot = key.lastIndexOf('.');
    const node = subgraph.nodes.find((one) => one.title === key.slice(0, dot));
    const slot = node?.inputs.find((one) => one.widget?.name === key.slice(dot + 1));
    if (!slot) throw new Error(`${title}: there is no widget ${key}`);
    subgraph.addInput(name, slot.type).connect(slot, node);
  }
}
"""

_LAY_OUT = """
let nextNote = argument.firstNote;
for (const { part, nodes, groups } of argument.graphs) {
  const graph = part === null ? app.graph : app.graph.nodes.find((one) => one.title === part).subgraph;
  for (const { title, box, text } of nodes) {
    let node = graph.nodes.find((one) => one.title === title);
    if (text !== null) {
      node = LiteGraph.createNode('MarkdownNote', title);
      node.id = nextNote++;
      graph.add(node);
      node.widgets[0].value = text;
    }
    node.pos = box.slice(0, 2);
    node.setSize(box.slice(2));
    // A seed that changes after each run would make the second picture differ from the first.
    for (const widget of node.widgets ?? []) if (widget.name === 'control_after_generate') widget.value = 'fixed';
    // The page lets a widget that a link stands for keep what the node of this number held in the workflow before. One that
    // a part shows has its value from the node inside.
    for (const input of node.inputs ?? []) {
      if (!input.widget || input.link === null || graph.getLink(input.link).origin_id === graph.inputNode?.id) continue;
      const named = (one) => one.widgets.find((widget) => widget.name === input.widget.name);
      named(node).value = named(LiteGraph.createNode(node.type)).value;
    }
  }
  groups.forEach(({ title, colour, box }, place) => {
    const group = new LiteGraph.LGraphGroup(title, place + 1);
    group.color = colour;
    graph.add(group);
    group.pos = box.slice(0, 2);
    group.size = box.slice(2);
  });
}
app.graph.setDirtyCanvas(true, true);
"""

_OFFER = """
const titled = (title) => {
  const node = app.graph.nodes.find((one) => one.title === title);
  if (!node) throw new Error(`the app mode cannot show ${title}, which is no node outside of parts`);
  return node;
};
const inputs = Object.entries(argument.widgets).map(([key, label]) => {
  const dot = key.lastIndexOf('.');
  const node = titled(key.slice(0, dot));
  const widget = node.widgets.find((one) => one.name === key.slice(dot + 1));
  if (!widget) throw new Error(`the app mode cannot show ${key}, which is no widget`);
  // Whatever the widget is called now: a node of this number in the workflow before may have left its name.
  if (widget.name !== label) {
    widget.label = label;
    node.inputs.find((one) => one.widget?.name === widget.name).label = label;
  }
  return [Number(node.id), widget.name];
});
return { inputs, outputs: argument.results.map((title) => Number(titled(title).id)) };
"""
