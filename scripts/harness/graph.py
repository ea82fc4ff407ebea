"""Build an API prompt node by node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Prompt = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Node:
    """A node already placed in a graph; `out(i)` is the link to its i-th output."""

    id: str

    def out(self, slot: int = 0) -> list[Any]:
        """The API form of a link: [node id, output slot]."""
        return [self.id, slot]


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    """A node in API format, titled by its class, for prompts that are written out."""
    return {"class_type": class_type, "inputs": inputs, "_meta": {"title": class_type}}


class GraphBuilder:
    """Collects nodes; inputs are values, links (`node.out(0)`), or a Node, which stands for its first output."""

    def __init__(self) -> None:
        self._nodes: Prompt = {}

    def node(self, class_type: str, *, title: str | None = None, **inputs: Any) -> Node:
        """Place a node. Inputs whose names are no identifiers are given as `**{"a.b": value}`."""
        placed = Node(str(len(self._nodes) + 1))
        links = {name: value.out() if isinstance(value, Node) else value for name, value in inputs.items()}
        entry: dict[str, Any] = {"class_type": class_type, "inputs": links}
        if title is not None:
            entry["_meta"] = {"title": title}
        self._nodes[placed.id] = entry
        return placed

    def prompt(self) -> Prompt:
        """A copy of the graph in API format."""
        return {node_id: {**entry, "inputs": dict(entry["inputs"])} for node_id, entry in self._nodes.items()}
