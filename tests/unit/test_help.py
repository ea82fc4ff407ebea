"""The help pages and the page's texts say what the nodes are, in every language, and nothing of nodes that are not there.

The nodes are those of the schema snapshot, which the host tests hold against a running host.
"""

import ast
import re

import pytest
from harness.server import PACK_NAME, REPOSITORY
from testkit.node_texts import (
    HELP,
    LOCALES,
    SNAPSHOT,
    TextError,
    english,
    expected_texts,
    flat,
    help_page,
    help_pages,
    read_json,
    sections,
    with_lists,
)

SCHEMA = read_json(SNAPSHOT)
LANGUAGES = sorted(path.name for path in LOCALES.iterdir())
TEXTS = {language: read_json(LOCALES / language / "nodeDefs.json") for language in LANGUAGES}
MAIN_NODES = ("LoadIDEncoder", "ExpressionEmbed", "SFSRConditioning", "ImprovedMidpointSampler")
PAGES = [pytest.param(*page, id=f"{page[0]}-{page[1]}") for page in help_pages()]
TROUBLESHOOTING = REPOSITORY / "docs" / "troubleshooting.md"
HOW = {
    "en": "run 'python scripts/build_help.py'",
    "zh": "write the Chinese by hand (the English in locales/en/nodeDefs.json says what is meant), and take out what is gone",
}
# The page compiles names and descriptions as messages, in which these would be read as links, plurals and placeholders.
SIGNS_OF_MESSAGES = "@{}|"
WIDEST_GRAPH = 44
MOST_OF_A_PICTURE, MOST_OF_ALL_PICTURES = 30_000, 400_000


def quoted(text):
    """What stands between single quotes, which is what a user must type or choose; an apostrophe is none."""
    return set(re.findall(r"(?<!\w)'([^']+)'(?!\w)", text))


def numbers(text):
    return set(re.findall(r"\d+(?:\.\d+)?", text))


def body(page, heading):
    """What stands below a heading of a help page."""
    found = re.search(rf"(?ms)^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", page)
    return found[1] if found else ""


def test_english_and_chinese_are_there():
    assert sorted(HOW) == LANGUAGES


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_covers_every_node_input_and_output(language):
    found, wanted = flat(TEXTS[language]), expected_texts(SCHEMA)
    lacking, surplus = sorted(wanted - found.keys()), sorted(found.keys() - wanted)
    place = f"locales/{language}/nodeDefs.json"
    assert not lacking, f"{place} lacks {', '.join(lacking)}: {HOW[language]}"
    assert not surplus, f"{place} has {', '.join(surplus)}, which no node has: {HOW[language]}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_plain(language):
    for path, text in flat(TEXTS[language]).items():
        assert text.strip() == text != "", f"locales/{language}: {path} is empty or has space around it"
        assert not set(text) & set(SIGNS_OF_MESSAGES), f"locales/{language}: {path} has one of {SIGNS_OF_MESSAGES}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_category_has_a_name(language):
    categories = read_json(LOCALES / language / "main.json")["nodeCategories"]
    assert categories.keys() == read_json(LOCALES / "en" / "main.json")["nodeCategories"].keys(), HOW[language]
    assert all(categories.values())


def test_chinese_is_chinese():
    for path, text in flat(TEXTS["zh"]).items():
        if not path.endswith(".name"):  # of inputs, such as VAE, cfg and eta
            assert re.search(r"[\u4e00-\u9fff]", text), f"locales/zh: {path} has no Chinese: {text}"


def test_chinese_says_the_same_values():
    english_texts, chinese = flat(TEXTS["en"]), flat(TEXTS["zh"])
    for path in sorted(english_texts.keys() & chinese.keys()):
        for values in (quoted, numbers):
            lost = sorted(values(english_texts[path]) - values(chinese[path]))
            assert not lost, f"locales/zh: {path} does not say {', '.join(lost)}, as the English does; bring it up to date"


def test_every_node_has_help_and_nothing_else_has():
    pages = {node for node, language, _ in help_pages() if language == "en"}
    lacking, surplus = sorted(SCHEMA.keys() - pages), sorted({node for node, _, _ in help_pages()} - SCHEMA.keys())
    assert not lacking, (
        f"web/docs lacks {', '.join(f'{node}.md' for node in lacking)}: write each in the shape of the others (headings "
        f"{', '.join(sections('en'))}), then {HOW['en']}"
    )
    assert not surplus, f"web/docs has pages of {', '.join(surplus)}, which is no node"


def test_the_main_nodes_have_chinese_help():
    assert [node for node in MAIN_NODES if not help_page(node, "zh").is_file()] == []


@pytest.mark.parametrize(("node", "language", "path"), PAGES)
def test_a_page_names_every_input_and_output(node, language, path):
    text = path.read_text(encoding="utf-8")
    _, inputs, outputs, _ = sections(language)
    for heading, names in (
        (inputs, [one["id"] for one in SCHEMA[node]["inputs"]]),
        (outputs, [name for name, _ in SCHEMA[node]["outputs"]]),
    ):
        lacking = [name for name in names if f"`{name}`" not in body(text, heading)]
        assert not lacking, f"{path.name} of {node}: '{heading}' does not name {', '.join(lacking)}: {HOW['en']}"


@pytest.mark.parametrize(("node", "language", "path"), PAGES)
def test_a_pages_lists_are_current(node, language, path):
    text = path.read_text(encoding="utf-8")
    made = with_lists(text, SCHEMA[node], TEXTS[language][node], language)
    assert text == made, f"the lists in {path.relative_to(REPOSITORY)} are not those of the schema: {HOW['en']}"


@pytest.mark.parametrize(("node", "language", "path"), PAGES)
def test_a_page_has_the_common_shape(node, language, path):
    text = path.read_text(encoding="utf-8")
    title = TEXTS[language][node]["display_name"].removesuffix(" (SFSR)")
    assert text.startswith(f"# {title}\n\n")
    about = text.split("\n\n")[1]
    assert len(about.splitlines()) == 2, f"{path.name}: what the node is for takes two lines"
    headings = re.findall(r"(?m)^## (.+)$", text)
    assert [one for one in headings if one in sections(language)] == list(sections(language))
    graph, _, _, trouble = sections(language)
    assert headings[0] == graph
    assert headings[-1] == trouble
    assert title in body(text, graph), f"{path.name}: the graph does not show the node"
    assert len(re.findall(r"(?m)^- \*\*.+\*\*", body(text, trouble))) >= 2
    widest = max(len(line) for line in body(text, graph).splitlines())
    assert widest <= WIDEST_GRAPH, f"{path.name}: the page shows help in a narrow column; the graph is {widest} signs wide"


def strings_of(path):
    """The strings in a file as a user may see them, with a gap where a value is put in."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.fixture(scope="module")
def messages():
    """Every string of the code that may be part of a message."""
    files = [*(REPOSITORY / "nodes").rglob("*.py"), *(REPOSITORY / "sfsr_model").rglob("*.py")]
    return [text for file in files for text in strings_of(file)]


@pytest.mark.parametrize(
    "path",
    [*(page.values[2] for page in PAGES), TROUBLESHOOTING],
    ids=lambda path: path.relative_to(REPOSITORY).as_posix(),
)
def test_quoted_messages_are_those_of_the_code(path, messages):
    """A message is quoted with ... and numbers where values stand."""
    text = path.read_text(encoding="utf-8")
    trouble = text if path == TROUBLESHOOTING else text[text.rindex("\n## ") :]
    trouble = re.sub(r"`[^`\n]*`", "", trouble)  # what is typed, and no message
    for quote in re.findall(r'"([^"\n]+)"', trouble):
        parts = [re.escape(part) for part in re.split(r"\.\.\.|\d+(?:\.\d+)?", quote) if len(part.strip()) > 1]
        assert parts, f"{path.name}: {quote!r} quotes nothing that could be looked up"
        pattern = re.compile(".*?".join(parts), re.DOTALL)
        assert any(pattern.search(message) for message in messages), f"{path.name}: no message of the code says {quote!r}"


def test_pictures_of_the_help_are_small():
    pictures = [path for path in HELP.rglob("*") if path.is_file() and path.suffix != ".md"]
    sizes = {path.name: path.stat().st_size for path in pictures}
    assert all(size <= MOST_OF_A_PICTURE for size in sizes.values()), sizes
    assert sum(sizes.values()) <= MOST_OF_ALL_PICTURES


def test_a_new_node_gets_english_and_lists():
    """What the script makes of a node that it has never seen, and what it says of a page that is not in shape."""
    info = {
        "SFSRNew": {
            "python_module": f"custom_nodes.{PACK_NAME}",
            "category": "SFSR/more",
            "display_name": "New (SFSR)",
            "description": "About it.",
            "input_order": {"required": ["text", "note"], "optional": ["grown"]},
            "input": {
                "required": {
                    "text": ["STRING", {"tooltip": "What to type.", "display_name": "words"}],
                    "note": ["STRING", {"tooltip": "What else."}],
                },
                "optional": {
                    "grown": [
                        "COMFY_AUTOGROW_V3",
                        {
                            "tooltip": "All of them.",
                            "template": {"input": {"required": {"one": ["IMAGE", {"tooltip": "One."}]}}, "names": ["p", "q"]},
                        },
                    ]
                },
            },
            "output_name": ["out"],
            "output_tooltips": ["What comes of x0*."],
        },
        "KSampler": {"python_module": "nodes", "category": "sampling"},
    }
    made = english(info)
    assert made["main.json"] == {"nodeCategories": {"SFSR": "SFSR", "more": "more"}}
    assert list(made["nodeDefs.json"]) == ["SFSRNew"]
    texts = made["nodeDefs.json"]["SFSRNew"]
    assert texts["inputs"]["text"] == {"name": "words", "tooltip": "What to type."}
    assert texts["inputs"]["grown_q"] == {"name": "q", "tooltip": "One."}
    schema = {
        "inputs": [
            {"id": "text", "type": "STRING", "optional": False, "default": "a"},
            {"id": "note", "type": "STRING", "optional": False, "default": ""},
            {"id": "grown", "type": "COMFY_AUTOGROW_V3", "optional": True, "template": {"names": ["p", "q"], "min": 1}},
        ],
        "outputs": [["out", "IMAGE"]],
    }
    assert expected_texts({"SFSRNew": schema}) == flat(made["nodeDefs.json"]).keys()
    page = with_lists("# New\n\n## Inputs\n\nold\n\n## Outputs\n\n## More\n\nkept\n", schema, texts, "en")
    assert "- `text` words (text; default `a`): What to type.\n" in page
    assert "- `note` (text): What else.\n" in page
    assert "- `grown` (1 to 2 sockets; `p` ... `q`): All of them.\n" in page
    assert "- `out` (`IMAGE`): What comes of x0\\*.\n" in page
    assert "old" not in page
    assert page.endswith("## More\n\nkept\n")
    with pytest.raises(TextError, match="the heading '## Outputs' is missing"):
        with_lists("# New\n\n## Inputs\n", schema, texts, "en")
