"""Read an API workflow and set its inputs by the titles of its nodes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.graph import Prompt

# The nodes that the demo sets, by title: first that of the bundled workflows, then those of earlier versions.
PERSON = ("Portrait: person", "Identity")
TARGET = ("Portrait: target", "Target")
EXPRESSION = ("Expression Embed", "Expression")
# Title of the node that loads the demo's picture of an expression.
EXPRESSION_PICTURE = "Expression picture"


def load_workflow(path: Path) -> Prompt:
    """Read a workflow in API format; raises UsageError for anything else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"--workflow: {path} cannot be read ({error.strerror}).") from None
    except ValueError as error:
        raise UsageError(f"--workflow: {path} is not JSON ({error}).") from None
    if isinstance(content, dict) and isinstance(content.get("nodes"), list):
        raise UsageError(
            f"--workflow: {path} is in the page's own format. Save it with File > Export (API), or drop it on the page."
        )
    if not isinstance(content, dict) or not content or not all(_is_node(entry) for entry in content.values()):
        raise UsageError(f"--workflow: {path} is no workflow in API format: an object of nodes, each with class_type.")
    return content


def titled(prompt: Prompt, *titles: str) -> str | None:
    """Id of the node with the first of these titles that there is; None without any. Raises UsageError if several have it."""
    for title in titles:
        found = [node_id for node_id, entry in prompt.items() if (entry.get("_meta") or {}).get("title") == title]
        if len(found) > 1:
            raise UsageError(f"The workflow has {len(found)} nodes titled {title!r}: keep one of that title.")
        if found:
            return found[0]
    return None


def set_input(prompt: Prompt, titles: str | tuple[str, ...], names: tuple[str, ...], value: Any, option: str) -> None:
    """Set the first of the inputs `names` that the titled node has; raises UsageError if there is no such node."""
    titles = (titles,) if isinstance(titles, str) else titles
    node_id = titled(prompt, *titles)
    if node_id is None:
        raise UsageError(f"{option}: the workflow has no node titled {titles[0]!r} to set. Title one so, or drop {option}.")
    inputs = prompt[node_id]["inputs"]
    name = next((name for name in names if name in inputs), None)
    if name is None:
        raise UsageError(f"{option}: the node titled {titles[0]!r} has no input {' or '.join(names)}.")
    inputs[name] = value


def apply_picture(prompt: Prompt, titles: tuple[str, ...], picture: str, option: str) -> None:
    """Make the titled node, a Portrait or a LoadImage, show an uploaded picture."""
    node_id = titled(prompt, *titles)
    class_type = None if node_id is None else prompt[node_id]["class_type"]
    if class_type == "SFSRSamplePortrait":
        prompt[str(node_id)]["inputs"] = {"sample": picture}
    elif class_type in (None, "LoadImage"):
        set_input(prompt, titles, ("image",), picture, option)
    else:
        raise UsageError(f"{option}: the node titled {titles[0]!r} is a {class_type}; it has to be a Portrait or a LoadImage.")


def apply_word(prompt: Prompt, word: str) -> None:
    """Make the node of the expression take a word."""
    set_input(prompt, EXPRESSION, ("word",), word, "--expression")
    set_input(prompt, EXPRESSION, ("source",), "word", "--expression")


def apply_expression_picture(prompt: Prompt, picture: str, encoder: str) -> None:
    """Make the node of the expression read an uploaded picture, by a named encoder unless it has one already."""
    set_input(prompt, EXPRESSION, ("source",), "image", "--expression")
    inputs = prompt[str(titled(prompt, *EXPRESSION))]["inputs"]
    _add_source(prompt, inputs, "image", EXPRESSION_PICTURE, "LoadImage", {"image": picture})
    if "expression_encoder" not in inputs:
        values = {"encoder": encoder}
        _add_source(prompt, inputs, "expression_encoder", "Load Expression Encoder", "SFSRLoadExpressionEncoder", values)


def _add_source(prompt: Prompt, inputs: dict[str, Any], name: str, title: str, class_type: str, values: dict[str, Any]) -> None:
    """Feed the input `name` from a new node."""
    prompt[f"demo_{name}"] = {"class_type": class_type, "inputs": values, "_meta": {"title": title}}
    inputs[name] = [f"demo_{name}", 0]


def named_pictures(prompt: Prompt) -> dict[str, str]:
    """Node id -> file name of every LoadImage."""
    return {
        node_id: entry["inputs"]["image"]
        for node_id, entry in prompt.items()
        if entry["class_type"] == "LoadImage" and isinstance(entry["inputs"].get("image"), str)
    }


def behind(prompt: Prompt, ends: Prompt) -> Prompt:
    """The nodes `ends` and all of the prompt's that they depend on."""
    found = dict(ends)
    waiting = list(ends.values())
    while waiting:
        links = [value for value in waiting.pop()["inputs"].values() if isinstance(value, list)]
        for source in {str(link[0]) for link in links} - found.keys():
            found[source] = prompt[source]
            waiting.append(prompt[source])
    return found


def needs_checkpoint(prompt: Prompt) -> bool:
    """Whether the graph loads a text-to-image model, which nobody has until they fetch one."""
    return any(entry["class_type"] in ("CheckpointLoaderSimple", "UNETLoader") for entry in prompt.values())


def _is_node(entry: Any) -> bool:
    # A node without class_type is the host's to name.
    return isinstance(entry, dict) and isinstance(entry.get("inputs"), dict) and "class_type" in entry
