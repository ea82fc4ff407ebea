"""What the nodes say of themselves: the page's English texts, and the lists of inputs and outputs in the help pages.

English comes from the schemas as a running host lists them. The lists come from the schema snapshot of the host tests and
the texts of one language, so that they are made and checked without a host.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.server import PACK_NAME, REPOSITORY

LOCALES = REPOSITORY / "locales"
HELP = REPOSITORY / "web" / "docs"
SNAPSHOT = REPOSITORY / "tests" / "host" / "data" / "schema.json"
# Longer lists, such as the 135 words, are for the node itself to show.
_MOST_OPTIONS = 12

Texts = dict[str, Any]
Words = Mapping[str, Any]


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


# The headings and the few words of the help pages, by language.
WORDS: dict[str, dict[str, Any]] = read_json(Path(__file__).with_name("help_words.json"))


class TextError(HarnessError):
    """A help page or a locale lacks something that only a person can write."""


def as_json(value: Any) -> str:
    """How locale files are written."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def english(info: Mapping[str, Any], pack_name: str = PACK_NAME) -> dict[str, Texts]:
    """Content of locales/en by file name, from the host's /object_info."""
    ours = {name: entry for name, entry in sorted(info.items()) if entry["python_module"] == f"custom_nodes.{pack_name}"}
    categories = sorted({part for entry in ours.values() for part in entry["category"].split("/")})
    return {
        "main.json": {"nodeCategories": {part: part for part in categories}},
        "nodeDefs.json": {name: _english_node(entry) for name, entry in ours.items()},
    }


def _english_node(entry: Mapping[str, Any]) -> Texts:
    texts: Texts = {
        "display_name": entry["display_name"],
        "description": entry["description"],
        "inputs": {
            key: {"name": options.get("display_name") or key, "tooltip": options["tooltip"]}
            for key, options in _listed_inputs(entry)
        },
    }
    for key, options in _listed_inputs(entry):
        if "template" not in options:
            continue
        (grown,) = options["template"]["input"]["required"].values()
        for child in options["template"]["names"]:
            texts["inputs"][grown_key(key, child)] = {"name": child, "tooltip": grown[1]["tooltip"]}
    outputs = zip(entry["output_name"], entry["output_tooltips"] or [], strict=True)
    if named := {str(place): {"name": name, "tooltip": tooltip} for place, (name, tooltip) in enumerate(outputs)}:
        texts["outputs"] = named
    return texts


def _listed_inputs(entry: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for group in ("required", "optional"):
        for key in entry["input_order"].get(group, []):
            yield key, entry["input"][group][key][1]


def grown_key(key: str, child: str) -> str:
    """Under which the page looks for the texts of a socket that grew; it writes the dot in such a name as _."""
    return f"{key}_{child}"


def expected_texts(schema: Mapping[str, Any]) -> set[str]:
    """Paths of all texts that a language needs for these nodes, such as SFSRFaceCrop.inputs.size.tooltip."""
    needed = set()
    for name, entry in schema.items():
        needed |= {f"{name}.display_name", f"{name}.description"}
        keys = [one["id"] for one in entry["inputs"]]
        keys += [grown_key(one["id"], child) for one in entry["inputs"] for child in one.get("template", {}).get("names", ())]
        needed |= {f"{name}.inputs.{key}.{field}" for key in keys for field in ("name", "tooltip")}
        needed |= {f"{name}.outputs.{place}.{field}" for place in range(len(entry["outputs"])) for field in ("name", "tooltip")}
    return needed


def flat(texts: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """The texts of a language by their paths."""
    found = {}
    for key, value in texts.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def help_page(name: str, language: str) -> Path:
    """Where the page looks for a node's help: the language's own file first, then the English one."""
    return HELP / f"{name}.md" if language == "en" else HELP / name / f"{language}.md"


def help_pages() -> Iterator[tuple[str, str, Path]]:
    """Node, language and file of every help page that is there."""
    for path in sorted(HELP.glob("*.md")):
        yield path.stem, "en", path
    for path in sorted(HELP.glob("*/*.md")):
        yield path.parent.name, path.stem, path


def sections(language: str) -> tuple[str, ...]:
    """The headings that every help page has, in order."""
    return tuple(WORDS[language][key] for key in ("graph", "inputs", "outputs", "trouble"))


def with_lists(text: str, entry: Mapping[str, Any], texts: Texts, language: str) -> str:
    """The help page with its lists of inputs and outputs made anew; raises TextError for a page without their headings."""
    words = WORDS[language]
    text = _with_section(text, words["inputs"], _input_list(entry, texts, words) or words["none"])
    return _with_section(text, words["outputs"], _output_list(entry, texts, words) or words["none"])


def _with_section(text: str, heading: str, content: str) -> str:
    pattern = re.compile(rf"^## {heading}\n.*?(?=^## |\Z)", re.DOTALL | re.MULTILINE)
    if not pattern.search(text):
        raise TextError(f"the heading '## {heading}' is missing; add it, and the list below it is made for you")
    return pattern.sub(lambda _: f"## {heading}\n\n{content}\n\n", text, count=1).rstrip("\n") + "\n"


def _input_list(entry: Mapping[str, Any], texts: Texts, words: Words) -> str:
    items = []
    for one in entry["inputs"]:
        said, about = texts["inputs"][one["id"]], [_kind(one, words), _range(one, words)]
        items.append(_item(one["id"], said, words["between_facts"].join(fact for fact in about if fact), words))
    return "\n".join(items)


def _output_list(entry: Mapping[str, Any], texts: Texts, words: Words) -> str:
    outputs = enumerate(entry["outputs"])
    return "\n".join(_item(name, texts["outputs"][str(place)], f"`{kind}`", words) for place, (name, kind) in outputs)


def _item(key: str, said: Texts, about: str, words: Words) -> str:
    named = f"`{key}`" if said["name"] == key else f"`{key}` {said['name']}"
    tooltip = said["tooltip"].replace("*", r"\*")
    return words["item"].format(named=named, about=about, tooltip=tooltip)


def _kind(one: Mapping[str, Any], words: Words) -> str:
    if "template" in one:
        return words["sockets"].format(least=one["template"]["min"], most=len(one["template"]["names"]))
    if one["type"] in words["kinds"] and "default" in one:
        return words["kinds"][one["type"]]
    kind = f"`{one['type']}`"
    return words["optional"].format(kind=kind) if one["optional"] else kind


def _range(one: Mapping[str, Any], words: Words) -> str:
    if "template" in one:
        names = one["template"]["names"]
        return f"`{names[0]}` ... `{names[-1]}`"
    default = one.get("default")
    if default is None or default == "":
        return ""
    if isinstance(default, bool):
        return words["default"].format(default=words["on" if default else "off"])
    if isinstance(default, str):
        options = one.get("options", ())
        wording = words["one_of" if 0 < len(options) <= _MOST_OPTIONS else "default"]
        return wording.format(default=f"`{default}`", options=", ".join(f"`{option}`" for option in options))
    return words["between"].format(default=_number(default), low=_number(one["min"]), high=_number(one["max"]))


def _number(value: float) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
