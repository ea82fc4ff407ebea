"""Plain sentences for what a ComfyUI says when it refuses a prompt."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

_MODEL_SUFFIXES = frozenset(
    {".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".onnx", ".gguf", ".sft", ".task", ".tflite", ".yaml"}
)
_SHOWN_CHOICES = 8


def explain_rejection(answer: dict[str, Any]) -> str:
    """Turn the body of a refused POST /prompt (`error`, `node_errors`) into sentences, one a line."""
    lines = []
    for node_id, entry in (answer.get("node_errors") or {}).items():
        node = f"Node {node_id} ({entry.get('class_type', '?')})"
        lines += [f"{node}: {_explain_input(error)}" for error in entry.get("errors", ())]
    if not lines:
        lines.append(_explain_prompt(answer.get("error")))
    return "\n".join(lines)


def _explain_prompt(error: Any) -> str:
    if not isinstance(error, dict):
        return f"ComfyUI refused the prompt: {error}"
    extra = error.get("extra_info") or {}
    if error.get("type") in ("missing_node_type", "invalid_prompt"):
        class_type = extra.get("class_type")
        node_id = extra.get("node_id", "?")
        if class_type:
            return (
                f"Node {node_id}: this ComfyUI has no node type {class_type!r}. Install the pack that brings it, or"
                " take the node out of the workflow."
            )
        return f"Node {node_id} names no class_type: the file is no workflow in API format (Export (API))."
    if error.get("type") == "prompt_no_outputs":
        return "The workflow has no output node, such as SaveImage: nothing would be made."
    return f"ComfyUI refused the prompt: {error.get('message', '')} {error.get('details', '')}".strip()


def _explain_input(error: dict[str, Any]) -> str:
    extra = error.get("extra_info") or {}
    name = extra.get("input_name") or str(error.get("details", "")).split(":")[0]
    config = extra.get("input_config")
    received = extra.get("received_value")
    match error.get("type"):
        case "value_not_in_list":
            return _explain_choice(name, received, config)
        case "required_input_missing":
            return f"input {name!r} is missing."
        case "value_smaller_than_min" | "value_bigger_than_max":
            return f"input {name!r}: {error['message'].lower()}."
        case "return_type_mismatch":
            return f"input {name!r} is linked to an output of another type ({error.get('details', '')})."
        case _:
            return f"input {name!r}: {error.get('message', '')} ({error.get('details', '')})."


def _explain_choice(name: str, received: Any, config: Any) -> str:
    choices = _choices(config)
    shown = ", ".join(map(str, choices[:_SHOWN_CHOICES]))
    more = f" and {len(choices) - _SHOWN_CHOICES} more" if len(choices) > _SHOWN_CHOICES else ""
    if isinstance(received, str) and PurePosixPath(received).suffix.lower() in _MODEL_SUFFIXES:
        other = f", or choose one that is there: {shown}{more}" if choices else ""
        return (
            f"input {name!r} names the model file {received!r}, which this ComfyUI does not have. Put it into the"
            f" folder of its models that this node reads{other}."
        )
    if not choices:
        return (
            f"input {name!r} has nothing to choose from: this ComfyUI has no file of the kind that this node reads. Put one"
            " into its folder of ComfyUI's models folder."
        )
    return f"input {name!r} has no choice {received!r}. It has: {shown}{more}."


def _choices(config: Any) -> list[Any]:
    """The options of a combo input, in either of the two forms the host describes them in."""
    if not isinstance(config, (list, tuple)) or not config:
        return []
    if isinstance(config[0], (list, tuple)):
        return list(config[0])
    extra = config[1] if len(config) > 1 and isinstance(config[1], dict) else {}
    return list(extra.get("options", ()))
